"""The thread that owns the ledger's connection: group commit, acknowledgement only after it.

Jobs arrive from the event loop through a bounded queue. The thread takes all that wait, writes them in one
transaction, and hands the results back to the loop in the order of their commit, so that a fold on the loop is a fold
in ledger order. The event loop never waits for the disk.
"""

from __future__ import annotations

import asyncio
import queue
import threading
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field

from exporter.clock import Clock
from exporter.control import SealedChange
from exporter.errors import LedgerError, Overloaded
from exporter.ledger.store import Name, Store
from exporter.totals import Row

GROUP_EVENTS = 4000  # a transaction takes no more jobs once it has this many events


@dataclass(slots=True)
class Append:
    """Rows to store; the result says how many were new, duplicates left out."""

    rows: Sequence[Row]
    done: asyncio.Future[int]


@dataclass(slots=True)
class Record:
    """Changes to append to the audit log."""

    changes: Sequence[SealedChange]
    on_commit: Callable[[], None]
    done: asyncio.Future[None]


@dataclass(slots=True)
class Upkeep:
    """A step in the ledger's own affairs, such as a checkpoint or the removal of what is too old."""

    step: Callable[[Store], int]
    done: asyncio.Future[int]


Job = Append | Record | Upkeep
OnRows = Callable[[Sequence[Row], int], None]


@dataclass(slots=True)
class _Group:
    jobs: list[Job] = field(default_factory=list)
    fresh: list[Row] = field(default_factory=list)  # new rows of all jobs, in order
    results: list[int] = field(default_factory=list)  # one for each Append and Upkeep, in order
    last_seq: int = 0


class Writer:
    """Owner of a `Store` and its thread."""

    def __init__(
        self,
        store: Store,
        clock: Clock,
        on_rows: OnRows,
        *,
        max_events: int = 100_000,
        on_group: Callable[[float], None] = lambda seconds: None,
    ) -> None:
        """Both callbacks come on the loop, after each commit.

        Args:
            store: The ledger; from `start` on it belongs to the writer's thread.
            clock: For the day on which a key begins to be remembered.
            on_rows: Gets the rows that were new, in the order of the ledger, and its last place.
            max_events: How many may wait.
            on_group: Gets the seconds that a commit took.
        """
        self._store = store
        self._on_rows = on_rows
        self._clock = clock
        self._max_events = max_events
        self._on_group = on_group
        self._jobs: queue.SimpleQueue[Job | None] = queue.SimpleQueue()
        self._held: list[Job | None] = []  # taken from the queue, and put off to the next group
        self._names: list[Name] = []  # not yet durable; survives a failed commit
        self._names_lock = threading.Lock()
        self._waiting = 0
        self._thread: threading.Thread | None = None
        self._last_seq = store.last_seq()
        self.error: LedgerError | None = None  # why the last commit failed; None after a good one

    def start(self) -> None:
        """Begin to serve; call from the running event loop."""
        self._loop = asyncio.get_running_loop()
        self._thread = threading.Thread(target=self._run, name="ledger-writer", daemon=True)
        self._thread.start()

    async def stop(self) -> None:
        """Commit what waits, end the thread, close the store."""
        if self._thread is not None:
            self._jobs.put(None)
            await asyncio.get_running_loop().run_in_executor(None, self._thread.join)
        self._store.close()

    @property
    def last_seq(self) -> int:
        """The newest place that is committed."""
        return self._last_seq

    @property
    def waiting(self) -> int:
        """Events that wait for their commit."""
        return self._waiting

    def add_name(self, name: Name) -> None:
        """A dictionary entry that goes into the next commit, before the rows that refer to it."""
        with self._names_lock:
            self._names.append(name)

    def append(self, rows: Sequence[Row]) -> asyncio.Future[int]:
        """Store rows; the future gives how many were new. Whoever stops waiting for it changes nothing.

        Raises:
            Overloaded: too many events wait; nothing was taken.
        """
        if self._waiting and self._waiting + len(rows) > self._max_events:
            raise Overloaded(retry_after=1)
        self._waiting += len(rows)
        done: asyncio.Future[int] = self._loop.create_future()
        self._jobs.put(Append(rows, done))
        return done

    def record(self, changes: Sequence[SealedChange], on_commit: Callable[[], None]) -> asyncio.Future[None]:
        """Append changes; `on_commit` runs on the loop once they are durable."""
        done: asyncio.Future[None] = self._loop.create_future()
        self._jobs.put(Record(changes, on_commit, done))
        return done

    def upkeep(self, step: Callable[[Store], int]) -> asyncio.Future[int]:
        """Run a step inside a transaction, on the writer's thread; the future gives what it returns."""
        done: asyncio.Future[int] = self._loop.create_future()
        self._jobs.put(Upkeep(step, done))
        return done

    # The thread

    def _run(self) -> None:
        while group := self._next_group():
            started = time.perf_counter()
            error: LedgerError | None = None
            try:
                self._commit(group)
            except LedgerError as failure:
                error = failure
            except Exception as failure:  # a bug must not end the thread and leave callers waiting for ever
                error = LedgerError(f"internal error while writing the ledger: {failure!r}")
            self.error = error
            self._loop.call_soon_threadsafe(self._deliver, group, error, time.perf_counter() - started)

    def _next_group(self) -> _Group | None:
        """What waits and fits into one transaction; None at the end."""
        group = _Group()
        events = 0
        job = self._held.pop() if self._held else self._jobs.get()
        while job is not None:
            if isinstance(job, Upkeep):  # alone, so that nobody's events fail with it
                if group.jobs:
                    self._held.append(job)
                else:
                    group.jobs.append(job)
                return group
            group.jobs.append(job)
            if isinstance(job, Append):
                events += len(job.rows)
                if events >= GROUP_EVENTS:
                    return group
            try:
                job = self._jobs.get_nowait()
            except queue.Empty:
                return group
        self._held.append(None)
        return group if group.jobs else None

    def _commit(self, group: _Group) -> None:
        with self._names_lock:
            names = self._names[:]
        day = int(self._clock.now() // 86400)
        first = self._last_seq + 1
        with self._store.transaction():
            if names:
                self._store.add_names(names)
            keys = self._new_rows(group)
            last = self._last_seq + len(group.fresh)
            if group.fresh:
                self._store.add_rows(group.fresh, first)
            self._store.ids.add(keys, last, day)
            for job in group.jobs:
                if isinstance(job, Record):
                    self._store.add_changes(job.changes)
                elif isinstance(job, Upkeep):
                    group.results.append(job.step(self._store))
        group.last_seq = self._last_seq = last
        if names:
            with self._names_lock:
                del self._names[: len(names)]

    def _new_rows(self, group: _Group) -> list[bytes]:
        """Collect the rows that are not stored yet; their keys."""
        asked = [row[0] for job in group.jobs if isinstance(job, Append) for row in job.rows if row[0] is not None]
        seen = self._store.ids.known(asked) if asked else set()
        unknown = seen.__contains__
        keys: list[bytes] = []
        for job in group.jobs:
            if not isinstance(job, Append):
                continue
            before = len(group.fresh)
            for row in job.rows:
                key = row[0]
                if key is not None:
                    if unknown(key):
                        continue
                    seen.add(key)
                    keys.append(key)
                group.fresh.append(row)
            group.results.append(len(group.fresh) - before)
        return keys

    # Back on the loop

    def _deliver(self, group: _Group, error: LedgerError | None, seconds: float) -> None:
        failure: Exception | None = error
        if error is None:
            self._on_group(seconds)
            if group.fresh:
                try:
                    self._on_rows(group.fresh, group.last_seq)
                except Exception as bug:  # callers must not be left waiting
                    failure = bug
        counts = iter(group.results)
        for job in group.jobs:
            if isinstance(job, Append):
                self._waiting -= len(job.rows)
            if failure is not None:
                if not job.done.done():
                    job.done.set_exception(failure)
            elif isinstance(job, Record):
                self._record(job)
            else:
                result = next(counts)
                if not job.done.done():
                    job.done.set_result(result)

    @staticmethod
    def _record(job: Record) -> None:
        try:
            job.on_commit()
        except Exception as bug:  # one caller's must not leave the others waiting
            if not job.done.done():
                job.done.set_exception(bug)
            return
        if not job.done.done():
            job.done.set_result(None)
