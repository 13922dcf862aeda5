"""Label sets and what is added up for each of them.

Each class has `touched`, the monotonic time of its first change since somebody last looked, `mark`, by which the fold
knows that change for the first (see `exporter.totals.views`), and `copy()`, which readers are given.
"""

from __future__ import annotations

from typing import NamedTuple

import msgspec

from exporter.catalog import DURATION_BUCKETS, ERROR_TYPES, QUALITY_BUCKETS, TOKEN_TYPES

DURATION_BOUNDS = tuple(round(bound * 1_000_000) for bound in DURATION_BUCKETS)
QUALITY_BOUNDS = tuple(round(bound * 1000) for bound in QUALITY_BUCKETS)


class CellKey(NamedTuple):
    """The labels U."""

    migration: str
    role: str
    model: str
    application: str
    category: str


class GroupKey(NamedTuple):
    """The labels H."""

    migration: str
    role: str
    model: str
    category: str


class RouteKey(NamedTuple):
    """The labels of calls by endpoint."""

    migration: str
    role: str
    application: str
    route: str


Exemplar = tuple[str, int, int]
"""A traced call: its trace id, its value in the unit of the histogram's sum, and when it ended (Unix microseconds)."""


class Histogram:
    """Counts per bucket, the last one for what lies above all bounds, and the exact sum."""

    __slots__ = ("counts", "total")

    def __init__(self, buckets: int) -> None:
        self.counts = [0] * (buckets + 1)
        self.total = 0

    def copy(self) -> Histogram:
        """An independent copy."""
        other = Histogram.__new__(Histogram)
        other.counts = self.counts[:]
        other.total = self.total
        return other


class Observed:
    """A histogram of a label set that exists only once something was observed."""

    __slots__ = ("histogram", "key", "mark", "touched")

    def __init__(self, key: tuple[str, ...], buckets: int) -> None:
        self.key = key
        self.histogram = Histogram(buckets)
        self.touched = 0.0
        self.mark = 0

    def copy(self) -> Observed:
        """An independent copy."""
        other = Observed.__new__(Observed)
        other.key = self.key
        other.histogram = self.histogram.copy()
        other.touched = self.touched
        other.mark = self.mark
        return other


class Group:
    """Totals of one label set H; `exemplars` has the last traced call of each bucket of its duration.

    `id` is its number in the ledger's dictionary, 0 until it has one.
    """

    __slots__ = ("duration", "errors", "exemplars", "id", "key", "mark", "tokens", "touched")

    def __init__(self, key: GroupKey) -> None:
        self.key = key
        self.tokens = [0] * len(TOKEN_TYPES)
        self.errors = [0] * len(ERROR_TYPES)
        self.duration = Histogram(len(DURATION_BOUNDS))
        self.exemplars: dict[int, Exemplar] = {}
        self.touched = 0.0
        self.mark = 0
        self.id = 0

    @property
    def sums(self) -> list[int]:
        """All that a roll-up keeps of it: tokens, errors, calls by bucket of duration, microseconds."""
        return [*self.tokens, *self.errors, *self.duration.counts, self.duration.total]

    def restore(self, packed: bytes) -> None:
        """Take over a checkpoint's state."""
        self.tokens, self.errors, duration = msgspec.json.decode(packed, type=tuple[list[int], list[int], list[int]])
        self.duration = unpack(duration)

    def copy(self) -> Group:
        """An independent copy."""
        other = Group.__new__(Group)
        other.key = self.key
        other.tokens = self.tokens[:]
        other.errors = self.errors[:]
        other.duration = self.duration.copy()
        other.exemplars = self.exemplars.copy()
        other.touched = self.touched
        other.mark = self.mark
        other.id = self.id
        return other


class Cell:
    """Totals of one label set U.

    `values` are calls, errors, cost, counterfactual cost, reported difference, calls without a price.
    """

    __slots__ = ("group", "key", "mark", "touched", "values")

    def __init__(self, key: CellKey, group: Group) -> None:
        self.key = key
        self.group = group
        self.values = [0, 0, 0, 0, 0, 0]
        self.touched = 0.0
        self.mark = 0

    def copy(self) -> Cell:
        """An independent copy that shares the group."""
        other = Cell.__new__(Cell)
        other.key = self.key
        other.group = self.group
        other.values = self.values[:]
        other.touched = self.touched
        other.mark = self.mark
        return other


class Counts:
    """Totals of a label set that only counts: calls and tokens, or as many `values` as are said."""

    __slots__ = ("key", "mark", "touched", "values")

    def __init__(self, key: tuple[str, ...], values: int = 2) -> None:
        self.key = key
        self.values = [0] * values
        self.touched = 0.0
        self.mark = 0

    def copy(self) -> Counts:
        """An independent copy."""
        other = Counts.__new__(Counts)
        other.key = self.key
        other.values = self.values[:]
        other.touched = self.touched
        other.mark = self.mark
        return other


def pack(histogram: Histogram) -> list[int]:
    """A histogram as a list: counts, then the sum."""
    return [*histogram.counts, histogram.total]


def unpack(packed: list[int]) -> Histogram:
    """The histogram of such a list."""
    histogram = Histogram(len(packed) - 2)
    histogram.counts = packed[:-1]
    histogram.total = packed[-1]
    return histogram
