"""The exporter killed at random moments under load, with clients that retry: no call is lost, none counts twice.

Ten kills in the ordinary run; `make prove` does two hundred.
"""

from __future__ import annotations

import http.client
import itertools
import json
import os
import random
import signal
import sqlite3
import threading
import time
from dataclasses import dataclass, field
from decimal import Decimal
from pathlib import Path

import pytest

from tests.configs import SHIPPED
from tests.processes import ExporterProcess

KILLS = 200 if os.environ.get("LLM_MIGRATION_PROOF") == "full" else 10
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
            connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=10)
            try:
                connection.request("POST", "/api/v1/events", body, {"Content-Type": "application/json"})
                answer = connection.getresponse()
                text = answer.read()
            except (OSError, http.client.HTTPException):
                time.sleep(0.02)
                continue
            finally:
                connection.close()
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


@pytest.mark.slow
@pytest.mark.proof
def test_no_call_is_lost_and_none_counts_twice_through_crashes(tmp_path: Path) -> None:
    seed = int(os.environ.get("LLM_MIGRATION_SEED") or time.time_ns())
    print(f"LLM_MIGRATION_SEED={seed} repeats this")
    chance = random.Random(seed)
    running = ExporterProcess(tmp_path, SHIPPED)
    running.start()
    stop = threading.Event()
    senders = [Sender(f"client-{n}", running.port, seed + n, stop) for n in range(3)]
    for sender in senders:
        sender.start()
    for _ in range(KILLS):
        time.sleep(chance.uniform(0.0, 0.8))
        running.end(signal.SIGKILL)
        running.start()
    stop.set()
    for sender in senders:
        sender.join(60)
        assert not sender.is_alive()

    events = [event for sender in senders for event in sender.acknowledged]
    assert [refusal for sender in senders for refusal in sender.refusals] == []
    assert len(events) > 100 * KILLS
    for model in PRICES:
        own = [event for event in events if event["model"] == model]
        assert running.total("llm_requests_total", model=model) == len(own)
        assert running.total("llm_request_errors_total", model=model) == sum(not event["success"] for event in own)
        assert running.total("llm_cost_usd_total", model=model) == pytest.approx(sum(map(cost, own)) / 1e9, rel=1e-12)
        for kind, field_name in (("cached_input", "cached_input_tokens"), ("output", "output_tokens")):
            expected = sum(int(str(event[field_name])) for event in own)
            assert running.total("llm_tokens_total", model=model, type=kind) == expected
    running.end()

    # To the nano-dollar, past the floats of the page: what the ledger holds, by SQL alone.
    with sqlite3.connect(tmp_path / "data" / "ledger.sqlite") as ledger:
        for level in ("hour", "day"):
            query = "SELECT sum(requests), sum(cost_nanousd) FROM usage WHERE level = ?"
            assert ledger.execute(query, (level,)).fetchone() == (len(events), sum(map(cost, events)))
        assert ledger.execute("SELECT sum(seq - first + 1) FROM chunks").fetchone() == (len(events),)
    print(f"{KILLS} kills, {len(events):,} calls, {sum(map(cost, events)):,} nano-dollars: exact")
