"""Pairs: the source and the target (or shadow) call of one comparison, joined by their `pair_id`.

Each of these calls is a half, and each half is counted once and for good:

- `complete`, both halves at once: the two calls ended within an hour of each other, and the second came into the ledger
  before the ledger's clock, which is the newest end of a call so far, had gone on by an hour since the first.
- `duplicate`: a further half of a side that the pair already has. It changes no ratio.
- `source_only`, `target_only`: the clock went on by an hour, and the other half had not come. Should it come after
  that, it waits an hour like any first half, and then counts as one-sided itself.

Why so. A counter cannot take back a `source_only` when the target call turns up days later, and one that waited for as
long as a late call may come (`retention.events`) would say nothing for weeks and hold everything that long. So there
has to be a moment when waiting ends. It is a place in the ledger, not a moment of the wall clock, so that a replay
decides as the live exporter did. As long as no half comes an hour late, that place has no influence: what is complete,
all ratios and all counts are the same in every order of arrival (of several halves of one side, which one is compared
is decided by the ledger: the first). And in every order, two times `complete` and the other outcomes add up to the
halves that no longer wait.

The category is the source call's. A ratio needs two successful calls (how long a failure took says nothing of the
model) and something other than zero to divide by; cost also needs two prices.
"""

from __future__ import annotations

import json
from bisect import bisect_left
from collections import OrderedDict
from collections.abc import Callable, Iterator
from typing import NamedTuple

import msgspec

from exporter.catalog import PAIR_OUTCOMES, PAIR_QUANTITIES, PAIR_RATIO_BUCKETS
from exporter.totals.labelsets import CellKey, Counts, Observed, pack, unpack

WAIT_SECONDS = 3600
MAX_WAITING = 10_000  # halves that wait; beyond, the oldest waits no longer
MAX_SETTLED = 20_000  # complete pairs that are remembered, to know a duplicate
RATIO_SCALE = 1_000_000  # ratios are whole millionths, so that sums are exact
RATIO_BOUNDS = tuple(round(bound * RATIO_SCALE) for bound in PAIR_RATIO_BUCKETS)

_WAIT_US = WAIT_SECONDS * 1_000_000
_SIDES = {"source": 0, "target": 1, "shadow": 1}
_COMPLETE, _SOURCE_ONLY, _TARGET_ONLY, _DUPLICATE = range(len(PAIR_OUTCOMES))
_ONE_SIDED = (_SOURCE_ONLY, _TARGET_ONLY)  # by side


Call = tuple[int, bool, int, int | None, int]
"""When it ended (Unix microseconds), success, latency (microseconds), cost (nano-dollars), output with reasoning."""


class Half(NamedTuple):
    """A call that waits for the other side."""

    side: int  # 0 source, 1 target
    due_us: int  # when the ledger's clock has passed this, the other half did not come
    category: str
    at_us: int  # from here on as in `Call`
    success: bool
    latency_us: int
    cost: int | None
    output_tokens: int


class Pairs:
    """The fold of halves; bounded, whatever is sent. Places are `migration/pair_id`, in order of their due time."""

    def __init__(self, changes: Callable[[Counts | Observed, float], object]) -> None:
        """`changes` is told each label set before it changes, and the monotonic time."""
        self._changes = changes
        self.ratios: dict[tuple[str, ...], Observed] = {}  # (migration, category, quantity) -> ratios
        self.outcomes: dict[str, Counts] = {}  # migration -> counts in the order of PAIR_OUTCOMES
        self._waiting: OrderedDict[str, Half] = OrderedDict()
        self._settled: OrderedDict[str, int] = OrderedDict()  # complete pairs -> when to forget them
        self.changed = False  # since the last checkpoint

    def add(self, key: CellKey, pair: str, call: Call, newest_us: int, now: float) -> None:
        """Take a call with a `pair_id`; `newest_us` is the ledger's clock, this call included, `now` is monotonic."""
        side = _SIDES.get(key.role)
        if side is None:
            return  # a call of neither side compares nothing
        self.settle(newest_us, now)
        self.changed = True
        migration = key.migration
        place = f"{migration}/{pair}"  # a migration's name has no slash
        due = newest_us + _WAIT_US
        half = Half(side, due, key.category, *call)
        other = self._waiting.get(place)
        if place in self._settled or (other is not None and other.side == side):
            self._count(migration, _DUPLICATE, now)
        elif other is None:
            self._waiting[place] = half
            if len(self._waiting) > MAX_WAITING:
                self._give_up(now)
        elif abs(other.at_us - half.at_us) > _WAIT_US:
            self._count(migration, _ONE_SIDED[side], now)  # not of this comparison, and the right half may still come
        else:
            del self._waiting[place]
            self._settled[place] = due
            if len(self._settled) > MAX_SETTLED:
                self._settled.popitem(last=False)
            self._count(migration, _COMPLETE, now)
            self._compare(migration, *((half, other) if side == 0 else (other, half)), now)

    def settle(self, newest_us: int, now: float) -> None:
        """Let go of what has waited, or was remembered, for long enough by the ledger's clock."""
        waiting = self._waiting
        while waiting and next(iter(waiting.values())).due_us < newest_us:
            self._give_up(now)
        settled = self._settled
        while settled and next(iter(settled.values())) < newest_us:
            settled.popitem(last=False)
            self.changed = True

    def _give_up(self, now: float) -> None:
        place, half = self._waiting.popitem(last=False)
        self._count(place.partition("/")[0], _ONE_SIDED[half.side], now)
        self.changed = True

    def _compare(self, migration: str, source: Half, target: Half, now: float) -> None:
        if not (source.success and target.success):
            return
        values = (
            (source.latency_us, target.latency_us),
            (source.cost, target.cost),
            (source.output_tokens, target.output_tokens),
        )
        for quantity, (ours, theirs) in zip(PAIR_QUANTITIES, values, strict=True):
            if not ours or theirs is None:
                continue
            ratio = (2 * RATIO_SCALE * theirs + ours) // (2 * ours)  # rounded half up, exactly
            key = (migration, source.category, quantity)
            observed = self.ratios.get(key)
            if observed is None:
                observed = self.ratios[key] = Observed(key, len(RATIO_BOUNDS))
            self._changes(observed, now)
            observed.histogram.counts[bisect_left(RATIO_BOUNDS, ratio)] += 1
            observed.histogram.total += ratio

    def of(self, migration: str) -> Counts:
        """The outcomes of a migration, from now on also when there are none."""
        counts = self.outcomes.get(migration)
        if counts is None:
            counts = self.outcomes[migration] = Counts((migration,), len(PAIR_OUTCOMES))
        return counts

    def _count(self, migration: str, outcome: int, now: float) -> None:
        counts = self.of(migration)
        self._changes(counts, now)
        counts.values[outcome] += 1

    # Checkpoints

    def packed(self) -> Iterator[tuple[str, str, bytes]]:
        """The state as rows of a checkpoint; nothing while it is as the last one has it."""
        if not self.changed:
            return
        self.changed = False
        encode = msgspec.json.encode
        yield "pairs_waiting", "", encode([(place, *half) for place, half in self._waiting.items()])
        yield "pairs_settled", "", encode(list(self._settled.items()))
        for migration, counts in self.outcomes.items():
            yield "pairs_outcomes", migration, encode(counts.values)
        for key, observed in self.ratios.items():
            # Sums of ratios may outgrow 64 bits.
            yield "pairs_ratio", json.dumps(key), json.dumps(pack(observed.histogram)).encode()

    def restore(self, kind: str, key: str, packed: bytes) -> None:
        """Take over one row of a checkpoint."""
        decode = msgspec.json.decode
        if kind == "pairs_waiting":
            for place, *half in json.loads(packed):
                self._waiting[place] = Half(*half)
        elif kind == "pairs_settled":
            self._settled.update(decode(packed, type=list[tuple[str, int]]))
        elif kind == "pairs_outcomes":
            self.of(key).values = decode(packed, type=list[int])
        elif kind == "pairs_ratio":
            labels = tuple(json.loads(key))
            observed = self.ratios[labels] = Observed(labels, 0)
            observed.histogram = unpack(decode(packed, type=list[int]))
