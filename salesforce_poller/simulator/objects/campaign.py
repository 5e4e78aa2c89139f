"""Campaign: something marketing does. What the calling user may do with it depends on the Marketing User right."""

from salesforce_poller.simulator.objects import kinds as of
from salesforce_poller.simulator.schema import ObjectType

TYPES = (
    *("Conference", "Webinar", "Trade Show", "Public Relations", "Partners", "Referral Program"),
    *("Advertisement", "Banner Ads", "Direct Mail", "Email", "Telemarketing", "Other"),
)
STATUSES = ("Planned", "In Progress", "Completed", "Aborted")

CAMPAIGN = ObjectType(
    name="Campaign",
    label="Campaign",
    label_plural="Campaigns",
    key_prefix="701",
    fields=of.by_name(
        (
            of.identity("Campaign"),
            of.is_deleted(),
            of.required(of.text("Name", 80, name_field=True)),
            of.lookup("ParentId", "Campaign", label="Parent Campaign ID", children="ChildCampaigns"),
            of.choice("Type", TYPES, default="Conference", defaulted_on_create=True),
            of.choice("Status", STATUSES, default="Planned", defaulted_on_create=True),
            of.day("StartDate"),
            of.day("EndDate"),
            of.money("ExpectedRevenue", label="Expected Revenue in Campaign"),
            of.money("BudgetedCost", label="Budgeted Cost in Campaign"),
            of.money("ActualCost", label="Actual Cost in Campaign"),
            of.percent("ExpectedResponse", 8, 2, label="Expected Response (%)"),
            of.number("NumberSent", label="Num Sent in Campaign"),
            of.flag("IsActive", label="Active"),
            of.area("Description"),
            of.owner(),
            *of.audit(),
            of.read_only(of.day("LastActivityDate")),
            *of.viewed(),
        )
    ),
)
