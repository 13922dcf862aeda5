"""Made-up events: random ids, realistic sizes, every run the same apart from ids."""

from __future__ import annotations

import json
import random
import time
from collections.abc import Iterator

MODELS = ("gpt-4", "gpt-4o", "gpt-4o-mini", "gpt-4.5-preview", "gpt-4.1", "gpt-4.1-mini")
CATEGORIES = ("content_generation", "educational_support", "testing_validation", "analysis", "monitoring", "other")
ERRORS = ("timeout", "rate_limit", "server_error")


class Traffic:
    """Events of twenty applications, as JSON."""

    def __init__(self, seed: int = 1) -> None:
        self._random = random.Random(seed)
        self._ids = random.SystemRandom()

    def event(self, **fields: object) -> dict[str, object]:
        """One call, as an application reports it; `fields` replace."""
        pick = self._random
        tokens = pick.randrange(50, 4000)
        event: dict[str, object] = {
            "id": f"{self._ids.getrandbits(128):032x}",
            "timestamp": round(time.time() - pick.random() * 60, 3),
            "model": pick.choice(MODELS),
            "input_tokens": tokens,
            "output_tokens": pick.randrange(10, 900),
            "latency": round(pick.lognormvariate(0.5, 0.6), 3),
            "success": True,
            "category": pick.choice(CATEGORIES),
            "endpoint": f"/v1/route-{pick.randrange(10)}",
            "application": f"app-{pick.randrange(20)}",
        }
        if pick.random() < 0.3:
            event["cached_input_tokens"] = tokens // 2
        if pick.random() < 0.02:
            event.update(success=False, error_type=pick.choice(ERRORS))
        event.update(fields)
        return event

    def ids(self, count: int) -> list[str]:
        """So many random ids."""
        return [f"{self._ids.getrandbits(128):032x}" for _ in range(count)]

    def lines(self, count: int) -> list[bytes]:
        """So many events, one JSON object each."""
        return [json.dumps(self.event(), separators=(",", ":")).encode() for _ in range(count)]


class Batches:
    """NDJSON bodies in which one event in a hundred was sent before."""

    def __init__(self, traffic: Traffic, size: int = 1000, duplicates: float = 0.01) -> None:
        self._traffic = traffic
        self._size = size
        self._again = round(size * duplicates)
        self._sent: list[bytes] = []
        self.unique = 0

    def take(self, count: int) -> list[bytes]:
        """The next bodies."""
        return list(self._bodies(count))

    def _bodies(self, count: int) -> Iterator[bytes]:
        pick = random.Random(self.unique)
        for _ in range(count):
            again = pick.sample(self._sent, self._again) if len(self._sent) >= self._again else []
            fresh = self._traffic.lines(self._size - len(again))
            self.unique += len(fresh)
            self._sent = (self._sent + fresh[::10])[-20_000:]
            lines = fresh + again
            pick.shuffle(lines)
            yield b"\n".join(lines)
