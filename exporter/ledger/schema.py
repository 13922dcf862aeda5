"""Tables of the ledger, and the steps from each earlier version to the present one."""

from __future__ import annotations

import sqlite3

from exporter.errors import LedgerError

# Each entry leads from the version of its index to the next; the last length is the present version.
STEPS: tuple[str, ...] = (
    """
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
    """,
)
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
        connection.executescript(f"BEGIN IMMEDIATE; {STEPS[number]} PRAGMA user_version = {number + 1}; COMMIT;")
