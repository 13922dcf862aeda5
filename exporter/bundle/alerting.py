"""From the declared alerts and a plan's overrides to alerting rules."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from typing import Any

from exporter import catalog
from exporter.bundle.alerts import FAMILIES, AlertDefinition, Level
from exporter.bundle.objects import AlertRule, RuleGroup
from exporter.bundle.recordings import GROUP_SIZE
from exporter.bundle.text import fill
from exporter.plan.model import AlertOverride, Plan
from exporter.promql import duration

MIN_REQUESTS = 20  # calls below which a ratio or a mean says nothing: 1 of 2 calls must not page
BASELINE_REQUESTS = 100  # below which neither a baseline nor an hour is compared with the other
DEFAULT_RUNBOOKS = "rules/runbooks"
DEFAULT_GRAFANA = "http://localhost:3000"


def alert_groups(plan: Plan, interval: float) -> tuple[RuleGroup, ...]:
    """All alerts that the plan leaves enabled, a group a family; `interval` in seconds."""
    groups: list[RuleGroup] = []
    for family, alerts in FAMILIES.items():
        rules = [rule for alert in alerts for rule in alert_rules(alert, plan)]
        for number, at in enumerate(range(0, len(rules), GROUP_SIZE), start=1):
            name = f"llm-{family}-alerts" if number == 1 else f"llm-{family}-alerts-{number}"
            groups.append(RuleGroup(name, interval, tuple(rules[at : at + GROUP_SIZE])))
    own = [_own_rule(rule) for rule in plan.rules]
    for number, at in enumerate(range(0, len(own), GROUP_SIZE), start=1):
        groups.append(RuleGroup(f"llm-own-alerts-{number}", interval, tuple(own[at : at + GROUP_SIZE])))
    return tuple(groups)


def _own_rule(rule: Mapping[str, Any]) -> AlertRule:
    """A rule of the plan's own, which reaches people by the same routes as ours."""
    return AlertRule(
        alert=rule["alert"],
        expr=rule["expr"],
        for_seconds=rule["for"],
        labels={**rule["labels"], "bundle": catalog.BUNDLE},
        annotations=rule["annotations"],
    )


def alert_rules(alert: AlertDefinition, plan: Plan) -> tuple[AlertRule, ...]:
    """The rules of one alert, none when the plan disables it."""
    override = plan.alerts.get(alert.name, AlertOverride())
    if not override.enabled:
        return ()
    return tuple(_merged(_rule(alert, level, override, plan) for level in alert.levels))


def severity_labels(severity: str) -> dict[str, str]:
    """The labels of a severity; an emergency is a critical alert with an urgency."""
    if severity == "emergency":
        return {"severity": "critical", "urgency": "emergency"}
    return {"severity": severity}


def _rule(alert: AlertDefinition, level: Level, override: AlertOverride, plan: Plan) -> AlertRule:
    patience = level.for_seconds if override.for_seconds is None else override.for_seconds
    values: dict[str, object] = {
        "job": catalog.JOB,
        "severity": level.severity,
        "min_requests": MIN_REQUESTS,
        "baseline_requests": BASELINE_REQUESTS,
        # Four scrapes at least, so that one failed scrape leaves three.
        "down_window": duration(max(180.0, 4 * plan.targets.scrape_interval)),
        **level.values,
    }
    return AlertRule(
        alert=alert.name,
        expr=fill(alert.expr if level.expr is None else level.expr, **values),
        for_seconds=patience,
        keep_firing_for_seconds=alert.keep_firing_for_seconds,
        labels={
            **severity_labels(override.severity or level.severity),
            "signal": alert.signal,
            "bundle": catalog.BUNDLE,
            **level.labels,
            **override.labels,
        },
        annotations={
            "summary": alert.summary,
            "description": fill(alert.description, **values),
            "runbook_url": f"{(plan.urls.runbooks or DEFAULT_RUNBOOKS).rstrip('/')}/{alert.name}.md",
            "dashboard_url": _dashboard_url(alert, plan),
        },
    )


def _dashboard_url(alert: AlertDefinition, plan: Plan) -> str:
    url = f"{(plan.urls.grafana or DEFAULT_GRAFANA).rstrip('/')}/d/{catalog.BUNDLE}-{alert.dashboard}"
    if "migration" in catalog.ALERTS_BY_NAME[alert.name].labels:
        return url + "?var-migration={{ $labels.migration }}"
    return url


def _merged(rules: Iterable[AlertRule]) -> Iterator[AlertRule]:
    """Rules that an override gave the same labels become one, with the mildest rule's patience.

    Prometheus would refuse both when both fire: an alert is known by its labels.
    """
    by_labels: dict[tuple[tuple[str, str], ...], AlertRule] = {}
    for rule in rules:
        identity = tuple(sorted(rule.labels.items()))
        first = by_labels.get(identity)
        by_labels[identity] = rule if first is None else _either(first, rule)
    return iter(by_labels.values())


def _either(first: AlertRule, second: AlertRule) -> AlertRule:
    return AlertRule(
        alert=first.alert,
        expr=f"(\n{first.expr}\n)\nor\n(\n{second.expr}\n)",
        labels=first.labels,
        annotations=first.annotations,
        for_seconds=first.for_seconds,
        keep_firing_for_seconds=first.keep_firing_for_seconds,
    )
