"""From an event to the row that the ledger stores: checked against the plan, labelled, priced. The hot path.

What depends only on an event's labels is worked out once and kept (a `Way`); what is left for each event is arithmetic.
"""

from __future__ import annotations

from collections.abc import Iterable
from datetime import datetime
from hashlib import blake2b
from typing import Protocol

import msgspec

from exporter.catalog import ERROR_TYPES
from exporter.events import TIERS, Event, Rejection, Tier, check
from exporter.ingest.names import Names
from exporter.ingest.resolve import Resolution, Resolver, UnknownMigrationError
from exporter.money import pico_to_nano, usd_to_nano
from exporter.plan.model import Plan
from exporter.pricing.book import PriceBook
from exporter.pricing.rates import Schedule, Usage
from exporter.totals import Row

AHEAD_SECONDS = 300
_MAX_NANO = 10**18  # a billion dollars for one call is a mistake, and sums must fit the ledger's integers
_ERRORS = {name: number for number, name in enumerate(ERROR_TYPES, start=1)}
_OTHER_ERROR = _ERRORS["other"]
_TIERS = {name: number for number, name in enumerate(TIERS)}
_WAYS = 20_000  # kept; beyond, all are worked out anew
# In the key of a way. A label with a zero character in it makes more of them, or a longer key out of a shorter one; but
# short keys end in a tier and long ones in `True` or `False`.
_SEPARATORS = (4, 7)
_row = tuple.__new__  # a Row from a tuple of all its fields, in half the time of `Row(...)`


class Counting(Protocol):
    """Where it is counted that labels had no room."""

    def folded(self, label: str) -> None:
        """A label value beyond the known ones."""

    def dropped(self, metric: str) -> None:
        """A label set beyond a metric's limit."""


class _Price:
    """What a model costs in a tier, and in another one where it lacks the first."""

    __slots__ = ("cached", "flat", "input", "output", "schedules", "written")

    def __init__(self, *schedules: Schedule | None) -> None:
        self.schedules = [schedule for schedule in schedules if schedule is not None]
        rates = self.schedules[0].always if self.schedules else None
        #: Whether the rates never change and do not depend on the size of a call: then they are here.
        self.flat = rates is not None and not rates.above
        self.input = self.output = self.cached = self.written = 0
        if rates is not None:
            self.input, self.output = rates.input, rates.output
            self.cached = rates.input if rates.cached_input is None else rates.cached_input
            self.written = rates.input if rates.cache_write is None else rates.cache_write

    def cost(self, usage: Usage, at: float) -> int | None:
        """Pico-dollars of a call at a Unix time; None when its price is not known."""
        for schedule in self.schedules:
            rates = schedule.always or schedule.at(at)
            if rates is not None:
                return rates.cost_pico(usage)
        return None


class Way:
    """What all events of one label set and tier have in common."""

    __slots__ = ("cell", "folded", "group", "model", "other", "own", "route", "tier")

    def __init__(self, place: Resolution, own: _Price, other: _Price | None, tier: Tier) -> None:
        self.cell, self.route, self.model = place.cell, place.route, place.model
        self.group = place.group
        self.folded = place.folded
        self.own = own
        self.other = other
        self.tier = _TIERS[tier]


class Preparer:
    """One plan's view of events. Owned by the event loop."""

    def __init__(self, plan: Plan, book: PriceBook, names: Names, counting: Counting) -> None:
        self._plan = plan
        self._book = book
        self._counting = counting
        self._resolver = Resolver(plan, book, names, counting.dropped)
        self._names = names
        self._price_version: int | None = None
        self._ways: dict[str, Way] = {}  # labels, joined by zero characters
        self._prices: dict[tuple[str, tuple[Tier | None, ...]], _Price] = {}

    def rows(  # noqa: PLR0912, PLR0915 - the hot loop, one pass
        self,
        events: Iterable[Event],
        indices: Iterable[int],
        migration: str | None,
        now: float,
        rejected: list[Rejection],
    ) -> list[Row]:
        """The rows of those events that can be taken; the others are added to `rejected`.

        Args:
            events: Events as they were sent.
            indices: Their places in the request.
            migration: The migration that the request's path names.
            now: Unix seconds.
            rejected: Where refusals go.
        """
        rows: list[Row] = []
        ways = self._ways
        oldest, newest = now - self._plan.retention.events, now + AHEAD_SECONDS
        version = self._price_version
        if version is None:
            version = self._price_version = self._names.id("price_version", (self._book.version,))
        for event, index in zip(events, indices, strict=True):
            stamp = event.timestamp
            at = now if stamp is None else stamp if isinstance(stamp, float) else _seconds(stamp)
            cached, written, reasoning = event.cached_input_tokens, event.cache_write_tokens, event.reasoning_tokens
            error_type = event.error_type
            if cached or written or reasoning or error_type is not None or event.evaluator is not None:
                contradiction = check(event)
                if contradiction is not None:
                    rejected.append(Rejection(index, contradiction[0], "inconsistent", contradiction[1]))
                    continue
            if not oldest <= at <= newest:
                rejected.append(self._out_of_time(index, at, now))
                continue
            if migration is not None:
                if event.migration is None:
                    event = msgspec.structs.replace(event, migration=migration)  # noqa: PLW2901
                elif event.migration != migration:
                    message = f"the event says {event.migration}, the address {migration}"
                    rejected.append(Rejection(index, "migration", "inconsistent", message))
                    continue
            key = f"{event.model}\0{event.application}\0{event.category}\0{event.endpoint}\0{event.tier}"
            if event.migration is not None or event.replaces is not None or event.shadow:
                key = f"{key}\0{event.migration!r}\0{event.replaces!r}\0{event.shadow}"
            way = ways.get(key)
            if way is None:
                made = self._way(event, key, index)
                if isinstance(made, Rejection):
                    rejected.append(made)
                    continue
                way = made
            tokens, output = event.input_tokens, event.output_tokens
            fresh = tokens - cached - written
            own, other = way.own, way.other
            cost: int | None
            counterfactual: int | None = None
            if own.flat:
                pico = fresh * own.input + cached * own.cached + written * own.written + output * own.output
                cost, rest = divmod(pico, 1000)
                if rest >= 500 and (rest > 500 or cost & 1):  # half to even, as `pico_to_nano`
                    cost += 1
            else:
                cost = _nano(own.cost(Usage(tokens, cached, written, output), at))
            if cost is not None and cost > _MAX_NANO:
                message = "these tokens would cost more than a billion dollars"
                rejected.append(Rejection(index, "output_tokens", "out_of_range", message))
                continue
            if other is not None:
                if other.flat:
                    pico = fresh * other.input + cached * other.cached + written * other.written + output * other.output
                    counterfactual, rest = divmod(pico, 1000)
                    if rest >= 500 and (rest > 500 or counterfactual & 1):
                        counterfactual += 1
                else:
                    counterfactual = _nano(other.cost(Usage(tokens, cached, written, output), at))
                if counterfactual is not None and counterfactual > _MAX_NANO:
                    counterfactual = None
            if way.folded:
                for label in way.folded:
                    self._counting.folded(label)
            evaluator = quality = unpriced = None
            if event.quality_score is not None:
                quality = round(event.quality_score * 1000)
                evaluator, folded = self._resolver.evaluator(event.evaluator or "", way.group)
                if folded:
                    self._counting.folded("evaluator")
            if cost is None:
                unpriced, folded = self._resolver.unpriced(event.model)
                if folded:
                    self._counting.folded("unpriced")
            first_token = event.time_to_first_token
            identity = event.id
            rows.append(
                _row(
                    Row,
                    (
                        blake2b(identity.encode(), digest_size=16).digest() if identity is not None else None,
                        round(at * 1_000_000),
                        way.cell,
                        way.route,
                        fresh,
                        cached,
                        written,
                        output - reasoning,
                        reasoning,
                        round(event.latency * 1_000_000),
                        None if first_token is None else round(first_token * 1_000_000),
                        0 if event.success else _ERRORS.get(error_type or "other", _OTHER_ERROR),
                        cost,
                        counterfactual,
                        None if event.cost_usd is None else usd_to_nano(event.cost_usd),
                        quality,
                        evaluator,
                        unpriced,
                        way.model,
                        way.tier,
                        version,
                        event.pair_id,
                        event.prompt_hash,
                        event.trace_id,
                    ),
                )
            )
        return rows

    def _way(self, event: Event, key: str, index: int) -> Way | Rejection:
        """Work out the way of an event and keep it, unless a zero character makes its key the key of others as well."""
        try:
            place = self._resolver.resolve(event)
        except UnknownMigrationError as error:
            known = ", ".join(m.name for m in self._plan.migrations)
            return Rejection(index, "migration", "unknown_migration", f"no migration {error}; there is {known}")
        if len(self._ways) >= _WAYS:
            self._ways.clear()
        other = place.counterpart
        way = Way(
            place,
            self._price(event.model, event.tier, None),
            # The same tokens on the other side; a model that lacks the tier would have been called at standard price.
            None if other is None else self._price(other, event.tier, "standard"),
            event.tier,
        )
        if key.count("\0") in _SEPARATORS:
            self._ways[key] = way
        return way

    def _price(self, model: str, *tiers: Tier | None) -> _Price:
        """One object for each price, however many label sets have it: it is in the processor's cache then."""
        price = self._prices.get((model, tiers))
        if price is None:
            if len(self._prices) >= _WAYS:
                self._prices.clear()
            schedules = [self._book.schedule(model, tier) for tier in tiers if tier is not None]
            price = self._prices[model, tiers] = _Price(*schedules)
        return price

    def _out_of_time(self, index: int, at: float, now: float) -> Rejection:
        if at > now:
            message = f"more than {AHEAD_SECONDS // 60} minutes ahead of the exporter's clock"
            return Rejection(index, "timestamp", "in_future", message)
        days = self._plan.retention.events / 86400
        message = f"older than retention.events ({days:g} days); use `import` for history"
        return Rejection(index, "timestamp", "too_old", message)


def _seconds(stamp: float | datetime) -> float:
    return stamp.timestamp() if isinstance(stamp, datetime) else float(stamp)


def _nano(pico: int | None) -> int | None:
    return None if pico is None else pico_to_nano(pico)
