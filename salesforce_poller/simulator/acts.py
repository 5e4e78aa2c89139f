"""What people in the scenes do, one function per act.

An act is a small generator: it yields the step, is sent the outcome and remembers on the stage what came of it. The
story that strings them together is in `scenes`.
"""

import random
from collections.abc import Callable, Generator
from dataclasses import dataclass, field
from typing import Any

from salesforce_poller.simulator import people
from salesforce_poller.simulator.statements import Statement

Outcome = list[Any] | None
"""What each statement of a step gave; None when the org refused the step."""

BRISK = (1.1, 1.4)
LEISURELY = (0.8, 4.0)
"""Seconds between steps, at least and at most."""

REMEMBERED = 200
LISTED = (12, 60)
"""How many leads a trade-fair list has."""

STAGES = ("Prospecting", "Qualification", "Proposal/Price Quote", "Negotiation/Review", "Closed Won")


@dataclass(frozen=True, slots=True)
class Step:
    """What one person does next."""

    text: str
    """For people to read."""
    pause: float
    """Seconds before it, at pace 1."""
    by: str
    """The user's id."""
    statements: tuple[Statement, ...]
    """Carried out in one transaction."""


@dataclass(slots=True)
class Stage:
    """What the people in the story remember."""

    rng: random.Random
    staff: tuple[str, ...]
    opening: bool = True
    leads: list[str] = field(default_factory=list)
    twins: list[tuple[str, str]] = field(default_factory=list)
    """Two leads that are the same person."""
    contacts: list[str] = field(default_factory=list)
    binned: list[str] = field(default_factory=list)
    """Contacts in the recycle bin."""
    deals: list[tuple[str, int]] = field(default_factory=list)
    """Opportunities, and how far they have got."""
    invoices: list[str] = field(default_factory=list)
    """Invoices that are not paid."""

    def step(self, text: str, *statements: Statement) -> Step:
        """Somebody does this, after a moment."""
        pause = self.rng.uniform(*(BRISK if self.opening else LEISURELY))
        return Step(text, pause, self.rng.choice(self.staff), statements)

    def take(self, records: list[Any]) -> Any:
        """One of the records, which leaves the list."""
        return records.pop(self.rng.randrange(len(records)))

    def keep(self, records: list[Any], record: Any) -> None:
        """Remember a record; of very many, the earliest is forgotten."""
        records.append(record)
        del records[:-REMEMBERED]


Act = Callable[[Stage], Generator[Step, Outcome, None]]


def lead_arrives(stage: Stage) -> Generator[Step, Outcome, None]:
    """Somebody fills in the form on the website."""
    person = people.somebody(stage.rng)
    fields = {**person.lead(), "LeadSource": "Web", "OwnerId": stage.rng.choice(stage.staff)}
    outcome = yield stage.step(f"{person.first} {person.last} asks for a quote", _insert("Lead", fields))
    if outcome:
        stage.keep(stage.leads, outcome[0])


def lead_arrives_twice(stage: Stage) -> Generator[Step, Outcome, None]:
    """Somebody fills in the form and calls as well."""
    person = people.somebody(stage.rng)
    outcome = yield stage.step(f"{person.first} {person.last} writes", _insert("Lead", person.lead()))
    if not outcome:
        return
    second = {**person.lead(), "FirstName": person.first[0] + ".", "LeadSource": "Phone Inquiry"}
    again = yield stage.step(f"{person.first} {person.last} calls as well", _insert("Lead", second))
    if again:
        stage.keep(stage.twins, (outcome[0], again[0]))


def list_is_imported(stage: Stage) -> Generator[Step, Outcome, None]:
    """The list from the trade fair, all in one second."""
    listed = [people.somebody(stage.rng) for _ in range(stage.rng.randint(*LISTED))]
    inserts = [_insert("Lead", {**person.lead(), "LeadSource": "Purchased List"}) for person in listed]
    outcome = yield stage.step(f"{len(listed)} leads are imported from a list", *inserts)
    for record_id in outcome or ():
        stage.keep(stage.leads, record_id)


def lead_is_worked(stage: Stage) -> Generator[Step, Outcome, None]:
    """Somebody calls a lead and writes down what they heard."""
    lead = stage.take(stage.leads)
    news: dict[str, Any] = {"Status": "Working - Contacted", "Rating": stage.rng.choice(("Hot", "Warm", "Cold"))}
    if stage.rng.random() < 0.5:  # noqa: PLR2004  # every other time
        news["Phone"] = people.phone(stage.rng)
    outcome = yield stage.step("a lead is called", _update(lead, news))
    if outcome:
        stage.keep(stage.leads, lead)


def leads_are_merged(stage: Stage) -> Generator[Step, Outcome, None]:
    """Somebody notices that two leads are one person."""
    winner, loser = stage.take(stage.twins)
    merge = {"do": "merge", "id": winner, "losers": [loser]}
    outcome = yield stage.step("two leads turn out to be one person", merge)
    if outcome:
        stage.keep(stage.leads, winner)


def lead_is_converted(stage: Stage) -> Generator[Step, Outcome, None]:
    """A lead becomes a customer, with a deal."""
    lead = stage.take(stage.leads)
    convert = {"do": "convert", "id": lead, "opportunity_name": f"{people.company(stage.rng)} rollout"}
    outcome = yield stage.step("a lead is converted", convert)
    if outcome:
        stage.keep(stage.contacts, outcome[0]["contact_id"])
        stage.keep(stage.deals, (outcome[0]["opportunity_id"], 0))


def lead_is_deleted(stage: Stage) -> Generator[Step, Outcome, None]:
    """Somebody throws a hopeless lead away."""
    yield stage.step("a lead goes into the recycle bin", {"do": "delete", "id": stage.take(stage.leads)})


def contact_arrives(stage: Stage) -> Generator[Step, Outcome, None]:
    """A card from a customer's office."""
    person = people.somebody(stage.rng)
    outcome = yield stage.step(f"{person.first} {person.last} becomes a contact", _insert("Contact", person.contact()))
    if outcome:
        stage.keep(stage.contacts, outcome[0])


def contact_changes(stage: Stage) -> Generator[Step, Outcome, None]:
    """A new job, a new number, or a save that changes nothing."""
    contact = stage.take(stage.contacts)
    news = stage.rng.choice(({"Title": stage.rng.choice(people.TITLES)}, {"Phone": people.phone(stage.rng)}, {}))
    outcome = yield stage.step("a contact is saved", _update(contact, news))
    if outcome:
        stage.keep(stage.contacts, contact)


def contact_is_deleted(stage: Stage) -> Generator[Step, Outcome, None]:
    """Somebody tidies up."""
    contact = stage.take(stage.contacts)
    outcome = yield stage.step("a contact goes into the recycle bin", {"do": "delete", "id": contact})
    if outcome:
        stage.keep(stage.binned, contact)


def contact_is_restored(stage: Stage) -> Generator[Step, Outcome, None]:
    """Somebody else needed that contact."""
    contact = stage.take(stage.binned)
    outcome = yield stage.step("a contact comes back from the recycle bin", {"do": "undelete", "id": contact})
    if outcome:
        stage.keep(stage.contacts, contact)


def deal_moves(stage: Stage) -> Generator[Step, Outcome, None]:
    """An opportunity gets one stage further, and then pays."""
    deal, place = stage.take(stage.deals)
    news = {"StageName": STAGES[place + 1], "Amount": float(stage.rng.randrange(5_000, 250_000, 500))}
    outcome = yield stage.step(f"a deal moves to {STAGES[place + 1]}", _update(deal, news))
    if outcome and place + 2 < len(STAGES):
        stage.keep(stage.deals, (deal, place + 1))


def task_is_noted(stage: Stage) -> Generator[Step, Outcome, None]:
    """Somebody means to call a contact back."""
    contact = stage.rng.choice(stage.contacts)
    fields = {"Subject": "Call back", "WhoId": contact, "Status": "Not Started", "Priority": "Normal"}
    yield stage.step("a task is noted", _insert("Task", fields))


def invoice_is_sent(stage: Stage) -> Generator[Step, Outcome, None]:
    """Somebody sends an invoice."""
    fields = {"Amount__c": float(stage.rng.randrange(100, 20_000, 50)), "Tax_Rate__c": 20.0, "Status__c": "Sent"}
    outcome = yield stage.step("an invoice is sent", _insert("Invoice__c", fields))
    if outcome:
        stage.keep(stage.invoices, outcome[0])


def invoice_is_paid(stage: Stage) -> Generator[Step, Outcome, None]:
    """Somebody pays one."""
    paid = {"Paid__c": True, "Status__c": "Paid"}
    yield stage.step("an invoice is paid", _update(stage.take(stage.invoices), paid))


def _always(_stage: Stage) -> bool:
    return True


REPERTOIRE: tuple[tuple[Act, int, Callable[[Stage], bool]], ...] = (
    (lead_arrives, 6, _always),
    (lead_arrives_twice, 2, _always),
    (list_is_imported, 1, _always),
    (lead_is_worked, 7, lambda stage: bool(stage.leads)),
    (leads_are_merged, 3, lambda stage: bool(stage.twins)),
    (lead_is_converted, 2, lambda stage: bool(stage.leads)),
    (lead_is_deleted, 1, lambda stage: bool(stage.leads)),
    (contact_arrives, 2, _always),
    (contact_changes, 5, lambda stage: bool(stage.contacts)),
    (contact_is_deleted, 2, lambda stage: bool(stage.contacts)),
    (contact_is_restored, 2, lambda stage: bool(stage.binned)),
    (deal_moves, 4, lambda stage: bool(stage.deals)),
    (task_is_noted, 3, lambda stage: bool(stage.contacts)),
    (invoice_is_sent, 2, _always),
    (invoice_is_paid, 2, lambda stage: bool(stage.invoices)),
)
"""Each act, how often it happens compared with the others, and whether it can happen now."""


def _insert(object_name: str, fields: dict[str, Any]) -> Statement:
    return {"do": "insert", "object": object_name, "fields": fields}


def _update(record_id: str, fields: dict[str, Any]) -> Statement:
    return {"do": "update", "id": record_id, "fields": fields}
