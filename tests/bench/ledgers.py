"""Ledgers that are full before the clock starts: real rows, written in large transactions."""

from __future__ import annotations

import asyncio
import os
import time
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path

from exporter.clock import SystemClock
from exporter.events import Decoded, Event, decode
from exporter.ingest.names import Names
from exporter.ingest.pipeline import Ingest
from exporter.ledger.store import Name, Store
from exporter.plan.load import load
from exporter.plan.model import Plan
from exporter.pricing.book import PriceBook
from exporter.runtime import LEDGER_FILE
from exporter.totals import Checkpoint, Row, Totals
from tests.bench.machine import CONFIG
from tests.bench.traffic import Traffic

_TEMPLATES = 5000
_COMMIT = 1000  # events of a chunk, as live operation makes them under load
_SPREAD_US = 20 * 86_400 * 1_000_000


class _Kept:
    """In the place of a writer: keeps the rows that ingest prepared."""

    def __init__(self) -> None:
        self.rows: list[Row] = []

    def append(self, rows: Sequence[Row]) -> asyncio.Future[int]:
        self.rows += rows
        done: asyncio.Future[int] = asyncio.get_running_loop().create_future()
        done.set_result(len(rows))
        return done


class _Silent:
    def accepted(self, count: int, duplicates: int) -> None: ...
    def rejected(self, reason: str, count: int = 1) -> None: ...
    def folded(self, label: str) -> None: ...
    def dropped(self, metric: str) -> None: ...


class Filling:
    """Rows as ingest makes them, in any number, with ids of their own."""

    def __init__(self, plan: Plan, events: Sequence[Event]) -> None:
        self.names: list[Name] = []
        self.totals = Totals()
        kept = _Kept()
        names = Names(self._new)
        ingest = Ingest(
            plan,
            PriceBook.load(),
            names,
            kept,  # type: ignore[arg-type]
            SystemClock(),
            _Silent(),
        )
        for start in range(0, len(events), 1000):
            part = events[start : start + 1000]
            asyncio.run(ingest.submit(Decoded(part, range(len(part)), ())))
        self._id_bytes = len(kept.rows[0].id_hash or b"")
        self._templates = [tuple(row[2:]) for row in kept.rows]

    def _new(self, name: Name) -> None:
        self.names.append(name)
        self.totals.add_name(name.id, name.kind, name.value)

    def rows(self, count: int, first_us: int, step_us: int) -> list[Row]:
        """Rows at even distances in time, with random ids."""
        width = self._id_bytes
        random = os.urandom(width * count)
        templates = self._templates
        size = len(templates)
        make: Callable[[tuple[object, ...]], Row] = Row._make
        return [
            make((random[i * width : (i + 1) * width], first_us + i * step_us, *templates[i % size]))
            for i in range(count)
        ]


def events(count: int = _TEMPLATES) -> Sequence[Event]:
    """Events as the wire format gives them."""
    body = b"\n".join(Traffic(seed=7).lines(count))
    return decode(body, ndjson=True, max_events=count).events


def fill(folder: Path, count: int, *, tail: int = 0, chunk: int = 100_000, config: Path = CONFIG) -> None:
    """A ledger of `count` events, the last `tail` of them after the checkpoint.

    Ids go in by large groups in random order, so that the index's pages are as full as live operation leaves them.
    """
    build(folder, Filling(load(config), events()), count, tail=tail, chunk=chunk)


def build(folder: Path, filling: Filling, count: int, *, tail: int = 0, chunk: int = 100_000) -> None:
    """As `fill`, with rows of the caller's."""
    folder.mkdir(parents=True, exist_ok=True)
    store = Store(folder / LEDGER_FILE)
    with store.transaction():
        store.add_names(filling.names)
    now = time.time()
    step_us = _SPREAD_US // max(count, 1)
    totals = filling.totals
    totals.enter(now)
    for first, size in _chunks(count - tail, tail, chunk):
        rows = filling.rows(size, round(now * 1_000_000) - (count - first) * step_us, step_us)
        with store.transaction():
            for start in range(0, len(rows), _COMMIT):
                store.add_rows(rows[start : start + _COMMIT], first + start + 1)
            store.ids.add([row[0] for row in rows if row[0] is not None], first + size, int(now // 86400))
        if first < count - tail:
            totals.apply(rows, 0.0)
        while store.ids.merging:  # as the exporter does between commits
            with store.transaction():
                store.ids.add([], first + size, int(now // 86400))
        if first + size == count - tail:
            checkpoint = Checkpoint(totals, now, count - tail)
            for _ in checkpoint.pack():
                pass
            with store.transaction():
                store.save_checkpoint(checkpoint.rows, checkpoint.pending, checkpoint.seq)
    store.close()


def _chunks(head: int, tail: int, chunk: int) -> Iterator[tuple[int, int]]:
    for begin, end in ((0, head), (head, head + tail)):
        for first in range(begin, end, chunk):
            yield first, min(chunk, end - first)
