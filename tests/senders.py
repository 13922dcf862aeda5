"""Clients that lose nothing: each batch is sent until it is acknowledged, with ids, and some are sent twice."""

from __future__ import annotations

import http.client
import itertools
import json
import random
import threading
import time
from collections import Counter
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from decimal import Decimal

import pytest

from tests.processes import ExporterProcess

# List prices in USD per million tokens, as published: input, cached input, output.
PRICES = {"gpt-4": ("30", "30", "60"), "gpt-4o": ("2.5", "1.25", "10"), "gpt-4.1": ("2", "0.5", "8")}


@dataclass(eq=False)
class Sender(threading.Thread):
    """A client: batches with ids, each sent until it is acknowledged, some twice on purpose."""

    name_of: str
    port: int
    seed: int
    stop: threading.Event
    acknowledged: list[dict[str, object]] = field(default_factory=list)
    statuses: Counter[int] = field(default_factory=Counter)  # of all answers; 0 where there was none
    refusals: list[str] = field(default_factory=list)

    def __post_init__(self) -> None:
        super().__init__(daemon=True)

    def run(self) -> None:
        chance = random.Random(self.seed)
        for number in itertools.count():
            if self.stop.is_set():
                return
            batch = [self.event(chance, f"{self.name_of}-{number}-{n}") for n in range(chance.choice((1, 20, 200)))]
            for _ in range(chance.choice((1, 1, 1, 2))):
                self.deliver(batch)
            self.acknowledged += batch

    @staticmethod
    def event(chance: random.Random, name: str) -> dict[str, object]:
        tokens = chance.randrange(4000)
        success = chance.random() > 0.05
        return {
            "id": name,
            "model": chance.choice(list(PRICES)),
            "input_tokens": tokens,
            "cached_input_tokens": chance.choice((0, tokens // 2)),
            "output_tokens": chance.randrange(1000),
            "latency": round(chance.expovariate(0.5), 6),
            "success": success,
            "category": chance.choice(("analysis", "monitoring")),
            "application": chance.choice(("a", "b")),
        }

    def deliver(self, batch: list[dict[str, object]]) -> None:
        body = json.dumps(batch).encode()
        while True:
            connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=20)
            try:
                connection.request("POST", "/api/v1/events", body, {"Content-Type": "application/json"})
                answer = connection.getresponse()
                text = answer.read()
            except (OSError, http.client.HTTPException):
                self.statuses[0] += 1
                time.sleep(0.02)
                continue
            finally:
                connection.close()
            self.statuses[answer.status] += 1
            if answer.status == 200:
                rejected = json.loads(text)["rejected"]
                if rejected:
                    self.refusals.append(str(rejected[0]))
                return
            if answer.status not in (429, 503):
                self.refusals.append(f"{answer.status} {text!r}")
                return
            time.sleep(0.02)


def cost(event: dict[str, object]) -> int:
    """Nano-dollars of one call: exact decimal arithmetic, rounded once, half to even."""
    price_in, price_cached, price_out = (Decimal(price) for price in PRICES[str(event["model"])])
    cached = int(str(event["cached_input_tokens"]))
    usd_per_million = (
        (int(str(event["input_tokens"])) - cached) * price_in
        + cached * price_cached
        + int(str(event["output_tokens"])) * price_out
    )
    return int((usd_per_million * 1000).to_integral_value())  # ROUND_HALF_EVEN is decimal's default


@contextmanager
def sending(port: int, seed: int = 1, count: int = 3) -> Iterator[list[Sender]]:
    """So many clients at work; at the end each delivers what it has in hand."""
    stop = threading.Event()
    senders = [Sender(f"client-{number}", port, seed + number, stop) for number in range(count)]
    for sender in senders:
        sender.start()
    try:
        yield senders
    finally:
        stop.set()
        for sender in senders:
            sender.join(60)
    assert not any(sender.is_alive() for sender in senders)


def check_totals(running: ExporterProcess, senders: Sequence[Sender]) -> list[dict[str, object]]:
    """Compare the page with what was acknowledged, to the call and the token; gives the calls."""
    events = [event for sender in senders for event in sender.acknowledged]
    assert [refusal for sender in senders for refusal in sender.refusals] == []
    for model in PRICES:
        own = [event for event in events if event["model"] == model]
        assert running.total("llm_requests_total", model=model) == len(own)
        assert running.total("llm_request_errors_total", model=model) == sum(not event["success"] for event in own)
        assert running.total("llm_cost_usd_total", model=model) == pytest.approx(sum(map(cost, own)) / 1e9, rel=1e-12)
        for kind, field_name in (("cached_input", "cached_input_tokens"), ("output", "output_tokens")):
            expected = sum(int(str(event[field_name])) for event in own)
            assert running.total("llm_tokens_total", model=model, type=kind) == expected
    return events
