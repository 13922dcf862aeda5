"""What stays quiet beside what, decided by a real Alertmanager."""

from __future__ import annotations

import json
import time
import urllib.request
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from exporter.bundle.alertmanager import alertmanager_config, message_templates
from tests.plans import plan
from tests.processes import alertmanager, get, wait_for


def alert(name: str, severity: str, signal: str, **labels: str) -> dict[str, str]:
    return {"alertname": name, "severity": severity, "signal": signal, "bundle": "llm-migration", **labels}


def errors(severity: str, **labels: str) -> dict[str, str]:
    return alert("LLMErrorRatioHigh", severity, "errors", **labels)


def threshold(percent: str, severity: str, **labels: str) -> dict[str, str]:
    return alert("LLMBudgetThreshold", severity, "cost", threshold=percent, **labels)


@pytest.fixture(scope="module")
def address(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    folder = tmp_path_factory.mktemp("alertmanager")
    (folder / "templates").mkdir()
    (folder / "templates" / "llm.tmpl").write_bytes(message_templates())
    config = folder / "alertmanager.yml"
    config.write_bytes(alertmanager_config(plan(), webhooks={}))
    with alertmanager(folder, config) as url:
        yield url


def inhibited(address: str, alerts: list[dict[str, str]]) -> list[bool]:
    """For each alert, whether it is quiet while all of them fire."""

    def known() -> list[dict[str, Any]] | None:
        found: list[dict[str, Any]] = json.loads(get(f"http://{address}/api/v2/alerts"))
        return found if all(any(item["labels"] == labels for item in found) for labels in alerts) else None

    body = json.dumps([{"labels": labels} for labels in alerts]).encode()
    request = urllib.request.Request(
        f"http://{address}/api/v2/alerts", data=body, headers={"Content-Type": "application/json"}, method="POST"
    )
    urllib.request.urlopen(request, timeout=10).close()
    wait_for(known, "the alerts in Alertmanager")
    time.sleep(0.2)  # the inhibitor hears of new alerts a moment after the list has them
    found = known() or []
    status = {json.dumps(item["labels"], sort_keys=True): item["status"] for item in found}
    return [bool(status[json.dumps(labels, sort_keys=True)]["inhibitedBy"]) for labels in alerts]


def test_a_milder_severity_of_the_same_alert_is_quiet(address: str) -> None:
    alerts = [errors("critical", migration="a", model="x"), errors("warning", migration="a", model="x")]
    assert inhibited(address, alerts) == [False, True]


@pytest.mark.parametrize(
    "other",
    [
        errors("warning", migration="b1", model="y"),
        errors("warning", migration="b2", model="x"),
        alert("LLMLatencyHigh", "warning", "latency", migration="b1", model="x"),
        alert("LLMUnpricedUsage", "warning", "cost", model="x"),
        alert("LLMBudgetThreshold", "info", "cost", migration="b1", period="daily", threshold="50"),
        {"alertname": "SomebodyElses", "severity": "warning"},
    ],
    ids=lambda labels: " ".join(labels.values()),
)
def test_a_critical_alert_mutes_nothing_that_is_not_about_the_same(address: str, other: dict[str, str]) -> None:
    assert inhibited(address, [errors("critical", migration="b1", model="x"), other]) == [False, False]


def test_alerts_without_any_of_the_labels_do_not_mute_each_other(address: str) -> None:
    alerts = [alert("LLMCustomOne", "critical", "meta"), alert("LLMCustomTwo", "warning", "meta")]
    assert inhibited(address, alerts) == [False, False]


def test_the_highest_threshold_of_a_budget_speaks_alone(address: str) -> None:
    labels = {"migration": "c", "period": "daily"}
    alerts = [
        threshold("50", "info", **labels),
        threshold("80", "warning", **labels),
        threshold("95", "warning", **labels),
        threshold("80", "warning", migration="c", period="weekly"),
        threshold("80", "warning", migration="d", period="daily"),
    ]
    assert inhibited(address, alerts) == [True, True, False, False, False]
    alerts.append(alert("LLMBudgetExceeded", "critical", "cost", **labels))
    assert inhibited(address, alerts) == [True, True, True, False, False, False]


@pytest.mark.parametrize("own", ["96", "97.5", "95.5", "100"])
def test_a_threshold_of_the_budgets_own_above_95_is_the_higher_one(address: str, own: str) -> None:
    labels = {"migration": f"e{own}", "period": "daily"}
    alerts = [threshold("95", "warning", **labels), threshold(own, "warning", **labels)]
    assert inhibited(address, alerts) == [True, False]


@pytest.mark.parametrize("own", ["5", "80", "94", "94.99", "7.5"])
def test_a_threshold_of_the_budgets_own_below_95_is_the_lower_one(address: str, own: str) -> None:
    labels = {"migration": f"f{own}", "period": "daily"}
    alerts = [threshold("95", "warning", **labels), threshold(own, "warning", **labels)]
    assert inhibited(address, alerts) == [False, True]


def test_one_exporter_of_several_being_down_mutes_nothing(address: str) -> None:
    down = alert("LLMExporterDown", "critical", "meta", quantity="some")
    assert inhibited(address, [down, errors("critical", migration="g", model="x")]) == [False, False]


def test_without_a_control_what_is_measured_is_quiet_in_the_migrations_that_lack_it(address: str) -> None:
    alerts = [
        alert("LLMControlMissing", "critical", "meta", migration="i"),
        errors("critical", migration="i", model="x"),
        alert("LLMBudgetExceeded", "critical", "cost", migration="i", period="daily"),
        errors("critical", migration="j", model="x"),
        alert("LLMUnpricedUsage", "warning", "cost", model="z"),
        alert("LLMDeadlineMissed", "critical", "schedule", migration="i"),
    ]
    assert inhibited(address, alerts) == [False, True, True, False, False, False]


def test_with_no_exporter_left_what_is_measured_is_quiet_and_dates_are_not(tmp_path: Path) -> None:
    (tmp_path / "templates").mkdir()
    (tmp_path / "templates" / "llm.tmpl").write_bytes(message_templates())
    config = tmp_path / "alertmanager.yml"
    config.write_bytes(alertmanager_config(plan(), webhooks={}))
    alerts = [
        alert("LLMExporterDown", "critical", "meta", quantity="all"),
        errors("critical", migration="h", model="x"),
        alert("LLMBudgetExceeded", "critical", "cost", migration="h", period="daily"),
        alert("LLMDeadlineMissed", "critical", "schedule", migration="h"),
        alert("LLMWatchdog", "none", "meta"),
        {"alertname": "SomebodyElses", "severity": "critical", "signal": "cost"},
    ]
    with alertmanager(tmp_path, config) as url:
        assert inhibited(url, alerts) == [False, True, True, False, False, False]
