"""From a call to a message: exporter, Prometheus and Alertmanager as they ship, with the generated files."""

from __future__ import annotations

import json
import time
from collections.abc import Iterator
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from exporter.bundle import files
from exporter.bundle.alertmanager import alertmanager_config
from exporter.bundle.prometheus import prometheus_config
from exporter.plan.load import load
from tests.configs import variant
from tests.processes import (
    ExporterProcess,
    PrometheusProcess,
    Sink,
    alertmanager,
    exporter,
    free_port,
    get,
    post,
    prometheus,
    sink,
    wait_for,
)

EVALUATION = 1.0


@dataclass
class Stack:
    exporter: ExporterProcess
    prometheus: PrometheusProcess
    sink: Sink

    def notifications(self, name: str, status: str) -> list[dict[str, Any]]:
        """Notifications that tell of an alert of this name and status, as (path, body) with only those alerts."""
        found = []
        for path, body in list(self.sink.received):
            alerts = [a for a in body["alerts"] if a["labels"]["alertname"] == name and a["status"] == status]
            if alerts:
                found.append({"path": path, "alerts": alerts})
        return found


@pytest.fixture
def stack(tmp_path: Path) -> Iterator[Stack]:
    config = variant(
        tmp_path,
        lambda document: document["migrations"][0].update(deadline="2035-07-14T23:59:59Z"),
        limits={"hold": "4s"},
        targets={"scrape_interval": "1s"},
    )
    plan = load(config)
    for name, content in files.rules(plan, EVALUATION).items():
        (tmp_path / Path(name).name).write_bytes(content)
    (tmp_path / "templates").mkdir()
    with ExitStack() as started:
        receiver = started.enter_context(sink())
        webhooks = {name: f"{receiver.url}/{name}" for name in ("info", "warning", "critical", "emergency")}
        (tmp_path / "alertmanager.yml").write_bytes(
            alertmanager_config(
                plan, webhooks=webhooks, group_wait=1, group_interval=2, repeat_interval=3600, templates=()
            )
        )
        running = started.enter_context(exporter(tmp_path, config))
        manager = started.enter_context(alertmanager(tmp_path / "alertmanager", tmp_path / "alertmanager.yml"))
        (tmp_path / "prometheus.yml").write_bytes(
            prometheus_config(
                plan,
                exporters=[("exporter", f"127.0.0.1:{running.port}")],
                alertmanagers=[manager],
                evaluation_interval=EVALUATION,
                prometheus=f"127.0.0.1:{free_port()}",
            )
        )
        server = started.enter_context(prometheus(tmp_path / "prometheus", tmp_path / "prometheus.yml"))
        yield Stack(running, server, receiver)


@pytest.mark.slow
def test_a_daily_budget_exceeded_is_told_once_and_resolves_when_the_limit_is_raised(stack: Stack) -> None:
    url = f"{stack.exporter.url}/api/v1"
    # 101 USD: 40,400,000 input tokens of gpt-4o at 2.50 a million; the daily budget is 100 USD.
    call = {"model": "gpt-4o", "input_tokens": 40_400, "output_tokens": 0, "latency": 1, "success": True}
    assert post(f"{url}/events", [call] * 1000)[0] == 200
    assert stack.exporter.total("llm_budget_spent_usd", period="daily") == 101

    fired = wait_for(lambda: stack.notifications("LLMBudgetExceeded", "firing"), "the alert is delivered", 60)
    (notification,) = fired
    (alert,) = notification["alerts"]
    assert notification["path"] == "/critical"
    assert alert["labels"] == {
        "alertname": "LLMBudgetExceeded",
        "bundle": "llm-migration",
        "migration": "gpt4-migration",
        "period": "daily",
        "severity": "critical",
        "signal": "cost",
    }
    assert "101" in alert["annotations"]["description"]
    assert alert["annotations"]["runbook_url"].endswith("LLMBudgetExceeded.md")

    time.sleep(6)  # several evaluations and group intervals: nothing is told twice
    assert len(stack.notifications("LLMBudgetExceeded", "firing")) == 1

    status, _ = post(f"{url}/gpt4-migration/cost/budget", {"period": "daily", "limit": 500})
    assert status == 200
    resolved = wait_for(lambda: stack.notifications("LLMBudgetExceeded", "resolved"), "the alert resolves", 60)
    assert resolved[0]["path"] == "/critical"
    assert stack.prometheus.query('ALERTS{alertname="LLMBudgetExceeded",alertstate="firing"}') == []
    assert len(stack.notifications("LLMBudgetExceeded", "firing")) == 1


@pytest.mark.slow
def test_the_generated_rules_evaluate_without_errors_on_live_data(stack: Stack) -> None:
    calls = [
        {"model": model, "input_tokens": 1000, "output_tokens": 100, "latency": 1, "success": n % 4 != 0}
        for n, model in enumerate(["gpt-4o", "gpt-4.1", "gpt-4.1-mini", "mystery"] * 20)
    ]
    assert post(f"{stack.exporter.url}/api/v1/events", calls)[0] == 200
    time.sleep(8)
    groups = json.loads(get(f"{stack.prometheus.url}/api/v1/rules"))["data"]["groups"]
    assert groups
    for group in groups:
        for rule in group["rules"]:
            assert rule["health"] == "ok", (rule["name"], rule.get("lastError"))
