"""People at work, and the command that starts them."""

import json
import os
import random
import signal
import subprocess
import sys
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import httpx
import pytest
from cryptography.hazmat.primitives.asymmetric import rsa
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat
from typer.testing import CliRunner

from salesforce_poller.simulator import __main__, scenes
from salesforce_poller.simulator.clock import OrgClock
from salesforce_poller.simulator.org import Org


class CurtainError(Exception):
    """The play is over."""


def watch(org: Org, seconds: float, seed: int) -> list[str]:
    """Perform the story for so many seconds of pauses; returns what people were said to do."""
    story = scenes.steps(random.Random(seed), org.people)
    step = next(story)
    passed, told = step.pause, []
    while passed <= seconds:
        org.clock.advance(step.pause)
        told.append(step.text)
        step = story.send(scenes.perform(org, step))
        passed += step.pause
    return told


@pytest.mark.parametrize("seed", range(5))
def test_within_twelve_seconds_everything_has_happened_to_a_lead_or_a_contact(org: Org, seed: int) -> None:
    """A demo must not ask for patience."""
    watch(org, 12, seed)
    kinds = {change.kind for change in org.truth if change.object in ("Lead", "Contact")}
    assert {"created", "updated", "deleted", "merged", "undeleted"} <= kinds, f"seed {seed}"


@pytest.mark.parametrize("seed", range(3))
def test_the_story_goes_on_with_variety(org: Org, seed: int) -> None:
    """An hour of it touches most objects, and the org refuses next to nothing."""
    told = watch(org, 3600, seed)
    objects = Counter(change.object for change in org.truth)
    assert {"Lead", "Contact", "Account", "Opportunity", "Task", "Invoice__c"} <= set(objects), f"seed {seed}"
    assert len(told) > 1000
    assert len({change.fields["LastName"] for change in org.truth if change.object == "Lead"}) > 20
    assert {change.fields["LastModifiedById"] for change in org.truth} >= set(org.people)


def test_a_seed_makes_the_story_repeatable() -> None:
    """The same people do the same things to the same records."""
    orgs = [Org(clock=OrgClock(speed=0), seed=1) for _ in range(2)]
    first, second = [watch(each, 300, seed=4) for each in orgs]
    assert first == second
    changes = [[(change.kind, change.record_id, change.changed) for change in each.truth] for each in orgs]
    assert changes[0] == changes[1]


def test_the_story_survives_somebody_else_tidying_up(org: Org) -> None:
    """When the org refuses a step, people shrug and do something else."""
    story = scenes.steps(random.Random(0), org.people)
    step = next(story)
    for _ in range(300):
        outcome = scenes.perform(org, step)
        for name in ("Lead", "Contact", "Opportunity", "Invoice__c"):
            for row in org.scan(name, deleted=True):
                org.hard_delete(row["Id"])
        step = story.send(outcome)


async def test_play_waits_between_steps_at_its_pace(org: Org) -> None:
    """Pace 4 is four times as fast; the wait is somebody else's business."""
    waits: list[float] = []

    async def sleep(seconds: float) -> None:
        waits.append(seconds)
        if len(waits) > 5:
            raise CurtainError

    with pytest.raises(CurtainError):
        await scenes.play(org, pace=4, rng=random.Random(0), sleep=sleep)
    assert len({change.transaction for change in org.truth}) == 5
    assert all(0.2 < wait < 0.4 for wait in waits)


def test_populating_gives_leads_contacts_and_accounts(org: Org) -> None:
    """Everybody with a name, an address and an owner; none at all is fine too."""
    scenes.populate(org, 40, rng=random.Random(0))
    assert Counter(change.object for change in org.truth) == {"Lead": 40, "Account": 10, "Contact": 20}
    assert all("@" in row["Email"] for row in org.scan("Contact", deleted=False))
    empty = Org(clock=OrgClock(speed=0))
    scenes.populate(empty, 0, rng=random.Random(0))
    assert empty.truth == []


@contextmanager
def simulator(*arguments: str) -> Iterator["subprocess.Popen[str]"]:
    """The command, running."""
    command = [sys.executable, "-m", "salesforce_poller.simulator", *arguments]
    process = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
    try:
        yield process
    finally:
        process.kill()
        process.communicate()


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_the_command_says_where_it_is_and_ends_cleanly(number: signal.Signals, tmp_path: Path) -> None:
    """One line of JSON when ready; the certificate is registered; exit code 0 and no traceback at the end."""
    key = rsa.generate_private_key(65537, 2048).public_key()
    certificate = tmp_path / "key.pem"
    certificate.write_bytes(key.public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo))
    options = ("--pace", "50", "--records", "4", "--seed", "3", "--certificate", str(certificate))
    with simulator("--json", *options) as process:
        assert process.stdout is not None
        facts = json.loads(process.stdout.readline())
        credentials = {
            "grant_type": "client_credentials",
            "client_id": facts["client_id"],
            "client_secret": facts["client_secret"],
        }
        token = httpx.post(f"{facts['url']}/services/oauth2/token", data=credentials).json()
        headers = {"Authorization": f"Bearer {token['access_token']}"}
        found = httpx.get(f"{facts['url']}/services/data/v66.0/query?q=SELECT+Id+FROM+Lead", headers=headers)
        assert found.json()["totalSize"] >= 4
        assert httpx.get(f"{facts['url']}/simulator/app").json()["certificate"] == certificate.read_text()
        os.kill(process.pid, number)
        _, errors = process.communicate(timeout=10)
        assert (process.returncode, errors) == (0, "")


def test_the_command_refuses_a_port_in_use_with_one_line() -> None:
    """Exit code 1; and without --json, the first one's text can be pasted."""
    with simulator("--no-scenes") as first:
        assert first.stdout is not None
        port = first.stdout.readline().rpartition(":")[2].strip()
        text = "".join(first.stdout.readline() for _ in range(8))
        assert f'login_url = "http://127.0.0.1:{port}"' in text
        with simulator("--port", port) as second:
            _, errors = second.communicate(timeout=10)
            assert second.returncode == 1
            assert errors == f"cannot listen on 127.0.0.1:{port}: Address already in use\n"
        first.terminate()
        assert first.wait(timeout=10) == 0


@pytest.mark.parametrize("text", [None, "no certificate"])
def test_the_command_refuses_a_certificate_that_is_none(tmp_path: Path, text: str | None) -> None:
    """Exit code 2, naming the option and the file."""
    path = tmp_path / "key.pem"
    if text is not None:
        path.write_text(text)
    done = CliRunner().invoke(__main__.app, ["--certificate", str(path)])
    assert done.exit_code == 2
    assert "--certificate" in done.output
    assert "key.pem" in done.output
