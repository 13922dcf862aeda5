"""The SQL of the ledger: one connection, no threads, no policy."""

from __future__ import annotations

import os
import sqlite3
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import NamedTuple

import msgspec

from exporter.control import SealedChange
from exporter.errors import LedgerError
from exporter.ledger import schema
from exporter.ledger.ids import IdIndex
from exporter.totals import Row

_COLUMNS = Row._fields[1:]  # the id's hash lives in its own table
_INSERT = f"INSERT INTO events (seq, {', '.join(_COLUMNS)}) VALUES ({', '.join('?' * len(Row._fields))})"  # noqa: S608
_SELECT = f"SELECT NULL, {', '.join(_COLUMNS)} FROM events WHERE seq > ? ORDER BY seq"  # noqa: S608
SQLITE_VERSION = sqlite3.sqlite_version


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
            self._connection = sqlite3.connect(path, isolation_level=None, check_same_thread=False)
            self._configure()
            schema.prepare(self._connection, str(path))
            self._connection.execute("UPDATE meta SET value = value + 1 WHERE key = 'starts'")  # it can be written
            self.ids = IdIndex(self._connection)
        except OSError as error:
            raise LedgerError(f"cannot open the ledger {path}: {error.strerror}") from error
        except sqlite3.Error as error:
            raise LedgerError(f"cannot open the ledger {path}: {error}") from error

    def _configure(self) -> None:
        execute = self._connection.execute
        (mode,) = execute("PRAGMA journal_mode = WAL").fetchone()
        if mode != "wal":
            raise LedgerError(f"{self.path} is on a file system without shared memory; the ledger needs WAL mode")
        execute("PRAGMA synchronous = FULL")
        execute("PRAGMA busy_timeout = 5000")
        execute("PRAGMA cache_size = -65536")
        execute("PRAGMA wal_autocheckpoint = 4000")
        execute("PRAGMA temp_store = MEMORY")

    def close(self) -> None:
        """Close the connection; SQLite then folds the write-ahead log into the file."""
        self._connection.close()

    @contextmanager
    def transaction(self) -> Iterator[None]:
        """All or nothing, durable when it returns.

        Raises:
            LedgerError: SQLite refused; nothing of the transaction is stored.
        """
        try:
            self._connection.execute("BEGIN IMMEDIATE")
            try:
                yield
                self._connection.execute("COMMIT")
            except BaseException:
                if self._connection.in_transaction:
                    self._connection.execute("ROLLBACK")
                self.ids.rolled_back()
                raise
            self.ids.committed()
        except sqlite3.Error as error:
            raise LedgerError(f"the ledger {self.path} cannot be written: {error}") from error

    # Writing, inside a transaction

    def add_rows(self, rows: Iterable[Row], first_seq: int) -> None:
        """Append events at consecutive places from `first_seq` on."""
        self._connection.executemany(_INSERT, [(seq, *row[1:]) for seq, row in enumerate(rows, start=first_seq)])

    def add_names(self, names: Iterable[Name]) -> None:
        """Add entries to the dictionary."""
        self._connection.executemany(
            "INSERT INTO names VALUES (?, ?, ?)",
            ((name.id, name.kind, msgspec.json.encode(name.value).decode()) for name in names),
        )

    def add_changes(self, changes: Iterable[SealedChange]) -> None:
        """Append to the audit log."""
        self._connection.executemany(
            "INSERT INTO changes VALUES (?, ?, ?, ?)",
            ((change.seq, change.text, change.previous, change.seal) for change in changes),
        )

    def save_checkpoint(self, rows: Iterable[tuple[str, str, bytes]], seq: int) -> None:
        """Replace the rows of the checkpoint that changed; totals then stand at `seq`."""
        self._connection.executemany("INSERT OR REPLACE INTO checkpoint VALUES (?, ?, ?)", rows)
        self._connection.execute("UPDATE meta SET value = ? WHERE key = 'checkpoint'", (seq,))

    # Reading at start

    def last_seq(self) -> int:
        """The newest place ever given; pruning events never lets a place be given twice."""
        (seq,) = self._connection.execute("SELECT coalesce(max(seq), 0) FROM events").fetchone()
        return max(int(seq), self.checkpoint_seq())

    def checkpoint_seq(self) -> int:
        """The place up to which the checkpoint counts."""
        (seq,) = self._connection.execute("SELECT value FROM meta WHERE key = 'checkpoint'").fetchone()
        return int(seq)

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
                f"the ledger {self.path} is damaged: {error}; restore a backup, or move the file away to begin anew"
            ) from error

    def names(self) -> Iterator[Name]:
        """The dictionary."""
        for name_id, kind, value in self._connection.execute("SELECT id, kind, value FROM names ORDER BY id"):
            yield Name(name_id, kind, tuple(msgspec.json.decode(value, type=list[str])))

    def checkpoint(self) -> Iterator[tuple[str, str, bytes]]:
        """The checkpoint's rows: kind, key, packed values."""
        yield from self._connection.execute("SELECT kind, key, value FROM checkpoint")

    def rows_after(self, seq: int) -> Iterator[Row]:
        """Events after a place, in order."""
        return map(Row._make, self._connection.execute(_SELECT, (seq,)))

    def changes(self) -> Iterator[SealedChange]:
        """The audit log, in order."""
        query = "SELECT seq, change, previous, seal FROM changes ORDER BY seq"
        for row in self._connection.execute(query):
            yield SealedChange(*row)
