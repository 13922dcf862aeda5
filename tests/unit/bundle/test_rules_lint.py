"""Conventions of rules: what mixtool, pint and Mimir would say, and our own catalogue."""

from __future__ import annotations

import re
from collections.abc import Iterator

import pytest
import yaml

from exporter import catalog
from exporter.bundle.alerting import alert_groups
from exporter.bundle.objects import AlertRule, RecordingRule, RuleGroup
from exporter.bundle.recordings import recording_groups
from tests.plans import plan
from tests.unit.bundle.expressions import FROM_PROMETHEUS, names
from tests.unit.bundle.plans import ROOT

RECORDING_GROUPS = recording_groups(30)
ALERT_GROUPS = alert_groups(plan(), 30)
GROUPS = (*RECORDING_GROUPS, *ALERT_GROUPS)
KNOWN = {**catalog.sample_labels(), **FROM_PROMETHEUS}
TARGET = {"job", "instance"}  # labels that every scraper adds, and the only ones of a target that rules may name
# Facts of the plan that other groups may read: they change with the plan only, and one round later is soon enough.
FACTS = {*map(catalog.plan_fact, catalog.PLAN_FACTS), "migration_role_model_successor:llm_migration_side:info"}
CONTRACT = {"migration:llm_target_verdict"}  # names that people and programs were promised
# Functions and modifiers that Prometheus 2.42 and every later one has without a flag.
FLOOR = {
    "abs", "absent_over_time", "avg_over_time", "clamp", "clamp_min", "count_over_time", "delta", "deriv", "floor",
    "histogram_quantile", "increase", "label_replace", "last_over_time", "max_over_time", "min_over_time", "rate",
    "round", "sqrt", "stdvar_over_time", "sum_over_time", "time", "timestamp", "vector",
}  # fmt: skip


def recordings() -> Iterator[tuple[RuleGroup, RecordingRule]]:
    for group in RECORDING_GROUPS:
        for rule in group.rules:
            assert isinstance(rule, RecordingRule)
            yield group, rule


def alerts() -> Iterator[AlertRule]:
    for group in ALERT_GROUPS:
        for rule in group.rules:
            assert isinstance(rule, AlertRule)
            yield rule


def title(rule: RecordingRule | AlertRule) -> str:
    if isinstance(rule, RecordingRule):
        return "-".join((rule.record, *rule.labels.values()))
    return f"{rule.alert}-{rule.labels['severity']}{rule.labels.get('urgency', '')}{rule.labels.get('threshold', '')}"


RULES = [rule for group in GROUPS for rule in group.rules]
each_rule = pytest.mark.parametrize("rule", RULES, ids=title)
each_alert = pytest.mark.parametrize("rule", list(alerts()), ids=title)


@pytest.mark.parametrize("group", GROUPS, ids=lambda group: group.name)
def test_groups_stay_within_the_limits_of_hosted_rulers(group: RuleGroup) -> None:
    assert 1 <= len(group.rules) <= 20
    assert len(group.name) <= 40
    assert 0 < group.interval <= 120


def test_group_names_are_unique() -> None:
    group_names = [group.name for group in GROUPS]
    assert len(set(group_names)) == len(group_names)


@each_rule
def test_every_name_in_an_expression_is_in_the_catalogue(rule: RecordingRule | AlertRule) -> None:
    found = names(rule.expr)
    for series, matched in found.series:
        assert series in KNOWN, f"{series} is not in the catalogue"
        assert matched <= KNOWN[series], f"{series} has no label {sorted(matched - KNOWN[series])}"
    labels = frozenset().union(*(KNOWN[series] for series, _ in found.series)) | set(found.made)
    assert set(found.grouping) <= labels | TARGET
    assert "job" not in found.grouping or "instance" in found.grouping


@each_rule
def test_expressions_never_aggregate_without_and_use_only_what_the_oldest_prometheus_has(
    rule: RecordingRule | AlertRule,
) -> None:
    found = names(rule.expr)
    assert not found.without
    assert {function.name for function in found.functions} <= FLOOR
    assert not any(function.experimental for function in found.functions)


@each_rule
def test_regular_expressions_are_needed_where_they_are_used(rule: RecordingRule | AlertRule) -> None:
    for regex in names(rule.expr).regexes:
        assert not re.fullmatch(r"[\w\-]*", regex), f"{regex} would do with ="


@each_rule
def test_plan_facts_are_read_only_through_their_bridge(rule: RecordingRule | AlertRule) -> None:
    facts = set(catalog.names(catalog.PLAN_FACTS))
    read = {series for series, _ in names(rule.expr).series} & facts
    if isinstance(rule, RecordingRule) and rule.record.startswith("plan:"):
        (fact,) = read
        labels = ", ".join(catalog.BY_NAME[fact].labels)
        assert rule.expr == f"max by ({labels}) (last_over_time({fact}[15m]))"
        assert rule.record == f"plan:{fact}:max"
    else:
        assert not read


def test_recorded_names_are_exactly_those_of_the_catalogue_each_once() -> None:
    recorded = [(rule.record, *rule.labels.items()) for _, rule in recordings()]
    assert len(set(recorded)) == len(recorded)
    assert {name for name, *_ in recorded} == {recording.name for recording in catalog.RECORDINGS}


def test_labels_of_recordings_are_known_and_no_series_is_recorded_both_with_and_without() -> None:
    for _, rule in recordings():
        assert set(rule.labels) <= KNOWN[rule.record]
    sets = {(rule.record, frozenset(rule.labels)) for _, rule in recordings()}
    assert len({name for name, _ in sets}) == len(sets)


@pytest.mark.parametrize("recording", catalog.RECORDINGS, ids=lambda recording: recording.name)
def test_the_level_of_a_recorded_name_is_its_labels(recording: catalog.Recording) -> None:
    if recording.name in CONTRACT:
        assert set(recording.name.split(":")[0].split("_")) <= set(recording.labels)
        return
    level, metric, operation = recording.name.split(":")
    assert metric
    assert operation
    assert "_total" not in metric
    if level != "plan":
        assert level == "_".join(recording.labels)
    assert recording.help.endswith(".")


def test_recording_chains_stay_in_one_group_and_in_order() -> None:
    group_of = {rule.record: group.name for group, rule in recordings()}
    seen: set[str] = set()
    for group, rule in recordings():
        for series, _ in names(rule.expr).series:
            if series in group_of and (series not in FACTS or group_of[series] == group.name):
                assert group_of[series] == group.name, f"{rule.record} reads {series} of another group"
                assert series in seen, f"{rule.record} reads {series}, which is recorded after it"
        seen.add(rule.record)


def with_three_exporters() -> set[str]:
    """Recorded names in the first cases of two files, and those from which they are made by other recordings."""
    tested: set[str] = set()
    for file in ("exporters.yml", "exporters_days.yml", "comparison.yml"):
        first, *_ = yaml.safe_load((ROOT / "rules" / "tests" / file).read_text(encoding="utf-8"))["tests"]
        instances = {re.search(r'instance="(.+?)"', entry["series"]) for entry in first["input_series"]}
        assert {match.group(1) for match in instances if match} == {"control", "shard-1", "shard-2"}
        tested |= {series for test in first["promql_expr_test"] for series, _ in names(test["expr"]).series}
    for _, rule in reversed(list(recordings())):
        if rule.record in tested:
            tested |= {series for series, _ in names(rule.expr).series}
    return tested


TESTED_WITH_THREE = with_three_exporters()


@pytest.mark.parametrize("rule", [rule for _, rule in recordings() if re.search(r"\bon \(", rule.expr)], ids=title)
def test_every_recording_that_joins_is_tested_with_three_exporters(rule: RecordingRule) -> None:
    assert rule.record in TESTED_WITH_THREE


@each_alert
def test_alert_names_labels_and_annotations_follow_the_conventions(rule: AlertRule) -> None:
    assert re.fullmatch(r"LLM([A-Z][a-z0-9]+)+", rule.alert)
    assert len(rule.alert) <= 40
    assert rule.labels["severity"] in {"info", "warning", "critical", "none"}
    assert rule.labels["signal"] in catalog.SIGNALS
    assert rule.labels["signal"] == catalog.ALERTS_BY_NAME[rule.alert].signal
    assert rule.labels["bundle"] == "llm-migration"
    assert not any("{{" in value for value in rule.labels.values())
    assert set(rule.annotations) == {"summary", "description", "runbook_url", "dashboard_url"}
    assert re.fullmatch(r"[A-Z][^{}]+\.", rule.annotations["summary"])
    assert re.search(r"\{\{.+\$value.*\}\}", rule.annotations["description"])
    assert rule.annotations["description"].endswith(".")
    assert "/d/llm-migration-" in rule.annotations["dashboard_url"]
    assert rule.annotations["runbook_url"].endswith(f"/{rule.alert}.md")


@each_alert
def test_alerts_have_no_labels_beyond_those_that_identify_them(rule: AlertRule) -> None:
    declared = catalog.ALERTS_BY_NAME[rule.alert].labels
    assert set(declared) <= set(catalog.ALERT_LABELS)
    assert set(rule.labels) - {"severity", "urgency", "bundle", "threshold"} <= set(declared)
    mentioned = set(re.findall(r"\$labels\.(\w+)", " ".join(rule.annotations.values())))
    assert mentioned <= {*declared, "threshold"}


def test_no_two_rules_would_give_the_same_alert() -> None:
    identities = [(rule.alert, *sorted(rule.labels.items())) for rule in alerts()]
    assert len(set(identities)) == len(identities)


@each_alert
def test_divisors_cannot_be_zero(rule: AlertRule) -> None:
    # Ratios are recorded with guarded divisors; alerts divide only by constants.
    assert all(re.match(r"\s*\d", part) for part in rule.expr.split(" / ")[1:])
