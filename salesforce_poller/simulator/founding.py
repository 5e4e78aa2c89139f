"""What an org has on its first day: itself, people, a queue and the lead statuses.

Called once, by `Org`, before anything is watched; none of it is in the truth log.
"""

from dataclasses import dataclass

from salesforce_poller.simulator import rows
from salesforce_poller.simulator.transactions import Transaction
from salesforce_poller.simulator.workspace import Workspace

PEOPLE = (
    ("Ada", "Okafor", "Sales Operations"),
    ("Ben", "Lindqvist", "Account Executive"),
    ("Chiara", "Moretti", "Account Executive"),
    ("Dev", "Raghavan", "Sales Development"),
)
LEAD_STATUSES = (
    ("Open - Not Contacted", True, False),
    ("Working - Contacted", False, False),
    ("Closed - Converted", False, True),
    ("Closed - Not Converted", False, False),
)


@dataclass(frozen=True, slots=True)
class Founders:
    """The ids everybody needs."""

    integration_user: str
    """Who API clients are logged in as."""
    people: tuple[str, ...]
    queue: str


def organization(work: Workspace, organization_id: str, edition: str) -> None:
    """Write the one row of Organization, whose id is the org's."""
    form, at = work.storage.blanks["Organization"], work.stamp()
    values = {"Name": "Simulated Org", "OrganizationType": edition, "InstanceName": "SIM1", "FiscalYearStartMonth": 1}
    row = rows.fresh(form, values, record_id=organization_id, number=1, at=at, by=work.by)
    work.write("created", form.type, row, at=at)


def found(transaction: Transaction) -> Founders:
    """Create the first users, the queue and the lead statuses."""
    people = tuple(_user(transaction, *person) for person in PEOPLE)
    integration_user = _user(transaction, "Integration", "User", "Integrations")
    queue = transaction.insert("Group", Name="Unassigned Leads", DeveloperName="Unassigned_Leads", Type="Queue")
    for order, (label, default, converted) in enumerate(LEAD_STATUSES, start=1):
        transaction.insert(
            "LeadStatus", MasterLabel=label, ApiName=label, SortOrder=order, IsDefault=default, IsConverted=converted
        )
    return Founders(integration_user, people, queue)


def _user(transaction: Transaction, first: str, last: str, title: str) -> str:
    address = f"{first}.{last}@example.com".lower()
    return transaction.insert(
        "User",
        FirstName=first,
        LastName=last,
        Title=title,
        Username=address,
        Email=address,
        Alias=(first[0] + last)[:8].lower(),
        CommunityNickname=first.lower(),
        TimeZoneSidKey="Europe/London",
        LocaleSidKey="en_US",
        EmailEncodingKey="UTF-8",
        LanguageLocaleKey="en_US",
    )
