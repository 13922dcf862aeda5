"""Is a ledger whole, and does it agree with itself? Reads everything, changes nothing."""

from __future__ import annotations

import sqlite3
from collections import Counter
from collections.abc import Iterator
from contextlib import closing
from dataclasses import dataclass, field
from pathlib import Path
from urllib.parse import quote

import msgspec

from exporter.control import Control, SealedChange
from exporter.errors import LedgerError
from exporter.ledger import chunks, schema
from exporter.totals import Row, Totals, restore

MAX_PROBLEMS = 20


@dataclass(slots=True)
class Report:
    """What was found."""

    facts: list[str] = field(default_factory=list)
    problems: list[str] = field(default_factory=list)


def is_ledger(path: Path) -> bool:
    """Whether a file is an SQLite database, by its first bytes."""
    try:
        with path.open("rb") as file:
            return file.read(16) == b"SQLite format 3\x00"
    except OSError:
        return False


def examine(path: Path) -> Report:
    """Everything that can be said about a ledger.

    Raises:
        LedgerError: it cannot be read at all, is no ledger, or is of another schema version.
    """
    report = Report()
    try:
        with closing(sqlite3.connect(f"file:{quote(str(path.absolute()))}?mode=ro", uri=True)) as connection:
            _header(connection, path)
            connection.execute("BEGIN")  # one moment of a ledger that may be in use
            for check in (_pages, _events, _log):
                if len(report.problems) < MAX_PROBLEMS:
                    check(connection, report)
    except sqlite3.DatabaseError as error:
        raise LedgerError(f"{path} cannot be read: {error}; restore a backup, or try `repair`") from error
    return report


def _header(connection: sqlite3.Connection, path: Path) -> None:
    (application,) = connection.execute("PRAGMA application_id").fetchone()
    (version,) = connection.execute("PRAGMA user_version").fetchone()
    if application != schema.APPLICATION_ID:
        raise LedgerError(f"{path} is an SQLite database of another program")
    if version != schema.VERSION:
        raise LedgerError(
            f"{path} has schema version {version}, this exporter works with {schema.VERSION}; "
            "`serve` brings older ones up to date"
        )


def _pages(connection: sqlite3.Connection, report: Report) -> None:
    for (line,) in connection.execute(f"PRAGMA integrity_check({MAX_PROBLEMS})"):
        if line != "ok":
            report.problems.append(f"file: {line}")
    (pages,) = connection.execute("PRAGMA page_count").fetchone()
    (size,) = connection.execute("PRAGMA page_size").fetchone()
    report.facts.append(f"{pages * size:,} bytes")


def _events(connection: sqlite3.Connection, report: Report) -> None:
    """Chunks follow each other, ids are unique, and what all adds up to is what the checkpoint says."""
    meta = dict(connection.execute("SELECT key, value FROM meta"))
    counted = _blank(connection)
    oldest, expected, held = 0, 0, 0
    seen: Counter[bytes] = Counter()
    unknown = 0
    for seq, first, blob in connection.execute("SELECT seq, first, events FROM chunks ORDER BY seq"):
        if expected and first != expected:
            report.problems.append(f"events {expected} to {first - 1} are missing")
        expected = seq + 1
        oldest = oldest or first
        rows = _rows(blob, first, seq, report)
        held += len(rows)
        keys = [row.id_hash for row in rows if row.id_hash is not None]
        seen.update(keys)
        if seq <= meta["merged_ids"]:
            unknown += sum(1 for _ in _unknown(connection, keys))
        counted.apply(rows[: max(0, meta["checkpoint"] + 1 - first)], 0.0)
    report.facts.append(f"{held:,} events, the oldest at place {oldest:,}, epoch {meta['epoch']}")
    twice = sum(count > 1 for count in seen.values())
    if twice:
        report.problems.append(f"{twice} ids are stored more than once")
    if unknown:
        report.problems.append(f"{unknown} ids are missing from the index: their events could be counted again")
    stored = _stored(connection, report)
    if oldest > 1 or meta["epoch"] > 1 or report.problems:
        report.facts.append("the checkpoint was not compared with its events: some are gone, or of another epoch")
        return
    report.problems += _differences(stored, counted)
    if not report.problems:
        report.facts.append("the checkpoint is what its events add up to")


def _rows(blob: bytes, first: int, seq: int, report: Report) -> list[Row]:
    try:
        rows = chunks.decode(blob)
    except LedgerError as error:
        report.problems.append(f"events {first} to {seq}: {error}")
        return []
    if len(rows) != seq - first + 1:
        report.problems.append(f"events {first} to {seq}: the chunk has {len(rows)}")
    return rows


def _stored(connection: sqlite3.Connection, report: Report) -> Totals:
    totals = _blank(connection)
    for kind, key, packed in connection.execute("SELECT kind, key, value FROM checkpoint"):
        try:
            restore(totals, kind, key, packed)
        except (msgspec.MsgspecError, ValueError, KeyError, TypeError) as error:
            report.problems.append(f"checkpoint: {kind} {key} cannot be read: {error}")
    return totals


def _blank(connection: sqlite3.Connection) -> Totals:
    totals = Totals()
    for number, kind, value in connection.execute("SELECT id, kind, value FROM names ORDER BY id"):
        totals.add_name(number, kind, tuple(msgspec.json.decode(value, type=list[str])))
    return totals


def _unknown(connection: sqlite3.Connection, keys: list[bytes]) -> Iterator[bytes]:
    for key in keys:
        if connection.execute("SELECT 1 FROM ids WHERE hash = ?", (key,)).fetchone() is None:
            yield key


def _differences(stored: Totals, counted: Totals) -> Iterator[str]:
    if stored.events != counted.events:
        yield f"the checkpoint counts {stored.events} events, there are {counted.events} of them"
    for number, cell in stored.cells.items():
        found = counted.cells[number].values
        if cell.values != found:
            yield f"the checkpoint of {'/'.join(cell.key)} is {cell.values}, its events add up to {found}"
    for key, group in stored.groups.items():
        if group.sums != counted.groups[key].sums:
            yield f"the checkpoint of {'/'.join(key)} differs from what its events add up to"


def _log(connection: sqlite3.Connection, report: Report) -> None:
    control = Control()
    try:
        for row in connection.execute("SELECT seq, change, previous, seal FROM changes ORDER BY seq"):
            control.apply(SealedChange(*row))
    except (LedgerError, msgspec.MsgspecError) as error:
        report.problems.append(str(error))
    report.facts.append(f"{control.last_seq} changes, the newest with the seal {control.last_seal[:16]}…")
