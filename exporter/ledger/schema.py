"""Tables of the ledger, and the steps from each earlier version to the present one."""

from __future__ import annotations

import json
import sqlite3
from collections.abc import Callable

from exporter.catalog import DURATION_BUCKETS, ERROR_TYPES, TOKEN_TYPES
from exporter.errors import LedgerError
from exporter.ledger import chunks
from exporter.totals import Pending, Row, Totals
from exporter.totals.rollups import entries

# The columns of sums, in the order of `Cell.values` and `Group.sums`.
USAGE = ("requests", "errors", "cost_nanousd", "counterfactual_nanousd", "difference_nanousd", "unpriced")
SHAPE = (
    *(f"tokens_{name}" for name in TOKEN_TYPES),
    *(f"errors_{name}" for name in ERROR_TYPES),
    *(f"bucket_{place}" for place in range(len(DURATION_BUCKETS) + 1)),
    "duration_us",
)
_PER_CHUNK = 4096

_V1 = """
    CREATE TABLE events (
        seq INTEGER PRIMARY KEY,
        at_us INTEGER NOT NULL,
        cell INTEGER NOT NULL,
        route INTEGER NOT NULL,
        input_tokens INTEGER NOT NULL,
        cached_input_tokens INTEGER NOT NULL,
        cache_write_tokens INTEGER NOT NULL,
        output_tokens INTEGER NOT NULL,
        reasoning_tokens INTEGER NOT NULL,
        latency_us INTEGER NOT NULL,
        first_token_us INTEGER,
        error INTEGER NOT NULL,
        cost INTEGER,
        counterfactual INTEGER,
        reported INTEGER,
        quality INTEGER,
        evaluator INTEGER,
        unpriced INTEGER,
        model INTEGER NOT NULL,
        tier INTEGER NOT NULL,
        price_version INTEGER NOT NULL,
        pair TEXT,
        prompt_hash TEXT,
        trace_id TEXT
    );
    -- Idempotency keys: 16 bytes of a hash of the id, and the day of arrival after which they may go.
    CREATE TABLE ids (hash BLOB PRIMARY KEY, day INTEGER NOT NULL) WITHOUT ROWID;
    -- The newest of them, not yet merged: one blob of hashes per commit. Places are never given twice.
    CREATE TABLE fresh_ids (seq INTEGER PRIMARY KEY AUTOINCREMENT, day INTEGER NOT NULL, hashes BLOB NOT NULL);
    -- Label sets and other strings that events refer to by number.
    CREATE TABLE names (id INTEGER PRIMARY KEY, kind TEXT NOT NULL, value TEXT NOT NULL);
    -- Totals as of the sequence number in meta.checkpoint.
    CREATE TABLE checkpoint (
        kind TEXT NOT NULL, key TEXT NOT NULL, value BLOB NOT NULL, PRIMARY KEY (kind, key)
    ) WITHOUT ROWID;
    CREATE TABLE meta (key TEXT PRIMARY KEY, value INTEGER NOT NULL) WITHOUT ROWID;
    INSERT INTO meta VALUES ('checkpoint', 0), ('starts', 0);
    CREATE TABLE changes (seq INTEGER PRIMARY KEY, change TEXT NOT NULL, previous TEXT NOT NULL, seal TEXT NOT NULL);
    CREATE TRIGGER changes_are_not_updated BEFORE UPDATE ON changes
        BEGIN SELECT RAISE(ABORT, 'the audit log is append-only'); END;
    CREATE TRIGGER changes_are_not_deleted BEFORE DELETE ON changes
        BEGIN SELECT RAISE(ABORT, 'the audit log is append-only'); END;
"""
_V2 = f"""
    -- Events of one commit or of several, packed as `exporter.ledger.chunks` says; seq is the place of the last one.
    CREATE TABLE chunks (
        seq INTEGER PRIMARY KEY,
        first INTEGER NOT NULL,
        first_us INTEGER NOT NULL,
        last_us INTEGER NOT NULL,
        events BLOB NOT NULL
    );
    INSERT INTO meta VALUES ('merged_ids', 0), ('compacted', 0), ('epoch', 1), ('copied', 0);
    -- Sums by hour and day of the calls' own time: cells, and groups (label sets H).
    CREATE TABLE usage (
        level TEXT NOT NULL, start INTEGER NOT NULL, cell INTEGER NOT NULL,
        {", ".join(f"{name} INTEGER NOT NULL" for name in USAGE)},
        PRIMARY KEY (level, start, cell)
    ) WITHOUT ROWID;
    CREATE TABLE shape (
        level TEXT NOT NULL, start INTEGER NOT NULL, grp INTEGER NOT NULL,
        {", ".join(f"{name} INTEGER NOT NULL" for name in SHAPE)},
        PRIMARY KEY (level, start, grp)
    ) WITHOUT ROWID;
"""  # noqa: S608


def _rows_to_chunks(connection: sqlite3.Connection) -> None:
    """Pack the events of version 1, which had a row each; their ids were kept apart, and stay there."""
    totals = Totals()
    for number, kind, value in connection.execute("SELECT id, kind, value FROM names ORDER BY id"):
        totals.add_name(number, kind, tuple(json.loads(value)))
    names = [name for name in Row._fields if name != "id_hash"]
    cursor = connection.execute(f"SELECT seq, NULL, {', '.join(names)} FROM events ORDER BY seq")  # noqa: S608
    while found := cursor.fetchmany(_PER_CHUNK):
        rows = [Row._make(values) for _, *values in found]
        times = [row.at_us for row in rows]
        chunk = (found[-1][0], found[0][0], min(times), max(times), chunks.encode(rows, compress=True))
        connection.execute("INSERT INTO chunks VALUES (?, ?, ?, ?, ?)", chunk)
        totals.apply(rows, 0.0)
    add_sums(connection, totals.pending)
    for day, hashes in connection.execute("SELECT day, hashes FROM fresh_ids").fetchall():
        size = chunks.HASH_BYTES
        keys = [(hashes[at : at + size], day) for at in range(0, len(hashes), size)]
        connection.executemany("INSERT OR IGNORE INTO ids VALUES (?, ?)", keys)
    connection.execute("UPDATE meta SET value = (SELECT coalesce(max(seq), 0) FROM chunks) WHERE key = 'merged_ids'")
    connection.execute("DROP TABLE events")
    connection.execute("DROP TABLE fresh_ids")


Step = Callable[[sqlite3.Connection], None]


def _statements(script: str) -> Step:
    def run(connection: sqlite3.Connection) -> None:
        statement = ""
        for line in script.splitlines():
            statement += line + "\n"
            if sqlite3.complete_statement(statement):
                connection.execute(statement)
                statement = ""

    return run


# Each entry leads from the version of its index to the next; the last length is the present version.
STEPS: tuple[tuple[Step, ...], ...] = (
    (_statements(_V1),),
    (_statements(_V2), _rows_to_chunks),
)


def add_sums(connection: sqlite3.Connection, pending: Pending) -> None:
    """Add to the stored sums by hour and day."""
    for table, number, names in (("usage", "cell", USAGE), ("shape", "grp", SHAPE)):
        places = ", ".join("?" * (len(names) + 3))
        grow = ", ".join(f"{name} = {name} + excluded.{name}" for name in names)
        connection.executemany(
            f"INSERT INTO {table} VALUES ({places}) ON CONFLICT (level, start, {number}) DO UPDATE SET {grow}",  # noqa: S608
            ((level, start, entry, *map(_fitting, values)) for level, start, entry, values in entries(pending, table)),
        )


def _fitting(value: int) -> int | float:
    """SQLite's integers have 64 bits; what is beyond any real sum is kept as near as a float is."""
    return value if -(2**63) <= value < 2**63 else float(value)


VERSION = len(STEPS)
APPLICATION_ID = 0x4C4C4D4D  # `LLMM`, in the file's header


def prepare(connection: sqlite3.Connection, path: str) -> None:
    """Bring a new or older ledger to the present version, each step in a transaction of its own.

    Raises:
        LedgerError: the file belongs to another program, or was written by a newer exporter.
    """
    (version,) = connection.execute("PRAGMA user_version").fetchone()
    (application,) = connection.execute("PRAGMA application_id").fetchone()
    (tables,) = connection.execute("SELECT count(*) FROM sqlite_master").fetchone()
    if tables and application != APPLICATION_ID:
        raise LedgerError(f"{path} is an SQLite database of another program; give another --storage.path")
    connection.execute(f"PRAGMA application_id = {APPLICATION_ID}")
    if version > VERSION:
        raise LedgerError(
            f"{path} has schema version {version}, this exporter knows up to {VERSION}; "
            "it was written by a newer release: upgrade, or restore the backup made before the upgrade"
        )
    for number in range(version, VERSION):
        connection.execute("BEGIN IMMEDIATE")
        try:
            for step in STEPS[number]:
                step(connection)
            connection.execute(f"PRAGMA user_version = {number + 1}")
            connection.execute("COMMIT")
        except BaseException:
            connection.execute("ROLLBACK")
            raise
