"""People at work: an org that lives, for the demo and for trying things out.

`steps` is the story as a generator that never waits and never touches an org: it yields what somebody does next and is
sent the outcome. `play` performs it at a pace a person can watch; `populate` fills the stage beforehand. Started by
`__main__`. The acts themselves are in `acts`.
"""

import random
from collections.abc import Awaitable, Callable, Generator, Iterable
from typing import Any, NoReturn

from salesforce_poller.simulator import acts, people, statements
from salesforce_poller.simulator.acts import Outcome, Stage, Step
from salesforce_poller.simulator.errors import ApiError
from salesforce_poller.simulator.org import Org

OPENING = (
    acts.lead_arrives,
    acts.lead_arrives_twice,
    acts.contact_arrives,
    acts.lead_is_worked,
    acts.leads_are_merged,
    acts.contact_is_deleted,
    acts.contact_is_restored,
    acts.lead_is_converted,
)
"""Everything a watcher can see happens in the first dozen seconds; then it is anybody's guess."""


def steps(rng: random.Random, staff: Iterable[str]) -> Generator[Step, Outcome, NoReturn]:
    """The story, for ever. `staff` are the ids of the users who do the work; `rng` makes it repeatable.

    Send in what each step gave: the results of its statements, or None when the org refused them.
    """
    stage = Stage(rng, tuple(staff))
    for act in OPENING:
        if any(act is each and ready(stage) for each, _, ready in acts.REPERTOIRE):
            yield from act(stage)
    stage.opening = False
    while True:
        possible = [(act, weight) for act, weight, ready in acts.REPERTOIRE if ready(stage)]
        chosen = rng.choices([act for act, _ in possible], [weight for _, weight in possible])[0]
        yield from chosen(stage)


def perform(org: Org, step: Step) -> Outcome:
    """Carry out a step in one transaction; None when the org refuses, since somebody else may be at work too."""
    try:
        with org.begin(by=step.by) as transaction:
            return [statements.run(transaction, statement) for statement in step.statements]
    except ApiError:
        return None


async def play(org: Org, *, pace: float, rng: random.Random, sleep: Callable[[float], Awaitable[Any]]) -> NoReturn:
    """Perform the story in the org for ever; `pace` 2 is twice as fast, `sleep` waits for seconds."""
    story = steps(rng, org.people)
    step = next(story)
    while True:
        await sleep(step.pause / pace)
        step = story.send(perform(org, step))


def populate(org: Org, records: int, *, rng: random.Random) -> None:
    """Put so many leads, and half as many contacts with their accounts, into the org."""
    staff = org.people
    org.insert_many("Lead", ({**people.somebody(rng).lead(), "OwnerId": rng.choice(staff)} for _ in range(records)))
    companies = [people.company(rng) for _ in range(records // 4)]
    accounts = org.insert_many("Account", ({"Name": name, "OwnerId": rng.choice(staff)} for name in companies))
    if accounts:
        contacts = ({**people.somebody(rng).contact(), "AccountId": rng.choice(accounts)} for _ in range(records // 2))
        org.insert_many("Contact", contacts)
