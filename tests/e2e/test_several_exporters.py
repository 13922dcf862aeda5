"""One control and two shards under a real Prometheus, beside one exporter under another that is fed the same calls."""

from __future__ import annotations

import os
import random
import re
import time
import zlib
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack
from dataclasses import dataclass
from itertools import count, product
from pathlib import Path
from typing import Any

import pytest

from exporter import catalog
from exporter.bundle import files
from exporter.bundle.prometheus import prometheus_config
from exporter.plan.load import load
from tests.configs import variant
from tests.processes import ExporterProcess, PrometheusProcess, free_port, post, prometheus, wait_for

INTERVAL = 1.0  # of scrapes and evaluations, seconds
HOLD = 3.0
NAMES = ("control", "shard-1", "shard-2")
API = "/api/v1/gpt4-migration"
Samples = dict[frozenset[tuple[str, str]], float]
KINDS = (
    ("gpt-4o", "gpt-4o-mini", "gpt-4.1", "gpt-4.1 shadow", "house-llm"),
    ("analysis", "monitoring"),
    ("web", "batch", "search"),
    ("/chat", "/sum"),
)
# What compares a measurement with the plan; the plan has passed its date, the traffic is made to be bad and dear.
FIRING = {
    ("LLMBudgetThreshold", "info"),
    ("LLMBudgetThreshold", "warning"),
    ("LLMBudgetExceeded", "critical"),
    ("LLMUnpricedUsage", "warning"),
    ("LLMErrorRatioHigh", "warning"),
    ("LLMErrorRatioHigh", "critical"),
    ("LLMLatencyHigh", "warning"),
    ("LLMDeadlineMissed", "critical"),
    ("LLMWatchdog", "none"),
}


@dataclass
class Side:
    """Some exporters and the Prometheus that scrapes them; the first exporter is the control."""

    exporters: list[ExporterProcess]
    prometheus: PrometheusProcess

    def samples(self, expression: str) -> Samples:
        """Labels without the name -> value."""
        found = self.prometheus.query(expression)
        return {
            frozenset(labels.items() - {("__name__", labels.get("__name__", ""))}): value for labels, value in found
        }


@dataclass
class Both:
    several: Side
    alone: Side

    def push(self, calls: list[dict[str, Any]]) -> None:
        """Each call to one of the three by the hash of its id, and to the one; until both have taken it."""
        parts: list[list[dict[str, Any]]] = [[] for _ in self.several.exporters]
        for call in calls:
            parts[zlib.crc32(call["id"].encode()) % len(parts)].append(call)
        for exporter, part in [*zip(self.several.exporters, parts, strict=True), (self.alone.exporters[0], calls)]:
            if part:
                wait_for(lambda exporter=exporter, part=part: taken(exporter, part), "the calls are taken")


def taken(exporter: ExporterProcess, calls: list[dict[str, Any]]) -> bool:
    try:
        status, body = post(f"{exporter.url}/api/v1/events", calls)
    except OSError:
        return False
    assert status == 200, body
    assert body["accepted"] + body["duplicates"] == len(calls), body
    return True


@pytest.fixture
def both(tmp_path: Path) -> Iterator[Both]:
    ports = [free_port() for _ in NAMES]
    targets = {
        "scrape_interval": f"{INTERVAL:.0f}s",
        "exporters": [
            {"instance": name, "address": f"127.0.0.1:{port}", "mode": "control" if name == "control" else "shard"}
            for name, port in zip(NAMES, ports, strict=True)
        ],
    }
    with ExitStack() as stack:
        three = [
            exporter(tmp_path / name, targets, port, f"--mode={'control' if name == 'control' else 'shard'}")
            for name, port in zip(NAMES, ports, strict=True)
        ]
        one = exporter(tmp_path / "alone", {**targets, "exporters": []})
        with ThreadPoolExecutor() as pool:
            list(pool.map(ExporterProcess.start, [*three, one]))
        for running in (*three, one):
            stack.callback(running.end)
        yield Both(
            Side(three, stack.enter_context(watching(tmp_path / "prometheus-three", three[0].config))),
            Side([one], stack.enter_context(watching(tmp_path / "prometheus-one", one.config, one.port))),
        )


def exporter(folder: Path, targets: dict[str, Any], port: int | None = None, *arguments: str) -> ExporterProcess:
    folder.mkdir()
    now = {name: {"for": "0s"} for name in ("LLMErrorRatioHigh", "LLMLatencyHigh", "LLMDeadlineMissed")}

    def change(document: dict[str, Any]) -> None:
        document["migrations"][0]["budgets"] = {"daily": 1, "weekly": 1000, "monthly": 1000, "alert_threshold": 0.8}

    config = variant(folder, change, limits={"hold": f"{HOLD:.0f}s"}, targets=targets, alerts=now)
    return ExporterProcess(folder, config, port, *arguments)


def watching(folder: Path, config: Path, port: int | None = None) -> Any:
    """A Prometheus with the rules of a plan, over the exporters of the plan or over the one at a port."""
    folder.mkdir()
    plan = load(config)
    for name, content in files.rules(plan, INTERVAL).items():
        (folder / Path(name).name).write_bytes(content)
    exporters = None if port is None else [("exporter", f"127.0.0.1:{port}")]
    (folder / "prometheus.yml").write_bytes(prometheus_config(plan, exporters=exporters, alertmanagers=[]))
    return prometheus(folder, folder / "prometheus.yml")


def call(chance: random.Random, name: str, model: str, category: str, application: str, route: str) -> dict[str, Any]:
    """gpt-4o fails much, gpt-4.1 is slow, and one model has no price; `gpt-4.1 shadow` is a shadow call."""
    success = chance.random() > (0.3 if model == "gpt-4o" else 0)
    return {
        "id": name,
        "model": model.partition(" ")[0],
        "input_tokens": chance.randrange(200, 5000),
        "output_tokens": chance.randrange(10, 900),
        "latency": chance.uniform(5, 9) if model.startswith("gpt-4.1") else chance.uniform(0.1, 1.5),
        "success": success,
        **({} if success else {"error_type": "timeout"}),
        "category": category,
        "application": application,
        "endpoint": route,
        "shadow": model.endswith("shadow"),
        "quality_score": chance.choice((0.5, 0.7, 0.9)),
        "time_to_first_token": 0.05,
        "cost_usd": 0.01,
    }


def calls(chance: random.Random, first: int, count: int) -> list[dict[str, Any]]:
    """Calls of every kind."""
    return [
        call(chance, f"call-{n}", *(chance.choice(values) for values in KINDS)) for n in range(first, first + count)
    ]


def births(chance: random.Random) -> list[dict[str, Any]]:
    """One call of each kind for each of the three exporters, so that all series of a sum are equally old.

    Prometheus extrapolates a rate to the edges of its window by half an interval: much for a series of few samples.
    """
    made: list[dict[str, Any]] = []
    for kind in product(*KINDS):
        names = (f"{'/'.join(kind)} {number}" for number in count())
        found: dict[int, str] = {}
        while len(found) < len(NAMES):
            name = next(names)
            found.setdefault(zlib.crc32(name.encode()) % len(NAMES), name)
        made += [call(chance, name, *kind) for name in found.values()]
    return made


@pytest.mark.slow
def test_three_exporters_are_judged_as_one(both: Both) -> None:
    seed = int(os.environ.get("LLM_MIGRATION_SEED") or time.time_ns())
    print(f"LLM_MIGRATION_SEED={seed} repeats this")
    chance = random.Random(seed)
    if (left := 86400 - time.time() % 86400) < 90:
        time.sleep(left)  # the day must not turn in the middle
    several, alone = both.several, both.alone
    both.push(born := births(chance))  # shown at 0 first
    up = 'sum(up{job="llm-migration-exporter"})'
    for side in (several, alone):
        wait_for(lambda side=side: side.prometheus.value(up) == len(side.exporters), "all are scraped")
    time.sleep(HOLD + 2 * INTERVAL)
    before = calls(chance, 0, 200)
    both.push(before)
    several.exporters[1].end()
    time.sleep(2 * INTERVAL)  # at least one scrape fails
    several.exporters[1].start()
    both.push(before)  # a client that heard no answer sends again, to the ledger that knows it
    for first in range(200, 600, 100):
        both.push(calls(chance, first, 100))
        time.sleep(INTERVAL)
    for side in (several, alone):
        wait_for(
            lambda side=side: side.prometheus.value("sum(llm_requests_total)") == len(born) + 600,
            "every call is counted",
            15,
        )
        status, body = post(f"{side.exporters[0].url}{API}/advance-phase", {"new_phase": "testing"})
        assert status == 200, body
        assert set(body["baselines"]["taken"]) == {"gpt-4o", "gpt-4.1", "gpt-4o-mini"}
    assert post(f"{several.exporters[2].url}{API}/advance-phase", {"new_phase": "testing"})[0] == 409
    settle(lambda: assert_counted_the_same(both))
    wait_for(lambda: seen_by_rules(several) and seen_by_rules(alone), "the rules know the new phase")
    settle(lambda: assert_recorded_the_same(both))
    wait_for(lambda: firing(several) == firing(alone) == FIRING, "both fire what they must", 15)
    alerts = 'ALERTS{alertname!="LLMLatencyHigh"} or ALERTS{alertname="LLMLatencyHigh",alertstate="firing"}'
    assert several.samples(alerts) == alone.samples(alerts)


def settle(check: Callable[[], None], seconds: float = 20.0) -> None:
    """Let a check pass in time: what was born last is held back, and Prometheus is a scrape and a round behind."""
    end = time.monotonic() + seconds
    while True:
        try:
            check()
        except AssertionError:
            if time.monotonic() > end:
                raise
            time.sleep(INTERVAL)
        else:
            return


def assert_counted_the_same(both: Both) -> None:
    """Additive facts, summed over exporters: exactly the same, money to a fraction of a nano-dollar."""
    published = [m for m in catalog.METRICS if m not in catalog.PLAN_FACTS and not m.name.startswith("llm_exporter_")]
    for metric in published:
        for name in metric.sample_names:
            labels = (*metric.labels, "le") if name.endswith("_bucket") else metric.labels
            query = f"sum by ({', '.join(labels)}) ({name})"
            one, three = both.alone.samples(query), both.several.samples(query)
            money_or_time = name.endswith("_sum") or "usd" in name
            assert one or metric in (catalog.PAIR_RATIO, catalog.PAIRS), name
            assert three == (pytest.approx(one, abs=1e-10, rel=1e-12) if money_or_time else one), name


def seen_by_rules(side: Side) -> bool:
    phase = side.samples("migration_phase:llm_migration_phase:current")
    baselines = side.samples("plan:llm_baseline:max")
    return len(baselines) == 21 and any(("phase", "testing") in labels for labels in phase)


def assert_recorded_the_same(both: Both) -> None:
    """Every recorded series: facts and money as they are, rates as far as Prometheus' extrapolation lets them."""
    own_time = ("entered_timestamp", "baseline_timestamp", "planned_share", "elapsed", "time_left")
    for recording in catalog.RECORDINGS:
        one, three = both.alone.samples(recording.name), both.several.samples(recording.name)
        assert one.keys() == three.keys(), recording.name
        if recording.name.startswith(("plan:", "migration_phase:")) and not any(
            word in recording.name for word in own_time
        ):
            assert three == one, recording.name
        elif "llm_budget_spent" in recording.name or "llm_budget_used" in recording.name:
            assert three == pytest.approx(one, rel=1e-12), recording.name
        else:
            alike = 0.05 if re.search("ratio_|:mean_|:p[59]", recording.name) else 0.15
            assert three == pytest.approx(one, rel=alike, abs=1e-9), recording.name


def firing(side: Side) -> set[tuple[str, str]]:
    return {
        (labels["alertname"], labels["severity"]) for labels, _ in side.prometheus.query('ALERTS{alertstate="firing"}')
    }
