"""Account: a company. Mergeable; its contacts and opportunities go into the recycle bin with it."""

from salesforce_poller.simulator.objects import kinds as of
from salesforce_poller.simulator.schema import ObjectType

TYPES = (
    *("Prospect", "Customer - Direct", "Customer - Channel", "Channel Partner / Reseller"),
    *("Installation Partner", "Technology Partner", "Other"),
)

ACCOUNT = ObjectType(
    name="Account",
    label="Account",
    label_plural="Accounts",
    key_prefix="001",
    mergeable=True,
    fields=of.by_name(
        (
            of.identity("Account"),
            of.is_deleted(),
            of.master_record("Account"),
            of.required(of.text("Name", label="Account Name", name_field=True)),
            of.choice("Type", TYPES),
            of.lookup("ParentId", "Account", children="ChildAccounts"),
            *of.postal_address("Billing"),
            *of.postal_address("Shipping"),
            of.phone("Phone"),
            of.phone("Fax"),
            of.text("AccountNumber", 40),
            of.url("Website"),
            of.photo_url(),
            of.text("Sic", 20, label="SIC Code"),
            of.choice("Industry", of.INDUSTRIES),
            of.money("AnnualRevenue"),
            of.integer("NumberOfEmployees"),
            of.choice("Ownership", ("Public", "Private", "Subsidiary", "Other")),
            of.text("TickerSymbol", 20),
            of.area("Description"),
            of.choice("Rating", of.RATINGS),
            of.text("Site", 80),
            of.owner(),
            *of.audit(),
            of.read_only(of.day("LastActivityDate")),
            *of.viewed(),
            of.text("Jigsaw", 20, label="Data.com Key"),
            of.choice("AccountSource", of.LEAD_SOURCES),
            of.text("SicDesc", 80, label="SIC Description"),
        )
    ),
)
