"""Bytes of NDJSON to checked events, against json.loads and checks by hand."""

from __future__ import annotations

import json
import statistics
import time
from collections.abc import Callable

from exporter.events import check, decode
from tests.bench import servers
from tests.bench.results import Result, paired
from tests.bench.traffic import Traffic

_EVENTS = 1000


def measure(*, quick: bool) -> list[Result]:
    """Microseconds an event."""
    rounds = 10 if quick else 40
    body = b"\n".join(Traffic().lines(_EVENTS))

    def ours() -> None:
        for event in decode(body, ndjson=True, max_events=_EVENTS).events:
            if check(event) is not None:
                raise AssertionError(event)

    def theirs() -> None:
        for line in body.split(b"\n"):
            servers.check(json.loads(line))

    fast: list[float] = []
    slow: list[float] = []
    for _ in range(rounds):
        fast.append(_micros(ours))
        slow.append(_micros(theirs))
    ratio = paired(slow, fast)
    return [
        Result(
            "decode and check", statistics.median(fast), "µs/event", statistics.median(slow), ratio, note="no target"
        )
    ]


def _micros(call: Callable[[], None]) -> float:
    begun = time.perf_counter()
    call()
    return (time.perf_counter() - begun) / _EVENTS * 1e6
