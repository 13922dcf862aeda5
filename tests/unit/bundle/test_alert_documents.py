"""Each alert has its page, its tests and its place in the table; the rules pass promtool."""

from __future__ import annotations

import re
import subprocess
from typing import Any

import pytest
import yaml

from exporter import catalog
from exporter.bundle.alerting import alert_rules
from exporter.bundle.alerts import DEFINITIONS
from exporter.bundle.objects import AlertRule
from tests.plans import plan
from tests.programs import program
from tests.unit.bundle.plans import ROOT

RULES = ROOT / "rules"
HEADINGS = ["What it means", "How to confirm", "What to do", "How to silence", "How to tune"]
ALERTS = [alert.name for alert in catalog.ALERTS]
TEST_FILES = sorted((RULES / "tests").glob("*.yml"))
NEVER_SILENT = {"LLMWatchdog"}


def cases() -> list[dict[str, Any]]:
    return [case for file in TEST_FILES for case in yaml.safe_load(file.read_text())["tests"]]


def test_the_catalogue_and_the_definitions_name_the_same_alerts() -> None:
    assert [definition.name for definition in DEFINITIONS] == ALERTS


@pytest.mark.parametrize("alert", ALERTS)
def test_each_alert_has_a_runbook_with_its_five_parts_and_a_query(alert: str) -> None:
    text = (RULES / "runbooks" / f"{alert}.md").read_text()
    assert text.startswith(f"# {alert}\n")
    assert re.findall(r"^## (.+)$", text, re.MULTILINE) == HEADINGS
    for part in re.split(r"^## .+$", text, flags=re.MULTILINE)[1:]:
        assert len(part.split()) >= 8
    confirm = text.split("## How to confirm")[1].split("## What to do")[0]
    assert re.search(r"```promql\n.+\n```", confirm, re.DOTALL)


@pytest.mark.parametrize("alert", ALERTS)
def test_queries_in_runbooks_name_known_series(alert: str) -> None:
    text = (RULES / "runbooks" / f"{alert}.md").read_text()
    known = {*catalog.sample_labels(), *ALERTS}
    for name in re.findall(r"\b(?:plan|migration\w*):\w+:\w+|\bllm_\w+", text):
        assert name in known, f"{name} in the runbook of {alert}"


def test_there_is_no_runbook_of_an_alert_that_does_not_exist() -> None:
    assert sorted(page.stem for page in (RULES / "runbooks").glob("*.md")) == sorted(ALERTS)


@pytest.mark.parametrize("alert", ALERTS)
def test_each_alert_is_in_the_table_of_the_readme(alert: str) -> None:
    row = next(line for line in (RULES / "README.md").read_text().splitlines() if line.startswith(f"| [{alert}]"))
    severities = row.split("|")[2]
    definition = next(definition for definition in DEFINITIONS if definition.name == alert)
    assert {severity.strip() for severity in severities.split(",")} == {level.severity for level in definition.levels}


@pytest.mark.parametrize("definition", DEFINITIONS, ids=lambda definition: definition.name)
def test_each_alert_is_tested_to_fire_with_every_severity_and_to_stay_silent(definition: Any) -> None:
    expectations = [
        expected
        for case in cases()
        for expected in case.get("alert_rule_test", [])
        if expected["alertname"] == definition.name
    ]
    fired = [alert["exp_labels"] for expected in expectations for alert in expected["exp_alerts"]]
    for rule in alert_rules(definition, plan()):
        if fixed_in_full_elsewhere(rule):
            continue
        wanted = dict(rule.labels).items()
        assert any(wanted <= labels.items() for labels in fired), f"no test fires {dict(rule.labels)}"
    assert definition.name in NEVER_SILENT or any(not expected["exp_alerts"] for expected in expectations)


def fixed_in_full_elsewhere(rule: AlertRule) -> bool:
    """Levels that promql_expr_test asserts by their label instead of with all annotations."""
    text = "".join(file.read_text() for file in TEST_FILES)
    counted = {
        ("LLMBudgetThreshold", "threshold", "95"): """{threshold="95",severity="warning"}""",
        ("LLMErrorRatioHigh", "severity", "warning"): """{severity="warning"}""",
        ("LLMLatencyHigh", "severity", "critical"): """{severity="critical"}""",
        ("LLMExporterDown", "quantity", "some"): """{quantity="some"}""",
    }
    return any(
        rule.alert == alert and rule.labels.get(label) == value and f"labels: '{labels}', value: 1" in text
        for (alert, label, value), labels in counted.items()
    )


def test_names_of_promtool_cases_are_unique_sentences() -> None:
    titles = [case["name"] for case in cases()]
    assert len(set(titles)) == len(titles)
    assert all(len(title.split()) >= 4 for title in titles)


@pytest.mark.parametrize("file", ["recording.yml", "alerts.yml"])
def test_promtool_accepts_the_rules_without_a_remark(file: str) -> None:
    run(program("promtool"), "check", "rules", "--lint=all", "--lint-fatal", file)


@pytest.mark.parametrize("file", TEST_FILES, ids=lambda file: file.stem)
def test_promtool_cases_hold(file: Any) -> None:
    run(program("promtool"), "test", "rules", f"tests/{file.name}")


def run(*command: str) -> None:
    done = subprocess.run(command, cwd=RULES, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
