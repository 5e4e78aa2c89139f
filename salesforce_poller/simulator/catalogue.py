"""The catalogue: every object of the simulated org, gathered from `objects/` with its child relationships.

Called by `org.py` at birth. The dataclasses live in `schema.py`; take them from here.
"""

from dataclasses import replace

from salesforce_poller.simulator.objects.account import ACCOUNT
from salesforce_poller.simulator.objects.campaign import CAMPAIGN
from salesforce_poller.simulator.objects.case import CASE
from salesforce_poller.simulator.objects.contact import CONTACT
from salesforce_poller.simulator.objects.group import GROUP
from salesforce_poller.simulator.objects.invoice import INVOICE
from salesforce_poller.simulator.objects.lead import LEAD
from salesforce_poller.simulator.objects.lead_status import LEAD_STATUS
from salesforce_poller.simulator.objects.opportunity import OPPORTUNITY
from salesforce_poller.simulator.objects.order import ORDER
from salesforce_poller.simulator.objects.organization import ORGANIZATION
from salesforce_poller.simulator.objects.product2 import PRODUCT2
from salesforce_poller.simulator.objects.task import TASK
from salesforce_poller.simulator.objects.thing import thing
from salesforce_poller.simulator.objects.user import USER
from salesforce_poller.simulator.objects.wide import WIDE
from salesforce_poller.simulator.schema import Child, Field, ObjectType

__all__ = ["Child", "Field", "ObjectType", "catalogue"]

_OBJECTS = (
    *(ACCOUNT, CAMPAIGN, CASE, CONTACT, GROUP, INVOICE, LEAD, LEAD_STATUS),
    *(OPPORTUNITY, ORDER, ORGANIZATION, PRODUCT2, TASK, USER),
)


def catalogue(things: int = 0, *, wide: bool = False) -> dict[str, ObjectType]:
    """All objects by API name, in alphabetical order; then so many custom ones that are all alike, and Wide__c."""
    standard = {each.name: replace(each, children=_children(each.name)) for each in _OBJECTS}
    more = [thing(number) for number in range(1, things + 1)] + [WIDE] * wide
    return standard | {each.name: each for each in more}


def _children(parent: str) -> tuple[Child, ...]:
    """A child relationship for every field of any object that can refer to this one."""
    return tuple(
        Child(each.name, field.name, field.child_relationship_name, field.cascade_delete)
        for each in _OBJECTS
        for field in each.fields.values()
        if parent in field.reference_to
    )
