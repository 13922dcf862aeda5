"""Reading the totals in pieces, while the fold goes on, as they all were at one moment.

Copying 100,000 label sets at once would hold up the event loop. So a reader opens a view, which costs nothing, and
copies at leisure; whatever the fold is about to change for the first time since then, it copies into the view before.
The fold knows a first time by the label set's mark, which differs from that of the totals once a view was opened.
"""

from __future__ import annotations

from typing import Any, TypeVar

from exporter.totals.labelsets import Cell, Counts, Group, Observed

LabelSet = Cell | Group | Counts | Observed
T = TypeVar("T", Cell, Group, Counts, Observed)


class View:
    """The totals at the moment of its opening; to be closed."""

    def __init__(self, views: list[View]) -> None:
        """Use `Totals.view`."""
        self._kept: dict[LabelSet, Any] = {}
        self._views = views
        views.append(self)

    def keep(self, item: LabelSet) -> None:
        """The fold will change this label set now."""
        if item not in self._kept:
            self._kept[item] = item.copy()

    def of(self, item: T) -> T:
        """A copy of a label set as it was."""
        kept: T | None = self._kept.get(item)
        return item.copy() if kept is None else kept

    def close(self) -> None:
        """Let the fold forget it."""
        self._views.remove(self)
        self._kept = {}

    def __enter__(self) -> View:
        return self

    def __exit__(self, *exception: object) -> None:
        self.close()
