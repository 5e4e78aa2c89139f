"""salesforce/client.py against servers that misbehave as Salesforce's simulator would not: drip, move, vanish."""

import asyncio
import ssl
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import AsyncExitStack, asynccontextmanager, suppress

import httpx
import pytest
from aiohttp import web
from pydantic import SecretStr

from salesforce_poller.clock import SystemClock
from salesforce_poller.errors import ConfigError, TryLater
from salesforce_poller.salesforce.client import Org
from salesforce_poller.salesforce.settings import OrgSettings
from salesforce_poller.salesforce.transport import Transport

Handler = Callable[[web.Request], Awaitable[web.StreamResponse]]
TOKEN = "00D5g000008abcd!x"
STUCK = 30.0


@asynccontextmanager
async def a_server(handler: Handler) -> AsyncIterator[str]:
    """Serve one handler for everything, on a free port of this machine."""
    application = web.Application()
    application.router.add_route("*", "/{path:.*}", handler)
    runner = web.AppRunner(application, access_log=None, shutdown_timeout=0)
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", 0).start()
    try:
        yield f"http://127.0.0.1:{runner.addresses[0][1]}"
    finally:
        await runner.cleanup()


async def nothing_there(_request: web.Request) -> web.Response:
    """Answer as an org without objects."""
    return web.json_response({"sobjects": []})


def without_proxies(monkeypatch: pytest.MonkeyPatch) -> None:
    """Forget what the environment of the tests says of proxies."""
    for name in ("HTTP_PROXY", "HTTPS_PROXY", "ALL_PROXY", "NO_PROXY"):
        monkeypatch.delenv(name, raising=False)
        monkeypatch.delenv(name.lower(), raising=False)


async def said(url: str, times: int = 1) -> None:
    """Ask an address, in a transport of its own."""
    settings = OrgSettings(login_url="http://127.0.0.1", auth="access_token", access_token=SecretStr(TOKEN))
    transport = Transport(settings, clock=SystemClock())
    try:
        for _ in range(times):
            answer = await transport.exchange("POST", url, headers={"accept": "text/csv"}, content=b"{}")
            assert (answer.status, answer.body) == (200, b"yes")
    finally:
        await transport.close()


class Hearing:
    """A server that says yes, sets a cookie, packs what it says, and remembers what it heard."""

    def __init__(self) -> None:
        self.heard: list[tuple[str, dict[str, str]]] = []

    async def answer(self, request: web.Request) -> web.Response:
        """Answer one request; as a proxy it is asked for a whole address."""
        assert await request.read() == b"{}"
        self.heard.append((str(request.url), {name.lower(): value for name, value in request.headers.items()}))
        yes = web.Response(body=b"yes", headers={"Set-Cookie": "BrowserId=x; path=/"})
        yes.enable_compression(web.ContentCoding.gzip)
        return yes


async def test_an_answer_that_drips_is_given_up() -> None:
    """Each piece comes in time; the whole never does."""
    closed = asyncio.Event()

    async def drip(request: web.Request) -> web.StreamResponse:
        response = web.StreamResponse()
        await response.prepare(request)
        while not closed.is_set():
            await response.write(b" ")
            try:
                async with asyncio.timeout(0.02):
                    await closed.wait()
            except TimeoutError:
                continue
        return response

    async with a_server(drip) as url:
        settings = OrgSettings(login_url=url, auth="access_token", access_token=SecretStr(TOKEN), timeout=0.2)
        async with Org("acme", settings, clock=SystemClock()) as org:
            with pytest.raises(TryLater, match="no whole answer"):
                await org.describe_global()
        closed.set()


@pytest.mark.parametrize("status", [301, 420])
async def test_an_org_that_moved_is_found_by_logging_in_anew(status: int) -> None:
    """Only a login tells where it is now."""

    async def moved(_request: web.Request) -> web.Response:
        return web.Response(status=status, headers={"Location": "https://elsewhere.example"})

    async with AsyncExitStack() as stack:
        instances = [await stack.enter_async_context(a_server(one)) for one in (moved, nothing_there)]

        async def login(_request: web.Request) -> web.Response:
            return web.json_response({"access_token": TOKEN, "instance_url": instances.pop(0)})

        url = await stack.enter_async_context(a_server(login))
        settings = OrgSettings(login_url=url, client_id="a", client_secret=SecretStr("b"))
        org = await stack.enter_async_context(Org("acme", settings, clock=SystemClock()))
        with pytest.raises(TryLater, match="logs in anew"):
            await org.describe_global()
        assert await org.describe_global() == ()


async def test_an_address_where_nobody_answers_is_asked_for_anew() -> None:
    """An instance that was shut down does not say so."""
    async with a_server(nothing_there) as gone:
        pass
    async with AsyncExitStack() as stack:
        instances = [gone, await stack.enter_async_context(a_server(nothing_there))]

        async def login(_request: web.Request) -> web.Response:
            return web.json_response({"access_token": TOKEN, "instance_url": instances.pop(0)})

        url = await stack.enter_async_context(a_server(login))
        settings = OrgSettings(login_url=url, client_id="a", client_secret=SecretStr("b"))
        org = await stack.enter_async_context(Org("acme", settings, clock=SystemClock()))
        with pytest.raises(TryLater, match="cannot reach"):
            await org.describe_global()
        assert await org.describe_global() == ()


async def test_a_request_that_cannot_be_sent_does_not_show_its_token() -> None:
    """The HTTP library repeats the header that it does not like."""
    async with a_server(nothing_there) as url:
        settings = OrgSettings(login_url=url, auth="access_token", access_token=SecretStr(TOKEN))
        transport = Transport(settings, clock=SystemClock())
        try:
            with pytest.raises(TryLater, match="cannot be sent") as caught:
                await transport.exchange("GET", url, headers={"authorization": f"Bearer {TOKEN}\n"})
        finally:
            await transport.close()
    assert TOKEN not in repr(caught.value)


@pytest.mark.parametrize(
    ("name", "value", "told"),
    [
        ("HTTP_PROXY", "ftp://me:hunter2@proxy.example.com", "HTTP_PROXY, HTTPS_PROXY or ALL_PROXY cannot be used"),
        ("HTTPS_PROXY", "socks5://me:hunter2@proxy.example.com", "HTTP_PROXY, HTTPS_PROXY or ALL_PROXY cannot be used"),
        ("SSL_CERT_FILE", "/nowhere/hunter2.pem", "certificates that SSL_CERT_FILE or SSL_CERT_DIR names"),
    ],
)
def test_an_environment_that_cannot_be_used_is_told(
    monkeypatch: pytest.MonkeyPatch, name: str, value: str, told: str
) -> None:
    """By the name of its variable, without a traceback, and without the password that a proxy may have."""
    without_proxies(monkeypatch)
    monkeypatch.setenv(name, value)
    settings = OrgSettings(login_url="http://127.0.0.1", auth="access_token", access_token=SecretStr(TOKEN))
    with pytest.raises(ConfigError) as caught:
        Transport(settings, clock=SystemClock())
    [line] = caught.value.problems
    assert told in line
    assert "hunter2" not in line


async def test_all_orgs_share_whom_they_trust(monkeypatch: pytest.MonkeyPatch) -> None:
    """Reading the authorities takes 50 ms and half a megabyte; a thousand orgs would start for a minute."""
    made: list[ssl.SSLContext] = []

    def make() -> ssl.SSLContext:
        made.append(ssl.create_default_context())
        return made[-1]

    monkeypatch.setattr(httpx, "create_ssl_context", make)
    monkeypatch.setenv("SSL_CERT_FILE", "/nowhere/of-this-test.pem")
    settings = OrgSettings(login_url="http://127.0.0.1", auth="access_token", access_token=SecretStr(TOKEN))
    for _ in range(3):
        await Transport(settings, clock=SystemClock()).close()
    assert len(made) == 1
    monkeypatch.setenv("SSL_CERT_FILE", "/nowhere/another.pem")
    await Transport(settings, clock=SystemClock()).close()
    assert len(made) == 2


async def test_a_proxy_hears_what_an_org_would(monkeypatch: pytest.MonkeyPatch) -> None:
    """Word for word: nothing of a request depends on the way that it takes. Cookies are kept on neither."""
    without_proxies(monkeypatch)
    org, proxy = Hearing(), Hearing()
    async with a_server(org.answer) as url, a_server(proxy.answer) as proxied:
        await said(f"{url}/services", times=2)
        monkeypatch.setenv("HTTP_PROXY", proxied)
        await said("http://acme.example/services", times=2)
    assert [at for at, _ in org.heard] == [f"{url}/services"] * 2
    assert [at for at, _ in proxy.heard] == ["http://acme.example/services"] * 2
    hosts = [headers.pop("host") for _, headers in org.heard + proxy.heard]
    assert hosts == [url.removeprefix("http://")] * 2 + ["acme.example"] * 2
    [heard, *others] = [headers for _, headers in org.heard + proxy.heard]
    assert others == [heard] * 3
    assert heard == {
        "accept": "text/csv",
        "accept-encoding": "gzip, deflate",
        "connection": "keep-alive",
        "user-agent": f"python-httpx/{httpx.__version__}",
        "sforce-call-options": "client=salesforce-poller",
        "content-length": "2",
    }


async def test_what_no_proxy_names_is_asked_directly(monkeypatch: pytest.MonkeyPatch) -> None:
    """Beside addresses that are reached by the proxy."""
    without_proxies(monkeypatch)
    org, proxy = Hearing(), Hearing()
    async with a_server(org.answer) as url, a_server(proxy.answer) as proxied:
        monkeypatch.setenv("ALL_PROXY", proxied)
        monkeypatch.setenv("NO_PROXY", "127.0.0.1")
        await said(url)
        await said("http://acme.example")
    assert (len(org.heard), len(proxy.heard)) == (1, 1)


async def test_after_the_end_nothing_is_sent() -> None:
    """Whoever asks an org that was left would open a connection that nobody closes."""
    org = Hearing()
    async with a_server(org.answer) as url:
        settings = OrgSettings(login_url=url, auth="access_token", access_token=SecretStr(TOKEN))
        transport = Transport(settings, clock=SystemClock())
        await transport.close()
        with pytest.raises(RuntimeError, match="closed"):
            await transport.exchange("POST", url, content=b"{}")
    assert not org.heard


async def test_an_org_that_left_many_without_an_answer_can_be_asked_again() -> None:
    """More than httpx has connections for by itself: those who waited for one would have kept their places for ever."""
    well = asyncio.Event()

    async def hang(_request: web.Request) -> web.Response:
        await well.wait()
        return web.Response(body=b"yes")

    async with a_server(hang) as url:
        settings = OrgSettings(login_url=url, auth="access_token", access_token=SecretStr(TOKEN), timeout=0.5)
        transport = Transport(settings, clock=SystemClock())
        for _ in range(3):
            asked = (transport.exchange("GET", url) for _ in range(250))
            told = await asyncio.gather(*asked, return_exceptions=True)
            assert all(isinstance(one, TryLater) for one in told)
        well.set()
        async with asyncio.timeout(STUCK):
            while True:  # a busy machine may need more than one look
                with suppress(TryLater):
                    assert (await transport.exchange("GET", url)).body == b"yes"
                    break
        await transport.close()
