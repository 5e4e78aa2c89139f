"""Group: a queue or a public group; it can own leads and cases. Gone at once when deleted: no IsDeleted."""

from salesforce_poller.simulator.objects import kinds as of
from salesforce_poller.simulator.schema import ObjectType

TYPES = ("Regular", "Queue", "Role", "RoleAndSubordinates", "Organization")

GROUP = ObjectType(
    name="Group",
    label="Group",
    label_plural="Group",
    key_prefix="00G",
    triggerable=False,
    undeletable=False,
    layoutable=False,
    feed_enabled=False,
    fields=of.by_name(
        (
            of.identity("Group"),
            of.required(of.text("Name", 40, name_field=True)),
            of.required(of.text("DeveloperName", 80, defaulted_on_create=True)),
            of.read_only(of.lookup("RelatedId", "User")),
            of.required(of.choice("Type", TYPES, updateable=False)),
            of.email("Email"),
            of.read_only(of.owner("User")),
            of.flag("DoesSendEmailToMembers", label="Send Email to Members"),
            of.flag("DoesIncludeBosses", label="Include Bosses"),
            *of.audit(),
        )
    ),
)
