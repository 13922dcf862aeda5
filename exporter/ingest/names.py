"""The dictionary: label sets and other strings that stored events refer to by number.

An entry is made on the event loop, known to the totals at once, and becomes durable with the first commit after it.
Entries are for ever, so how many of a kind there may be is bounded by the caller.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable

from exporter.ledger.store import Name


class Names:
    """Numbers for strings. Owned by the event loop."""

    def __init__(self, on_new: Callable[[Name], None]) -> None:
        """`on_new` makes an entry known to whoever must know it before the first row that uses it."""
        self._on_new = on_new
        self._ids: dict[tuple[str, tuple[str, ...]], int] = {}
        self._counts: Counter[str] = Counter()
        self._next = 1

    def restore(self, names: Iterable[Name]) -> None:
        """Take over what the ledger holds."""
        for name in names:
            self._ids[name.kind, name.value] = name.id
            self._counts[name.kind] += 1
            self._next = max(self._next, name.id + 1)

    def find(self, kind: str, value: tuple[str, ...]) -> int | None:
        """The number of an entry, None where there is none."""
        return self._ids.get((kind, value))

    def id(self, kind: str, value: tuple[str, ...]) -> int:
        """The number of an entry, which is made where there is none."""
        known = self._ids.get((kind, value))
        if known is not None:
            return known
        name = Name(self._next, kind, value)
        self._next += 1
        self._ids[kind, value] = name.id
        self._counts[kind] += 1
        self._on_new(name)
        return name.id

    def count(self, kind: str) -> int:
        """How many entries a kind has."""
        return self._counts[kind]

    def admit(self, kind: str, value: str, limit: int) -> bool:
        """Whether a value is among the first `limit` of its kind, which stay the same across restarts."""
        if (kind, (value,)) in self._ids:
            return True
        if self._counts[kind] >= limit:
            return False
        self.id(kind, (value,))
        return True
