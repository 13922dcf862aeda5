"""The view that Prometheus gets: no series is born with a value, and none goes back.

A label set that appears in this process is shown to scrapers at its previous value (zero, or its last value when it
returns after expiry) from its first exposure on for `hold` seconds, and only then at its true value: whoever scrapes
at least once in that time sees where it started, so that `increase()` counts its first events. What the ledger held at
start is shown as it is. A series that stood still for `idle` seconds leaves the page; it keeps its value and returns
by the same rule.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Hashable, Iterable
from dataclasses import dataclass
from typing import Generic, Protocol, TypeVar


class Counted(Protocol):
    """Totals of a label set; `touched` is the monotonic time of its last change."""

    touched: float


K = TypeVar("K", bound=Hashable)
T = TypeVar("T", bound=Counted)


@dataclass(slots=True)
class _Waiting(Generic[T]):
    """Shown at an earlier value since a time."""

    previous: T
    since: float


@dataclass(slots=True)
class _Gone(Generic[T]):
    """Off the page since a time, at a value."""

    last: T
    since: float


class Hold(Generic[K, T]):
    """The state of one kind of label sets, advanced by each exposure to a scraper."""

    def __init__(self, found: Iterable[K], blank: Callable[[T], T], *, hold: float, idle: float) -> None:
        """`found` are the label sets that the ledger held at start, `blank` gives the zero of a label set."""
        self._blank = blank
        self._hold = hold
        self._idle = idle
        self._states: dict[K, _Waiting[T] | _Gone[T] | None] = dict.fromkeys(found)  # None: shown as it is

    def configure(self, *, hold: float, idle: float) -> None:
        """Use other times from now on."""
        self._hold = hold
        self._idle = idle

    def expose(
        self, items: Iterable[tuple[K, T]], now: float, copy: Callable[[T], T], permanent: Collection[K] = ()
    ) -> list[T]:
        """Copies of what a scraper is shown now; `permanent` label sets never expire."""
        shown: list[T] = []
        states = self._states
        for key, item in items:
            if key not in states:
                previous = self._blank(item)
                states[key] = _Waiting(previous, now)
                shown.append(previous if self._hold > 0 else copy(item))
                continue
            state = states[key]
            if isinstance(state, _Gone):
                if item.touched <= state.since:
                    continue
                states[key] = state = _Waiting(state.last, now)
            if state is not None:
                if now - state.since < self._hold:
                    shown.append(state.previous)
                    continue
                states[key] = None
            elif self._idle and now - item.touched > self._idle and key not in permanent:
                states[key] = _Gone(copy(item), now)
                continue
            shown.append(copy(item))
        return shown
