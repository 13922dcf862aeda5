"""The fold: what all events of the ledger add up to.

Everything is an integer (calls, tokens, nano-dollars, microseconds, milli-scores) and every operation is a sum or a
maximum, so that neither the order of events nor where a checkpoint lies can change a total (for pairs, as far as
`exporter.totals.pairs` says). Labels were decided at ingest and are stored as the id of a cell; the fold never resolves
anything again. Exemplars are no totals: they point at a recent call, and are not kept over a restart.
"""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Callable, Iterable

from exporter.totals.labelsets import (
    DURATION_BOUNDS,
    QUALITY_BOUNDS,
    Cell,
    CellKey,
    Counts,
    Group,
    GroupKey,
    Observed,
)
from exporter.totals.pairs import Pairs
from exporter.totals.rollups import SHAPE, Calendar, Pending, Period, Sums
from exporter.totals.rows import Row
from exporter.totals.views import LabelSet, View

SPEND_BUCKET_US = 900 * 1_000_000  # every time zone's midnight falls on a quarter of an hour
_TOKENS, _ERRORS, _BUCKETS = 0, 5, 13  # where they begin in `Group.sums`


class Totals:
    """The fold over the ledger. Owned by one thread; `touched` times are of the caller's monotonic clock."""

    def __init__(self) -> None:
        self.cells: dict[int, Cell] = {}
        self.groups: dict[GroupKey, Group] = {}
        self.routes: dict[int, Counts] = {}
        self.unpriced: dict[int, Counts] = {}
        self.first_token: dict[tuple[str, ...], Observed] = {}  # H -> times to first token
        self.quality: dict[tuple[str, ...], Observed] = {}  # (*H, evaluator) -> scores
        # The same and durations once more, by application: (metric, its labels, application) -> values. Only while
        # asked for: there may be very many.
        self.by_application: dict[tuple[str, ...], Observed] = {}
        self.keep_applications = False
        self.evaluators: dict[int, str] = {}
        self.spend: dict[str, dict[int, int]] = {}  # migration -> quarter of an hour -> nano-dollars
        self.pairs = Pairs(self._changes)
        self.last_event_us: dict[str, int] = {}  # application -> newest end of a call
        self.newest_us = 0  # newest of all: the ledger's clock
        self.events = 0
        # Since the last checkpoint: what changed, what cells and groups stood at before, what other periods got.
        self.changed_cells: dict[int, list[int]] = {}
        self.changed_groups: dict[GroupKey, list[int]] = {}
        self.changed_routes: set[int] = set()
        self.changed_applications: set[tuple[str, ...]] = set()
        self.pending: Pending = {}
        self.calendar = Calendar()
        self.present: tuple[Period, ...] = ()  # the hour and the day of most calls that come now
        self._from_us = self._until_us = 0
        self._mark = 1
        self._views: list[View] = []

    def use_calendar(self, day: Callable[[float], tuple[float, float]]) -> None:
        """Let days begin and end where this function says; what was added up so far stays where it is."""
        self.calendar = Calendar(day)

    def enter(self, at: float) -> None:
        """Let the hour and day of a Unix time be the present ones. Nothing may have changed since a checkpoint."""
        self.present, self._from_us, self._until_us = self.calendar.window(at)

    def is_present(self, at: float) -> bool:
        """Whether a Unix time is in the present hour and day."""
        return self._from_us <= at * 1_000_000 < self._until_us

    def view(self) -> View:
        """All label sets as they are now, to be read in pieces."""
        self._mark += 1
        return View(self._views)

    def _changes(self, item: LabelSet, now: float) -> bool:
        """A label set is about to change; whether it is for the first time since somebody looked."""
        if item.mark == self._mark:
            return False
        item.mark = self._mark
        item.touched = now
        for view in self._views:
            view.keep(item)
        return True

    def _cell_changes(self, cell_id: int, cell: Cell, now: float) -> None:
        if self._changes(cell, now):
            if cell_id not in self.changed_cells:
                self.changed_cells[cell_id] = cell.values[:]
            group = cell.group
            if self._changes(group, now) and group.key not in self.changed_groups:
                self.changed_groups[group.key] = group.sums

    def add_name(self, name_id: int, kind: str, value: tuple[str, ...]) -> None:
        """Make a dictionary entry known before rows refer to it."""
        if kind == "cell":
            key = CellKey(*value)
            group_key = GroupKey(key.migration, key.role, key.model, key.category)
            self.cells[name_id] = Cell(key, self.groups.setdefault(group_key, Group(group_key)))
        elif kind == "group":
            group_key = GroupKey(*value)
            self.groups.setdefault(group_key, Group(group_key)).id = name_id
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
        mark = self._mark
        first_us, until_us = self._from_us, self._until_us
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
            if cell.mark != mark:
                self._cell_changes(cell_id, cell, now)
            if not first_us <= at_us < until_us:
                self._elsewhere(row, cell_id, group)
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
                self._changes(counts, now)
                counts.values[0] += 1
                counts.values[1] += fresh + cached + written + output + reasoning
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
            if self.keep_applications:
                self._observe_application(cell.key, latency_us, first_token_us, quality, evaluator, now)
            if first_token_us is not None:
                self._observe(self.first_token, group.key, DURATION_BOUNDS, first_token_us, now)
            if quality is not None and evaluator is not None:
                self._observe(self.quality, (*group.key, self.evaluators[evaluator]), QUALITY_BOUNDS, quality, now)
            route = routes[route_id]
            if route.mark != mark:
                self._changes(route, now)
                self.changed_routes.add(route_id)
            route.values[0] += 1
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
        observed = (self.first_token, self.quality, self.by_application)
        stores = (self.cells, self.groups, self.routes, self.unpriced, *observed)
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

    def begin_epoch(self) -> None:
        """Let all counters start from zero: the ledger is not the one that was last seen at its end.

        What is known by time stays: spending by quarter of an hour, newest calls, halves of pairs that wait.
        """
        for cell in self.cells.values():
            cell.values = [0] * len(cell.values)
        for group in self.groups.values():
            blank = Group(group.key)
            group.tokens, group.errors, group.duration, group.exemplars = blank.tokens, blank.errors, blank.duration, {}
        for counts in (*self.routes.values(), *self.unpriced.values(), *self.pairs.outcomes.values()):
            counts.values = [0] * len(counts.values)
        self.first_token.clear()
        self.quality.clear()
        self.by_application.clear()
        self.pairs.ratios.clear()
        self.touch_everything()

    def touch_everything(self) -> None:
        """Let the next checkpoint store all label sets."""
        for cell_id, cell in self.cells.items():
            self.changed_cells.setdefault(cell_id, cell.values[:])
            self.changed_groups.setdefault(cell.group.key, cell.group.sums)
        self.changed_routes.update(self.routes)
        self.changed_applications.update(self.by_application)
        self.pairs.changed = True

    def _elsewhere(self, row: Row, cell_id: int, group: Group) -> None:
        """A call of another hour or day than the present one: add it there, and take it off what the present got."""
        cost, error, bucket = row.cost, row.error, bisect_left(DURATION_BOUNDS, row.latency_us)
        difference = abs(row.reported - cost) if cost is not None and row.reported is not None else 0
        unpriced = int(cost is None and row.unpriced is not None)
        usage = [1, int(error > 0), cost or 0, row.counterfactual or 0, difference, unpriced]
        shape = [0] * SHAPE
        shape[:_ERRORS] = row[4], row[5], row[6], row[7], row[8]
        if error:
            shape[_ERRORS + error - 1] = 1
        shape[_BUCKETS + bucket] = 1
        shape[-1] = row.latency_us
        periods = self.calendar.periods(row.at_us)
        for period in periods:
            sums = self.pending.setdefault(period, Sums())
            sums.add_usage(cell_id, usage)
            sums.add_shape(group.id, shape)
        base = self.changed_cells[cell_id]
        self.changed_cells[cell_id] = [a + b for a, b in zip(base, usage, strict=True)]
        before = self.changed_groups[group.key]
        self.changed_groups[group.key] = [a + b for a, b in zip(before, shape, strict=True)]

    def _observe_application(
        self, key: CellKey, latency_us: int, first_token_us: int | None, score: int | None, by: int | None, now: float
    ) -> None:
        migration, role, model, application, category = key
        labels = (migration, role, model, category)
        values: list[tuple[tuple[str, ...], tuple[int, ...], int]] = [
            (("duration", *labels, application), DURATION_BOUNDS, latency_us)
        ]
        if first_token_us is not None:
            values.append((("first_token", *labels, application), DURATION_BOUNDS, first_token_us))
        if score is not None and by is not None:
            values.append((("quality", *labels, self.evaluators[by], application), QUALITY_BOUNDS, score))
        for place, bounds, value in values:
            self._observe(self.by_application, place, bounds, value, now)
            self.changed_applications.add(place)

    def _observe(
        self,
        store: dict[tuple[str, ...], Observed],
        key: tuple[str, ...],
        bounds: tuple[int, ...],
        value: int,
        now: float,
    ) -> None:
        observed = store.get(key)
        if observed is None:
            observed = store[key] = Observed(tuple(key), len(bounds))
        self._changes(observed, now)
        observed.histogram.counts[bisect_left(bounds, value)] += 1
        observed.histogram.total += value
