"""What HTTP allows and clients seldom do, what it does not allow, and connections that are slow on purpose.

Nothing of it is a 500 or a hang, and every refusal is a problem object that browsers treat with care.
"""

from __future__ import annotations

import asyncio
import contextlib
import json
import logging
import time
from collections.abc import AsyncIterator

import pytest

from exporter.web import bodies, server
from tests.integration.conftest import Running, event
from tests.rawhttp import Answer, ask, read_answer, request, statuses
from tests.serving import Served, serve

BODY = json.dumps(event()).encode()
CHUNKED = (b"%x\r\n%b\r\n" % (len(BODY), BODY)) + b"0\r\n"
TYPE = "Content-Type: application/json"
# Requests, and the statuses that they are answered with. 0: the connection ends after them.
ODD: dict[str, tuple[bytes, list[int]]] = {
    "HTTP/1.0": (request(BODY, version="1.0"), [200, 0]),
    "the last one": (request(BODY, "Connection: close"), [200, 0]),
    "empty lines before": (b"\r\n\r\n" + request(BODY), [200]),
    "three at once": (request(BODY) * 3, [200] * 3),
    "a query": (request(BODY, path="/api/v1/events?x=1"), [200]),
    "an encoded path": (request(BODY, path="/api/v1/%65vents"), [200]),
    "a path with dots": (request(BODY, path="/api/v1/../v1/events"), [404]),
    "two slashes": (request(BODY, path="//api/v1/events"), [404]),
    "a path that is half encoded": (request(BODY, path="/api/v1/%zz"), [404]),
    "an absolute target": (request(BODY, path="http://localhost/api/v1/events"), [200]),
    "an absolute target of another host": (request(BODY, path="http://evil.example/api/v1/events"), [400]),
    "an absolute target without a host": (request(BODY, path="http:///x"), [400, 0]),
    "no target": (request(BODY, path="api/v1/events"), [400, 0]),
    "chunks": (request(None, TYPE, "Transfer-Encoding: chunked") + CHUNKED + b"\r\n", [200]),
    "chunks and trailers": (
        request(None, TYPE, "Trailer: X-Sum", "Transfer-Encoding: chunked") + CHUNKED + b"X-Sum: 1\r\n\r\n",
        [200],
    ),
    "chunks, trailers and one more": (
        request(None, TYPE, "Transfer-Encoding: chunked") + CHUNKED + b"X-Sum: 1\r\n\r\n" + request(BODY),
        [200, 200],
    ),
    "a chunk without a size": (request(None, TYPE, "Transfer-Encoding: chunked") + b"zz\r\n", [400, 0]),
    "a length twice": (request(BODY, f"Content-Length: {len(BODY)}"), [400, 0]),
    "two lengths": (request(BODY, "Content-Length: 3"), [400, 0]),
    "a length and chunks": (request(BODY, "Transfer-Encoding: chunked"), [400, 0]),
    "a negative length": (request(None, TYPE, "Content-Length: -5"), [400, 0]),
    "a length with a sign": (request(None, TYPE, "Content-Length: +5"), [400, 0]),
    "an endless length": (request(None, TYPE, f"Content-Length: {'9' * 30}"), [400, 0]),
    "a length of gigabytes": (request(None, TYPE, f"Content-Length: {2**40}"), [413]),
    "a body where none is": (request(b"abc", path="/-/ready", method="GET"), [200]),
    "HEAD of a page": (request(None, method="HEAD", path="/"), [200]),
    "HEAD of the metrics": (request(None, method="HEAD", path="/metrics"), [200]),
    "HEAD where it cannot be": (request(None, method="HEAD"), [405]),
    "OPTIONS of all": (request(None, method="OPTIONS", path="*"), [404]),
    "TRACE": (request(None, method="TRACE", path="/"), [405]),
    "CONNECT": (request(None, method="CONNECT", path="localhost:1"), [404]),
    "PROPFIND": (request(None, method="PROPFIND", path="/metrics"), [405]),
    "DELETE": (request(None, method="DELETE"), [405]),
    "a method that is none": (request(None, method="BREW", path="/"), [400, 0]),
    "an expectation": (request(BODY, "Expect: 100-continue"), [200]),
    "another expectation": (request(BODY, "Expect: a-pony"), [417]),
    "another expectation of nothing": (request(BODY, "Expect: a-pony", path="/nowhere"), [417]),
    "an expectation that is no text": (request(BODY, "Expect: \xff"), [417]),
    "an expectation of nothing that is no text": (request(BODY, "Expect: \xff", path="/nowhere"), [417, 0]),
    "an upgrade": (request(None, "Connection: Upgrade", "Upgrade: h2c", path="/-/ready", method="GET"), [200]),
    "a WebSocket": (
        request(
            None,
            *("Connection: Upgrade", "Upgrade: websocket", "Sec-WebSocket-Version: 13", "Sec-WebSocket-Key: x"),
            path="/-/ready",
            method="GET",
        ),
        [200],
    ),
    "HTTP/2": (b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n", [400, 0]),
    "TLS": (b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03" + b"\x00" * 30 + b"\r\n\r\n", [400, 0]),
    "no host": (request(BODY).replace(b"Host: localhost\r\n", b""), [400, 0]),
    "two hosts": (request(BODY, "Host: localhost"), [400, 0]),
    "another host": (request(BODY).replace(b"localhost", b"evil.example"), [403]),
    "a null in a header": (request(BODY, "X-A: \x00"), [400, 0]),
    "a space before a colon": (request(BODY, "X-A : 1"), [400, 0]),
    "a folded header": (request(BODY, "X-A: 1\r\n 2"), [400, 0]),
    "bare line feeds": (request(BODY).replace(b"\r\n", b"\n"), [400, 0]),
    "bytes in the path": (request(BODY, path="/\xff"), [400, 0]),
    "a long path": (request(BODY, path="/" + "a" * 9000), [400, 0]),
    "a long header": (request(BODY, "X-A: " + "a" * 9000), [400, 0]),
    "a header that is not quite too long": (request(BODY, "X-A: " + "a" * 8000), [200]),
    "many headers": (request(BODY, *(f"X-{number}: 1" for number in range(100))), [400, 0]),
}


@pytest.mark.parametrize("case", list(ODD))
async def test_what_is_seldom_is_answered_and_what_is_wrong_is_refused(
    running: Running, case: str, capsys: pytest.CaptureFixture[str], caplog: pytest.LogCaptureFixture
) -> None:
    data, expected = ODD[case]
    reader, writer = await asyncio.open_connection("127.0.0.1", running.client.port)
    writer.write(data)
    for status in expected:
        head_only = data.startswith(b"HEAD")
        answer = await asyncio.wait_for(read_answer(reader, head_only=head_only), 5)
        assert (answer.status if answer else 0) == status
        if answer is None:
            break
        assert answer.headers["x-content-type-options"] == "nosniff"
        assert answer.headers["server"].startswith("llm-migration-exporter/")
        if status >= 400 and not head_only:
            assert answer.headers["content-type"].startswith("application/problem+json")
            assert answer.json()["status"] == status
    if expected[-1] not in (0, 413):  # whoever stays is served on; after a 413 the body would be to come
        writer.write(request(None, path="/-/ready", method="GET"))
        answer = await asyncio.wait_for(read_answer(reader), 5)
        assert answer is not None
        assert answer.status == 200
    writer.close()
    await running.push(event())
    assert "[error" not in capsys.readouterr().out  # what others do wrong is no error of ours
    assert not [record for record in caplog.records if record.levelno >= logging.WARNING]


async def test_a_body_is_asked_for_when_it_is_wanted_and_not_before(running: Running) -> None:
    async def first(*fields: str, length: int = len(BODY), kind: str = "application/json") -> Answer | None:
        head = request(None, f"Content-Type: {kind}", f"Content-Length: {length}", "Expect: 100-continue", *fields)
        reader, writer = await asyncio.open_connection("127.0.0.1", running.client.port)
        writer.write(head)
        answer = await asyncio.wait_for(read_answer(reader), 5)
        if answer is not None and answer.status == 100:
            writer.write(BODY)
            answer = await asyncio.wait_for(read_answer(reader), 5)
        writer.close()
        return answer

    statuses = [
        (await first()),
        (await first("Content-Encoding: br")),
        (await first("Origin: https://elsewhere.example")),
        (await first(length=10**9)),
        (await first(kind="text/csv")),
    ]
    assert [answer.status if answer else 0 for answer in statuses] == [200, 415, 403, 413, 415]


async def test_a_client_that_hangs_up_in_the_middle_is_no_error_of_ours(
    running: Running, capsys: pytest.CaptureFixture[str]
) -> None:
    for head in (request(None, TYPE, "Content-Length: 100000"), request(None, TYPE, "Transfer-Encoding: chunked")):
        _, writer = await asyncio.open_connection("127.0.0.1", running.client.port)
        writer.write(head + b"5\r\n[")
        await asyncio.sleep(0.05)
        writer.transport.abort()
    await asyncio.sleep(0.2)

    assert await running.total("llm_exporter_events_rejected_total", reason="malformed") == 2
    assert "[error" not in capsys.readouterr().out


@pytest.fixture
async def impatient(running: Running, monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[Served]:
    """The same exporter behind a server that waits for seconds only."""
    monkeypatch.setattr(bodies, "BODY_SECONDS", 1.0)
    served = await serve(running.services, idle=1.5)
    yield served
    await served.close()


async def test_slow_and_silent_connections_are_dropped_and_stop_nobody(running: Running, impatient: Served) -> None:
    port = impatient.port
    head = request(None, TYPE, "Content-Length: 5000")
    half = request(BODY)[:-5]
    begin = time.monotonic()
    lasted: dict[str, list[float]] = {kind: [] for kind in ("silent", "head", "body", "half", "chunks")}

    async def slow(kind: str) -> None:
        reader, writer = await asyncio.open_connection("127.0.0.1", port)
        start = {
            "silent": b"",
            "head": b"",
            "body": head,
            "half": half,
            "chunks": head.replace(b"Content-Length: 5000", b"Transfer-Encoding: chunked"),
        }
        writer.write(start[kind])
        ended = asyncio.ensure_future(reader.read())
        drip = {"head": head, "body": b" " * 5000, "chunks": b"1\r\n \r\n" * 1000}.get(kind, b"")
        for number in range(10):
            await asyncio.wait((ended,), timeout=1)
            if ended.done():
                break
            writer.write(drip[number : number + 1])
        with contextlib.suppress(ConnectionError):
            await ended
        lasted[kind].append(time.monotonic() - begin)
        writer.close()

    crowd = [asyncio.create_task(slow(kind)) for kind in lasted for _ in range(100)]
    await asyncio.sleep(0.5)
    pushed = 0
    while time.monotonic() - begin < 3:
        asked = time.monotonic()
        assert statuses(await ask(port, request(BODY))) == [200]
        assert time.monotonic() - asked < 1.5
        pushed += 1
        await asyncio.sleep(0.1)
    async with asyncio.timeout(20):
        await asyncio.gather(*crowd)

    assert pushed > 5
    assert {kind: len(times) for kind, times in lasted.items()} == dict.fromkeys(lasted, 100)
    assert max(max(times) for times in lasted.values()) < 8
    assert await running.total("llm_requests_total") == pushed


async def test_a_connection_that_is_used_is_kept_and_one_that_rests_is_not(impatient: Served) -> None:
    reader, writer = await asyncio.open_connection("127.0.0.1", impatient.port)
    for data in [request(BODY)] * 3 + [request(None, path="/-/ready", method="GET")] * 3:
        await asyncio.sleep(0.6)
        writer.write(data)
        answer = await asyncio.wait_for(read_answer(reader), 5)
        assert answer is not None
        assert answer.status == 200
    begin = time.monotonic()
    assert await asyncio.wait_for(reader.read(), 5) == b""
    assert 1 < time.monotonic() - begin < 4
    writer.close()


def test_connections_rest_longer_here_than_proxies_keep_them() -> None:
    assert server.IDLE_SECONDS > 60
