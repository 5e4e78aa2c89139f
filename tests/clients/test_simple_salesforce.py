"""simple-salesforce, a client that others wrote, believes the simulated org: what it understands is compared.

Where it disagrees with the simulator, the simulator is wrong. It insists on https and on salesforce.com, so its
session has an adapter that takes every request to the org's own address; nothing else of it is touched.
"""

import csv
import io
from collections.abc import Iterator
from dataclasses import replace
from datetime import timedelta
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit, urlunsplit

import pytest
import requests
from cryptography.hazmat.primitives.asymmetric import rsa
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat, PublicFormat
from on_a_port import a_token, quiet_org, serving
from requests.adapters import HTTPAdapter
from simple_salesforce import exceptions
from simple_salesforce.api import Salesforce

from salesforce_poller.simulator.clock import OrgClock
from salesforce_poller.simulator.org import Org

VERSION = "66.0"

Client = Any
"""Its objects are attributes made on the spot, which its own types call a union of everything."""


class ToTheOrg(HTTPAdapter):
    """Takes requests for any host to one address, over plain HTTP."""

    def __init__(self, url: str) -> None:
        super().__init__()
        self._org = urlsplit(url)

    def send(self, request: requests.PreparedRequest, *args: Any, **options: Any) -> requests.Response:
        """Send a request elsewhere than it was meant to go."""
        meant = urlsplit(request.url or "")
        request.url = urlunsplit((self._org.scheme, self._org.netloc, meant.path, meant.query, ""))
        return super().send(request, *args, **options)


@pytest.fixture
def org() -> Org:
    """An org that stands still in time, so that what a client is told can be compared to the letter."""
    return quiet_org()


@pytest.fixture
def url(org: Org) -> Iterator[str]:
    """Where the org is."""
    with serving(org) as address:
        yield address


@pytest.fixture
def session(url: str) -> Iterator[requests.Session]:
    """A session whose requests all reach the org."""
    with requests.Session() as made:
        made.mount("https://", ToTheOrg(url))
        yield made


@pytest.fixture
def sf(org: Org, url: str, session: requests.Session) -> Client:
    """A client that was given a session id."""
    return Salesforce(instance_url=url, session_id=a_token(org, url), session=session, version=VERSION)


def leads(org: Org, count: int) -> list[str]:
    """So many leads, called 0, 1, 2 and so on."""
    return org.insert_many("Lead", ({"LastName": str(number), "Company": "c"} for number in range(count)))


def test_it_logs_in_with_client_credentials(org: Org, session: requests.Session) -> None:
    """By the key and secret of the app, sent as basic authorization."""
    sf: Client = Salesforce(
        consumer_key=org.app.client_id,
        consumer_secret=org.app.client_secret,
        domain="simulated.my",
        session=session,
        version=VERSION,
    )
    found = sf.query("SELECT Id FROM Organization")
    assert [each["Id"] for each in found["records"]] == [org.organization_id]


@pytest.mark.parametrize("over", ["soap", "soap from within the network", "oauth"])
def test_it_logs_in_with_a_password(org: Org, session: requests.Session, over: str) -> None:
    """Over SOAP with the security token, or with the organization's id instead, or by the OAuth password flow."""
    ways: dict[str, dict[str, Any]] = {
        "soap": {"security_token": org.app.security_token},
        "soap from within the network": {"organizationId": org.organization_id},
        "oauth": {"consumer_key": org.app.client_id, "consumer_secret": org.app.client_secret},
    }
    sf: Client = Salesforce(
        username=org.app.username, password=org.app.password, session=session, version=VERSION, **ways[over]
    )
    found = sf.query(f"SELECT Username FROM User WHERE Id = '{org.integration_user}'")
    assert [each["Username"] for each in found["records"]] == [org.app.username]


def test_it_logs_in_with_a_jwt(org: Org, session: requests.Session) -> None:
    """Signed with the app's key, for a user by name."""
    key = rsa.generate_private_key(public_exponent=65_537, key_size=2_048)
    public = key.public_key().public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo)
    private = key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())
    org.change_app(replace(org.app, certificate=public.decode()))
    org.clock.set(OrgClock().now())  # the client dates its assertion by the machine's clock
    sf: Client = Salesforce(
        username=org.app.username,
        consumer_key=org.app.client_id,
        privatekey=private.decode(),
        session=session,
        version=VERSION,
    )
    assert sf.query("SELECT Id FROM Organization")["records"][0]["Id"] == org.organization_id


def test_it_understands_a_refused_soap_login(org: Org, session: requests.Session) -> None:
    """With the exception code and the message of the fault."""
    with pytest.raises(exceptions.SalesforceAuthenticationFailed, match=r"\(code: INVALID_LOGIN\): Invalid username"):
        Salesforce(username=org.app.username, password="wrong", security_token="", session=session)


def test_it_understands_a_refused_login(org: Org, session: requests.Session) -> None:
    """With the error and its description."""
    with pytest.raises(exceptions.SalesforceAuthenticationFailed) as refused:
        Salesforce(consumer_key=org.app.client_id, consumer_secret="wrong", domain="simulated.my", session=session)
    assert str(refused.value).endswith("(code: invalid_client): invalid client credentials")


def test_it_reads_every_page_of_a_query(org: Org, sf: Client) -> None:
    """4,500 rows in three pages, at once and one by one; with deleted rows when asked."""
    created = leads(org, 4_500)
    org.delete(created[-1])
    soql = "SELECT Id, LastName, Owner.Name FROM Lead ORDER BY Id"
    whole = sf.query_all(soql)
    assert (whole["totalSize"], whole["done"], len(whole["records"])) == (4_499, True, 4_499)
    assert whole["records"][0]["Owner"]["Name"] == "Ada Okafor"
    before = org.meter.used(org.clock.now())
    assert [each["Id"] for each in sf.query_all_iter(soql)] == created[:-1]
    assert org.meter.used(org.clock.now()) - before == 3
    assert [each["Id"] for each in sf.query_all_iter(soql, include_deleted=True)] == created


def test_it_understands_describe(org: Org, sf: Client) -> None:
    """All objects in short, one in full, and one with what was looked at lately."""
    everything = sf.describe()
    assert {"Lead", "Contact", "Invoice__c"} <= {each["name"] for each in everything["sobjects"]}
    fields = {field["name"]: field for field in sf.Lead.describe()["fields"]}
    assert fields["OwnerId"]["referenceTo"] == ["Group", "User"]
    assert fields["SystemModstamp"]["type"] == "datetime"
    assert sf.Lead.metadata()["objectDescribe"]["keyPrefix"] == "00Q"


def test_it_understands_what_was_updated_and_deleted(org: Org, sf: Client) -> None:
    """The ids, the times and how far the answer reaches."""
    kept, gone = leads(org, 2)
    org.delete(gone)
    org.clock.advance(600)
    end = org.clock.now()
    start = end - timedelta(hours=1)
    updated = sf.Lead.updated(start, end)
    assert updated["ids"] == [kept]
    assert updated["latestDateCovered"].endswith("+0000")
    deleted = sf.Lead.deleted(start, end)
    assert [each["id"] for each in deleted["deletedRecords"]] == [gone]
    assert deleted["deletedRecords"][0]["deletedDate"] == "2026-11-21T10:00:30.000+0000"


def test_a_record_lives_and_dies_through_it(org: Org, sf: Client) -> None:
    """Created, read, updated, deleted; then not there."""
    lead_id = sf.Lead.create({"LastName": "Curie", "Company": "Radium"})["id"]
    assert sf.Lead.get(lead_id)["LastName"] == "Curie"
    assert sf.Lead.update(lead_id, {"LastName": "Sklodowska"}) == 204
    assert sf.Lead.get(lead_id)["LastName"] == "Sklodowska"
    assert sf.Lead.delete(lead_id) == 204
    with pytest.raises(exceptions.SalesforceResourceNotFound) as gone:
        sf.Lead.get(lead_id)
    assert _error(gone)["errorCode"] == "ENTITY_IS_DELETED"
    assert [change.kind for change in org.truth] == ["created", "updated", "deleted"]


def test_it_upserts_by_an_external_id(org: Org, sf: Client) -> None:
    """201 for a new record, 200 for one that was there; and it reads by that id."""
    account = org.insert("Account", Name="Heron Foods")
    invoices = sf.Invoice__c
    assert invoices.upsert("External_Id__c/A-1", {"Account__c": account}) == 201
    assert invoices.upsert("External_Id__c/A-1", {"Account__c": account}) == 200
    found = invoices.get_by_custom_id("External_Id__c", "A-1")
    assert (found["External_Id__c"], found["Account__c"]) == ("A-1", account)


def test_it_understands_refusals(org: Org, sf: Client) -> None:
    """A wrong query, a wrong field, a session that has ended, a limit that is used up."""
    with pytest.raises(exceptions.SalesforceMalformedRequest) as wrong:
        sf.query("SELECT Nope FROM Lead")
    assert _error(wrong)["errorCode"] == "INVALID_FIELD"
    with pytest.raises(exceptions.SalesforceMalformedRequest) as missing:
        sf.Lead.create({"Company": "c"})
    assert _error(missing)["fields"] == ["LastName"]
    org.set_usage(15_000, 15_000)
    with pytest.raises(exceptions.SalesforceRefusedRequest) as spent:
        sf.query("SELECT Id FROM Lead")
    assert _error(spent)["errorCode"] == "REQUEST_LIMIT_EXCEEDED"
    org.set_usage(0, 15_000)
    org.expire_sessions()
    with pytest.raises(exceptions.SalesforceExpiredSession):
        sf.query("SELECT Id FROM Lead")


def test_it_reads_the_limits_and_the_gauge(org: Org, sf: Client) -> None:
    """/limits, and the Sforce-Limit-Info header that comes with every answer."""
    limits = sf.limits()
    assert limits["DailyApiRequests"]["Max"] == 15_000
    assert limits["DailyBulkV2QueryJobs"] == {"Max": 10_000, "Remaining": 10_000}
    assert sf.api_usage["api-usage"].total == 15_000


def test_it_runs_bulk_query_jobs(org: Org, sf: Client) -> None:
    """Set by set, with parents, nulls and quotes; queryAll brings the deleted ones."""
    created = leads(org, 5)
    org.update(created[0], LastName='Say "cheese"', Company="two\nlines")
    org.delete(created[4])
    soql = "SELECT Id, LastName, Company, Email, Owner.Name FROM Lead ORDER BY Id"
    sets = [_rows(text) for text in sf.bulk2.Lead.query(soql, max_records=2, wait=0)]
    assert [len(each) for each in sets] == [2, 2]
    assert [row["Id"] for each in sets for row in each] == created[:4]
    assert sets[0][0] == {
        "Id": created[0],
        "LastName": 'Say "cheese"',
        "Company": "two\nlines",
        "Email": "",
        "Owner.Name": "Ada Okafor",
    }
    [everything] = sf.bulk2.Lead.query_all(soql, wait=0)
    assert [row["Id"] for row in _rows(everything)] == created


def test_it_downloads_bulk_results_and_deletes_jobs(org: Org, sf: Client, tmp_path: Path) -> None:
    """A file per set; a job it aborts or that fails is told of."""
    created = leads(org, 3)
    files = sf.bulk2.Lead.download("SELECT Id FROM Lead ORDER BY Id", str(tmp_path), max_records=2, wait=0)
    assert [each["number_of_records"] for each in files] == [2, 1]
    texts = [Path(each["file"]).read_text(encoding="utf-8") for each in files]
    assert [row["Id"] for text in texts for row in _rows(text)] == created
    org.bulk.settings.failure = "Retried more than fifteen times"
    with pytest.raises(exceptions.SalesforceOperationError, match="Retried more than fifteen times"):
        list(sf.bulk2.Lead.query("SELECT Id FROM Lead", wait=0))
    with pytest.raises(exceptions.SalesforceMalformedRequest, match="Selecting compound data not supported"):
        list(sf.bulk2.Lead.query("SELECT Address FROM Lead", wait=0))


def _rows(text: Any) -> list[dict[str, str]]:
    return list(csv.DictReader(io.StringIO(text, newline="")))


def _error(refused: pytest.ExceptionInfo[exceptions.SalesforceError]) -> Any:
    """The first error of the answer's array; the client's own types call the body a number."""
    content: Any = refused.value.content
    return content[0]
