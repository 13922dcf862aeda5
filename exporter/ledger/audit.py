"""Pages of the audit log, read beside the writer.

A connection of its own for each page, read-only: it neither commits nor checkpoints, so the writer never waits for it.
Changes are few and are found by their place, which takes well under a millisecond.
"""

from __future__ import annotations

import asyncio
import sqlite3
from contextlib import closing
from pathlib import Path
from urllib.parse import quote

import msgspec

from exporter.control import SealedChange
from exporter.errors import LedgerError

_QUERY = "SELECT seq, change, previous, seal FROM changes WHERE seq < ? ORDER BY seq DESC"
_NEWEST = 2**63 - 1


class AuditLog:
    """The append-only table of changes, as a reader sees it."""

    def __init__(self, path: Path) -> None:
        """`path` is the ledger's file."""
        self._path = path

    async def page(self, migration: str, *, before: int | None = None, limit: int = 100) -> list[SealedChange]:
        """Changes of a migration, newest first, at most `limit`, all older than the place `before`.

        Raises:
            LedgerError: the ledger cannot be read.
        """
        return await asyncio.to_thread(self._read, migration, before or _NEWEST, limit)

    def _read(self, migration: str, before: int, limit: int) -> list[SealedChange]:
        found: list[SealedChange] = []
        try:
            uri = f"file:{quote(str(self._path.absolute()))}?mode=ro"
            with closing(sqlite3.connect(uri, uri=True, isolation_level=None)) as connection:
                connection.execute("PRAGMA query_only = ON")
                connection.execute("PRAGMA busy_timeout = 1000")
                for row in connection.execute(_QUERY, (before,)):
                    sealed = SealedChange(*row)
                    if sealed.change.migration == migration:
                        found.append(sealed)
                        if len(found) == limit:
                            break
        except (sqlite3.Error, msgspec.MsgspecError) as error:
            raise LedgerError(f"the audit log in {self._path} cannot be read: {error}") from error
        return found
