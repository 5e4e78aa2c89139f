"""Wide__c: a custom object with as many custom fields as an Enterprise Edition allows, all with long names.

For whoever wants to see what becomes of queries that name them all: names of 40 characters before `__c`. Source of the
number: Salesforce Help, "Custom Fields Allowed Per Object".
"""

from salesforce_poller.simulator.objects import kinds as of
from salesforce_poller.simulator.schema import ObjectType

MOST_FIELDS = 500


def column(number: int) -> str:
    """The API name of the custom field of this number, from 1 to `MOST_FIELDS`."""
    return f"A_Name_That_Is_As_Long_As_One_May_Be_{number:03}__c"


WIDE = ObjectType(
    name="Wide__c",
    label="Wide",
    label_plural="Wides",
    key_prefix="aW0",
    custom=True,
    feed_enabled=False,
    fields=of.by_name(
        (
            of.identity("Record"),
            of.owner("User", "Group"),
            of.is_deleted(),
            of.required(of.text("Name", 80, name_field=True)),
            *of.audit(),
            *of.viewed(),
            *of.custom(*(of.text(column(number)) for number in range(1, MOST_FIELDS + 1))),
        )
    ),
)
