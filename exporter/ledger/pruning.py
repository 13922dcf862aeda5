"""What the ledger forgets: events by age and by size, sums by age, keys of ids when no retry can come any more.

Everything goes in small steps, each a transaction of its own, so that no commit waits for long. Events go by whole
chunks, the oldest first, and never before a checkpoint has counted them and the tree of ids has their keys.
"""

from __future__ import annotations

from dataclasses import dataclass

from exporter.ledger.store import Store
from exporter.plan.model import Retention
from exporter.totals.rollups import DAY, HOUR

CHUNKS = 4  # of a step
SUMS = 500
KEYS = 2000
KEY_DAYS = 1  # longer than events are taken: a key outlives the last moment at which its event can come again


@dataclass(slots=True)
class Pruning:
    """Where the pruning of one ledger stands. `step` runs on the writer's thread."""

    retention: Retention
    removed: int = 0  # events, since the start
    _cursor: bytes = b""  # the keys are walked through in their order, again and again

    def step(self, store: Store, now: float) -> int:
        """Remove a little of what is too old, or too much, at a Unix time; how many rows went (0: nothing to do)."""
        return self._events(store, now) + self._sums(store, now)

    def keys(self, store: Store, now: float) -> int:
        """Look at some more keys, and remove those that are too old; how many were looked at."""
        limit = int((now - self.retention.events) // 86400) - KEY_DAYS
        query = "SELECT hash, day FROM ids WHERE hash > ? ORDER BY hash LIMIT ?"
        found = store.connection.execute(query, (self._cursor, KEYS)).fetchall()
        old = [(key,) for key, day in found if day < limit]
        if old:
            store.connection.executemany("DELETE FROM ids WHERE hash = ?", old)
        self._cursor = found[-1][0] if len(found) == KEYS else b""
        return len(found)

    def _events(self, store: Store, now: float) -> int:
        query = "SELECT seq, first, last_us FROM chunks WHERE seq <= ? ORDER BY seq LIMIT ?"
        found = store.connection.execute(query, (store.checkpoint_seq(), CHUNKS)).fetchall()
        if used_bytes(store) <= self.retention.size:
            # Chunks are in the order of arrival, and a late event may keep its chunk a little longer.
            before_us = round((now - self.retention.events) * 1_000_000)
            found = [chunk for chunk in found if chunk[2] < before_us]
        if found and found[-1][0] > store.ids.merged_upto:
            store.ids.begin_merge()
            found = [chunk for chunk in found if chunk[0] <= store.ids.merged_upto]
        for seq, first, _ in found:
            store.connection.execute("DELETE FROM chunks WHERE seq = ?", (seq,))
            self.removed += seq - first + 1
        return len(found)

    def _sums(self, store: Store, now: float) -> int:
        gone = 0
        for level, kept in ((HOUR, self.retention.hourly), (DAY, self.retention.daily)):
            for table, number in (("usage", "cell"), ("shape", "grp")):
                gone += store.connection.execute(
                    f"DELETE FROM {table} WHERE (level, start, {number}) IN "  # noqa: S608
                    f"(SELECT level, start, {number} FROM {table} WHERE level = ? AND start < ? LIMIT ?)",
                    (level, round(now - kept), SUMS),
                ).rowcount
        return gone


def used_bytes(store: Store) -> int:
    """Bytes of the file that hold something; what was removed leaves room in it for what comes."""
    (pages,) = store.connection.execute("PRAGMA page_count").fetchone()
    (free,) = store.connection.execute("PRAGMA freelist_count").fetchone()
    (size,) = store.connection.execute("PRAGMA page_size").fetchone()
    return int((pages - free) * size)
