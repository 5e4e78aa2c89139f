"""salesforce/session.py against the simulated org: five ways in, one login at a time, no hammering, orgs that move."""

import asyncio
import random
from collections.abc import AsyncIterator
from pathlib import Path

import pytest
from credentials import a_key_pair
from logins import CREDENTIALS, START, Desk, a_desk

from salesforce_poller.errors import LoginRefused, OrgRefused, PollerError, TryLater
from salesforce_poller.salesforce.client import Org as Client
from salesforce_poller.simulator.instance import OldHost
from salesforce_poller.simulator.sessions import Sessions

#: An hour, in seconds.
HOUR = 3600


@pytest.fixture
async def desk(tmp_path: Path) -> AsyncIterator[Desk]:
    """An org, and a wire to it."""
    async with a_desk(tmp_path) as made:
        yield made


async def outcomes(client: Client, count: int = 20) -> list[BaseException | None]:
    """Return what becomes of so many polls at the same time."""
    found = await asyncio.gather(*(client.describe_global() for _ in range(count)), return_exceptions=True)
    return [one if isinstance(one, BaseException) else None for one in found]


class TestWaysIn:
    """Each word of ``auth``."""

    @pytest.mark.parametrize("auth", CREDENTIALS)
    async def test_each_flow_gets_in(self, desk: Desk, auth: str) -> None:
        """And knows where it is."""
        client = await desk.client(auth)
        assert await client.describe_global()
        assert await client.organization_id() == desk.org.organization_id
        assert desk.logins == 1

    @pytest.mark.parametrize("auth", CREDENTIALS)
    async def test_each_flow_gets_in_again(self, desk: Desk, auth: str) -> None:
        """Sessions end."""
        client = await desk.client(auth)
        await client.describe_global()
        desk.org.sessions.expire()
        assert await client.describe_global()
        assert desk.logins == 2

    async def test_a_token_from_elsewhere_is_used_until_it_ends(self, desk: Desk) -> None:
        """No login can renew it, and none is tried."""
        session = desk.org.sessions.issue(desk.org.integration_user, "elsewhere", "api", desk.org.clock.now())
        client = await desk.client("access_token", access_token=session.token)
        assert await client.describe_global()
        desk.org.sessions.expire()
        for _ in range(3):
            with pytest.raises(LoginRefused, match="not accepted any more") as caught:
                await client.describe_global()
            assert "put a new access_token into the configuration" in caught.value.facts.advice
        assert desk.logins == 0

    @pytest.mark.parametrize("hours", [-5, 5])
    async def test_a_wrong_clock_of_this_machine_does_not_keep_us_out(self, desk: Desk, hours: int) -> None:
        """The refusal of an assertion from the past tells Salesforce's time; from then on, that is what counts."""
        desk.machine.advance(hours * HOUR)
        client = await desk.client("jwt_bearer")
        assert await client.describe_global()
        first = desk.logins
        assert first == (2 if hours < 0 else 1)
        desk.org.sessions.expire()
        assert await client.describe_global()
        assert desk.logins == first + 1

    async def test_a_wrong_audience_is_told_with_what_to_set(self, desk: Desk) -> None:
        """And setting it helps. The simulated org stands for one whose host tells nothing."""
        desk.org.edition = "Full Sandbox"
        client = await desk.client("jwt_bearer")
        with pytest.raises(LoginRefused, match=r'set audience = "https://test\.salesforce\.com"'):
            await client.describe_global()
        client = await desk.client("jwt_bearer", audience="https://test.salesforce.com")
        assert await client.describe_global()

    async def test_another_key_is_refused(self, desk: Desk) -> None:
        """Once, as the clocks agree: an assertion is sent again only when its date was wrong."""
        client = await desk.client("jwt_bearer", private_key=a_key_pair().pem)
        with pytest.raises(LoginRefused, match="invalid assertion"):
            await client.describe_global()
        assert desk.logins == 1


class TestOneAtATime:
    """However many polls there are."""

    async def test_twenty_polls_that_meet_a_401_make_one_login(self, desk: Desk) -> None:
        """The first one logs in, the others wait for it."""
        client = await desk.client()
        await client.describe_global()
        desk.org.sessions.expire()
        assert await outcomes(client) == [None] * 20
        assert desk.logins == 2

    async def test_twenty_polls_that_are_refused_make_one_attempt(self, desk: Desk) -> None:
        """Those who waited are told the same."""
        desk.org.weather.arm("OAUTH_INACTIVE_USER", times=None)
        client = await desk.client()
        assert {type(one) for one in await outcomes(client)} == {LoginRefused}
        assert (desk.logins, desk.calls) == (1, 0)

    async def test_twenty_polls_in_a_bad_moment_make_one_attempt(self, desk: Desk) -> None:
        """The next one may try again at once: a bad moment is not held against anybody."""
        desk.org.weather.arm("OAUTH_UNKNOWN_ERROR", times=1)
        client = await desk.client()
        assert {type(one) for one in await outcomes(client)} == {TryLater}
        assert desk.logins == 1
        assert await client.describe_global()

    async def test_one_that_is_called_off_does_not_take_the_others_with_it(self, desk: Desk) -> None:
        """The next in line logs in."""
        client = await desk.client()
        desk.hold.clear()
        first = asyncio.create_task(client.describe_global())
        await desk.asked.wait()
        others = [asyncio.create_task(client.describe_global()) for _ in range(3)]
        first.cancel()
        with pytest.raises(asyncio.CancelledError):
            await first
        desk.hold.set()
        assert all(await asyncio.gather(*others))


class TestNoHammering:
    """A refusal is remembered."""

    async def attempts(self, desk: Desk, client: Client, times: list[float]) -> list[int]:
        """Return how many logins there were by each of these times, in seconds; something is asked every 5 s."""
        found, now = [], 0.0
        for until in times:
            while now < until:
                with pytest.raises(PollerError):
                    await client.describe_global()
                desk.pass_time(5)
                now += 5
            found.append(desk.logins)
        return found

    async def test_a_refused_login_is_tried_ever_more_rarely(self, desk: Desk) -> None:
        """After one minute, two more, four more; and nothing else is asked meanwhile."""
        desk.org.weather.arm("OAUTH_INVALID_CLIENT", times=None)
        client = await desk.client()
        assert await self.attempts(desk, client, [60, 65, 180, 185, 420]) == [1, 2, 2, 3, 3]
        assert (desk.calls, client.calls) == (0, 0)

    async def test_a_login_that_works_again_clears_the_record(self, desk: Desk) -> None:
        """The next refusal is the first one."""
        desk.org.weather.arm("OAUTH_INVALID_CLIENT", times=3)
        client = await desk.client()
        await self.attempts(desk, client, [180, 185])
        desk.pass_time(240)
        assert await client.describe_global()
        desk.org.sessions.expire()
        desk.org.weather.arm("OAUTH_INVALID_CLIENT", times=None)
        before = desk.logins
        assert await self.attempts(desk, client, [60, 65]) == [before + 1, before + 2]

    async def test_a_wrong_password_is_tried_three_times_an_hour_at_most(self, desk: Desk) -> None:
        """Otherwise the poller would lock its own user out."""
        client = await desk.client("password", password="mistyped")
        assert await self.attempts(desk, client, [1200, 1205, HOUR, HOUR + 5, 2 * HOUR]) == [1, 2, 2, 3, 3]

    async def test_the_limit_on_logins_is_waited_out(self, desk: Desk) -> None:
        """An hour, and each who asks is told what is left of it."""
        desk.org.login_rate.most = 1
        client = await desk.client()
        await client.describe_global()
        desk.org.sessions.expire()
        with pytest.raises(TryLater, match="login rate exceeded") as caught:
            await client.describe_global()
        assert caught.value.retry_after == HOUR
        desk.pass_time(HOUR - 1)
        with pytest.raises(TryLater) as caught:
            await client.describe_global()
        assert caught.value.retry_after == pytest.approx(1)
        assert desk.logins == 2
        desk.pass_time(2)
        assert await client.describe_global()

    async def test_sessions_that_are_refused_right_away_make_no_loop(self, desk: Desk) -> None:
        """It stops the org, for a minute, then two, then four, although each login works."""
        desk.org.weather.arm("INVALID_SESSION_ID", times=None)
        client = await desk.client()
        with pytest.raises(OrgRefused, match="right after logging in"):
            await client.describe_global()
        first = desk.logins
        assert first == 2
        assert await self.attempts(desk, client, [60, 65, 180, 185]) == [first, first + 2, first + 2, first + 4]

    async def test_an_incurable_401_is_not_met_with_a_login(self, desk: Desk) -> None:
        """Salesforce's text says that another session would not do either."""
        desk.org.weather.arm("SESSION_NOT_FOR_REST", times=None)
        client = await desk.client()
        for _ in range(3):
            with pytest.raises(PollerError, match="not valid for use with the REST API"):
                await client.describe_global()
        assert desk.logins == 1

    async def test_sessions_that_end_at_once_cannot_cost_more_than_ten_logins_a_minute(self, desk: Desk) -> None:
        """Whatever ends them; a session that works for one question is not refused."""
        client = await desk.client()
        for _ in range(10):
            await client.describe_global()
            desk.org.sessions.expire()
        with pytest.raises(TryLater, match="10 logins within 60s") as caught:
            await client.describe_global()
        assert caught.value.retry_after == 60
        desk.pass_time(60)
        assert await client.describe_global()
        assert desk.logins == 11


class TestMoves:
    """What was true of the last login need not be true of the next."""

    @pytest.mark.parametrize("old_host", ["redirect", "no_route"])
    async def test_an_instance_that_moved_is_found(self, desk: Desk, old_host: OldHost) -> None:
        """301 or 420 at the old address; the login, which stays, tells the new one."""
        client = await desk.client()
        await client.describe_global()
        desk.org.instance.move(desk.url.replace("127.0.0.1", "localhost"), old_host=old_host)
        with pytest.raises(TryLater, match="logs in anew"):
            await client.describe_global()
        assert await client.describe_global()
        assert desk.logins == 2

    async def test_another_organisation_behind_the_login_stops_the_org(self, desk: Desk) -> None:
        """A sandbox was refreshed under a running daemon: nothing is asked of the new one, by no feed."""
        client = await desk.client()
        was = await client.organization_id()
        await client.describe_global()
        desk.org.organization_id = other = "00D000000000ZZZEA2"
        desk.org.sessions = Sessions(other, random.Random(7))
        calls = desk.calls
        for refusal in await outcomes(client):
            assert isinstance(refusal, OrgRefused)
            assert refusal.facts.trouble == "OTHER_ORGANIZATION"
            assert f"organisation {other} now, and was {was}" in str(refusal)
        assert desk.logins == 2
        assert desk.calls <= calls + 20  # those that found the session gone

    async def test_the_same_organisation_on_another_instance_goes_on(self, desk: Desk) -> None:
        """A move is no refresh."""
        client = await desk.client()
        was = await client.organization_id()
        desk.org.sessions.expire()
        await client.describe_global()
        assert await client.organization_id() == was
        assert desk.machine.now() == START
