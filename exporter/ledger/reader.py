"""Reading the ledger while it is written: one thread with a connection of its own, which can change nothing.

It neither commits nor checkpoints, so the writer never waits for it. Each question has a deadline, and each look at the
file is short: a transaction that stays open keeps the write-ahead log from being folded back into the file.
"""

from __future__ import annotations

import asyncio
import sqlite3
import threading
import time
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing, contextmanager
from pathlib import Path
from typing import NamedTuple, TypeVar
from urllib.parse import quote

import msgspec

from exporter.control import SealedChange
from exporter.errors import LedgerError, TooSlow
from exporter.ledger import chunks
from exporter.ledger.schema import SHAPE, USAGE
from exporter.totals.rows import Row

T = TypeVar("T")
TIMEOUT_SECONDS = 30.0
_STEPS = 10_000  # of SQLite's machine between two looks at the clock
_NEWEST = 2**63 - 1


class Summed(NamedTuple):
    """One row of the sums by hour or day: `key` is the number of a cell (usage) or of a group (shape)."""

    start: int
    key: int
    values: tuple[int, ...]


class View:
    """The ledger as a question sees it. Used by one thread, until its deadline."""

    def __init__(self, path: Path, deadline: float, given_up: threading.Event | None = None) -> None:
        """Open the file; `deadline` is a monotonic time, `given_up` says that nobody waits for the answer any more.

        Raises:
            sqlite3.Error: it cannot be opened.
        """
        self._path = path
        self._deadline = deadline
        self._given_up = given_up or threading.Event()
        self._connection = sqlite3.connect(
            f"file:{quote(str(path.absolute()))}?mode=ro", uri=True, isolation_level=None, check_same_thread=False
        )
        self._connection.execute("PRAGMA query_only = ON")
        self._connection.execute("PRAGMA busy_timeout = 1000")
        self._connection.set_progress_handler(self._late, _STEPS)

    def close(self) -> None:
        """Let the file go."""
        self._connection.close()

    @contextmanager
    def reading(self) -> Iterator[None]:
        """Turn failures of the file into ours.

        Raises:
            TooSlow: the deadline passed.
            LedgerError: the ledger cannot be read.
        """
        try:
            yield
        except (sqlite3.Error, msgspec.MsgspecError) as error:
            if isinstance(error, sqlite3.OperationalError) and self._late():
                raise TooSlow from error
            raise LedgerError(f"the ledger {self._path} cannot be read: {error}") from error

    def _late(self) -> bool:
        return time.monotonic() > self._deadline or self._given_up.is_set()

    def check(self) -> None:
        """Go on only while there is time.

        Raises:
            TooSlow: there is none.
        """
        if self._late():
            raise TooSlow

    def columns(
        self, names: Iterable[str], start: float = 0.0, end: float = float("inf")
    ) -> Iterator[list[chunks.Values]]:
        """Columns of single events, a chunk at a time: chunks with any event that ended in [start, end), Unix seconds.

        Such a chunk has other events too: ask for `at_us`, and leave out what is not meant.
        """
        wanted = tuple(names)
        for _, blob in self._chunks(start, end):
            yield chunks.columns(blob, wanted)

    def rows(self, start: float = 0.0, end: float = float("inf"), *, after: int = 0) -> Iterator[tuple[int, Row]]:
        """Single events with their places, in the order of the ledger, that ended in [start, end), after a place."""
        first_us, end_us = _microseconds(start), _microseconds(end)
        for first, blob in self._chunks(start, end, after):
            for seq, row in enumerate(chunks.decode(blob), start=first):
                if seq > after and first_us <= row.at_us < end_us:
                    yield seq, row

    def _chunks(self, start: float, end: float, after: int = 0) -> Iterator[tuple[int, bytes]]:
        query = (
            "SELECT seq, first, events FROM chunks WHERE seq > ? AND last_us >= ? AND first_us < ? ORDER BY seq LIMIT 1"
        )
        bounds = (_microseconds(start), _microseconds(end))
        while True:
            self.check()
            found = self._connection.execute(query, (after, *bounds)).fetchone()
            if found is None:
                return
            place, first, blob = found
            if place <= after:  # the order of a damaged file is not to be trusted
                raise LedgerError(f"the ledger {self._path} is damaged: its events are out of order; see `repair`")
            after = place
            yield first, blob

    def names(self, kind: str) -> dict[int, tuple[str, ...]]:
        """The dictionary's entries of a kind."""
        query = "SELECT id, value FROM names WHERE kind = ?"
        return {
            number: tuple(msgspec.json.decode(value, type=list[str]))
            for number, value in self._connection.execute(query, (kind,))
        }

    def usage(self, level: str, start: float, end: float) -> Iterator[Summed]:
        """Sums of cells, in the order of `Cell.values`, of hours or days that begin in [start, end)."""
        yield from self._sums("usage", "cell", USAGE, (level, start, end))

    def shape(self, level: str, start: float, end: float) -> Iterator[Summed]:
        """Sums of groups, in the order of `Group.sums`, of hours or days that begin in [start, end)."""
        yield from self._sums("shape", "grp", SHAPE, (level, start, end))

    def _sums(
        self, table: str, number: str, names: tuple[str, ...], where: tuple[str, float, float]
    ) -> Iterator[Summed]:
        query = (
            f"SELECT start, {number}, {', '.join(names)} FROM {table} "  # noqa: S608
            "WHERE level = ? AND start >= ? AND start < ? ORDER BY start"
        )
        for start, key, *values in self._connection.execute(query, where):
            yield Summed(start, key, tuple(values))

    def changes(self, before: int = _NEWEST) -> Iterator[SealedChange]:
        """The audit log, newest first, older than a place."""
        query = "SELECT seq, change, previous, seal FROM changes WHERE seq < ? ORDER BY seq DESC"
        for row in self._connection.execute(query, (before,)):
            yield SealedChange(*row)


class Reader:
    """Questions to a ledger, answered one after the other on a thread of their own."""

    def __init__(self, path: Path, *, timeout: float = TIMEOUT_SECONDS) -> None:
        """`path` is the ledger's file; `timeout` is in seconds, from when a question is asked."""
        self._path = path
        self._timeout = timeout
        self._thread = ThreadPoolExecutor(1, thread_name_prefix="ledger-reader")
        self._closed = threading.Event()

    async def ask(self, question: Callable[[View], T]) -> T:
        """What a function finds in the ledger; it runs on the reader's thread and must not keep the view.

        Raises:
            TooSlow: it took longer than a question may.
            LedgerError: the ledger cannot be read.
        """
        deadline = time.monotonic() + self._timeout
        return await asyncio.get_running_loop().run_in_executor(self._thread, self._answer, question, deadline)

    def _answer(self, question: Callable[[View], T], deadline: float) -> T:
        try:
            with closing(View(self._path, deadline, self._closed)) as view, view.reading():
                return question(view)
        except sqlite3.Error as error:
            raise LedgerError(f"the ledger {self._path} cannot be read: {error}") from error

    def close(self) -> None:
        """Answer no more, not even the question under way."""
        self._closed.set()
        self._thread.shutdown(cancel_futures=True)


def _microseconds(at: float) -> int:
    return _NEWEST if at == float("inf") else round(at * 1_000_000)
