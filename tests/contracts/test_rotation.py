"""Refresh tokens that change at each use: on disk and encrypted before anything else, whatever happens in between.

``store/secrets.py`` and ``salesforce/session.py`` together, against the simulated org and a real file.
"""

import asyncio
from collections.abc import AsyncIterator
from pathlib import Path

import pytest
import stores
from credentials import a_secret_key
from cryptography.fernet import Fernet
from logins import Desk, a_desk
from pydantic import SecretStr

from salesforce_poller.errors import Action, LoginRefused, OrgRefused, PollerError, Scope, StoreError
from salesforce_poller.salesforce import refresh_token
from salesforce_poller.store.store import Store

pytestmark = pytest.mark.both_databases

FIRST = "simulated-refresh-token"


@pytest.fixture
async def desk(tmp_path: Path) -> AsyncIterator[Desk]:
    """An org that rotates refresh tokens."""
    async with a_desk(tmp_path) as made:
        made.app(rotate_refresh_tokens=True)
        yield made


def on_disk(desk: Desk, key: str = "first") -> str:
    """Return what is on disk at this moment, past everything that the store's own code may have in memory."""
    kept = "SELECT sealed FROM secrets WHERE org = 'acme' AND name = 'refresh_token'"
    [[sealed]] = stores.rows(stores.url(desk.path), kept)
    return Fernet(a_secret_key(key).replace("+", "-").replace("/", "_")).decrypt(sealed).decode()


def valid_tokens(desk: Desk) -> list[str]:
    """Return the refresh tokens that the org still accepts."""
    return list(desk.org.approvals._users)


def concerns_the_org(error: PollerError, name: str) -> bool:
    """Return whether an error is said once for the org, and at once in ``/readyz``: it has such a row in the table."""
    facts = error.facts
    return (facts.trouble, facts.scope, facts.action) == (name, Scope.ORG, Action.STOP_ORG)


class TestRotation:
    """Each use brings a new token and ends the old one."""

    async def test_the_new_token_is_on_disk_before_the_session_is_used(self, desk: Desk) -> None:
        """At the first request of each session, what the disk has is what the org accepts."""
        seen = []

        def look() -> None:
            seen.append(refresh_token.present(FIRST, on_disk(desk)))
            assert [seen[-1]] == valid_tokens(desk)

        client = await desk.client("refresh_token")
        desk.before_call = look
        for _ in range(3):
            await client.describe_global()
            desk.org.sessions.expire()
        assert FIRST not in seen
        assert len(set(seen)) == 3

    async def test_no_token_is_on_disk_as_it_is(self, desk: Desk) -> None:
        """Neither in the file nor in its journal; nor is the configured one."""
        client = await desk.client("refresh_token")
        await client.describe_global()
        [token] = valid_tokens(desk)
        stored = desk.bytes_on_disk()
        assert b"secrets" in stored
        assert token.encode() not in stored
        assert FIRST.encode() not in stored

    async def test_a_restart_goes_on_with_the_stored_token(self, desk: Desk) -> None:
        """Though the configuration still has the first one, which has ended."""
        for _ in range(3):
            client = await desk.client("refresh_token")
            assert await client.describe_global()
        assert valid_tokens(desk) != [FIRST]

    async def test_twenty_polls_use_a_token_once(self, desk: Desk) -> None:
        """A second use would be refused, and an org may take it for theft."""
        client = await desk.client("refresh_token")
        await client.describe_global()
        desk.org.sessions.expire()
        assert all(await asyncio.gather(*(client.describe_global() for _ in range(20))))
        assert desk.logins == 2

    async def test_a_token_that_a_person_pastes_is_believed(self, desk: Desk) -> None:
        """Whatever the store has."""
        client = await desk.client("refresh_token")
        await client.describe_global()
        desk.org.approvals.clear()
        pasted = desk.org.approvals.add(desk.org.integration_user)
        client = await desk.client("refresh_token", refresh_token=pasted)
        assert await client.describe_global()
        client = await desk.client("refresh_token", refresh_token=pasted)
        assert await client.describe_global()

    async def test_without_rotation_nothing_is_stored(self, desk: Desk) -> None:
        """The configured one goes on."""
        desk.app(rotate_refresh_tokens=False)
        client = await desk.client("refresh_token")
        await client.describe_global()
        assert await desk.store.secrets.load("acme", "refresh_token") is None

    async def test_a_public_client_sends_no_secret(self, desk: Desk) -> None:
        """An app that requires none has none."""
        desk.app(secret_required=False)
        client = await desk.client("refresh_token", client_secret=None)
        assert await client.describe_global()


class TestMisfortune:
    """What may go wrong in between."""

    async def test_a_death_after_the_commit_costs_nothing(self, desk: Desk) -> None:
        """The process ends with the new token on disk and the session unused."""
        client = await desk.client("refresh_token")
        await client.login()
        assert desk.calls == 0
        client = await desk.client("refresh_token")
        assert await client.describe_global()

    async def test_a_death_before_the_commit_says_what_to_do(self, desk: Desk) -> None:
        """The org has ended the old token and nobody knows the new one: that cannot be mended, only told."""
        desk.org.approvals.rotate(FIRST)
        client = await desk.client("refresh_token")
        with pytest.raises(LoginRefused, match=r"expired access/refresh token; run `salesforce-poller login acme`"):
            await client.describe_global()

    async def test_a_full_disk_loses_no_token(self, desk: Desk) -> None:
        """It stays in memory and unused, and is stored when there is room again; no other login is made meanwhile."""
        client = await desk.client("refresh_token")
        with stores.broken(stores.url(desk.path), "secrets", "INSERT", "full"):
            for _ in range(3):
                with pytest.raises(StoreError, match="full"):
                    await client.describe_global()
            assert (desk.logins, desk.calls) == (1, 0)
        assert await client.describe_global()
        assert desk.logins == 1
        assert [refresh_token.present(FIRST, on_disk(desk))] == valid_tokens(desk)

    async def test_a_login_that_is_called_off_comes_to_its_end(self, desk: Desk) -> None:
        """A stop in the middle of a login would otherwise lose the token that its answer brings."""
        client = await desk.client("refresh_token")
        desk.hold.clear()
        login = asyncio.create_task(client.login())
        await desk.asked.wait()
        login.cancel()
        asyncio.get_running_loop().call_soon(desk.hold.set)
        with pytest.raises(asyncio.CancelledError):
            await login
        assert [refresh_token.present(FIRST, on_disk(desk))] == valid_tokens(desk)

    async def test_a_sixth_approval_ends_the_first_one(self, desk: Desk) -> None:
        """Somebody else logs in with the same app and user; the error leads to the command."""
        desk.app(rotate_refresh_tokens=False)
        client = await desk.client("refresh_token")
        await client.describe_global()
        for _ in range(5):
            desk.org.approvals.add(desk.org.integration_user)
        desk.org.sessions.expire()
        with pytest.raises(LoginRefused, match="run `salesforce-poller login acme`"):
            await client.describe_global()

    async def test_none_at_all_leads_to_the_command(self, desk: Desk) -> None:
        """Nothing is sent."""
        client = await desk.client("refresh_token", refresh_token=None)
        with pytest.raises(LoginRefused, match="no refresh token yet; run `salesforce-poller login acme`") as caught:
            await client.describe_global()
        assert concerns_the_org(caught.value, "REFRESH_TOKEN")
        assert desk.logins == 0

    async def test_what_is_no_token_in_the_store_leads_to_the_command(self, desk: Desk) -> None:
        """Nothing is sent then either."""
        client = await desk.client("refresh_token")
        await desk.store.secrets.save("acme", "refresh_token", "scribbled over", desk.machine.now())
        with pytest.raises(LoginRefused, match="is no refresh token; run `salesforce-poller login acme`") as caught:
            await client.describe_global()
        assert concerns_the_org(caught.value, "REFRESH_TOKEN")
        assert desk.logins == 0


class TestKeys:
    """``[store] secret_key``."""

    async def test_another_key_is_told_and_nothing_is_sent(self, desk: Desk) -> None:
        """It stops this org only."""
        await (await desk.client("refresh_token")).login()
        client = await desk.client("refresh_token", key="other")
        with pytest.raises(OrgRefused, match="secret_key is another one") as caught:
            await client.describe_global()
        assert "salesforce-poller login" in caught.value.explained()
        assert concerns_the_org(caught.value, "SECRET_KEY")
        assert desk.logins == 1

    async def test_a_new_key_before_the_old_one_reads_and_replaces_it(self, desk: Desk) -> None:
        """After the next rotation the old key may go."""
        await (await desk.client("refresh_token")).login()
        await (await desk.client("refresh_token", key="new+first")).login()
        assert [refresh_token.present(FIRST, on_disk(desk, "new"))] == valid_tokens(desk)
        assert await (await desk.client("refresh_token", key="new")).describe_global()

    async def test_a_key_is_the_same_in_both_kinds_of_base64(self, desk: Desk) -> None:
        """`openssl rand -base64 32` writes the usual one, other tools the one for addresses."""
        usual = a_secret_key("with + and /, number 3")
        assert {"+", "/"} <= set(usual)
        keys = [[SecretStr(usual)], [SecretStr(usual.replace("+", "-").replace("/", "_"))]]
        async with Store(stores.url(desk.path), keys=keys[0]) as store:
            await store.secrets.save("acme", "x", "said", desk.machine.now())
        async with Store(stores.url(desk.path), keys=keys[1]) as store:
            assert await store.secrets.load("acme", "x") == "said"
            assert await store.secrets.load("acme", "y") is None
            assert await store.secrets.load("other", "x") is None

    async def test_without_a_key_nothing_is_written(self, desk: Desk) -> None:
        """Least of all in plain text."""
        async with Store(stores.url(desk.path)) as store:
            with pytest.raises(StoreError, match="secret_key is missing"):
                await store.secrets.save("acme", "x", "said", desk.machine.now())
            assert await store.secrets.load("acme", "x") is None
