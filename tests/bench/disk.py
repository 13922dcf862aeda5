"""Bytes of ledger an event, its idempotency key included: written as live operation writes."""

from __future__ import annotations

import sqlite3
import time

from exporter.ledger.store import Store
from exporter.plan.load import load
from exporter.runtime import LEDGER_FILE
from tests.bench import ledgers, machine
from tests.bench.results import Result

_GROUP = 1000


def measure(*, quick: bool) -> list[Result]:
    """Bytes; random ids in groups of 1,000, so that pages are as full as they become."""
    count = 50_000 if quick else 300_000
    with machine.folder() as folder:
        filling = ledgers.Filling(load(machine.CONFIG), ledgers.events())
        empty = _size(folder, filling, "empty", 0)
        size = _size(folder, filling, "full", count)
        detail = _tables(folder / "full" / LEDGER_FILE, count)
    return [
        Result(
            "bytes on disk an event",
            (size - empty) / count,
            "bytes",
            floor=130,
            goal=70,
            note=detail,
            better="lower",
            judged="value",
        )
    ]


def _size(folder: machine.Path, filling: ledgers.Filling, name: str, count: int) -> int:
    (folder / name).mkdir()
    path = folder / name / LEDGER_FILE
    store = Store(path)
    now_us = round(time.time() * 1_000_000)
    for first in range(0, count, _GROUP):
        rows = filling.rows(_GROUP, now_us + first * 1000, 1000)
        with store.transaction():
            store.add_rows(rows, first + 1)
            store.add_ids((row[0] for row in rows if row[0] is not None), int(time.time() // 86400))
    store.close()
    return path.stat().st_size


def _tables(path: machine.Path, count: int) -> str:
    """Where the bytes are, where SQLite can tell."""
    connection = sqlite3.connect(path)
    try:
        sizes = connection.execute("SELECT name, sum(pgsize) FROM dbstat GROUP BY name ORDER BY 2 DESC").fetchall()
    except sqlite3.Error:
        return ""
    finally:
        connection.close()
    return ", ".join(f"{name} {size / count:.0f}" for name, size in sizes if size / count >= 1)
