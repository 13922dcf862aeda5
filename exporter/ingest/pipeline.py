"""Ingest: what a request brings is prepared, stored, counted, and only then acknowledged."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Sequence
from contextlib import suppress
from functools import partial
from typing import NamedTuple, Protocol

from exporter.clock import Clock
from exporter.errors import LedgerError, Overloaded
from exporter.events import Decoded, Rejection
from exporter.ingest.names import Names
from exporter.ingest.prepare import Counting, Preparer
from exporter.ledger.writer import Writer
from exporter.plan.model import Plan
from exporter.pricing.book import PriceBook
from exporter.totals import Row

_SLICE = 500  # events prepared before the event loop may do something else


class Stats(Counting, Protocol):
    """Where ingest counts what happens to events."""

    def accepted(self, count: int, duplicates: int) -> None:
        """Events stored, and events that were stored before."""

    def rejected(self, reason: str, count: int = 1) -> None:
        """Events refused."""


class Receipt(NamedTuple):
    """What became of a request's events; `cost` (nano-dollars) and `at` (Unix seconds) are those of its only event."""

    accepted: int
    duplicates: int
    rejected: Sequence[Rejection]
    cost: int | None = None
    at: float | None = None


class Submission(NamedTuple):
    """A request's events on their way into the ledger."""

    stored: asyncio.Future[int]  # done when they are durable and counted, or could not be stored
    rows: Sequence[Row]
    rejected: Sequence[Rejection]
    stats: Stats

    def receipt(self) -> Receipt:
        """What became of them; to be asked once, after `stored` is done.

        Raises:
            LedgerError: the ledger could not be written; nothing was stored.
        """
        rows = self.rows
        try:
            accepted = self.stored.result()
        except LedgerError:
            self.stats.rejected("unavailable", len(rows))
            raise
        duplicates = len(rows) - accepted
        self.stats.accepted(accepted, duplicates)
        if len(rows) != 1:
            return Receipt(accepted, duplicates, self.rejected)
        return Receipt(accepted, duplicates, self.rejected, rows[0].cost, rows[0].at_us / 1_000_000)


class Ingest:
    """The way of events into the ledger. Owned by the event loop."""

    def __init__(self, plan: Plan, book: PriceBook, names: Names, writer: Writer, clock: Clock, stats: Stats) -> None:
        self._names = names
        self._writer = writer
        self._clock = clock
        self._stats = stats
        self._preparer = Preparer(plan, book, names, stats)

    def prepare(self, plan: Plan, book: PriceBook) -> Callable[[], None]:
        """The step after which events are resolved and priced by this plan; it cannot fail.

        What is stored keeps its labels and its price.
        """
        return partial(self._adopt, Preparer(plan, book, self._names, self._stats))

    def _adopt(self, preparer: Preparer) -> None:
        self._preparer = preparer

    async def submit(self, decoded: Decoded, migration: str | None = None) -> Receipt:
        """Store events; returns when they are durable and counted.

        `migration` is the one that the request's path names. Rejected events do not hold the others up.

        Raises:
            Overloaded: the write queue is full; nothing was stored.
            LedgerError: the ledger could not be written; nothing was stored.
        """
        preparer = self._preparer  # a reload in between must not split a request
        rejected = list(decoded.rejected)
        events, indices = decoded.events, decoded.indices
        now = self._clock.now()
        rows = preparer.rows(events[:_SLICE], indices[:_SLICE], migration, now, rejected)
        for start in range(_SLICE, len(events), _SLICE):
            await asyncio.sleep(0)
            part = slice(start, start + _SLICE)
            rows += preparer.rows(events[part], indices[part], migration, now, rejected)
        submission = self._store(rows, rejected)
        with suppress(LedgerError):  # which `receipt` raises
            await submission.stored
        return submission.receipt()

    def submit_soon(self, decoded: Decoded, migration: str | None = None) -> Submission:
        """The same for a few events and a caller without a task: once they are stored, `receipt` says the rest.

        Raises:
            Overloaded: the write queue is full; nothing was stored.
        """
        rejected = list(decoded.rejected)
        rows = self._preparer.rows(decoded.events, decoded.indices, migration, self._clock.now(), rejected)
        return self._store(rows, rejected)

    def _store(self, rows: Sequence[Row], rejected: list[Rejection]) -> Submission:
        if rejected:
            rejected.sort(key=lambda rejection: rejection.index)
            for rejection in rejected:
                self._stats.rejected(rejection.reason)
        if not rows:
            nothing: asyncio.Future[int] = asyncio.get_running_loop().create_future()
            nothing.set_result(0)
            return Submission(nothing, rows, rejected, self._stats)
        try:
            return Submission(self._writer.append(rows), rows, rejected, self._stats)
        except Overloaded:
            self._stats.rejected("queue_full", len(rows))
            raise
