"""Senders that go away, and senders of what is no HTTP: no failure of ours, and nothing of theirs in the log."""

from __future__ import annotations

import asyncio
import contextlib
import io
import logging
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager

import pytest
import structlog
from aiohttp import web

from exporter import log
from exporter.web.app import create_app
from tests.integration.conftest import Running

HEAD = (
    b"POST /api/v1/events HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/json\r\nContent-Length: 1000\r\n\r\n"
)


@pytest.fixture
def logged(monkeypatch: pytest.MonkeyPatch) -> Iterator[io.StringIO]:
    """What is logged at the usual level."""
    stream = io.StringIO()
    monkeypatch.setattr("sys.stderr", stream)
    handlers, level = logging.root.handlers[:], logging.root.level
    log.configure("info", "logfmt")
    yield stream
    structlog.reset_defaults()
    logging.root.handlers[:] = handlers
    logging.root.setLevel(level)


@pytest.fixture
async def port(running: Running) -> AsyncIterator[int]:
    """Where the exporter is served as its command serves it: handlers go on when their client has gone."""
    runner = web.AppRunner(create_app(running.services), access_log=None, auto_decompress=False)
    await runner.setup()
    site = web.TCPSite(runner, "127.0.0.1", 0)
    await site.start()
    yield site.port
    await runner.cleanup()


@asynccontextmanager
async def sent(port: int, data: bytes) -> AsyncIterator[asyncio.StreamReader]:
    """A connection over which something was sent; it breaks off at the end."""
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    writer.write(data)
    await writer.drain()
    yield reader
    writer.transport.abort()
    with contextlib.suppress(OSError):
        await writer.wait_closed()


async def test_a_sender_that_goes_away_in_the_middle_of_a_body_is_a_malformed_body(
    running: Running, port: int, logged: io.StringIO
) -> None:
    for _ in range(3):
        async with sent(port, HEAD + b'[{"model":'):
            await asyncio.sleep(0.05)

    for _ in range(100):
        if await running.total("llm_exporter_events_rejected_total", reason="malformed") == 3:
            break
        await asyncio.sleep(0.05)
    assert await running.total("llm_exporter_events_rejected_total", reason="malformed") == 3
    assert logged.getvalue() == ""


@pytest.mark.parametrize(
    "request_",
    [
        b"GET / HTTP/1.1\r\nHost: localhost\r\nAuthorization : Bearer hunter2\r\n\r\n",
        b"GET /metrics?token=hunter2 HTTP/nine\r\n\r\n",
        b"hunter2" * 1000 + b"\r\n\r\n",
    ],
)
async def test_what_is_no_http_is_refused_and_nothing_of_it_is_logged(
    port: int, logged: io.StringIO, request_: bytes
) -> None:
    async with sent(port, request_) as reader:
        assert (await asyncio.wait_for(reader.readline(), 5)).split()[1] == b"400"
    assert logged.getvalue() == ""


async def test_a_library_that_fails_is_logged_in_one_line_of_bounded_length(logged: io.StringIO) -> None:
    try:
        raise ValueError("x" * 100_000)
    except ValueError:
        logging.getLogger("aiohttp.server").exception("Unhandled %s", "y" * 100_000)

    (line,) = logged.getvalue().splitlines()
    assert "level=error" in line
    assert "ValueError" in line
    assert "Traceback" not in line
    assert len(line) < 2000
