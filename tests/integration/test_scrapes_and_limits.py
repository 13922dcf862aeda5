"""Many scrapers, greedy clients, and clients that are slow on purpose."""

from __future__ import annotations

import asyncio
import dataclasses
import time
from pathlib import Path
from typing import Any

import pytest

from exporter.plan.model import Plan, Token
from exporter.runtime import Exporter
from exporter.settings import Settings
from exporter.web import bodies, scrape
from tests.integration.conftest import NOW, SCRAPER, Running, event
from tests.serving import serve

DIGESTS = {
    "test": "9f86d081884c7d659a2feaa0c55ad015a3bf4f1b2b0b822cd15d6c15b0f00a08",
    "second": "16367aacb67a4a017c8da8ab95682ccb390863780f7114dda0a0e0c55644c7c4",
}


@pytest.fixture
def renderings(running: Running, monkeypatch: pytest.MonkeyPatch) -> list[Any]:
    """What was rendered; each takes a moment, as large pages do."""
    made: list[Any] = []
    encode = running.exporter.exposition._encode

    def slow(*arguments: Any) -> bytes:
        made.append(arguments[1:])
        time.sleep(0.1)
        return encode(*arguments)

    monkeypatch.setattr(running.exporter.exposition, "_encode", slow)
    return made


async def test_scrapes_that_come_together_share_the_next_page(running: Running, renderings: list[Any]) -> None:
    first = asyncio.create_task(running.page(scraper=True))
    await asyncio.sleep(0.05)  # the first is being rendered
    rest = await asyncio.gather(*(running.page(scraper=True) for _ in range(20)))

    assert len(renderings) == 2
    assert all(page.keys() == rest[0].keys() for page in [await first, *rest])


async def test_views_and_formats_do_not_share_a_page(running: Running, renderings: list[Any]) -> None:
    async def fetch(**headers: str) -> str:
        async with running.client.get("/metrics", headers=headers) as answer:
            return answer.headers["Content-Type"] + await answer.text()

    pages = await asyncio.gather(
        fetch(), fetch(), fetch(**SCRAPER), fetch(Accept="application/openmetrics-text"), fetch(Accept="text/plain")
    )

    assert len(renderings) == 3
    assert pages[0] == pages[1]
    assert pages[3].endswith("# EOF\n")
    assert not pages[4].endswith("# EOF\n")


async def test_whoever_was_answered_sees_the_event_on_the_next_page(running: Running, renderings: list[Any]) -> None:
    """Also while pages are being made: none that began before the event was stored is taken for the answer."""
    scrapes = [asyncio.create_task(running.page()) for _ in range(5)]
    await asyncio.sleep(0.05)
    for count in range(1, 4):
        await running.push(event())
        assert await running.total("llm_requests_total") == count
    await asyncio.gather(*scrapes)


async def test_a_page_that_cannot_be_made_is_an_error_for_all_who_share_it_and_not_for_the_next(
    running: Running, monkeypatch: pytest.MonkeyPatch
) -> None:
    with monkeypatch.context() as broken:
        broken.setattr(running.exporter.exposition, "facts", lambda: 1 / 0)
        answers = await asyncio.gather(*(running.client.get("/metrics") for _ in range(3)))
        assert [answer.status for answer in answers] == [500] * 3

    assert await running.page()


async def test_more_scrapes_than_allowed_are_sent_away_and_the_rest_answered(tmp_path: Path, plan: Plan) -> None:
    exporter = Exporter(plan, Settings(tmp_path, (), max_requests=2))
    client = await serve(await exporter.start())
    try:
        answers = await asyncio.gather(*(client.get("/metrics") for _ in range(8)))
        statuses = sorted(answer.status for answer in answers)
        assert statuses == [200] * 2 + [503] * 6
        assert {answer.headers.get("Retry-After") for answer in answers if answer.status == 503} == {"5"}
        async with client.get("/metrics") as answer:
            assert answer.status == 200
    finally:
        await client.close()
        await exporter.stop()


async def test_a_reader_that_does_not_read_does_not_hold_its_place(
    running: Running, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(scrape, "SEND_SECONDS", 0.3)
    body = b"x" * 20_000_000  # more than the buffers of the sockets take
    monkeypatch.setattr(running.exporter.exposition, "_encode", lambda *_: body)
    running.services.scrapes = asyncio.Semaphore(1)
    server = running.client
    reader, writer = await asyncio.open_connection(server.host, server.port, limit=1024)
    writer.write(b"GET /metrics HTTP/1.1\r\nHost: localhost\r\n\r\n")
    await reader.readline()

    plain = {"Accept-Encoding": "identity"}
    async with running.client.get("/metrics", headers=plain) as refused:
        assert refused.status == 503
    await asyncio.sleep(0.5)
    async with running.client.get("/metrics", headers=plain) as answer:
        assert answer.status == 200
        await answer.read()
    writer.close()


def with_plan(running: Running, **changes: Any) -> Plan:
    limits = changes.pop("limits", {})
    return dataclasses.replace(running.plan, limits=dataclasses.replace(running.plan.limits, **limits), **changes)


async def test_events_beyond_the_rate_are_refused_until_they_are_paid_for(running: Running) -> None:
    await running.restart(with_plan(running, limits={"ingest_per_second": 10}))
    await running.push(*(event() for _ in range(25)))

    async with running.client.post("/api/v1/events", json=[event()]) as answer:
        assert answer.status == 429
        assert answer.headers["Retry-After"] == "2"  # 25 - 10 and the one that is asked for, at 10 a second
        assert (await answer.json(content_type=None))["reason"] == "rate_limited"
    assert await running.total("llm_requests_total") == 25
    assert await running.total("llm_exporter_events_rejected_total", reason="rate_limited") == 1
    running.clock.advance(1.6)
    await running.push(event())


async def test_tokens_have_limits_of_their_own(running: Running) -> None:
    tokens = tuple(Token(name, "admin", digest) for name, digest in DIGESTS.items())
    await running.restart(with_plan(running, limits={"api_per_minute": 3, "ingest_per_second": 1}, tokens=tokens))

    async def ask(secret: str) -> int:
        async with running.client.get("/config", headers={"Authorization": f"Bearer {secret}"}) as answer:
            return answer.status

    assert [await ask("test") for _ in range(5)] == [200, 200, 200, 429, 429]
    assert await ask("second") == 200
    async with running.client.post(
        "/api/v1/events", json=[event()], headers={"Authorization": "Bearer test"}
    ) as answer:
        assert answer.status == 200
    running.clock.advance(20)
    assert [await ask("test") for _ in range(2)] == [200, 429]


async def test_pages_and_probes_are_not_limited(running: Running) -> None:
    await running.restart(with_plan(running, limits={"api_per_minute": 1}))

    for _ in range(5):
        for path in ("/metrics", "/", "/-/healthy", "/-/ready"):
            async with running.client.get(path) as answer:
                assert answer.status == 200


async def raw(running: Running, *parts: bytes, pause: float = 0.0) -> bytes:
    """Send parts of a request one after the other; the beginning of the answer."""
    server = running.client
    reader, writer = await asyncio.open_connection(server.host, server.port)
    try:
        for part in parts:
            writer.write(part)
            await writer.drain()
            await asyncio.sleep(pause)
        return await asyncio.wait_for(reader.read(4096), 5)
    except ConnectionError:
        return b""
    finally:
        writer.close()


HEAD = (
    b"POST /api/v1/events HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/json\r\nContent-Length: %d\r\n\r\n"
)


async def test_a_body_that_never_ends_is_given_up(running: Running, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(bodies, "BODY_SECONDS", 0.3)
    start = time.monotonic()

    answer = await raw(running, HEAD % 1000 + b"[")

    assert answer.startswith(b"HTTP/1.1 408 ")
    assert b'"reason":"too_slow"' in answer
    assert time.monotonic() - start < 5
    assert await running.total("llm_exporter_events_rejected_total", reason="too_slow") == 1


async def test_a_body_that_trickles_is_given_up_although_it_never_rests(
    running: Running, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(bodies, "BODY_SECONDS", 0.3)

    answer = await raw(running, HEAD % 1000, *([b" "] * 12), pause=0.05)

    assert answer.startswith(b"HTTP/1.1 408 ")


async def test_a_large_body_on_a_slow_line_gets_the_time_that_it_needs(
    running: Running, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(bodies, "BODY_SECONDS", 0.2)
    body = b" " * 160_000 + b"[]"
    parts = [body[start : start + 16_384] for start in range(0, len(body), 16_384)]

    server = running.client
    reader, writer = await asyncio.open_connection(server.host, server.port)
    writer.write(HEAD % len(body))
    for part in parts:
        writer.write(part)
        await asyncio.sleep(0.06)
    assert b" 408 " not in await asyncio.wait_for(reader.readline(), 10)
    writer.close()


async def test_slow_clients_do_not_keep_others_waiting(running: Running) -> None:
    server = running.client
    slow = [await asyncio.open_connection(server.host, server.port) for _ in range(200)]
    for index, (_, writer) in enumerate(slow):
        writer.write(HEAD % 1000 if index % 2 else b"POST /api/v1/ev")

    start = time.monotonic()
    await running.push(event())
    assert time.monotonic() - start < 2
    assert await running.total("llm_requests_total") == 1
    for _, writer in slow:
        writer.close()


async def test_a_body_announced_too_large_is_refused_before_it_is_sent(running: Running) -> None:
    server = running.client
    reader, writer = await asyncio.open_connection(server.host, server.port)
    writer.write(HEAD % 10**12)

    assert (await asyncio.wait_for(reader.readline(), 5)).startswith(b"HTTP/1.1 413 ")
    writer.close()


def test_the_tests_clock_stands_still() -> None:
    assert NOW == 1747735200.0
