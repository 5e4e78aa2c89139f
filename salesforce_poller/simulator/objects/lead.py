"""Lead: somebody who may become a customer. Mergeable and convertible."""

from salesforce_poller.simulator.objects import kinds as of
from salesforce_poller.simulator.schema import ObjectType

STATUSES = ("Open - Not Contacted", "Working - Contacted", "Closed - Converted", "Closed - Not Converted")

LEAD = ObjectType(
    name="Lead",
    label="Lead",
    label_plural="Leads",
    key_prefix="00Q",
    mergeable=True,
    fields=of.by_name(
        (
            of.identity("Lead"),
            of.is_deleted(),
            of.master_record("Lead"),
            *of.person_name(),
            of.text("Title", 128),
            of.required(of.text("Company")),
            *of.postal_address(),
            of.phone("Phone"),
            of.phone("MobilePhone"),
            of.phone("Fax"),
            of.email("Email"),
            of.url("Website"),
            of.photo_url(),
            of.area("Description"),
            of.choice("LeadSource", of.LEAD_SOURCES, 255),
            of.required(of.choice("Status", STATUSES, 255, default=STATUSES[0], defaulted_on_create=True)),
            of.choice("Industry", of.INDUSTRIES, 255),
            of.choice("Rating", of.RATINGS, 255),
            of.money("AnnualRevenue"),
            of.integer("NumberOfEmployees"),
            of.owner("User", "Group"),
            of.flag("IsConverted", label="Converted", updateable=False),
            of.read_only(of.day("ConvertedDate")),
            of.read_only(of.lookup("ConvertedAccountId", "Account")),
            of.read_only(of.lookup("ConvertedContactId", "Contact")),
            of.read_only(of.lookup("ConvertedOpportunityId", "Opportunity")),
            of.flag("IsUnreadByOwner", default=True),
            *of.audit(),
            of.read_only(of.day("LastActivityDate")),
            *of.viewed(),
            of.text("Jigsaw", 20, label="Data.com Key"),
            of.text("EmailBouncedReason", createable=False),
            of.instant("EmailBouncedDate", createable=False),
        )
    ),
)
