"""Most keys that are asked for are new: a filter in memory says so without a look at the tree.

A Bloom filter with one probe. Keys are hashes, so their first bytes are the probe. It may say "perhaps" of a key that
is not there, never "no" of one that is: a key's bit is set before its transaction begins to merge it, and until all
keys that were there at the start have been walked through, the answer is "perhaps" for all.
"""

from __future__ import annotations

import sqlite3
from array import array
from collections.abc import Iterable, Sequence

BITS = 2**26  # 8 MB; of a million keys one in seventy new ones is looked up in vain, of thirty million one in three
WALK = 5_000  # keys that one step of the walk takes
_WORD = 4  # bytes of a key that make its probe


class KeyFilter:
    """Which keys cannot be in the tree. Used on the writer's thread."""

    def __init__(self, connection: sqlite3.Connection) -> None:
        """Nothing is known before the walk."""
        self._connection = connection
        self._bits = bytearray(BITS // 8)
        self._cursor = b""
        self.complete = False

    def walk(self) -> int:
        """Take in some more of the keys that are in the tree; how many (0: all are known)."""
        if self.complete:
            return 0
        query = "SELECT hash FROM ids WHERE hash > ? ORDER BY hash LIMIT ?"
        found = [key for (key,) in self._connection.execute(query, (self._cursor, WALK))]
        self.add(found)
        self.complete = len(found) < WALK
        if found:
            self._cursor = found[-1]
        return len(found)

    def add(self, keys: Sequence[bytes]) -> None:
        """These will be in the tree."""
        bits = self._bits
        for probe in _probes(keys):
            bits[probe >> 3] |= 1 << (probe & 7)

    def perhaps(self, keys: Iterable[bytes]) -> list[bytes]:
        """Those that have to be looked up."""
        asked = list(keys)
        if not self.complete:
            return asked
        bits = self._bits
        return [key for key, probe in zip(asked, _probes(asked), strict=True) if bits[probe >> 3] >> (probe & 7) & 1]


def _probes(keys: Sequence[bytes]) -> list[int]:
    """The first four bytes of each key, as a place among the bits."""
    words = array("I", b"".join([key[:_WORD] for key in keys]))
    return [word % BITS for word in words]
