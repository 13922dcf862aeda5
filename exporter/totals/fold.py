"""The fold: what all events of the ledger add up to.

Everything is an integer (calls, tokens, nano-dollars, microseconds, milli-scores) and every operation is a sum or a
maximum, so that neither the order of events nor where a checkpoint lies can change a total (for pairs, as far as
`exporter.totals.pairs` says). Labels were decided at ingest and are stored as the id of a cell; the fold never resolves
anything again. Exemplars are no totals: they point at a recent call, and are not kept over a restart.
"""

from __future__ import annotations

import json
from bisect import bisect_left
from collections.abc import Iterable, Iterator

import msgspec

from exporter.totals.labelsets import (
    DURATION_BOUNDS,
    QUALITY_BOUNDS,
    Cell,
    CellKey,
    Counts,
    Group,
    GroupKey,
    Observed,
    pack,
    unpack,
)
from exporter.totals.pairs import Pairs
from exporter.totals.rows import Row

SPEND_BUCKET_US = 900 * 1_000_000  # every time zone's midnight falls on a quarter of an hour


class Totals:
    """The fold over the ledger. Owned by one thread; `touched` times are of the caller's monotonic clock."""

    def __init__(self) -> None:
        self.cells: dict[int, Cell] = {}
        self.groups: dict[GroupKey, Group] = {}
        self.routes: dict[int, Counts] = {}
        self.unpriced: dict[int, Counts] = {}
        self.first_token: dict[tuple[str, ...], Observed] = {}  # H -> times to first token
        self.quality: dict[tuple[str, ...], Observed] = {}  # (*H, evaluator) -> scores
        self.evaluators: dict[int, str] = {}
        self.spend: dict[str, dict[int, int]] = {}  # migration -> quarter of an hour -> nano-dollars
        self.pairs = Pairs()
        self.last_event_us: dict[str, int] = {}  # application -> newest end of a call
        self.newest_us = 0  # newest of all: the ledger's clock
        self.events = 0
        self._dirty: set[int] = set()

    def add_name(self, name_id: int, kind: str, value: tuple[str, ...]) -> None:
        """Make a dictionary entry known before rows refer to it."""
        if kind == "cell":
            key = CellKey(*value)
            group_key = GroupKey(key.migration, key.role, key.model, key.category)
            group = self.groups.get(group_key)
            if group is None:
                group = self.groups[group_key] = Group(group_key)
            self.cells[name_id] = Cell(key, group)
        elif kind == "route":
            self.routes[name_id] = Counts(value)
        elif kind == "unpriced":
            self.unpriced[name_id] = Counts(value)
        elif kind == "evaluator":
            self.evaluators[name_id] = value[0]

    def apply(self, rows: Iterable[Row], now: float) -> None:  # noqa: PLR0912, PLR0915 - the hot loop, one pass
        """Add rows; `now` is the monotonic time at which they became visible."""
        cells = self.cells
        routes = self.routes
        dirty = self._dirty
        newest = self.newest_us
        count = 0
        for row in rows:
            (
                _,
                at_us,
                cell_id,
                route_id,
                fresh,
                cached,
                written,
                output,
                reasoning,
                latency_us,
                first_token_us,
                error,
                cost,
                counterfactual,
                reported,
                quality,
                evaluator,
                unpriced,
                _,
                _,
                _,
                pair,
                _,
                trace,
            ) = row
            count += 1
            cell = cells[cell_id]
            group = cell.group
            cell.touched = group.touched = now
            dirty.add(cell_id)
            values = cell.values
            values[0] += 1
            if error:
                values[1] += 1
                group.errors[error - 1] += 1
            if cost is not None:
                values[2] += cost
                migration = cell.key[0]
                if migration:
                    bucket = at_us // SPEND_BUCKET_US
                    spend = self.spend.get(migration)
                    if spend is None:
                        spend = self.spend[migration] = {}
                    spend[bucket] = spend.get(bucket, 0) + cost
                if reported is not None:
                    values[4] += abs(reported - cost)
            elif unpriced is not None:
                values[5] += 1
                counts = self.unpriced[unpriced]
                counts.values[0] += 1
                counts.values[1] += fresh + cached + written + output + reasoning
                counts.touched = now
            if counterfactual is not None:
                values[3] += counterfactual
            tokens = group.tokens
            tokens[0] += fresh
            tokens[3] += output
            if cached:
                tokens[1] += cached
            if written:
                tokens[2] += written
            if reasoning:
                tokens[4] += reasoning
            duration = group.duration
            bucket = bisect_left(DURATION_BOUNDS, latency_us)
            duration.counts[bucket] += 1
            duration.total += latency_us
            if trace is not None:
                group.exemplars[bucket] = (trace, latency_us, at_us)
            if first_token_us is not None:
                _observe(self.first_token, group.key, DURATION_BOUNDS, first_token_us, now)
            if quality is not None and evaluator is not None:
                _observe(self.quality, (*group.key, self.evaluators[evaluator]), QUALITY_BOUNDS, quality, now)
            route = routes[route_id]
            route.values[0] += 1
            route.touched = now
            application = cell.key.application
            if at_us > self.last_event_us.get(application, 0):
                self.last_event_us[application] = at_us
                if at_us > newest:  # noqa: PLR1730 - half the time of max()
                    newest = at_us
            if pair is not None:
                call = (at_us, not error, latency_us, cost, output + reasoning)
                self.pairs.add(cell.key, pair, call, newest, now)
        self.newest_us = newest
        self.pairs.settle(newest, now)
        self.events += count

    def forget_spend(self, before: float) -> None:
        """Drop sums of calls that ended before a Unix time: no budget period reaches that far back."""
        oldest = int(before) // 900
        for spend in self.spend.values():
            for bucket in [bucket for bucket in spend if bucket < oldest]:
                del spend[bucket]

    def touch_all(self, now: float) -> None:
        """Let silence be counted from now: after a start, when nothing is known of the time before."""
        stores = (self.cells, self.groups, self.routes, self.unpriced, self.first_token, self.quality)
        for store in (*stores, self.pairs.ratios, self.pairs.outcomes):
            for totals in store.values():
                totals.touched = now

    def spent(self, migration: str, start: float, end: float) -> int:
        """Nano-dollars of a migration's calls that ended in [start, end), both on quarters of an hour."""
        buckets = self.spend.get(migration)
        if not buckets:
            return 0
        first, last = round(start) // 900, round(end) // 900
        if last - first < len(buckets):
            return sum(buckets.get(bucket, 0) for bucket in range(first, last))
        return sum(nano for bucket, nano in buckets.items() if first <= bucket < last)

    # Checkpoints: the whole state as rows (kind, key, JSON), of which only what changed is written again. JSON, because
    # sums may outgrow 64 bits.

    def changed(self) -> tuple[set[int], list[tuple[str, str, bytes]]]:
        """The cells that changed since the last call (to `mark` again if storing fails), and their rows."""
        dirty, self._dirty = self._dirty, set()
        return dirty, list(self._pack(dirty))

    def mark(self, cell_ids: set[int]) -> None:
        """Let the next `changed` include these cells."""
        self._dirty |= cell_ids
        self.pairs.changed = True

    def _pack(self, cell_ids: Iterable[int]) -> Iterator[tuple[str, str, bytes]]:
        groups: dict[GroupKey, Group] = {}
        for cell_id in cell_ids:
            cell = self.cells[cell_id]
            groups[cell.group.key] = cell.group
            yield "cell", str(cell_id), _encode(cell.values)
        for key, group in groups.items():
            yield "group", json.dumps(key), _encode((group.tokens, group.errors, pack(group.duration)))
        if groups:
            for kind, counts_by_id in (("route", self.routes), ("unpriced", self.unpriced)):
                for name_id, counts in counts_by_id.items():
                    yield kind, str(name_id), _encode(counts.values)
            for kind, observed_by_key in (("first_token", self.first_token), ("quality", self.quality)):
                for labels, observed in observed_by_key.items():
                    yield kind, json.dumps(labels), _encode(pack(observed.histogram))
            for migration, spend in self.spend.items():
                yield "spend", migration, _encode(spend)
            yield from self.pairs.packed()
            yield "last_event", "", _encode(self.last_event_us)
            yield "events", "", _encode(self.events)

    def restore(self, kind: str, key: str, packed: bytes) -> None:
        """Take over one row of a checkpoint; names must be known."""
        if kind == "cell":
            values = msgspec.json.decode(packed, type=list[int])
            cell = self.cells[int(key)]
            cell.values[: len(values)] = values  # an earlier release kept fewer
        elif kind == "group":
            self.groups[GroupKey(*json.loads(key))].restore(packed)
        elif kind in ("route", "unpriced"):
            counts_by_id = self.routes if kind == "route" else self.unpriced
            counts_by_id[int(key)].values = msgspec.json.decode(packed, type=list[int])
        elif kind in ("first_token", "quality"):
            labels = tuple(json.loads(key))
            histogram = unpack(msgspec.json.decode(packed, type=list[int]))
            observed = Observed(labels, 0)
            observed.histogram = histogram
            (self.first_token if kind == "first_token" else self.quality)[labels] = observed
        elif kind == "spend":
            self.spend[key] = msgspec.json.decode(packed, type=dict[int, int])
        elif kind == "last_event":
            self.last_event_us = msgspec.json.decode(packed, type=dict[str, int])
            self.newest_us = max(self.last_event_us.values(), default=0)
        elif kind.startswith("pairs_"):
            self.pairs.restore(kind, key, packed)
        elif kind == "events":
            self.events = msgspec.json.decode(packed, type=int)


def _encode(value: object) -> bytes:
    try:
        return msgspec.json.encode(value)
    except OverflowError:  # beyond 64 bits
        return json.dumps(value).encode()


def _observe(
    store: dict[tuple[str, ...], Observed], key: tuple[str, ...], bounds: tuple[int, ...], value: int, now: float
) -> None:
    observed = store.get(key)
    if observed is None:
        observed = store[key] = Observed(tuple(key), len(bounds))
    observed.histogram.counts[bisect_left(bounds, value)] += 1
    observed.histogram.total += value
    observed.touched = now
