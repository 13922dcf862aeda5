"""The express lane: what it answers is what aiohttp's way answers, and nothing of a connection is lost between both."""

from __future__ import annotations

import asyncio
import dataclasses
import json
import socket
import time
from collections.abc import AsyncIterator, Callable
from pathlib import Path
from typing import Any

import bcrypt
import pytest

from exporter.errors import LedgerError
from exporter.plan.model import Plan, Token
from exporter.reloading import Read, configuration
from exporter.settings import Settings
from exporter.web import bodies, express, limits
from exporter.web.express import Express
from exporter.web.server import Server
from exporter.web.tls import LiveContext, TlsConfig
from exporter.web.webconfig import WebConfig
from tests.certificates import certificates
from tests.integration.conftest import NOW, Running, event
from tests.rawhttp import Answer, ask, read_answer, request, statuses
from tests.serving import serve

DIGEST = "9f86d081884c7d659a2feaa0c55ad015a3bf4f1b2b0b822cd15d6c15b0f00a08"  # SHA-256 of "test"
TOKENS = (
    Token("app", "ingest", DIGEST),
    Token("second", "viewer", "16367aacb67a4a017c8da8ab95682ccb390863780f7114dda0a0e0c55644c7c4"),
)
TRACK = "/api/v1/gpt4-migration/track-request"


def encoded(*events: dict[str, Any]) -> bytes:
    return json.dumps(events[0] if len(events) == 1 else events).encode()


def express_connections(running: Running) -> set[Express]:
    return running.client.server._desk.connections


@pytest.fixture
async def ordinary(running: Running) -> AsyncIterator[Callable[[], int]]:
    """A port on which the same exporter speaks through aiohttp from the first byte."""
    server = Server(running.services)
    await server.start([])
    made = await asyncio.get_running_loop().create_server(server._ordinary, "127.0.0.1", 0)
    yield made.sockets[0].getsockname()[1]
    made.close()
    await server.drain(1)


def shown(answer: Answer) -> tuple[int, dict[str, str], Any]:
    headers = {name: value for name, value in answer.headers.items() if name != "date"}
    return answer.status, headers, answer.body


def with_tokens(running: Running) -> None:
    reconfigure(running, dataclasses.replace(running.plan, tokens=TOKENS))


def reconfigure(running: Running, plan: Plan, web: WebConfig | None = None) -> None:
    """What a reload puts in force for the web."""
    running.services.configuration = configuration(
        Read(plan, web or WebConfig()), Settings(running.folder, ()), running.services.metrics, running.clock
    )


CASES: dict[str, tuple[bytes, ...]] = {
    "an event": (encoded(event()),),
    "a list": (encoded(event(id="first-a"), event(id="first-b"), event(id="first-a")),),
    "some wrong": (encoded(event(), event(latency=-1), event(migration="elsewhere")),),
    "nothing right": (encoded(event(latency=-1)),),
    "an unknown field": (encoded(event(latenzy=1)),),
    "no JSON": (b"{",),
    "no text": (b'{"model": "\xff"}',),
    "nothing": (b"",),
    "an empty list": (b"[]",),
    "a number": (b"1",),
    "too deep": (b"[" * 5000,),
    "beyond the batch": (json.dumps([0] * 11).encode(),),
    "too far ahead": (encoded(event(timestamp=NOW + 1000)),),
    "another host": (encoded(event()), "Host: elsewhere"),
    "no model": (encoded({"latency": 1}),),
}


@pytest.mark.parametrize("path", ["/api/v1/events", TRACK])
@pytest.mark.parametrize("case", list(CASES))
async def test_it_answers_what_aiohttps_way_answers(
    running: Running, ordinary: int, with_limits: Callable[..., Plan], case: str, path: str
) -> None:
    reconfigure(running, with_limits(batch=10))
    body, *fields = CASES[case]
    data = request(body, path=path)
    for field in fields:
        data = data.replace(b"Host: localhost", field.encode())

    (fast,) = await ask(running.client.port, data)
    (slow,) = await ask(ordinary, data.replace(b'"id": "first', b'"id": "other'))

    assert shown(fast) == shown(slow)
    assert fast.headers.keys() == slow.headers.keys()
    assert fast.headers["x-content-type-options"] == "nosniff"


@pytest.mark.parametrize(
    ("authorization", "status"),
    [
        (None, 401),
        ("Bearer test", 200),
        ("bearer  test ", 200),
        ("Bearer guess", 401),
        ("Bearer", 401),
        ("Basic eDp5", 401),
        ("Bearer second", 403),
    ],
)
async def test_tokens_are_asked_for_as_on_aiohttps_way(
    running: Running, ordinary: int, authorization: str | None, status: int
) -> None:
    with_tokens(running)
    fields = [f"Authorization: {authorization}"] if authorization else []
    data = request(encoded(event()), *fields)

    (fast,) = await ask(running.client.port, data)
    (slow,) = await ask(ordinary, data)

    assert fast.status == status
    assert shown(fast) == shown(slow)


async def test_failures_of_the_ledger_and_of_ourselves_are_told_and_counted(
    running: Running, ordinary: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail(error: Exception) -> Any:
        raise error

    data = request(encoded(event()))
    store = running.exporter.writer._store
    for error, status in ((LedgerError("disk full"), 503), (ZeroDivisionError(), 503)):
        with monkeypatch.context() as broken:
            broken.setattr(store, "transaction", lambda error=error: fail(error))
            (fast,) = await ask(running.client.port, data)
            (slow,) = await ask(ordinary, data)
        assert fast.status == status
        assert shown(fast) == shown(slow)
    with monkeypatch.context() as broken:
        broken.setattr(running.exporter.ingest, "_preparer", None)
        assert statuses(await ask(running.client.port, data)) == [500]
    assert await running.total("llm_exporter_events_rejected_total", reason="unavailable") == 4
    assert await running.total("llm_requests_total") == 0


async def test_refusals_are_counted_as_on_aiohttps_way(running: Running, with_limits: Callable[..., Plan]) -> None:
    reconfigure(running, with_limits(ingest_per_second=3, batch=5))
    port = running.client.port

    assert statuses(await ask(port, request(b"{"))) == [400]
    assert statuses(await ask(port, request(json.dumps([0] * 6).encode()))) == [413]
    assert statuses(await ask(port, request(encoded(event(), event(), event())))) == [200]
    (late,) = await ask(port, request(encoded(event())))
    assert late.status == 429
    assert late.headers["retry-after"] == "1"
    for reason in ("malformed", "too_large", "rate_limited"):
        assert await running.total("llm_exporter_events_rejected_total", reason=reason) == 1, reason


async def test_the_web_configurations_headers_and_rate_hold_here_too(running: Running) -> None:
    headers = {"X-Frame-Options": "sameorigin", "Strict-Transport-Security": "max-age=60", "Referrer-Policy": ""}
    reconfigure(running, running.plan, WebConfig(headers=headers, interval=3600, burst=1))

    (answer,) = await ask(running.client.port, request(encoded(event())))
    assert answer.status == 200
    assert answer.headers["x-frame-options"] == "sameorigin"
    assert answer.headers["strict-transport-security"] == "max-age=60"
    assert "referrer-policy" not in answer.headers
    (answer,) = await ask(running.client.port, request(encoded(event())))
    assert answer.status == 429
    assert answer.headers["retry-after"] == "3600"
    assert answer.headers["x-frame-options"] == "sameorigin"


async def test_where_passwords_are_asked_for_all_go_aiohttps_way(running: Running) -> None:
    users = {"alice": bcrypt.hashpw(b"sesame", bcrypt.gensalt(4))}
    reconfigure(running, running.plan, WebConfig(users=users))
    data = request(encoded(event()))

    assert statuses(await ask(running.client.port, data)) == [401]
    named = request(encoded(event()), "Authorization: Basic YWxpY2U6c2VzYW1l")  # alice:sesame
    assert statuses(await ask(running.client.port, named)) == [200]


async def test_a_reload_holds_for_the_next_request_on_a_connection(running: Running) -> None:
    reader, writer = await asyncio.open_connection("127.0.0.1", running.client.port)
    data = request(encoded(event()), path=TRACK)
    writer.write(data)
    assert (await read_answer(reader)).status == 200  # type: ignore[union-attr]

    renamed = dataclasses.replace(running.plan.migrations[0], name="renamed")
    reconfigure(running, dataclasses.replace(running.plan, migrations=(renamed,), tokens=TOKENS))
    writer.write(data)
    assert (await read_answer(reader)).status == 401  # type: ignore[union-attr]
    writer.close()


async def test_plain_pushes_stay_in_the_lane_and_all_else_leaves_it(running: Running) -> None:
    reader, writer = await asyncio.open_connection("127.0.0.1", running.client.port)
    for body, status in ((encoded(event()), 200), (b"{", 400), (encoded(event(), event()), 200)):
        writer.write(request(body))
        assert (await read_answer(reader)).status == status  # type: ignore[union-attr]
        assert len(express_connections(running)) == 1
    writer.write(request(None, path="/-/ready", method="GET"))
    assert (await read_answer(reader)).body == b"The exporter is ready.\n"  # type: ignore[union-attr]
    assert not express_connections(running)
    writer.write(request(encoded(event())))
    assert (await read_answer(reader)).status == 200  # type: ignore[union-attr]
    writer.close()
    assert await running.total("llm_requests_total") == 4


async def test_a_request_may_come_in_any_two_pieces(running: Running) -> None:
    data = request(encoded(event()))
    for start in range(0, len(data) - 1, 40):  # some at a time: each keeps a connection busy for a moment
        cuts = range(start + 1, min(start + 41, len(data)))
        answers = await asyncio.gather(*(ask(running.client.port, data[:cut], data[cut:], pause=0.01) for cut in cuts))
        assert all(statuses(answer) == [200] for answer in answers)
    assert await running.total("llm_requests_total") == len(data) - 1


async def test_requests_that_come_at_once_are_answered_in_order(running: Running) -> None:
    bodies = [encoded(event(id=f"{number}")) if number % 3 else b"{" for number in range(300)]
    answers = await ask(running.client.port, b"".join(map(request, bodies)), answers=300)

    assert statuses(answers) == [200 if number % 3 else 400 for number in range(300)]
    assert await running.total("llm_requests_total") == 200


async def test_what_follows_on_the_heels_of_a_push_is_not_lost_when_it_is_not_plain(running: Running) -> None:
    ready = request(None, path="/-/ready", method="GET")
    push = request(encoded(event()))
    chunked = request(None, "Content-Type: application/json", "Transfer-Encoding: chunked")
    chunks = b"%x\r\n%b\r\n0\r\n\r\n" % (len(encoded(event())), encoded(event()))
    answers = await ask(running.client.port, push + push + ready + push + chunked + chunks + push, answers=6)

    assert statuses(answers) == [200] * 6
    assert answers[2].body == b"The exporter is ready.\n"
    assert await running.total("llm_requests_total") == 5


async def test_who_does_not_read_answers_is_not_read_from_either(running: Running) -> None:
    count = 4000
    small = socket.create_connection(("127.0.0.1", running.client.port))
    small.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 1 << 16)
    reader, writer = await asyncio.open_connection(sock=small, limit=1 << 16)
    await asyncio.sleep(0.05)
    (connection,) = express_connections(running)
    connection._transport.get_extra_info("socket").setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, 1 << 16)
    writer.write(request(b"{" + b" " * 100) * count)
    await asyncio.sleep(0.5)

    # asyncio's own limits: for what is written, and for what is read at a time
    assert connection._transport.get_write_buffer_size() < 80_000
    assert len(connection._data) < 600_000
    assert connection._choked
    for _ in range(count):
        answer = await asyncio.wait_for(read_answer(reader), 10)
        assert answer is not None
        assert answer.status == 400
    writer.close()


async def test_who_sent_much_long_ago_and_is_still_served_is_not_taken_for_idle(running: Running) -> None:
    reader, writer = await asyncio.open_connection("127.0.0.1", running.client.port)
    await asyncio.sleep(0.05)
    (connection,) = express_connections(running)
    connection._seen -= 1000
    writer.write(request(encoded(event())) * 3)
    for _ in range(3):
        assert await asyncio.wait_for(read_answer(reader), 5) is not None
        connection._look()
    await asyncio.sleep(0.05)
    assert express_connections(running) == {connection}

    connection._seen -= 1000
    connection._look()
    assert await asyncio.wait_for(reader.read(), 5) == b""
    writer.close()


async def test_a_client_that_goes_leaves_its_event_and_nothing_else(running: Running) -> None:
    begun = len(express_connections(running))
    for data in (request(encoded(event())), request(encoded(event()))[:-5]):
        _, writer = await asyncio.open_connection("127.0.0.1", running.client.port)
        writer.write(data)
        await writer.drain()
        await asyncio.sleep(0.02)
        writer.transport.abort()
    await asyncio.sleep(0.2)

    assert await running.total("llm_requests_total") == 1
    assert len(express_connections(running)) == begun
    begin = time.monotonic()
    await running.client.server._under_way.finish(5)  # nothing is counted as under way for ever
    assert time.monotonic() - begin < 1


async def test_half_a_body_is_aiohttps_to_wait_for(running: Running, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(express, "PART_SECONDS", 0.2)
    monkeypatch.setattr(bodies, "BODY_SECONDS", 0.3)
    data = request(encoded(event()))

    (whole, given_up) = await asyncio.gather(
        ask(running.client.port, data[:-9], data[-9:], pause=0.4), ask(running.client.port, data[:-9])
    )
    assert statuses(whole) == [200]
    assert statuses(given_up) == [408]
    assert await running.total("llm_exporter_events_rejected_total", reason="too_slow") == 1


async def test_pushes_come_encrypted(running: Running, tmp_path: Path) -> None:
    made = certificates(tmp_path)
    served = await serve(running.services, LiveContext(TlsConfig(tmp_path / "server.pem", tmp_path / "server.key")))
    reader, writer = await asyncio.open_connection(
        "127.0.0.1", served.port, ssl=made.client(), server_hostname="localhost"
    )
    for cut in (0, 30, -4):
        data = request(encoded(event()))
        writer.write(data[:cut])
        await asyncio.sleep(0.02)
        writer.write(data[cut:])
        answer = await asyncio.wait_for(read_answer(reader), 5)
        assert answer is not None
        assert answer.status == 200
    writer.close()
    await served.close()


async def test_guesses_are_answered_late_once_they_come_fast_and_nobody_else_waits(
    running: Running, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(limits, "LATE_SECONDS", 0.4)
    with_tokens(running)
    port = running.client.port
    wrong = request(encoded(event()), "Authorization: Bearer guess")
    elsewhere = request(None, "Authorization: Bearer guess", path="/config", method="GET")
    answers = await ask(port, wrong * limits.QUICK_AT_ONCE, answers=limits.QUICK_AT_ONCE)
    assert set(statuses(answers)) == {401}

    begin = time.monotonic()
    guesses = [asyncio.create_task(ask(port, data)) for data in (wrong, elsewhere, wrong, elsewhere)]
    await asyncio.sleep(0.1)
    assert statuses(await ask(port, request(encoded(event()), "Authorization: Bearer test"))) == [200]
    assert time.monotonic() - begin < 0.35
    assert [statuses(answer) for answer in await asyncio.gather(*guesses)] == [[401]] * 4
    assert time.monotonic() - begin >= 0.4
    failures = limits.QUICK_AT_ONCE + 4
    assert (
        running.services.metrics.registry.get_sample_value("llm_exporter_auth_failures_total", {"reason": "unknown"})
        == failures
    )
    running.clock.advance(1)
    begin = time.monotonic()
    assert statuses(await ask(port, wrong)) == [401]
    assert time.monotonic() - begin < 0.35
