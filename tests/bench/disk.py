"""Bytes of ledger an event, its idempotency key included: written as live operation writes."""

from __future__ import annotations

import asyncio
import sqlite3
from pathlib import Path

from exporter.events import decode
from exporter.plan.load import load
from exporter.runtime import LEDGER_FILE, Exporter
from exporter.settings import Settings
from tests.bench import machine
from tests.bench.results import Result
from tests.bench.traffic import Traffic

_BATCH = 1000


def measure(*, quick: bool) -> list[Result]:
    """Bytes; random ids in batches of 1,000, so that pages are as full as they become."""
    count = 50_000 if quick else 300_000
    with machine.folder() as folder:
        empty = asyncio.run(_size(folder / "empty", _BATCH))
        full = asyncio.run(_size(folder / "full", count + _BATCH))
        note = _tables(folder / "full" / LEDGER_FILE, count)
    return [
        Result(
            "bytes on disk an event",
            (full - empty) / count,
            "bytes",
            floor=130,
            goal=70,
            note=note,
            better="lower",
            judged="value",
        )
    ]


async def _size(data: Path, count: int) -> int:
    """The size of the ledger after so many events and an orderly end."""
    exporter = Exporter(load(machine.CONFIG), Settings(data, ()))
    services = await exporter.start()
    traffic = Traffic()
    for _ in range(count // _BATCH):
        body = b"\n".join(traffic.lines(_BATCH))
        receipt = await services.ingest.submit(decode(body, ndjson=True, max_events=_BATCH))
        if receipt.accepted != _BATCH:
            raise AssertionError(f"{_BATCH} new events were sent, {receipt.accepted} were counted")
    await exporter.stop()
    return sum(path.stat().st_size for path in data.iterdir())


def _tables(path: Path, count: int) -> str:
    """Where the bytes are, when SQLite was built so that it can tell."""
    connection = sqlite3.connect(path)
    try:
        sizes = connection.execute("SELECT name, sum(pgsize) FROM dbstat GROUP BY name ORDER BY 2 DESC").fetchall()
    except sqlite3.Error:
        return ""
    finally:
        connection.close()
    return ", ".join(f"{name} {size / count:.0f}" for name, size in sizes if size / count >= 1)
