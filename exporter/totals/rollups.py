"""Sums by hour (UTC) and by day (of the plan's calendar), by each call's own time, until a checkpoint stores them.

Nearly all calls end in the present hour and day. Of those a cell needs no second sum: what its totals have grown by
since the last checkpoint is what belongs to the present hour and day. Only calls of another hour or day are added up
here one by one, and taken off that growth.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from typing import NamedTuple

from exporter.catalog import DURATION_BUCKETS, ERROR_TYPES, TOKEN_TYPES

HOUR = "hour"
DAY = "day"
HOUR_SECONDS = 3600
SHAPE = len(TOKEN_TYPES) + len(ERROR_TYPES) + len(DURATION_BUCKETS) + 2  # the length of `Group.sums`
_QUARTER_US = 900 * 1_000_000
_REMEMBERED = 10_000


class Period(NamedTuple):
    """An hour or a day, by the Unix second at which it begins."""

    level: str
    start: int


@dataclass(slots=True)
class Sums:
    """What belongs to one period: cells and groups by their numbers in the dictionary."""

    usage: dict[int, list[int]] = field(default_factory=dict)  # cell -> as `Cell.values`
    shape: dict[int, list[int]] = field(default_factory=dict)  # group -> as `Group.sums`

    def add_usage(self, cell: int, values: list[int]) -> None:
        """Add to a cell's sums."""
        _add(self.usage, cell, values)

    def add_shape(self, group: int, values: list[int]) -> None:
        """Add to a group's sums."""
        _add(self.shape, group, values)


Pending = dict[Period, Sums]
"""What is to be added to the stored roll-ups."""


class Calendar:
    """Which hour and which day a moment belongs to; every zone's midnight falls on a quarter of an hour."""

    def __init__(self, day: Callable[[float], tuple[float, float]] | None = None) -> None:
        """`day` gives the start and the end of the day that contains a Unix time; without it, days are those of UTC."""
        self._day = day or _utc_day
        self._known: dict[int, tuple[Period, Period]] = {}

    def periods(self, at_us: int) -> tuple[Period, Period]:
        """The hour and the day of a moment in Unix microseconds."""
        quarter = at_us // _QUARTER_US
        known = self._known.get(quarter)
        if known is None:
            at = quarter * 900
            if len(self._known) >= _REMEMBERED:
                self._known.clear()
            hour = Period(HOUR, at // HOUR_SECONDS * HOUR_SECONDS)
            known = self._known[quarter] = (hour, Period(DAY, round(self._day(at)[0])))
        return known

    def window(self, at: float) -> tuple[tuple[Period, Period], int, int]:
        """The hour and day of a Unix time, and the microseconds [from, until) that are in both."""
        periods = hour, day = self.periods(int(at * 1_000_000))
        until = min(hour.start + HOUR_SECONDS, round(self._day(at)[1]))
        return periods, max(hour.start, day.start) * 1_000_000, until * 1_000_000


def merge(into: Pending, other: Pending) -> None:
    """Add all of `other`."""
    for period, sums in other.items():
        mine = into.setdefault(period, Sums())
        for cell, values in sums.usage.items():
            mine.add_usage(cell, values)
        for group, values in sums.shape.items():
            mine.add_shape(group, values)


def grown(now: list[int], then: list[int]) -> list[int] | None:
    """The difference; None where there is none."""
    difference = [a - b for a, b in zip(now, then, strict=True)]
    return difference if any(difference) else None


def entries(pending: Pending, kind: str) -> Iterator[tuple[str, int, int, list[int]]]:
    """(level, start, number, values) of all `usage`, or all `shape`."""
    for (level, start), sums in pending.items():
        for number, values in (sums.usage if kind == "usage" else sums.shape).items():
            yield level, start, number, values


def _add(store: dict[int, list[int]], key: int, values: list[int]) -> None:
    known = store.get(key)
    store[key] = values[:] if known is None else [a + b for a, b in zip(known, values, strict=True)]


def _utc_day(at: float) -> tuple[float, float]:
    start = at // 86400 * 86400
    return start, start + 86400
