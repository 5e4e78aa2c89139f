"""Bodies that do not arrive as they should: dripping, stalled, oversized, empty, in HTML; and how good ones travel."""

import asyncio
import gzip
from contextlib import suppress

import httpx

from salesforce_poller.simulator.departure import PIECES
from salesforce_poller.simulator.fault_kinds import Fault
from salesforce_poller.simulator.org import Org

PLAIN = {"Accept-Encoding": "identity"}


async def raw(api: httpx.AsyncClient, path: str = "limits", **headers: str) -> list[bytes]:
    """The pieces of a body as they come off the wire."""
    request = api.build_request("GET", f"/services/data/v66.0/{path}", headers=headers)
    response = await api.send(request, stream=True)
    return [piece async for piece in response.aiter_raw()]


async def test_a_dripping_body_is_the_real_one_in_small_pieces(
    org: Org, api: httpx.AsyncClient, slept: list[float]
) -> None:
    """With a pause before each; a client's read timeout never strikes, its deadline must."""
    org.weather.arm("DRIPPING_BODY", path="/limits", seconds=7)
    response = await api.get("limits", headers=PLAIN)
    assert response.json()["DailyApiRequests"]["Max"] == 15_000
    assert slept == [7] * PIECES


async def test_a_stalled_body_stops_half_way_and_the_connection_stays(org: Org, api: httpx.AsyncClient) -> None:
    """The status is 200 and the headers are fine; other requests are answered meanwhile; only the client can end it."""
    org.weather.arm("STALLED_BODY")
    response = await api.send(api.build_request("GET", "/services/data/v66.0/limits", headers=PLAIN), stream=True)
    assert (response.status_code, response.headers["content-type"]) == (200, "application/json;charset=UTF-8")
    whole = (await api.get("limits", headers=PLAIN)).content
    half, pieces, got = whole[: len(whole) // 2], response.aiter_raw(), b""
    while len(got) < len(half):
        got += await anext(pieces)
    assert got == half
    waiting = asyncio.ensure_future(anext(pieces))
    assert (await api.get("limits")).status_code == 200
    assert not waiting.done()
    waiting.cancel()
    with suppress(asyncio.CancelledError):
        await waiting


async def test_an_oversized_body_is_the_real_one_with_blanks_behind_it(org: Org, api: httpx.AsyncClient) -> None:
    """As long as was asked for; compressed it is a small thing that unpacks into a large one."""
    size = 3_000_000
    org.weather.arm("OVERSIZED_BODY", size=size, times=2)
    plain = b"".join(await raw(api, **PLAIN))
    packed = b"".join(await raw(api, **{"Accept-Encoding": "gzip"}))
    assert len(plain) == len(gzip.decompress(packed)) == size
    assert gzip.decompress(packed) == plain
    assert len(packed) < size / 100
    assert plain.rstrip().endswith(b"}")


async def test_a_body_that_is_already_too_long_gets_nothing_more(org: Org, api: httpx.AsyncClient) -> None:
    """A size below the real one changes nothing."""
    org.weather.arm("OVERSIZED_BODY", size=1)
    assert (await api.get("limits")).json()["DailyApiRequests"]["Max"] == 15_000


async def test_a_body_can_be_empty_or_html_under_a_good_status(org: Org, api: httpx.AsyncClient) -> None:
    """Or XML, where JSON was asked for."""
    org.weather.arm("EMPTY_BODY")
    empty = await api.get("limits")
    assert (empty.status_code, empty.content, "content-type" in empty.headers) == (200, b"", False)
    org.weather.arm("HTML_BODY")
    page = await api.get("limits")
    assert (page.status_code, page.headers["content-type"]) == (200, "text/html;charset=UTF-8")
    assert page.text.startswith("<!DOCTYPE html>")
    org.weather.arm("XML_ERROR")
    assert "<errorCode>SERVER_UNAVAILABLE</errorCode>" in (await api.get("limits")).text


async def test_body_faults_are_aimed_at_a_path_and_a_number_of_hits(
    org: Org, api: httpx.AsyncClient, slept: list[float]
) -> None:
    """Over the control API; other paths are left alone."""
    body = {"fault": "DRIPPING_BODY", "path": "/describe", "times": 2, "after": 1, "seconds": 1}
    await api.post("/simulator/weather", json=body)
    drips = []
    for path in ("limits", *["sobjects/Lead/describe"] * 4):
        slept.clear()
        await api.get(path)
        drips.append(bool(slept))
    assert drips == [False, False, True, True, False]


async def test_a_slow_answer_can_be_truncated_or_bare(org: Org, api: httpx.AsyncClient) -> None:
    """An answer without a body drips and stalls without one."""
    org.weather.arm(Fault("EMPTY_DRIP", effect="drip", seconds=1))
    lead = org.insert("Lead", LastName="n", Company="c")
    assert (await api.patch(f"sobjects/Lead/{lead}", json={"LastName": "m"})).status_code == 204


async def test_etags_tell_whether_the_body_was_compressed(org: Org, api: httpx.AsyncClient) -> None:
    """--gzip; no Content-Length in either case."""
    packed = await api.get("sobjects/Lead/describe")
    plain = await api.get("sobjects/Lead/describe", headers=PLAIN)
    assert packed.headers["etag"] == plain.headers["etag"].rstrip('"') + '--gzip"'
    assert packed.json() == plain.json()
    for response in (packed, plain):
        assert "content-length" not in response.headers
        assert response.headers["vary"] == "Accept-Encoding"
