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
from functools import partial
from typing import TypeVar

from exporter.clock import Clock
from exporter.control import SealedChange
from exporter.errors import LedgerError, Overloaded
from exporter.ledger.store import Name, Store
from exporter.totals import Row

GROUP_EVENTS = 4000  # a transaction takes no more jobs once it has this many events


@dataclass(slots=True)
class Append:
    """Rows to store; the result lists those that were new, duplicates left out."""

    rows: Sequence[Row]
    on_commit: Callable[[Sequence[Row], int], None]  # new rows and the ledger's last place, on the loop
    done: asyncio.Future[int]  # how many were new


@dataclass(slots=True)
class Record:
    """Changes to append to the audit log."""

    changes: Sequence[SealedChange]
    on_commit: Callable[[], None]
    done: asyncio.Future[None]


@dataclass(slots=True)
class Checkpoint:
    """Totals as of a place in the ledger."""

    rows: Sequence[tuple[str, str, bytes]]
    seq: int
    done: asyncio.Future[None]


Job = Append | Record | Checkpoint
T = TypeVar("T")


@dataclass(slots=True)
class _Group:
    jobs: list[Job] = field(default_factory=list)
    fresh: list[Sequence[Row]] = field(default_factory=list)  # one entry per Append, in order
    last_seq: int = 0


class Writer:
    """Owner of a `Store` and its thread."""

    def __init__(
        self,
        store: Store,
        clock: Clock,
        *,
        max_events: int = 100_000,
        on_group: Callable[[float], None] = lambda seconds: None,
    ) -> None:
        """`on_group` is told the seconds of each commit, on the loop."""
        self._store = store
        self._clock = clock
        self._max_events = max_events
        self._on_group = on_group
        self._jobs: queue.SimpleQueue[Job | None] = queue.SimpleQueue()
        self._names: list[Name] = []  # not yet durable; survives a failed commit
        self._names_lock = threading.Lock()
        self._waiting = 0
        self._thread: threading.Thread | None = None
        self._last_seq = store.last_seq()
        self.error: LedgerError | None = None  # why the last commit failed; None after a good one

    def start(self) -> None:
        """Begin to serve; call from the running event loop."""
        loop = asyncio.get_running_loop()
        self._thread = threading.Thread(target=self._run, args=(loop,), name="ledger-writer", daemon=True)
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

    def append(self, rows: Sequence[Row], on_commit: Callable[[Sequence[Row], int], None]) -> asyncio.Future[int]:
        """Store rows; the future gives how many were new.

        Raises:
            Overloaded: too many events wait; nothing was taken.
        """
        if self._waiting and self._waiting + len(rows) > self._max_events:
            raise Overloaded(retry_after=1)
        self._waiting += len(rows)
        done: asyncio.Future[int] = asyncio.get_running_loop().create_future()
        self._jobs.put(Append(rows, on_commit, done))
        return done

    def record(self, changes: Sequence[SealedChange], on_commit: Callable[[], None]) -> asyncio.Future[None]:
        """Append changes; `on_commit` runs on the loop once they are durable."""
        done: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self._jobs.put(Record(changes, on_commit, done))
        return done

    def checkpoint(self, rows: Sequence[tuple[str, str, bytes]], seq: int) -> asyncio.Future[None]:
        """Store totals as of `seq`."""
        done: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self._jobs.put(Checkpoint(rows, seq, done))
        return done

    # The thread

    def _run(self, loop: asyncio.AbstractEventLoop) -> None:
        running = True
        while running:
            group = _Group()
            job = self._jobs.get()
            events = 0
            while True:
                if job is None:
                    running = False
                    break
                group.jobs.append(job)
                if isinstance(job, Append):
                    events += len(job.rows)
                if events >= GROUP_EVENTS:
                    break
                try:
                    job = self._jobs.get_nowait()
                except queue.Empty:
                    break
            if not group.jobs:
                continue
            started = time.perf_counter()
            error: LedgerError | None = None
            try:
                self._commit(group)
            except LedgerError as failure:
                error = failure
            except Exception as failure:  # a bug must not end the thread and leave callers waiting for ever
                error = LedgerError(f"internal error while writing the ledger: {failure!r}")
            self.error = error
            loop.call_soon_threadsafe(self._deliver, group, error, time.perf_counter() - started)

    def _commit(self, group: _Group) -> None:
        with self._names_lock:
            names = self._names[:]
        day = int(self._clock.now() // 86400)
        with self._store.transaction():
            self._store.add_names(names)
            seen: set[bytes] = set()
            asked = [
                row.id_hash
                for job in group.jobs
                if isinstance(job, Append)
                for row in job.rows
                if row.id_hash is not None
            ]
            stored = self._store.ids.known(asked) if asked else set()
            place = self._last_seq + 1
            for job in group.jobs:
                if isinstance(job, Append):
                    fresh = []
                    for row in job.rows:
                        key = row.id_hash
                        if key is not None:
                            if key in seen or key in stored:
                                continue
                            seen.add(key)
                        fresh.append(row)
                    self._store.add_rows(fresh, place)
                    place += len(fresh)
                    group.fresh.append(fresh)
                elif isinstance(job, Record):
                    self._store.add_changes(job.changes)
                else:
                    self._store.save_checkpoint(job.rows, job.seq)
            self._store.ids.add(list(seen), day)
        group.last_seq = self._last_seq = place - 1
        with self._names_lock:
            del self._names[: len(names)]

    # Back on the loop

    def _deliver(self, group: _Group, error: LedgerError | None, seconds: float) -> None:
        if error is None:
            self._on_group(seconds)
        fresh = iter(group.fresh)
        for job in group.jobs:
            if isinstance(job, Append):
                self._waiting -= len(job.rows)
            if error is not None:
                if not job.done.done():
                    job.done.set_exception(error)
                continue
            if isinstance(job, Append):
                rows = next(fresh)
                # Also when the caller has gone: the rows are in the ledger.
                self._finish(job.done, partial(job.on_commit, rows, group.last_seq), len(rows))
            elif isinstance(job, Record):
                self._finish(job.done, job.on_commit, None)
            else:
                self._finish(job.done, lambda: None, None)

    @staticmethod
    def _finish(done: asyncio.Future[T], on_commit: Callable[[], None], result: T) -> None:
        try:
            on_commit()
        except Exception as bug:  # one caller's must not leave the others waiting
            if not done.done():
                done.set_exception(bug)
            return
        if not done.done():
            done.set_result(result)
