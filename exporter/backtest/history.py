"""Series of the past on a grid of steps."""

from __future__ import annotations

import math
from array import array
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field

from exporter.errors import UserError

LabelSet = tuple[tuple[str, str], ...]
Value = float | None
MAX_STEPS = 200_000


@dataclass(slots=True)
class Samples:
    """Raw samples of one series: Unix seconds and values; NaN says that the series ended (a staleness marker)."""

    times: array[float] = field(default_factory=lambda: array("d"))
    values: array[float] = field(default_factory=lambda: array("d"))

    def add(self, at: float, value: float) -> None:
        """One more sample."""
        self.times.append(at)
        self.values.append(value)


@dataclass(frozen=True, slots=True)
class History:
    """Values at `begin`, `begin + step`, …: labels, `__name__` among them and ordered by name -> values.

    None is a step without a sample, which Prometheus bridges for five minutes; NaN is one at which the series ended.
    """

    begin: float
    step: float
    steps: int
    rows: Mapping[LabelSet, Sequence[Value]]

    def at(self, index: int) -> float:
        """Unix seconds of a step."""
        return self.begin + self.step * index

    @property
    def end(self) -> float:
        """Unix seconds of the last step."""
        return self.at(self.steps - 1)


def on_grid(series: Mapping[LabelSet, Samples], step: float, begin: float | None, end: float | None) -> History:
    """Samples as an evaluation at each step would see them: the last one since the step before.

    Args:
        series: raw samples, each series in any order.
        step: seconds.
        begin: Unix seconds of the first step, rounded down to a step; None is the first sample.
        end: of the last; None is the last sample.

    Raises:
        UserError: there is nothing between begin and end, or far more than can be evaluated.
    """
    times = [at for samples in series.values() for at in (min(samples.times), max(samples.times)) if samples.times]
    if not times:
        raise UserError("there are no samples that the rules would read")
    first = math.floor((min(times) if begin is None else begin) / step) * step
    last = max(times) if end is None else end
    steps = math.floor((last - first) / step + 1e-9) + 1
    if steps < 1:
        raise UserError("the end lies before the begin")
    if steps > MAX_STEPS:
        raise UserError(f"{steps:,} steps are too many, {MAX_STEPS:,} may be: choose a longer --step or a shorter span")
    rows: dict[LabelSet, Sequence[Value]] = {}
    for labels, samples in series.items():
        row: list[Value] = [None] * steps
        seen = False
        for at, value in sorted(zip(samples.times, samples.values, strict=True), key=_time):
            index = math.ceil((at - first) / step - 1e-6)
            if 0 <= index < steps:
                row[index] = value
                seen = True
        if seen:
            rows[labels] = row
    if not rows:
        raise UserError("there are no samples between begin and end that the rules would read")
    return ended(History(first, step, steps, rows))


def ended(history: History) -> History:
    """The history with the ends of series marked as Prometheus marks them.

    A series that a scrape of its target did not have, or whose scrape failed, ends there at once. `up` tells that there
    was a scrape; where it is absent too, Prometheus itself did not run, and its series are read for five minutes.
    """
    scraped = {_target(labels): row for labels, row in history.rows.items() if dict(labels).get("__name__") == "up"}
    rows: dict[LabelSet, Sequence[Value]] = {}
    for labels, row in history.rows.items():
        up = scraped.get(_target(labels))
        if up is None or up is row or None not in row:
            rows[labels] = row
            continue
        marked = list(row)
        alive = False
        for index, value in enumerate(row):
            if value is not None:
                alive = value == value  # noqa: PLR0124 - NaN has ended already
            elif alive and up[index] is not None:
                marked[index] = math.nan
                alive = False
        rows[labels] = marked
    return History(history.begin, history.step, history.steps, rows)


def labelset(pairs: Iterable[tuple[str, str]]) -> LabelSet:
    """Labels in the one order in which they are compared."""
    return tuple(sorted(pairs))


def _target(labels: LabelSet) -> tuple[str, str]:
    named = dict(labels)
    return named.get("job", ""), named.get("instance", "")


def _time(pair: tuple[float, float]) -> float:
    return pair[0]
