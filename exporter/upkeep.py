"""Looking after a ledger: what it says at the start, and what has to be done to it from time to time."""

from __future__ import annotations

import asyncio
import gc
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from pathlib import Path

import msgspec
import structlog

from exporter.clock import Clock
from exporter.control import Control
from exporter.errors import LedgerError
from exporter.ingest.names import Names
from exporter.ledger.compaction import compact
from exporter.ledger.pruning import Pruning
from exporter.ledger.store import Store
from exporter.ledger.writer import Writer
from exporter.plan.calendar import period_bounds
from exporter.plan.model import Plan
from exporter.totals import Checkpoint, Totals, restore

log = structlog.get_logger("ledger")

CHECKPOINT_SECONDS = 30.0
CHECKPOINT_EVENTS = 50_000  # a start replays at most about this many events
SPEND_SECONDS = 70 * 86400.0  # the longest budget period and the oldest event
_STEPS = 20  # of pruning or compaction in a second in which nothing else waits
_KEYS_SECONDS = 10.0
_GROWN = 5_000  # objects' worth of new label sets that are worth telling the garbage collector


@dataclass(slots=True)
class Opened:
    """What a ledger holds."""

    totals: Totals
    replayed: int  # events after the checkpoint
    rebuilt: bool = False  # the checkpoint was unusable, and everything was added up anew
    set_back: bool = False  # the ledger is older than it was when it was last seen, or a copy


def read(store: Store, names: Names, control: Control, clock: Clock, plan: Plan) -> Opened:
    """Bring names, totals and state up to what the ledger holds.

    Raises:
        LedgerError: it is damaged in a way that needs a decision.
    """
    with store.reading():
        known = list(store.names())
        names.restore(known)
        for change in store.changes():
            control.apply(change)
        opened = _checkpointed(store, plan, clock) or _from_the_beginning(store, plan, clock)
        if opened.totals.events != store.last_seq():
            raise ValueError(f"totals count {opened.totals.events} events, and there were {store.last_seq()}")
    opened.totals.touch_all(clock.monotonic())
    opened.set_back = bool(store.meta("copied")) or _seen(store.path) > store.last_seq()
    return opened


def _blank(store: Store, plan: Plan, clock: Clock) -> Totals:
    totals = Totals()
    _adopt(totals, plan)
    totals.enter(clock.now())
    for name in store.names():
        totals.add_name(name.id, name.kind, name.value)
    return totals


def _adopt(totals: Totals, plan: Plan) -> None:
    totals.use_calendar(lambda at: period_bounds("daily", at, plan.timezone))
    totals.keep_applications = bool(plan.labels.histogram_extra)


def _checkpointed(store: Store, plan: Plan, clock: Clock) -> Opened | None:
    totals = _blank(store, plan, clock)
    try:
        for kind, key, packed in store.checkpoint():
            restore(totals, kind, key, packed)
    except (msgspec.MsgspecError, ValueError, KeyError, TypeError) as error:
        log.warning("the checkpoint cannot be read; all events are added up anew", error=str(error))
        return None
    if totals.events != store.checkpoint_seq():
        log.warning("the checkpoint is incomplete; all events are added up anew")
        return None
    before = totals.events
    totals.apply(store.rows_after(before), clock.monotonic())
    return Opened(totals, totals.events - before)


def _from_the_beginning(store: Store, plan: Plan, clock: Clock) -> Opened:
    if store.first_seq() > 1:
        raise ValueError("the checkpoint is damaged, and its oldest events are gone: counters cannot go on exactly")
    totals = _blank(store, plan, clock)
    totals.apply(store.rows_after(0), clock.monotonic())
    return Opened(totals, totals.events, rebuilt=True)


class Upkeep:
    """Checkpoints, pruning, compaction, and tries whether a ledger that failed can be written again."""

    def __init__(
        self,
        writer: Writer,
        totals: Totals,
        clock: Clock,
        folded_seq: Callable[[], int],
        path: Path,
        plan: Plan,
    ) -> None:
        """`folded_seq` gives the place up to which the totals count, `path` is the ledger's file."""
        self._writer = writer
        self._totals = totals
        self._clock = clock
        self._folded_seq = folded_seq
        self._path = path
        self._pruning = Pruning(plan.retention)
        self._seq = writer.last_seq  # of the last checkpoint
        self._label_sets = 0
        self._all_known = False
        self._checkpointing = asyncio.Lock()

    def adopt(self, plan: Plan) -> None:
        """Use another plan's retention, and its calendar for what comes."""
        self._pruning.retention = plan.retention
        _adopt(self._totals, plan)

    async def begin(self, opened: Opened, checkpoint_seq: int) -> None:
        """Store what the opening decided.

        Raises:
            LedgerError: the ledger cannot be written.
        """
        self._seq = checkpoint_seq
        if opened.rebuilt:
            self._totals.touch_everything()
            self._seq = -1  # also when no event came since
            await self.checkpoint(lambda store: store.forget_sums())
        if opened.set_back:
            log.warning("the ledger is a copy or was set back: all counters start from zero in a new epoch")
            await self.checkpoint()
            self._totals.begin_epoch()
            self._seq = -1
            await self.checkpoint(_new_epoch)

    async def checkpoint(self, also: Callable[[Store], None] = lambda store: None) -> None:
        """Store the totals, so that a start need not replay what they count; `also` goes into the same transaction.

        Raises:
            LedgerError: the ledger cannot be written; the next checkpoint has all that this one has.
        """
        async with self._checkpointing:
            now = self._clock.now()
            if self._folded_seq() == self._seq:
                self._totals.enter(now)
                return
            self._totals.forget_spend(now - SPEND_SECONDS)
            checkpoint = Checkpoint(self._totals, now, self._folded_seq())
            for _ in checkpoint.pack():
                await asyncio.sleep(0)

            def save(store: Store) -> int:
                also(store)
                store.save_checkpoint(checkpoint.rows, checkpoint.pending, checkpoint.seq)
                return 0

            try:
                await self._writer.upkeep(save)
            except BaseException:
                checkpoint.lost()
                raise
            self._seq = checkpoint.seq
            _note(self._path, checkpoint.seq)

    async def run(self) -> None:
        """Do what is due, until cancelled."""
        last = keys = self._clock.monotonic()
        while True:
            await asyncio.sleep(1)
            monotonic, now = self._clock.monotonic(), self._clock.now()
            try:
                if self._writer.error is not None:
                    await self._writer.upkeep(lambda store: 0)
                due = monotonic - last >= CHECKPOINT_SECONDS or not self._totals.is_present(now)
                if due or self._folded_seq() - self._seq >= CHECKPOINT_EVENTS:
                    await self.checkpoint()
                    last = monotonic
                    await self._tidy(now)
                await self._know_keys()
                if monotonic - keys >= _KEYS_SECONDS:
                    await self._writer.upkeep(partial(self._pruning.keys, now=now))
                    keys = monotonic
            except LedgerError as error:
                log.error("the ledger cannot be written", error=str(error))
            except Exception:
                log.exception("looking after the ledger failed")
            self._settle_garbage()

    async def _know_keys(self) -> None:
        """Let the filter of keys go on with its walk, faster while nobody waits."""
        steps = 0
        while not self._all_known and (not self._writer.waiting or steps < _STEPS):
            self._all_known = not await self._writer.upkeep(lambda store: store.ids.filter.walk())
            steps += 1

    async def _tidy(self, now: float) -> None:
        """Pruning and compaction, a step at a time, while nobody waits; at least one step of each."""
        for step in (partial(self._pruning.step, now=now), compact):
            for _ in range(_STEPS):
                if not await self._writer.upkeep(step) or self._writer.waiting:
                    break
                await asyncio.sleep(0)

    def _settle_garbage(self) -> None:
        """Label sets stay: the garbage collector need not walk through them again and again, which takes long."""
        count = len(self._totals.cells) + len(self._totals.routes) + len(self._totals.groups)
        if count - self._label_sets >= _GROWN:
            self._label_sets = count
            gc.collect(1)
            gc.freeze()


def _new_epoch(store: Store) -> None:
    store.set_meta("epoch", store.meta("epoch") + 1)
    store.set_meta("copied", 0)


# The newest place of the ledger that was ever stored, kept beside it: a ledger that has fewer was set back.


def _mark(path: Path) -> Path:
    return path.with_name(path.name + ".seen")


def _seen(path: Path) -> int:
    try:
        return int(_mark(path).read_text())
    except (OSError, ValueError):
        return 0


def _note(path: Path, seq: int) -> None:
    try:
        _mark(path).write_text(f"{seq}\n")
    except OSError as error:
        log.warning("cannot note how far the ledger is", path=str(_mark(path)), error=error.strerror)
