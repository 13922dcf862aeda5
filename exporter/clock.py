"""Time as a dependency: nothing else in the package asks the operating system what time it is."""

from __future__ import annotations

import time
from typing import Protocol


class Clock(Protocol):
    """Where a component gets the time from."""

    def now(self) -> float:
        """Unix time in seconds."""

    def monotonic(self) -> float:
        """Seconds that never go back, for durations."""


class SystemClock:
    """The machine's clocks."""

    def now(self) -> float:
        """Unix time in seconds."""
        return time.time()

    def monotonic(self) -> float:
        """Seconds that never go back, for durations."""
        return time.monotonic()


class ManualClock:
    """A clock that stands still until it is moved; for tests and simulations."""

    def __init__(self, now: float) -> None:
        self._now = now
        self._monotonic = 0.0

    def now(self) -> float:
        """Unix time in seconds."""
        return self._now

    def monotonic(self) -> float:
        """Seconds that never go back, for durations."""
        return self._monotonic

    def advance(self, seconds: float) -> None:
        """Let time pass."""
        self._now += seconds
        self._monotonic += seconds

    def jump(self, seconds: float) -> None:
        """Set the wall clock forward or back, as an administrator or NTP may; monotonic time is untouched."""
        self._now += seconds
