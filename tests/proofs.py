"""Long proofs in a short form: how many rounds each has, and what bounds every one of them."""

from __future__ import annotations

import os
import signal
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

FULL = os.environ.get("LLM_MIGRATION_PROOF") == "full"


def seed() -> int:
    """What randomness begins with: the same in every ordinary run, another in each full one unless it is given."""
    given = os.environ.get("LLM_MIGRATION_SEED")
    number = int(given) if given else time.time_ns() if FULL else 1
    print(f"LLM_MIGRATION_SEED={number} repeats this")
    return number


def rounds(short: int, seconds: float) -> Iterator[int]:
    """Numbers from 0: `short` of them in the ordinary run, as many as fit into so many seconds in the full one."""
    end = time.monotonic() + seconds
    number = 0
    while time.monotonic() < end if FULL else number < short:
        yield number
        number += 1


class Late(BaseException):
    """An input took longer than it may; no handler of failures may take it for one of its own."""


@contextmanager
def deadline(seconds: float, what: str) -> Iterator[None]:
    """Raise `Late` in the main thread when the block takes longer."""

    def late(*_: object) -> None:
        raise Late(f"not within {seconds:g} s: {what}")

    before = signal.signal(signal.SIGALRM, late)
    signal.setitimer(signal.ITIMER_REAL, seconds)
    try:
        yield
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0)
        signal.signal(signal.SIGALRM, before)


def memory(pid: int, field: str = "VmRSS") -> float:
    """Megabytes (10^6 bytes) of a process: resident now, or at most since `forget_peak` (VmHWM)."""
    for line in Path(f"/proc/{pid}/status").read_text().splitlines():
        if line.startswith(f"{field}:"):
            return int(line.split()[1]) * 1024 / 1e6
    raise AssertionError(f"no {field} of process {pid}")


def forget_peak(pid: int) -> None:
    """Let the highest memory of a process begin anew."""
    Path(f"/proc/{pid}/clear_refs").write_text("5")
