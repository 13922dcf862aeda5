"""Ingest: resolve, price, commit, fold, and only then acknowledge."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import datetime
from functools import partial
from hashlib import blake2b
from typing import Protocol

import msgspec

from exporter.catalog import ERROR_TYPES
from exporter.clock import Clock
from exporter.errors import LedgerError, Overloaded
from exporter.events import TIERS, Decoded, Event, Rejection, check
from exporter.ingest.names import Names
from exporter.ingest.resolve import Resolver, UnknownMigrationError
from exporter.ledger.writer import Writer
from exporter.money import usd_to_nano
from exporter.plan.model import Plan
from exporter.pricing.book import PriceBook, Usage
from exporter.totals import Row, Totals

AHEAD_SECONDS = 300
_SLICE = 500  # events prepared before the event loop may do something else
_MAX_NANO = 10**18  # a billion dollars for one call is a mistake, and sums must fit the ledger's integers
_ERRORS = {name: number for number, name in enumerate(ERROR_TYPES, start=1)}
_OTHER_ERROR = _ERRORS["other"]
_TIERS = {name: number for number, name in enumerate(TIERS)}


class Stats(Protocol):
    """Where ingest counts what happens to events."""

    def accepted(self, count: int, duplicates: int) -> None:
        """Events stored, and events that were stored before."""

    def rejected(self, reason: str, count: int = 1) -> None:
        """Events refused."""

    def folded(self, label: str) -> None:
        """A label value beyond the known ones."""

    def dropped(self, metric: str) -> None:
        """A label set beyond a metric's limit."""


@dataclass(frozen=True, slots=True)
class Receipt:
    """What became of a request's events; `cost` (nano-dollars) and `at` (Unix seconds) are those of its only event."""

    accepted: int
    duplicates: int
    rejected: Sequence[Rejection]
    cost: int | None = None
    at: float | None = None


class Ingest:
    """The way of events into the ledger. Owned by the event loop."""

    def __init__(
        self, plan: Plan, book: PriceBook, names: Names, writer: Writer, totals: Totals, clock: Clock, stats: Stats
    ) -> None:
        self._names = names
        self._writer = writer
        self._totals = totals
        self._clock = clock
        self._stats = stats
        self.prepare(plan, book)()
        self.folded_seq = 0  # the ledger's place up to which the totals count

    def prepare(self, plan: Plan, book: PriceBook) -> Callable[[], None]:
        """The step after which events are resolved and priced by this plan; it cannot fail.

        What is stored keeps its labels and its price.
        """
        return partial(self._adopt, plan, book, Resolver(plan, book, self._names, self._stats.dropped))

    def _adopt(self, plan: Plan, book: PriceBook, resolver: Resolver) -> None:
        self._plan = plan
        self._book = book
        self._resolver = resolver
        self._price_version = self._names.id("price_version", (book.version,))

    async def submit(self, decoded: Decoded, migration: str | None = None) -> Receipt:
        """Store events; returns when they are durable and counted.

        `migration` is the one that the request's path names. Rejected events do not hold the others up.

        Raises:
            Overloaded: the write queue is full; nothing was stored.
            LedgerError: the ledger could not be written; nothing was stored.
        """
        rows: list[Row] = []
        rejected = list(decoded.rejected)
        now = self._clock.now()
        for start in range(0, len(decoded.events), _SLICE):
            if start:
                await asyncio.sleep(0)
            for event, index in zip(
                decoded.events[start : start + _SLICE], decoded.indices[start : start + _SLICE], strict=True
            ):
                row = self._prepare(event, index, migration, now)
                if isinstance(row, Row):
                    rows.append(row)
                else:
                    rejected.append(row)
        rejected.sort(key=lambda rejection: rejection.index)
        for rejection in rejected:
            self._stats.rejected(rejection.reason)
        accepted = 0
        if rows:
            try:
                accepted = await asyncio.shield(self._writer.append(rows, self._fold))
            except Overloaded:
                self._stats.rejected("queue_full", len(rows))
                raise
            except LedgerError:
                self._stats.rejected("unavailable", len(rows))
                raise
        duplicates = len(rows) - accepted
        self._stats.accepted(accepted, duplicates)
        if len(rows) != 1:
            return Receipt(accepted, duplicates, rejected)
        return Receipt(accepted, duplicates, rejected, rows[0].cost, rows[0].at_us / 1_000_000)

    def _fold(self, rows: Sequence[Row], last_seq: int) -> None:
        self._totals.apply(rows, self._clock.monotonic())
        self.folded_seq = last_seq

    def _prepare(self, event: Event, index: int, migration: str | None, now: float) -> Row | Rejection:
        contradiction = check(event)
        if contradiction is not None:
            return Rejection(index, contradiction[0], "inconsistent", contradiction[1])
        stamp = event.timestamp
        at = now if stamp is None else stamp.timestamp() if isinstance(stamp, datetime) else stamp
        if at > now + AHEAD_SECONDS:
            message = f"more than {AHEAD_SECONDS // 60} minutes ahead of the exporter's clock"
            return Rejection(index, "timestamp", "in_future", message)
        if at < now - self._plan.retention.events:
            days = self._plan.retention.events / 86400
            message = f"older than retention.events ({days:g} days); use `import` for history"
            return Rejection(index, "timestamp", "too_old", message)
        if migration is not None and event.migration is not None and event.migration != migration:
            message = f"the event says {event.migration}, the address {migration}"
            return Rejection(index, "migration", "inconsistent", message)
        if migration is not None and event.migration is None:
            event = msgspec.structs.replace(event, migration=migration)
        tier = event.tier
        usage = Usage(event.input_tokens, event.cached_input_tokens, event.cache_write_tokens, event.output_tokens)
        cost = self._book.cost_nano(event.model, usage, at, tier)
        if cost is not None and cost > _MAX_NANO:
            message = "these tokens would cost more than a billion dollars"
            return Rejection(index, "output_tokens", "out_of_range", message)
        try:
            place = self._resolver.resolve(event)
        except UnknownMigrationError as error:
            known = ", ".join(m.name for m in self._plan.migrations)
            return Rejection(index, "migration", "unknown_migration", f"no migration {error}; there is {known}")
        for label in place.folded:
            self._stats.folded(label)
        evaluator = unpriced = None
        if event.quality_score is not None:
            evaluator, folded = self._resolver.evaluator(event.evaluator or "", place.group)
            if folded:
                self._stats.folded("evaluator")
        if cost is None:
            unpriced, folded = self._resolver.unpriced(event.model)
            if folded:
                self._stats.folded("unpriced")
        return Row(
            id_hash=blake2b(event.id.encode(), digest_size=16).digest() if event.id is not None else None,
            at_us=round(at * 1_000_000),
            cell=place.cell,
            route=place.route,
            input_tokens=event.input_tokens - event.cached_input_tokens - event.cache_write_tokens,
            cached_input_tokens=event.cached_input_tokens,
            cache_write_tokens=event.cache_write_tokens,
            output_tokens=event.output_tokens - event.reasoning_tokens,
            reasoning_tokens=event.reasoning_tokens,
            latency_us=round(event.latency * 1_000_000),
            first_token_us=None if event.time_to_first_token is None else round(event.time_to_first_token * 1_000_000),
            error=0 if event.success else _ERRORS.get(event.error_type or "other", _OTHER_ERROR),
            cost=cost,
            counterfactual=self._counterfactual(place.counterpart, usage, at, tier),
            reported=None if event.cost_usd is None else usd_to_nano(event.cost_usd),
            quality=None if event.quality_score is None else round(event.quality_score * 1000),
            evaluator=evaluator,
            unpriced=unpriced,
            model=place.model,
            tier=_TIERS[tier],
            price_version=self._price_version,
            pair=event.pair_id,
            prompt_hash=event.prompt_hash,
            trace_id=event.trace_id,
        )

    def _counterfactual(self, model: str | None, usage: Usage, at: float, tier: str) -> int | None:
        """The same tokens on the other side; a model that lacks the tier would have been called at standard price."""
        if model is None:
            return None
        cost = self._book.cost_nano(model, usage, at, tier)
        if cost is None and tier != "standard":
            cost = self._book.cost_nano(model, usage, at, "standard")
        return None if cost is None or cost > _MAX_NANO else cost
