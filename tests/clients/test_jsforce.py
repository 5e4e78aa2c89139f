"""jsforce, a client that others wrote, believes the simulated org: what it understands is compared.

`jsforce/scenes.mjs` does everything in one run and prints what it saw; each test looks at a part of that. Node and npm
are needed: without them these tests are skipped on a person's machine, and fail in CI.
"""

import hashlib
import os
import shutil
import subprocess
import tempfile
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NoReturn

import orjson
import pytest
from on_a_port import a_token, quiet_org, serving

from salesforce_poller.simulator.org import Org

HERE = Path(__file__).parent / "jsforce"
PARTS = ("package.json", "package-lock.json", ".npmrc")
CACHE = Path(__file__).parent.parent.parent / ".venv" / "node"
"""Where jsforce is installed, once for each state of its lock; `make clean` removes it with the rest of .venv."""

OLDEST = 18
"""The first version of Node that this jsforce works with."""

PATIENCE = 300
"""Seconds after which a client hangs."""


@dataclass(frozen=True, slots=True)
class Told:
    """The org after jsforce has been there, what it printed, and the leads it should have seen, oldest first."""

    org: Org
    seen: dict[str, Any]
    created: list[str]
    gone: str


@pytest.fixture(scope="module")
def told() -> Iterator[Told]:
    """One run of jsforce against an org of 4,500 leads, the last of them deleted."""
    node, folder = _node(), _installed()
    org = quiet_org()
    created = org.insert_many("Lead", ({"LastName": str(number), "Company": "c"} for number in range(4_500)))
    account = org.insert("Account", Name="Heron Foods")
    org.delete(created[-1])
    org.clock.advance(3_600)
    with serving(org) as url:
        known = {"ORG_URL": url, "ORG_TOKEN": a_token(org, url), "ORG_ACCOUNT": account}
        known |= {"ORG_USERNAME": org.app.username, "ORG_PASSWORD": org.app.password}
        known |= {"ORG_CLIENT_ID": org.app.client_id, "ORG_CLIENT_SECRET": org.app.client_secret}
        done = _run([node, str(HERE / "scenes.mjs")], folder, known)
        assert done.returncode == 0, done.stderr
        yield Told(org, orjson.loads(done.stdout), created, created[-1])


def test_it_logs_in(told: Told) -> None:
    """By username and password, over SOAP and over OAuth, and as the app itself; a wrong password is told of."""
    name = told.org.app.username
    assert {way: told.seen["logins"][way] for way in ("soap", "password", "client")} == {
        "soap": name,
        "password": name,
        "client": name,
    }
    assert told.seen["logins"]["wrong"]["message"].startswith("INVALID_LOGIN: Invalid username, password")


def test_it_reads_every_page_of_a_query(told: Told) -> None:
    """Page by page with queryMore, and all at once; with deleted rows by scanAll; a wrong query has its code."""
    seen = told.seen["queries"]
    assert (seen["total"], seen["pages"], seen["owner"]) == (4_499, [2_000, 2_000], "Ada Okafor")
    assert seen["live"] == told.created[:-1]
    assert seen["all"] == told.created
    assert seen["wrong"]["code"] == "INVALID_FIELD"
    assert "No such column 'Nope' on entity 'Lead'" in seen["wrong"]["message"]


def test_it_understands_describe(told: Told) -> None:
    """All objects in short, and one in full."""
    assert {"Lead", "Contact", "Invoice__c"} <= set(told.seen["descriptions"]["objects"])
    assert told.seen["descriptions"]["owner"] == ["Group", "User"]


def test_it_understands_what_was_updated_and_deleted(told: Told) -> None:
    """The ids, and how far the answer reaches."""
    assert told.seen["changes"] == {
        "updated": 4_499,
        "covered": "2026-11-21T10:40:00.000+0000",
        "deleted": [told.gone],
    }


def test_records_live_and_die_through_it(told: Told) -> None:
    """Created, read, updated, deleted, upserted; several at once, of which one is refused."""
    assert told.seen["records"] == {
        "made": True,
        "names": ["Curie", "Sklodowska"],
        "done": [True, True],
        "several": ["success", "success", "REQUIRED_FIELD_MISSING"],
        "gone": {"code": "ENTITY_IS_DELETED", "message": "entity is deleted"},
        "upserted": [True, False],
    }
    happened = [change.kind for change in told.org.truth if change.object == "Contact"]
    assert happened == ["created", "updated", "created", "created", "deleted"]


def test_it_runs_bulk_query_jobs(told: Told) -> None:
    """With the parent's columns by their path; queryAll by scanAll; a refused query has its code."""
    seen = told.seen["jobs"]
    assert seen["first"] == {"Id": told.created[0], "LastName": "0", "Owner.Name": "Ada Okafor"}
    assert seen["live"] == told.created[:-1]
    assert seen["all"] == told.created
    assert seen["wrong"] == {"code": "API_ERROR", "message": "Selecting compound data not supported in Bulk Query"}


def test_it_reads_the_limits_and_the_gauge(told: Told) -> None:
    """/limits, and the Sforce-Limit-Info header that comes with every answer."""
    assert told.seen["limits"] == {"max": 15_000, "gauge": 15_000}


def test_its_lock_holds_names_versions_and_hashes_only() -> None:
    """No address of a package index, and a hash for everything that is installed."""
    packages = orjson.loads((HERE / "package-lock.json").read_bytes())["packages"]
    installed = [each for path, each in packages.items() if path]
    assert installed
    assert all("resolved" not in each and each["integrity"].startswith("sha512-") for each in installed)


def _node() -> str:
    """Where node is."""
    node = shutil.which("node")
    if node is None or shutil.which("npm") is None:
        _unable(
            f"jsforce needs Node {OLDEST} or later with npm: https://nodejs.org/en/download, or your package manager"
        )
    version = subprocess.run([node, "--version"], capture_output=True, text=True, check=True).stdout.strip()
    if int(version.lstrip("v").partition(".")[0]) < OLDEST:
        _unable(f"jsforce needs Node {OLDEST} or later, and this is {version}")
    return node


def _installed() -> Path:
    """The folder in which jsforce is installed as the lock says: made once, under a name only a whole one gets."""
    parts = b"".join((HERE / each).read_bytes() for each in PARTS)
    folder = CACHE / f"jsforce-{hashlib.sha256(parts).hexdigest()[:16]}"
    if folder.exists():
        return folder
    CACHE.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=CACHE) as place:
        fresh = Path(place) / "jsforce"
        fresh.mkdir()
        for each in PARTS:
            shutil.copy(HERE / each, fresh)
        done = _run(["npm", "ci", "--prefer-offline", "--loglevel=error"], fresh, {})
        if done.returncode != 0:
            _unable(f"npm could not install jsforce: {done.stderr.strip()[-500:]}")
        try:
            fresh.rename(folder)
        except OSError:
            if not folder.exists():  # somebody else was faster
                raise
    return folder


def _run(command: list[str], folder: Path, known: dict[str, str]) -> subprocess.CompletedProcess[str]:
    environment = {**os.environ, **known}
    return subprocess.run(
        command, cwd=folder, env=environment, capture_output=True, text=True, check=False, timeout=PATIENCE
    )


def _unable(reason: str) -> NoReturn:
    """A missing tool is no reason to pass in CI."""
    if os.environ.get("CI"):
        pytest.fail(reason)
    pytest.skip(reason)
