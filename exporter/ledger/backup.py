"""A copy of a ledger while it is in use, and the way back."""

from __future__ import annotations

import os
import shutil
import sqlite3
from contextlib import closing
from datetime import UTC, datetime
from pathlib import Path
from urllib.parse import quote

from exporter.errors import LedgerError, UserError
from exporter.ledger import schema
from exporter.ledger.lock import LedgerLock

_ASIDE = ".part"


def backup(source: Path, target: Path) -> int:
    """Copy the ledger `source`, as it is at one moment, compactly to the file `target`; its size in bytes.

    The exporter goes on meanwhile. The copy is checked, and marked as one: an exporter that opens it begins a new
    epoch, in which counters start from zero, so that Prometheus does not see them go back. The file appears whole or
    not at all.

    Raises:
        UserError: there is no ledger, or the target exists or cannot be written.
        LedgerError: the ledger cannot be read, or is damaged.
    """
    if not source.is_file():
        raise UserError(f"there is no ledger at {source}; give the exporter's --storage.path")
    if target.exists():
        raise UserError(f"{target} exists; give another name, or move it away")
    part = target.with_name(target.name + _ASIDE)
    _make(part)
    try:
        with closing(sqlite3.connect(f"file:{quote(str(source.absolute()))}?mode=ro", uri=True)) as connection:
            (application,) = connection.execute("PRAGMA application_id").fetchone()
            if application != schema.APPLICATION_ID:
                raise LedgerError(f"{source} is no ledger")
            connection.execute("VACUUM INTO ?", (str(part),))
        _mark(part, source)
        _put(part, target)
    except sqlite3.Error as error:
        raise LedgerError(f"{source} cannot be copied to {target}: {error}") from error
    finally:
        part.unlink(missing_ok=True)
    return target.stat().st_size


def restore(copy: Path, ledger: Path, now: float) -> Path | None:
    """Put a copy in the place of a ledger that no exporter uses; where the old one is now, None without an old one.

    Only replacing the file would not do: SQLite would apply the write-ahead log of the old ledger to the new one.

    Raises:
        UserError: there is no such copy, or the folder cannot be written; nothing changed.
        LedgerLocked: an exporter uses the ledger.
        LedgerError: the copy is damaged, or no ledger.
    """
    if not copy.is_file():
        raise UserError(f"there is no file {copy}")
    ledger.parent.mkdir(parents=True, exist_ok=True)
    lock = LedgerLock(ledger)
    part = ledger.with_name(ledger.name + _ASIDE)
    try:
        _make(part)
        shutil.copyfile(copy, part)
        _mark(part, copy)
        files = [ledger.with_name(ledger.name + end) for end in ("", "-wal", "-shm")]
        old = [file for file in files if file.exists()]
        aside = ledger.parent / f"replaced-{datetime.fromtimestamp(now, UTC):%Y%m%dT%H%M%SZ}"
        if old:
            aside.mkdir(mode=0o700)
        for file in reversed(old):  # the ledger last: without its log it is only an older one
            file.replace(aside / file.name)
        _put(part, ledger)
        return aside if old else None
    except sqlite3.Error as error:
        raise LedgerError(f"{copy} cannot be used: {error}") from error
    except OSError as error:
        raise UserError(f"{error.filename or ledger.parent}: {error.strerror}; nothing else was changed") from error
    finally:
        part.unlink(missing_ok=True)
        lock.release()


def _make(part: Path) -> None:
    try:
        part.unlink(missing_ok=True)
        os.close(os.open(part, os.O_RDWR | os.O_CREAT | os.O_EXCL, 0o600))
    except OSError as error:
        raise UserError(f"cannot write {part}: {error.strerror}") from error


def _mark(part: Path, source: Path) -> None:
    """Let the exporter know that this is a copy, if it is whole."""
    with closing(sqlite3.connect(part, isolation_level=None)) as copy:
        (application,) = copy.execute("PRAGMA application_id").fetchone()
        if application != schema.APPLICATION_ID:
            raise LedgerError(f"{source} is no ledger")
        (verdict,) = copy.execute("PRAGMA quick_check(1)").fetchone()
        if verdict != "ok":
            raise LedgerError(f"{source} is damaged: {verdict}")
        copy.execute("INSERT OR REPLACE INTO meta VALUES ('copied', 1)")
        copy.execute("PRAGMA wal_checkpoint(TRUNCATE)")


def _put(part: Path, target: Path) -> None:
    with part.open("rb") as file:
        os.fsync(file.fileno())
    part.replace(target)
    folder = os.open(target.parent, os.O_RDONLY)
    os.fsync(folder)
    os.close(folder)
