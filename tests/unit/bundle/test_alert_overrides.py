"""What a plan changes of the shipped alerts."""

from __future__ import annotations

import pytest

from exporter.bundle.alerting import alert_groups, alert_rules
from exporter.bundle.alerts import DEFINITIONS
from exporter.bundle.objects import AlertRule
from exporter.plan.model import AlertOverride, Plan, Targets, Urls
from tests.plans import plan


def rules(name: str, override: AlertOverride, **changes: object) -> tuple[AlertRule, ...]:
    definition = next(definition for definition in DEFINITIONS if definition.name == name)
    return alert_rules(definition, plan(alerts={name: override}, **changes))


def severities(found: tuple[AlertRule, ...]) -> list[tuple[str, str]]:
    return [(rule.labels["severity"], rule.labels.get("urgency", "")) for rule in found]


def test_a_disabled_alert_has_no_rule_and_the_others_stay() -> None:
    off: Plan = plan(alerts={"LLMWatchdog": AlertOverride(enabled=False)})
    names = {rule.alert for group in alert_groups(off, 30) for rule in group.rules if isinstance(rule, AlertRule)}
    assert names == {definition.name for definition in DEFINITIONS} - {"LLMWatchdog"}


def test_patience_and_labels_go_to_every_level() -> None:
    found = rules("LLMErrorRatioHigh", AlertOverride(for_seconds=1200, labels={"team": "blue"}))
    assert [(rule.for_seconds, rule.labels["team"]) for rule in found] == [(1200, "blue"), (1200, "blue")]
    assert severities(found) == [("warning", ""), ("critical", "")]


def test_no_patience_at_all_can_be_asked_for() -> None:
    assert rules("LLMDeadlineMissed", AlertOverride(for_seconds=0))[0].document().get("for") is None


def test_levels_that_get_the_same_severity_become_one_rule_that_either_threshold_fires() -> None:
    (rule,) = rules("LLMErrorRatioHigh", AlertOverride(severity="critical"))
    assert severities((rule,)) == [("critical", "")]
    assert 'severity="warning"' in rule.expr
    assert 'severity="critical"' in rule.expr
    assert rule.for_seconds == 600


def test_an_emergency_is_a_critical_alert_with_an_urgency() -> None:
    assert severities(rules("LLMDeadlineMissed", AlertOverride(severity="emergency"))) == [("critical", "emergency")]


def test_one_severity_for_all_levels_of_the_deadline_keeps_every_one_of_its_days() -> None:
    (rule,) = rules("LLMDeadlineNear", AlertOverride(severity="warning"))
    assert all(part in rule.expr for part in ('severity="info"', 'severity="warning"', "deadline_emergency_days"))


@pytest.mark.parametrize(("scrape_interval", "window"), [(15.0, "3m"), (45.0, "3m"), (60.0, "4m"), (120.0, "8m")])
def test_slow_scraping_gives_the_exporter_more_time_before_it_counts_as_down(
    scrape_interval: float, window: str
) -> None:
    for rule in rules("LLMExporterDown", AlertOverride(), targets=Targets(scrape_interval=scrape_interval)):
        assert f"[{window}]" in rule.expr


def test_links_lead_to_the_addresses_of_the_plan() -> None:
    urls = Urls(grafana="https://grafana.example/", runbooks="https://docs.example/runbooks/")
    (rule,) = rules("LLMBudgetExceeded", AlertOverride(), urls=urls)
    assert rule.annotations["runbook_url"] == "https://docs.example/runbooks/LLMBudgetExceeded.md"
    assert (
        rule.annotations["dashboard_url"]
        == "https://grafana.example/d/llm-migration-executive?var-migration={{ $labels.migration }}"
    )


def test_rules_of_ones_own_are_in_the_file_and_go_the_same_routes() -> None:
    own = {
        "alert": "TooManyCalls",
        "expr": "sum by (migration) (rate(llm_requests_total[5m])) > 100",
        "for": 300.0,
        "labels": {"severity": "warning"},
        "annotations": {"summary": "Too many calls."},
        "tests": (),
    }
    (group,) = [group for group in alert_groups(plan(rules=(own,)), 30) if group.name.startswith("llm-own")]

    assert group.rules[0].document() == {
        "alert": "TooManyCalls",
        "expr": own["expr"],
        "for": "5m",
        "labels": {"severity": "warning", "bundle": "llm-migration"},
        "annotations": {"summary": "Too many calls."},
    }
