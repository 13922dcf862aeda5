"""Which idempotency keys are stored, at a cost that does not grow with how random they are.

A key is stored with its event. To find it again there is a tree, and a tree keyed by random hashes dirties about one
page for every key that is added. So the newest keys are only held in memory; when enough have come together they are
merged into the tree `ids` in their order, a slice with each commit, so that neighbours share a page and no commit has
to wait for a whole merge. A key is known when it is in memory or in the tree; what is in memory is read back from the
newest chunks.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Iterable, Sequence

from exporter.ledger import chunks
from exporter.ledger.keyfilter import KeyFilter

MERGE_AT = 100_000  # keys in memory from which on they are merged
_MERGE_IDLE = 2000  # keys that are merged by a transaction that brings no new ones
_STEP = 500  # keys of one statement: each statement gives other threads a chance, which may cost milliseconds
_ASK_STEP = 50  # questions have few lengths, so that SQLite keeps their statements
_BLOCK = 250  # keys that one statement inserts; one length only, so that it is compiled once
_INSERT = "INSERT OR IGNORE INTO ids VALUES"


class IdIndex:
    """The keys of one ledger. Every call is inside a transaction, which `committed` or `rolled_back` then ends."""

    def __init__(self, connection: sqlite3.Connection) -> None:
        """Read back what was not merged when the ledger was last closed.

        Raises:
            LedgerError: a chunk is damaged.
        """
        self._connection = connection
        self.filter = KeyFilter(connection)
        self._recent: set[bytes] = set()
        self._merging: list[bytes] = []  # descending, so that slices are cut off its end
        self._merging_set: set[bytes] = set()
        self._ends = False  # whether the merge ends with this transaction
        self._added: list[bytes] = []
        self._added_upto = 0
        self._merged = 0
        self.merged_upto: int
        (self.merged_upto,) = connection.execute("SELECT value FROM meta WHERE key = 'merged_ids'").fetchone()
        self._newest = self.merged_upto  # the place of the newest event
        self._merging_upto = self.merged_upto  # the place of the newest event whose key is being merged
        for seq, blob in connection.execute("SELECT seq, events FROM chunks WHERE seq > ?", (self.merged_upto,)):
            self._recent.update(key for key in chunks.columns(blob, ("id_hash",))[0] if key is not None)
            self._newest = seq

    def known(self, keys: Iterable[bytes]) -> set[bytes]:
        """Which of these keys are stored."""
        recent, merging = self._recent, self._merging_set
        asked = set(keys)
        known = asked & recent
        if merging:
            known |= asked & merging
        unsure = sorted(self.filter.perhaps(asked - known))
        for start in range(0, len(unsure), _STEP):
            part = unsure[start : start + _STEP]
            part += part[-1:] * (-len(part) % _ASK_STEP)
            query = f"SELECT hash FROM ids WHERE hash IN ({','.join('?' * len(part))})"  # noqa: S608
            known.update(key for (key,) in self._connection.execute(query, part))
        return known

    def add(self, keys: Sequence[bytes], upto: int, day: int) -> None:
        """Note the new keys of events up to a place, and merge a slice of older ones.

        `day` (of Unix time) is when the merged ones begin to be remembered for as long as keys are.
        """
        self._added = list(keys)
        self._added_upto = upto
        if self.merging:
            wanted = 2 * len(keys) or _MERGE_IDLE
            if wanted > _BLOCK:
                wanted += -wanted % _BLOCK
            self._merged = min(len(self._merging), wanted)
            piece = self._merging[: -self._merged - 1 : -1]
            self.filter.add(piece)
            whole = len(piece) - len(piece) % _BLOCK
            for start in range(0, whole, _BLOCK):
                self._connection.execute(f"{_INSERT} {_place(day, _BLOCK)}", piece[start : start + _BLOCK])
            self._connection.executemany(f"{_INSERT} {_place(day, 1)}", [(key,) for key in piece[whole:]])
            self._ends = self._merged == len(self._merging)
            if self._ends:
                self._connection.execute("UPDATE meta SET value = ? WHERE key = 'merged_ids'", (self._merging_upto,))

    def committed(self) -> None:
        """The transaction is durable."""
        if self._added:
            self._recent.update(self._added)
            self._newest = self._added_upto
            self._added = []
        if self._merged:
            del self._merging[-self._merged :]
            self._merged = 0
        if self._ends:
            self._ends = False
            self._merging_set = set()
            self.merged_upto = self._merging_upto
        if len(self._recent) >= MERGE_AT:
            self.begin_merge()

    @property
    def merging(self) -> bool:
        """Whether keys are on their way into the tree."""
        return self._merging_upto > self.merged_upto

    def begin_merge(self) -> None:
        """Let the keys that are only in memory go into the tree, with this and the next transactions."""
        if not self.merging:
            self._merging_upto = self._newest
            self._merging = sorted(self._recent, reverse=True)
            self._merging_set, self._recent = self._recent, set()

    def rolled_back(self) -> None:
        """The transaction left nothing behind."""
        self._added = []
        self._merged = 0
        self._ends = False


def _place(day: int, count: int) -> str:
    return ",".join([f"(?,{day})"] * count)
