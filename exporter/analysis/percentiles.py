"""Exact percentiles of single calls, in little memory and without ever holding up other threads for long."""

from __future__ import annotations

from collections import Counter
from collections.abc import Collection, Iterator, Mapping, Sequence
from math import ceil, inf

from exporter.ledger.reader import View

_COARSE = 12  # bits of a value that the first pass leaves out


def latencies(view: View, cells: Collection[int], start: float = 0.0, end: float = inf) -> Iterator[list[int]]:
    """Microseconds of the calls of some cells that ended in [start, end), Unix seconds, a chunk at a time."""
    first, last = start * 1_000_000, end * 1_000_000
    for at, cell, latency in view.columns(("at_us", "cell", "latency_us"), start, end):
        if first <= min(at) and max(at) < last:
            yield [value for value, number in zip(latency, cell, strict=True) if number in cells]
        else:
            yield [
                value
                for value, number, when in zip(latency, cell, at, strict=True)
                if number in cells and first <= when < last
            ]


def exact(
    view: View, cells: Collection[int], quantiles: Sequence[float], start: float = 0.0, end: float = inf
) -> Mapping[float, int]:
    """Quantiles of the latency of calls, in microseconds; none where there are no calls.

    The quantile `q` of n values is the smallest of them that at least q * n of them do not exceed (nearest rank), so
    it is always a value that occurred. Two passes: the first counts values by their higher bits, which says where each
    quantile lies, the second looks at the values there.
    """
    coarse: Counter[int] = Counter()
    for values in latencies(view, cells, start, end):
        coarse.update([value >> _COARSE for value in values])
    total = coarse.total()
    if not total:
        return {}
    ranks = {quantile: max(1, ceil(quantile * total - 1e-9)) for quantile in quantiles}
    below: dict[int, int] = {}  # values below each bucket that holds a quantile
    places: dict[float, int] = {}
    counted = 0
    for bucket in sorted(coarse):
        for quantile, rank in ranks.items():
            if counted < rank <= counted + coarse[bucket]:
                places[quantile] = bucket
                below[bucket] = counted
        counted += coarse[bucket]
    fine: dict[int, Counter[int]] = {bucket: Counter() for bucket in below}
    for values in latencies(view, cells, start, end):
        for bucket, counts in fine.items():
            counts.update([value for value in values if value >> _COARSE == bucket])
    return {quantile: _at(fine[bucket], ranks[quantile] - below[bucket]) for quantile, bucket in places.items()}


def _at(counts: Counter[int], rank: int) -> int:
    """The value of a rank, counted from 1. Events that came between the passes may leave it beyond the last value."""
    for value in sorted(counts):
        rank -= counts[value]
        if rank <= 0:
            return value
    return max(counts)
