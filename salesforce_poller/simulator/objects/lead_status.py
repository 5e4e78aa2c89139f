"""LeadStatus: the values Lead.Status may have. Stamped, but not replicateable: getUpdated refuses it."""

from salesforce_poller.simulator.objects import kinds as of
from salesforce_poller.simulator.schema import ObjectType

LEAD_STATUS = ObjectType(
    name="LeadStatus",
    label="Lead Status Value",
    label_plural="Lead Status Value",
    key_prefix="01J",
    replicateable=False,
    triggerable=False,
    undeletable=False,
    deletable=False,
    createable=False,
    updateable=False,
    searchable=False,
    layoutable=False,
    feed_enabled=False,
    fields=of.by_name(
        (
            of.identity("Lead Status Value"),
            of.read_only(of.text("MasterLabel", name_field=True)),
            of.read_only(of.text("ApiName", label="API Name")),
            of.read_only(of.integer("SortOrder")),
            of.read_only(of.flag("IsDefault")),
            of.read_only(of.flag("IsConverted", label="Is Converted")),
            *of.audit(),
        )
    ),
)
