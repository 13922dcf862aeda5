"""A new ledger from what can still be read of a damaged one."""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator
from contextlib import closing, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from urllib.parse import quote

import msgspec

from exporter.control import Control, SealedChange
from exporter.errors import LedgerError, UserError
from exporter.ledger import chunks
from exporter.ledger.lock import LedgerLock
from exporter.ledger.store import Name, Store
from exporter.totals import Checkpoint, Row, Totals

_STEP = 100  # rows read at once
_FARTHEST = 2**40  # places stepped over before the rest is given up


@dataclass(slots=True)
class Salvaged:
    """What came over, and what did not."""

    events: int = 0
    changes: int = 0
    lost_events: int = 0
    keys: int = 0


def repair(damaged: Path, target: Path, now: float) -> Salvaged:
    """Write all that can be read of `damaged` to the new ledger `target`; `now` is in Unix seconds.

    Events get new places in their old order, so that nothing is missing in between. The new ledger begins a new epoch:
    counters start from zero, since what was lost is not known to the nano-dollar.

    Raises:
        UserError: there is no such file, the target exists, or an exporter uses the ledger.
        LedgerError: nothing can be read.
    """
    if not damaged.is_file():
        raise UserError(f"there is no ledger at {damaged}")
    if target.exists():
        raise UserError(f"{target} exists; give another name, or move it away")
    lock = LedgerLock(damaged)
    try:
        with closing(sqlite3.connect(f"file:{quote(str(damaged.absolute()))}?mode=ro", uri=True)) as old:
            store = Store(target)
            try:
                return _carry_over(old, store, now)
            finally:
                store.close()
    except sqlite3.Error as error:
        raise LedgerError(f"nothing can be read of {damaged}: {error}; restore a backup") from error
    finally:
        lock.release()


def _carry_over(old: sqlite3.Connection, store: Store, now: float) -> Salvaged:
    found = Salvaged()
    totals = Totals()
    totals.enter(now)
    names: dict[int, Name] = {}
    for number, kind, text in _rows(old, "names", "id", "id, kind, value"):
        with suppress(msgspec.MsgspecError):
            names[number] = Name(number, kind, tuple(msgspec.json.decode(text, type=list[str])))
    if not names:
        raise sqlite3.DatabaseError("the dictionary of labels is gone")
    for name in names.values():
        totals.add_name(name.id, name.kind, name.value)
    control = Control()
    changes: list[SealedChange] = []
    for row in _rows(old, "changes", "seq", "seq, change, previous, seal"):
        try:
            control.apply(SealedChange(*row))
        except (LedgerError, msgspec.MsgspecError):
            break  # the chain ends where it is broken
        changes.append(SealedChange(*row))
    with store.transaction():
        store.add_names(names.values())
        store.add_changes(changes)
    found.changes = len(changes)
    place = 0
    for seq, first, blob in _rows(old, "chunks", "seq", "seq, first, events"):
        rows = _readable(blob, names)
        found.lost_events += seq - first + 1 - len(rows)
        if rows:
            place = _store(store, rows, place, now)
            totals.apply(rows, 0.0)
    found.events = place
    for keys in _keys(old):
        with store.transaction():
            store.connection.executemany("INSERT OR IGNORE INTO ids VALUES (?, ?)", keys)
        found.keys += len(keys)
    checkpoint = Checkpoint(totals, now, place)
    for _ in checkpoint.pack():
        pass
    with store.transaction():
        store.save_checkpoint(checkpoint.rows, checkpoint.pending, place)
        store.set_meta("copied", 1)
    return found


def _readable(blob: object, names: dict[int, Name]) -> list[Row]:
    try:
        rows = chunks.decode(blob) if isinstance(blob, bytes) else []
    except LedgerError:
        return []
    return [row for row in rows if row.cell in names and row.route in names]


def _store(store: Store, rows: list[Row], place: int, now: float) -> int:
    with store.transaction():
        keys = [row.id_hash for row in rows if row.id_hash is not None]
        known = store.ids.known(keys)
        fresh = [row for row in rows if row.id_hash is None or row.id_hash not in known]
        if fresh:
            store.add_rows(fresh, place + 1)
        store.ids.add([key for key in keys if key not in known], place + len(fresh), int(now // 86400))
    return place + len(fresh)


def _rows(old: sqlite3.Connection, table: str, key: str, columns: str) -> Iterator[tuple[Any, ...]]:
    """All rows that can be read, in the order of their key, a number; what cannot be read is stepped over."""
    query = f"SELECT {columns} FROM {table} WHERE {key} > ? ORDER BY {key} LIMIT ?"  # noqa: S608
    after, stride = -1, 0
    while stride < _FARTHEST:
        try:
            found = old.execute(query, (after + stride, 1 if stride else _STEP)).fetchall()
        except sqlite3.Error:
            stride = 2 * stride or 1
            continue
        if not found or found[-1][0] <= after:  # the order of a damaged file is not to be trusted
            return
        yield from found
        after, stride = found[-1][0], 0


def _keys(old: sqlite3.Connection) -> Iterator[list[tuple[bytes, int]]]:
    """The keys of ids, as far as they can be read: those of the events that came over are known anyway."""
    after = b""
    with suppress(sqlite3.Error):
        while found := old.execute(
            "SELECT hash, day FROM ids WHERE hash > ? ORDER BY hash LIMIT 10000", (after,)
        ).fetchall():
            if found[-1][0] <= after:
                return
            yield found
            after = found[-1][0]
