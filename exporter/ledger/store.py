"""The SQL of the ledger: one connection that writes, no threads, no policy."""

from __future__ import annotations

import os
import sqlite3
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import NamedTuple

import msgspec

from exporter.control import SealedChange
from exporter.errors import LedgerError
from exporter.ledger import chunks, schema
from exporter.ledger.ids import IdIndex
from exporter.totals import Pending, Row

SQLITE_VERSION = sqlite3.sqlite_version
PAGE_CACHE_KIB = 65536


def _identity(path: Path) -> tuple[int, int]:
    """What tells a file from any other that may take its name."""
    found = os.stat(path)
    return found.st_dev, found.st_ino


class Name(NamedTuple):
    """An entry of the dictionary."""

    id: int
    kind: str
    value: tuple[str, ...]


class Store:
    """A ledger file. Not thread-safe: one thread owns it."""

    def __init__(self, path: Path) -> None:
        """Open or create the file and bring its schema up to date.

        Raises:
            LedgerError: the file cannot be opened, is no ledger, or is too new.
        """
        self.path = path
        try:
            os.close(os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600))  # nobody else reads what was spent
            self.connection = sqlite3.connect(path, isolation_level=None, check_same_thread=False)
            self._configure()
            schema.prepare(self.connection, str(path))
            self.connection.execute("UPDATE meta SET value = value + 1 WHERE key = 'starts'")  # it can be written
            self._file = _identity(path)
            self.ids = IdIndex(self.connection)
        except OSError as error:
            raise LedgerError(f"cannot open the ledger {path}: {error.strerror}") from error
        except sqlite3.Error as error:
            raise LedgerError(f"cannot open the ledger {path}: {error}") from error

    def _configure(self) -> None:
        execute = self.connection.execute
        (mode,) = execute("PRAGMA journal_mode = WAL").fetchone()
        if mode != "wal":
            raise LedgerError(f"{self.path} is on a file system without shared memory; the ledger needs WAL mode")
        execute("PRAGMA synchronous = FULL")
        execute("PRAGMA busy_timeout = 5000")
        execute(f"PRAGMA cache_size = -{PAGE_CACHE_KIB}")
        execute("PRAGMA wal_autocheckpoint = 4000")
        execute("PRAGMA temp_store = MEMORY")

    def close(self) -> None:
        """Close the connection; SQLite then folds the write-ahead log into the file."""
        self.connection.close()

    @contextmanager
    def transaction(self) -> Iterator[None]:
        """All or nothing, durable when it returns.

        Raises:
            LedgerError: SQLite refused; nothing of the transaction is stored.
        """
        try:
            self.connection.execute("BEGIN IMMEDIATE")
            try:
                yield
                self._check_place()
                self.connection.execute("COMMIT")
            except BaseException:
                if self.connection.in_transaction:
                    self.connection.execute("ROLLBACK")
                self.ids.rolled_back()
                raise
            self.ids.committed()
        except sqlite3.Error as error:
            raise LedgerError(f"the ledger {self.path} cannot be written: {error}") from error

    def _check_place(self) -> None:
        """SQLite goes on writing into a file that was moved or removed: what it commits there nobody finds again."""
        try:
            same = _identity(self.path) == self._file
        except OSError as error:
            raise LedgerError(
                f"the ledger {self.path} is gone: {error.strerror}; put it back, or restart the exporter to begin anew"
            ) from error
        if not same:
            raise LedgerError(
                f"the ledger {self.path} was replaced by another file while the exporter was running; restart it"
            )

    # Writing, inside a transaction

    def add_rows(self, rows: Sequence[Row], first_seq: int) -> None:
        """Append events, at least one, at consecutive places from `first_seq` on, as one chunk."""
        times = [row[1] for row in rows]
        self.connection.execute(
            "INSERT INTO chunks VALUES (?, ?, ?, ?, ?)",
            (first_seq + len(rows) - 1, first_seq, min(times), max(times), chunks.encode(rows)),
        )

    def add_names(self, names: Iterable[Name]) -> None:
        """Add entries to the dictionary."""
        self.connection.executemany(
            "INSERT INTO names VALUES (?, ?, ?)",
            ((name.id, name.kind, msgspec.json.encode(name.value).decode()) for name in names),
        )

    def add_changes(self, changes: Iterable[SealedChange]) -> None:
        """Append to the audit log."""
        self.connection.executemany(
            "INSERT INTO changes VALUES (?, ?, ?, ?)",
            ((change.seq, change.text, change.previous, change.seal) for change in changes),
        )

    def save_checkpoint(self, rows: Iterable[tuple[str, str, bytes]], pending: Pending, seq: int) -> None:
        """Replace the rows of the checkpoint that changed, and add to the sums by time; totals then stand at `seq`."""
        self.connection.executemany("INSERT OR REPLACE INTO checkpoint VALUES (?, ?, ?)", rows)
        schema.add_sums(self.connection, pending)
        self.set_meta("checkpoint", seq)

    def forget_sums(self) -> None:
        """Remove the checkpoint and all sums by time, which are then added up anew."""
        for table in ("checkpoint", "usage", "shape"):
            self.connection.execute(f"DELETE FROM {table}")  # noqa: S608

    def set_meta(self, key: str, value: int) -> None:
        """Keep a number of the ledger's own."""
        self.connection.execute("INSERT OR REPLACE INTO meta VALUES (?, ?)", (key, value))

    # Reading

    def meta(self, key: str) -> int:
        """A number of the ledger's own: checkpoint, starts, merged_ids, compacted, epoch, copied."""
        (value,) = self.connection.execute("SELECT value FROM meta WHERE key = ?", (key,)).fetchone()
        return int(value)

    def last_seq(self) -> int:
        """The newest place ever given; pruning events never lets a place be given twice."""
        (seq,) = self.connection.execute("SELECT coalesce(max(seq), 0) FROM chunks").fetchone()
        return max(int(seq), self.checkpoint_seq())

    def first_seq(self) -> int:
        """The place of the oldest event that is still there; one more than the newest where there is none."""
        oldest = self.connection.execute("SELECT first FROM chunks ORDER BY seq LIMIT 1").fetchone()
        return int(oldest[0]) if oldest else self.last_seq() + 1

    def checkpoint_seq(self) -> int:
        """The place up to which the checkpoint counts."""
        return self.meta("checkpoint")

    @contextmanager
    def reading(self) -> Iterator[None]:
        """What is read in this context is the ledger's own.

        Raises:
            LedgerError: the file is damaged, or not a ledger.
        """
        try:
            yield
        except (sqlite3.Error, msgspec.MsgspecError, ValueError, KeyError, TypeError) as error:
            raise LedgerError(
                f"the ledger {self.path} is damaged: {error}; restore a backup, or see `llm-migration-exporter repair`"
            ) from error

    def names(self) -> Iterator[Name]:
        """The dictionary."""
        for name_id, kind, value in self.connection.execute("SELECT id, kind, value FROM names ORDER BY id"):
            yield Name(name_id, kind, tuple(msgspec.json.decode(value, type=list[str])))

    def checkpoint(self) -> Iterator[tuple[str, str, bytes]]:
        """The checkpoint's rows: kind, key, packed values."""
        yield from self.connection.execute("SELECT kind, key, value FROM checkpoint")

    def rows_after(self, seq: int) -> Iterator[Row]:
        """Events after a place, in order."""
        query = "SELECT first, events FROM chunks WHERE seq > ? ORDER BY seq"
        for first, blob in self.connection.execute(query, (seq,)):
            rows = chunks.decode(blob)
            yield from rows[max(0, seq + 1 - first) :]

    def changes(self) -> Iterator[SealedChange]:
        """The audit log, in order."""
        query = "SELECT seq, change, previous, seal FROM changes ORDER BY seq"
        for row in self.connection.execute(query):
            yield SealedChange(*row)
