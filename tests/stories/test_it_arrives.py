"""From the org all the way to a webhook: down and back, one record refused, the consumer's picture of the org."""

import random
from collections.abc import AsyncIterator

import pytest
from consumer import Consumer, a_consumer, as_events
from oracle import judge
from world import WATCHED, World

from salesforce_poller.delivery.dispatcher import Dispatcher
from salesforce_poller.sinks.webhook import Webhook, WebhookSettings

pytestmark = pytest.mark.both_databases


@pytest.fixture
async def consumer() -> AsyncIterator[Consumer]:
    """A consumer that takes everything."""
    async with a_consumer() as made:
        yield made


@pytest.fixture
async def dispatcher(world: World, consumer: Consumer) -> AsyncIterator[Dispatcher]:
    """Delivers what the world's feeds find to the consumer."""
    settings = WebhookSettings.model_validate({"type": "webhook", "url": consumer.url})
    sink = Webhook(settings, world.machine)
    await world.store.outbox.ensure_sinks(["hook"])
    await sink.open()
    rng = random.Random(world.seed)
    yield Dispatcher("hook", settings, sink, world.store.outbox, clock=world.machine, rng=rng)
    await sink.close()


async def deliver(world: World, dispatcher: Dispatcher, rounds: int = 200) -> None:
    """Deliver until nothing is owed that could be delivered within a day."""
    for _ in range(rounds):
        report = await dispatcher.dispatch_once()
        if report.busy:
            continue
        if report.wait is None or report.wait > 86_400:
            return
        world.pass_time(report.wait + 0.001)


async def test_what_happens_in_the_org_arrives(world: World, consumer: Consumer, dispatcher: Dispatcher) -> None:
    """The whole path on real HTTP: the consumer's picture is the org's."""
    await world.watch()
    leads = world.org.insert_many("Lead", [{"LastName": f"L{n}", "Company": "Acme"} for n in range(30)])
    await world.poll_after(60)
    await deliver(world, dispatcher)
    world.org.update(leads[0], Company="New")
    world.org.delete(leads[1])
    world.org.merge(leads[2], leads[3])
    await world.poll_after(60)
    world.org.undelete(leads[1])
    await world.poll_after(60)
    await deliver(world, dispatcher)
    assert judge(as_events(consumer), world.org.truth, WATCHED["Lead"], "Lead") == []
    sequences = [got["sequence"] for got in consumer.accepted if got["data"]["record_id"] == leads[1]]
    assert sequences == sorted(sequences)


async def test_a_webhook_that_is_down_gets_everything_when_it_is_back(
    world: World, consumer: Consumer, dispatcher: Dispatcher
) -> None:
    """Polling goes on, events wait in the store, order per record is kept."""
    await world.watch()
    consumer.down = True
    leads = world.org.insert_many("Lead", [{"LastName": f"L{n}", "Company": "One"} for n in range(20)])
    await world.poll_after(60)
    for company in ("Two", "Three"):
        for lead in leads:
            world.org.update(lead, Company=company)
        await world.poll_after(60)
        for _ in range(5):
            await dispatcher.dispatch_once()
    assert consumer.accepted == []
    assert len(await world.events()) == 60
    assert consumer.attempts < 60, "a sink that is down is probed, not flooded"
    consumer.down = False
    await deliver(world, dispatcher)
    assert judge(as_events(consumer), world.org.truth, WATCHED["Lead"], "Lead") == []
    assert all(consumer.kinds(lead) == ["created", "updated", "updated"] for lead in leads)


async def test_one_refused_record_holds_up_no_other(world: World, consumer: Consumer, dispatcher: Dispatcher) -> None:
    """Its own events wait in order behind it; everything else flows."""
    await world.watch()
    leads = world.org.insert_many("Lead", [{"LastName": f"L{n}", "Company": "One"} for n in range(20)])
    consumer.refused_records = {leads[7]}
    await world.poll_after(60)
    for company in ("Two", "Three"):
        for lead in leads:
            world.org.update(lead, Company=company)
        await world.poll_after(60)
        for _ in range(5):
            await dispatcher.dispatch_once()
    others = [lead for lead in leads if lead != leads[7]]
    assert all(consumer.kinds(lead) == ["created", "updated", "updated"] for lead in others)
    assert consumer.kinds(leads[7]) == []
    assert (await world.store.outbox.backlog("hook")).parked == 3
    consumer.refused_records = set()
    world.pass_time(3_600)
    await deliver(world, dispatcher)
    assert consumer.kinds(leads[7]) == ["created", "updated", "updated"]
    assert judge(as_events(consumer), world.org.truth, WATCHED["Lead"], "Lead") == []


async def test_what_is_refused_for_days_is_given_up_and_kept(
    world: World, consumer: Consumer, dispatcher: Dispatcher
) -> None:
    """Dead is a place, not an end: the event stays, and the record's later ones go on."""
    await world.watch()
    lead = world.org.insert("Lead", LastName="L", Company="One")
    consumer.refused_records = {lead}
    await world.poll_after(60)
    world.org.insert("Lead", LastName="Other", Company="One")
    await world.poll_after(60)
    for _ in range(200):
        await dispatcher.dispatch_once()
        world.pass_time(3_600)
    backlog = await world.store.outbox.backlog("hook")
    assert (backlog.parked, backlog.dead) == (0, 1)
    consumer.refused_records = set()
    world.org.update(lead, Company="Two")
    await world.poll_after(60)
    await deliver(world, dispatcher)
    assert consumer.kinds(lead) == ["updated"]
