"""Case: a question or a complaint. Not mergeable through the API, although it has a MasterRecordId."""

from salesforce_poller.simulator.objects import kinds as of
from salesforce_poller.simulator.schema import ObjectType

STATUSES = ("New", "Working", "Escalated", "Closed")
REASONS = (
    *("Installation", "Equipment Complexity", "Performance", "Breakdown"),
    *("Equipment Design", "Feedback", "Other"),
)
CASE_NUMBER = of.text("CaseNumber", 30, name_field=True, auto_number="{:08d}", defaulted_on_create=True)

CASE = ObjectType(
    name="Case",
    label="Case",
    label_plural="Cases",
    key_prefix="500",
    fields=of.by_name(
        (
            of.identity("Case"),
            of.is_deleted(),
            of.master_record("Case"),
            of.required(of.read_only(CASE_NUMBER)),
            of.lookup("ContactId", "Contact", children="Cases"),
            of.lookup("AccountId", "Account", children="Cases"),
            of.lookup("ParentId", "Case", children="Cases"),
            of.text("SuppliedName", 80, label="Name"),
            of.email("SuppliedEmail"),
            of.text("SuppliedPhone", 40, label="Phone"),
            of.text("SuppliedCompany", 80, label="Company"),
            of.choice("Type", ("Mechanical", "Electrical", "Electronic", "Structural", "Other")),
            of.choice("Status", STATUSES, default="New", defaulted_on_create=True),
            of.choice("Reason", REASONS),
            of.choice("Origin", ("Phone", "Email", "Web")),
            of.text("Subject"),
            of.choice("Priority", ("High", "Medium", "Low"), default="Medium", defaulted_on_create=True),
            of.area("Description"),
            of.derived(of.flag("IsClosed", label="Closed"), lambda row, _now: row.get("Status") == "Closed"),
            of.read_only(of.instant("ClosedDate")),
            of.flag("IsEscalated", label="Escalated"),
            of.owner("User", "Group"),
            *of.audit(),
            of.area("Comments", 4000),
            *of.viewed(),
        )
    ),
)
