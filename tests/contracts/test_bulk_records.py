"""salesforce/bulk.py and questions.py: what a query job tells of a row is what a REST query tells, whatever its fields.

Every object of the simulated org, with every field and with fields of parents, on real HTTP; both ways, compared.
"""

from collections.abc import AsyncIterator, Callable
from datetime import UTC, date, datetime
from pathlib import Path

import pytest
from world import World, a_world

from salesforce_poller.errors import BulkRefused, FieldsUnknown, JobLost, ObjectUnknown, PollerError
from salesforce_poller.model import Record, Window
from salesforce_poller.polling import fingerprint, plan
from salesforce_poller.polling.columns import describe_feed
from salesforce_poller.polling.schema import Schema
from salesforce_poller.polling.settings import FeedSettings
from salesforce_poller.salesforce import bulk
from salesforce_poller.simulator.catalogue import catalogue

#: Fields of parents worth a look: owners that are users and queues, parents that are missing, two steps.
PARENTS = {
    "Lead": ["Owner.Name", "Owner.Email", "ConvertedAccount.Name", "ConvertedAccount.Owner.Name"],
    "Contact": ["Account.Name", "Account.NumberOfEmployees", "Account.AnnualRevenue", "Account.Owner.IsActive"],
    "Case": ["Owner.Name", "Contact.Account.Name", "Contact.Account.CreatedDate", "Contact.Birthdate"],
    "Invoice__c": ["Account__r.Name", "Account__r.Owner.Name", "Owner.Id"],
}
TEXTS = (
    'with "quotes", a comma',
    "two\nlines",
    "two\r\nlines",
    "  spaces  ",
    "Zoë 漢字 🙂",
    "<b>&amp;</b>",
    "0",
    "true",
)


@pytest.fixture
async def world(tmp_path: Path) -> AsyncIterator[World]:
    """A world with every kind of value in it."""
    async with a_world(tmp_path) as made:
        org = made.org
        account = org.insert("Account", Name="Acme", NumberOfEmployees=12, AnnualRevenue=50_000)
        bare = org.insert("Account", Name="Bare")
        for number, text in enumerate(TEXTS):
            lead = org.insert("Lead", LastName=text, Company=text, Description=text)
            contact = org.insert("Contact", LastName=text, AccountId=[account, bare, None][number % 3])
            org.insert("Case", Subject=text, ContactId=contact if number % 2 else None)
            if number % 2:
                org.update(lead, OwnerId=org.queue)
        org.update(contact, Birthdate=date(1979, 2, 28))
        org.convert(org.insert("Lead", LastName="Converted", Company="Newco"), opportunity_name="Deal")
        for amount in (0, 0.1, -12.5, 1234567890123.45, 1e15, 1e-7, None):
            sent = datetime(2026, 2, 3, 4, 5, 6, tzinfo=UTC) if amount else None
            org.insert(
                "Invoice__c", Account__c=account if amount else None, Amount__c=amount, Tax_Rate__c=amount and 7.7,
                Paid__c=bool(amount), Issued_On__c=date(2026, 1, 31), Sent_At__c=sent, Tags__c="Urgent;Export",
                Notes__c="long\n" * 3_000, Lines__c=amount and 3,
            )  # fmt: skip
        org.delete(org.insert("Lead", LastName="Gone", Company="Acme"))
        org.merge(*(org.insert("Lead", LastName=name, Company="Acme") for name in ("Winner", "Loser")))
        made.pass_time(60)
        await made.client.login()
        yield made


async def both_ways(world: World, schema: Schema) -> tuple[dict[str, Record], dict[str, Record]]:
    """Read everything by REST and by a job."""
    now = world.client.server_now()
    feed = FeedSettings.model_validate({"start": "beginning"})
    window: Window = plan.backfill_window(schema, feed, plan.first_marks(feed, now, now))
    by_rest = {record.id: record async for page in world.client.pages(window) for record in page.records}
    job = await world.client.create_job(bulk.query(window))
    by_bulk: dict[str, Record] = {}
    locator = None
    while True:
        results = await world.client.job_results(job, locator, most=7)
        by_bulk |= {one.id: one for one in bulk.read_records(results, window, schema.types)}
        locator = results.locator
        if locator is None:
            return by_rest, by_bulk


@pytest.mark.parametrize("object_name", sorted(catalogue()))
async def test_a_job_tells_of_a_row_what_a_query_tells(world: World, object_name: str) -> None:
    """Every field type, nulls, deleted rows, parents that are there and that are not: equal, and with equal digests."""
    every = await describe_feed(world.client, object_name, None)
    wanted = [*every.visible, *PARENTS.get(object_name, ())]
    schema = await describe_feed(world.client, object_name, wanted)
    assert bulk.unfaithful(schema.select, schema.types) == []
    by_rest, by_bulk = await both_ways(world, schema)
    assert by_bulk == by_rest
    assert by_rest or object_name in ("Campaign", "Order", "Product2", "Task")
    assert {i: fingerprint.digest(one.fields) for i, one in by_bulk.items()} == {
        i: fingerprint.digest(one.fields) for i, one in by_rest.items()
    }
    for record_id, record in by_rest.items():
        assert repr(_sorted(by_bulk[record_id].fields)) == repr(_sorted(record.fields)), "50000 is not 50000.0"


def _sorted(value: object) -> object:
    return {name: _sorted(value[name]) for name in sorted(value)} if isinstance(value, dict) else value


async def refused(asking: Callable[[], object]) -> PollerError:
    """Return the error that a question ends with."""
    with pytest.raises(PollerError) as told:
        await asking()  # type: ignore[misc]  # each is a coroutine function
    return told.value


async def test_what_only_bulk_refuses_is_left_to_rest(world: World) -> None:
    """INVALIDENTITY, an implementation restriction, a limit of jobs: each is about Bulk and nothing else."""
    settings = world.org.bulk.settings
    settings.unsupported.add("Account")
    settings.restricted.add("Contact")
    for name in ("Account", "Contact"):
        error = await refused(lambda name=name: world.client.create_job(f"SELECT Id FROM {name}"))  # type: ignore[misc]  # mypy cannot infer a lambda with a default
        assert isinstance(error, BulkRefused), name
    settings.jobs_a_day = 1
    await world.client.create_job("SELECT Id FROM Lead")
    error = await refused(lambda: world.client.create_job("SELECT Id FROM Lead"))
    assert isinstance(error, BulkRefused)
    assert "per 24 hrs" in str(error)


async def test_what_rest_would_refuse_too_keeps_its_meaning(world: World) -> None:
    """An unknown field or object is no reason to ask again by REST."""
    unknown_field = await refused(lambda: world.client.create_job("SELECT Nope__c FROM Lead"))
    unknown_object = await refused(lambda: world.client.create_job("SELECT Id FROM Nope__c"))
    assert isinstance(unknown_field, FieldsUnknown)
    assert isinstance(unknown_object, ObjectUnknown)


async def test_a_job_that_is_gone_or_of_another_version_is_lost(world: World) -> None:
    """After seven days it is a 404; another API version hears a 409; a wrong locator is refused."""
    job = await world.client.create_job("SELECT Id FROM Lead")
    wrong = await refused(lambda: world.client.job_results(job, "nonsense", most=10))
    world.client.api_version = "65.0"
    other = await refused(lambda: world.client.job_results(job, None, most=10))
    world.client.api_version = "66.0"
    await world.client.delete_job(job)
    gone = await refused(lambda: world.client.job(job))
    assert [type(error) for error in (wrong, other, gone)] == [JobLost] * 3


async def test_records_are_counted_and_an_object_without_any_has_none(world: World) -> None:
    """Record Count leaves out what is empty."""
    assert await world.client.record_count("Account") == 3
    assert await world.client.record_count("Campaign") == 0
