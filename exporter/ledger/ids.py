"""Which idempotency keys are stored, at a cost that does not grow with how random they are.

A tree keyed by random hashes dirties about one page for every key that is added. So new keys are first kept together:
one blob per commit in the table `fresh_ids`, and in memory. When enough have come together they are merged into the
tree `ids` in their order, a slice with each commit, so that neighbours share a page and no commit has to wait for a
whole merge. A key is known when it is in memory or in the tree; what is in memory can be read back from the blobs.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Iterable, Sequence

MERGE_AT = 100_000  # keys in memory from which on they are merged
_HASH_BYTES = 16
_MERGE_LEAST = 256  # keys that a commit merges at least
_ASK_MOST = 500
_ASK_STEP = 50  # questions have few lengths, so that SQLite keeps their statements


class IdIndex:
    """The keys of one ledger. Every call is inside a transaction, which `committed` or `rolled_back` then ends."""

    def __init__(self, connection: sqlite3.Connection) -> None:
        """Read back what was not merged when the ledger was last closed."""
        self._connection = connection
        self._recent: set[bytes] = set()
        self._merging: list[bytes] = []  # descending, so that slices are cut off its end
        self._merging_set: set[bytes] = set()
        self._merging_upto = 0  # the newest blob of the keys that are being merged
        self._added: list[bytes] = []
        self._merged = 0
        for (blob,) in connection.execute("SELECT hashes FROM fresh_ids"):
            self._recent.update(blob[at : at + _HASH_BYTES] for at in range(0, len(blob), _HASH_BYTES))

    def known(self, keys: Iterable[bytes]) -> set[bytes]:
        """Which of these keys are stored."""
        recent, merging = self._recent, self._merging_set
        known: set[bytes] = set()
        unsure: list[bytes] = []
        for key in keys:
            if key in recent or key in merging:
                known.add(key)
            else:
                unsure.append(key)
        unsure.sort()
        for start in range(0, len(unsure), _ASK_MOST):
            asked = unsure[start : start + _ASK_MOST]
            asked += asked[-1:] * (-len(asked) % _ASK_STEP)
            query = f"SELECT hash FROM ids WHERE hash IN ({','.join('?' * len(asked))})"  # noqa: S608
            known.update(key for (key,) in self._connection.execute(query, asked))
        return known

    def add(self, keys: Sequence[bytes], day: int) -> None:
        """Store new keys, each once, and merge a slice of older ones; `day` is when they may begin to be forgotten."""
        if keys:
            self._connection.execute("INSERT INTO fresh_ids (day, hashes) VALUES (?, ?)", (day, b"".join(keys)))
            self._added = list(keys)
        if self._merging:
            self._merged = min(len(self._merging), max(_MERGE_LEAST, 2 * len(keys)))
            slice_ = self._merging[: -self._merged - 1 : -1]
            self._connection.executemany("INSERT OR IGNORE INTO ids VALUES (?, ?)", [(key, day) for key in slice_])
            if self._merged == len(self._merging):
                self._connection.execute("DELETE FROM fresh_ids WHERE seq <= ?", (self._merging_upto,))

    def committed(self) -> None:
        """The transaction is durable."""
        self._recent.update(self._added)
        self._added = []
        if self._merged:
            del self._merging[-self._merged :]
            self._merged = 0
            if not self._merging:
                self._merging_set = set()
        if not self._merging and len(self._recent) >= MERGE_AT:
            (self._merging_upto,) = self._connection.execute("SELECT max(seq) FROM fresh_ids").fetchone()
            self._merging = sorted(self._recent, reverse=True)
            self._merging_set, self._recent = self._recent, set()

    def rolled_back(self) -> None:
        """The transaction left nothing behind."""
        self._added = []
        self._merged = 0
