"""Every query of every dashboard on a real Prometheus that holds an invented week of a migration."""

from __future__ import annotations

import json
import math
import re
import subprocess
import urllib.error
import urllib.parse
import urllib.request
from collections.abc import Iterator

import pytest

from exporter.layouts import Layout, Panel, expand, load_all
from tests.processes import Process, free_port, is_up, wait_for
from tests.programs import program

END = 1_746_800_000  # some day in May 2025
STEP = 60
MIGRATION = "gpt4-migration"
MODELS = {"source": ("gpt-4", "gpt-4o", "gpt-4o-mini"), "target": ("gpt-4.1", "gpt-4.1-mini"), "shadow": ("gpt-4.1",)}
USD_A_CALL = {"gpt-4": 0.031, "gpt-4o": 0.011, "gpt-4o-mini": 0.0007, "gpt-4.1": 0.007, "gpt-4.1-mini": 0.0014}
REPLACED_USD = {"gpt-4": 0.007, "gpt-4o": 0.007, "gpt-4o-mini": 0.0014, "gpt-4.1": 0.019, "gpt-4.1-mini": 0.0007}
ERRORS = {"source": 0.013, "target": 0.009, "shadow": 0.01}
MEDIAN_SECONDS = {"source": 2.6, "target": 1.9, "shadow": 2.0}
BUCKETS = (0.05, 0.1, 0.25, 0.5, 1, 2, 3, 5, 8, 10, 15, 20, 30, 60, 120, 300, math.inf)
LIMITS = {"daily": 100, "weekly": 600, "monthly": 2500}
SPENT = {"daily": 0.62, "weekly": 0.55, "monthly": 0.58}
ELAPSED = {"daily": 0.6, "weekly": 0.5, "monthly": 2 / 3}
GOAL = 0.96


def openmetrics(end: int, seconds: int) -> str:
    """A rollout as an exporter and the recording rules would have left it behind, in OpenMetrics text."""
    times = range(end - seconds, end + 1, STEP)
    lines: dict[str, list[str]] = {}

    def add(name: str, labels: dict[str, object], at: int, value: float) -> None:
        inner = ",".join(f'{key}="{text}"' for key, text in labels.items())
        lines.setdefault(name, []).append(f"{name}{{{inner}}} {value!r} {at}")

    scraped = {"job": "llm-migration-exporter", "instance": "exporter-1"}
    for role, models in MODELS.items():
        for model in models:
            labels = {"migration": MIGRATION, "role": role, "model": model, "category": "analysis", **scraped}
            calls = errors = 0.0
            recorded = {key: labels[key] for key in ("migration", "role", "model")}
            below = dict.fromkeys(BUCKETS, 0.0)
            for at in times:
                more = _calls_per_second(role, model, at, end, seconds) * STEP
                calls += more
                median = MEDIAN_SECONDS[role] * (1 + 0.1 * math.sin(at / 15000))
                errors += more * ERRORS[role] * (1 + 0.5 * math.sin(at / 9000))
                every = {**labels, "application": "tutor"}
                add("llm_requests_total", every, at, calls)
                add("llm_request_errors_total", every, at, errors)
                add("llm_cost_usd_total", every, at, calls * USD_A_CALL[model])
                add("llm_counterfactual_cost_usd_total", every, at, calls * REPLACED_USD[model])
                for bound in BUCKETS:
                    bucket = {**labels, "le": "+Inf" if bound == math.inf else f"{bound:g}"}
                    below[bound] += more * _below(bound, median)
                    add("llm_request_duration_seconds_bucket", bucket, at, below[bound])
                    bucket = {**recorded, "le": bucket["le"]}
                    name = "migration_role_model_le:llm_request_duration_seconds_bucket:rate1h"
                    add(name, bucket, at, more / STEP * _below(bound, median))
    for at in times:
        for role in MODELS:
            labels = {"migration": MIGRATION, "role": role}
            ratio = ERRORS[role] * (1 + 0.5 * math.sin(at / 9000))
            add("migration_role:llm_request_errors:ratio_rate1h", labels, at, ratio)
        plan = {"migration": MIGRATION}
        add("llm_exporter_build_info", {"version": "0", **scraped}, at, 1)
        add("llm_migration_info", {"description": "a move", **plan, **scraped}, at, 1)
        for period, limit in LIMITS.items():
            labels = {**plan, "period": period}
            spent = limit * SPENT[period] * (1 - (end - at) / (40 * 86400))
            add("plan:llm_budget_limit_usd:max", labels, at, limit)
            add("migration_period:llm_budget_spent_usd:sum", labels, at, spent)
            add("migration_period:llm_budget_used:ratio", labels, at, spent / limit)
            add("migration_period:llm_budget_elapsed:ratio", labels, at, ELAPSED[period] - (end - at) / (30 * 86400))
        add("migration:llm_migration_time_left:seconds", plan, at, 51.3 * 86400 + end - at)
        add("plan:llm_migration_goal_share_ratio:max", plan, at, GOAL)
        add("migration:llm_target_share:ratio_rate1h", plan, at, _share(at, end, seconds))
        add("plan:llm_migration_planned_share_ratio:max", plan, at, 0.72 - 0.3 * (end - at) / (7 * 86400))
        for phase, days in (("preparation", 40), ("testing", 15), ("gradual_rollout", 4)):
            entered = {**plan, "phase": phase}
            add("plan:llm_migration_phase_entered_timestamp_seconds:max", entered, at, end - days * 86400)
            planned = "plan:llm_migration_phase_planned_end_timestamp_seconds:max"
            add(planned, entered, at, end - (days - 31) * 86400)
        add("migration_phase:llm_migration_phase:current", {**plan, "phase": "gradual_rollout"}, at, 1)
        warning = {**plan, "name": "error_ratio", "severity": "warning"}
        add("plan:llm_threshold:max", warning, at, 0.05)
        add("llm_unpriced_requests_total", {"model": "mystery-1", **scraped}, at, 0)
        for alert, severity, more, since in (
            ("LLMBudgetThreshold", "warning", {"period": "daily", **plan}, 7000),
            ("LLMModelNeverSucceeds", "critical", {"model": "gpt-4.1-mini", **plan}, 1500),
            ("LLMExporterDown", "critical", {}, 600),
            ("LLMWatchdog", "none", {}, 10**6),
        ):
            if end - at <= since:
                labels = {"alertname": alert, "severity": severity, "bundle": "llm-migration", **more}
                add("ALERTS", {**labels, "alertstate": "firing"}, at, 1)
                add("ALERTS_FOR_STATE", labels, at, end - since)
    body = "\n".join(line for name in sorted(lines) for line in lines[name])
    return body + "\n# EOF\n"


def _calls_per_second(role: str, model: str, at: int, end: int, seconds: int) -> float:
    done = 0.28 + 0.4 * (1 - (end - at) / seconds)
    day = 1 + 0.55 * math.sin((at % 86400) / 86400 * 2 * math.pi - 1.2) + 0.06 * math.sin(at / 777)
    share = {"source": 1 - done, "target": done, "shadow": 0.03}[role]
    weight = {"gpt-4": 0.2, "gpt-4o": 0.5, "gpt-4o-mini": 0.3, "gpt-4.1": 0.7, "gpt-4.1-mini": 0.3}[model]
    return 0.11 * day * share * (weight if role != "shadow" else 1)


def _share(at: int, end: int, seconds: int) -> float:
    calls = {
        role: sum(_calls_per_second(role, model, at, end, seconds) for model in MODELS[role])
        for role in ("source", "target")
    }
    return calls["target"] / (calls["source"] + calls["target"])


def _below(bound: float, median: float) -> float:
    """The part of calls below a bound: log-normal."""
    if bound == math.inf:
        return 1.0
    return 0.5 * (1 + math.erf(math.log(bound / median) / (0.7 * math.sqrt(2))))


@pytest.fixture(scope="module")
def prometheus(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    folder = tmp_path_factory.mktemp("prometheus")
    (folder / "series.om").write_text(openmetrics(END, 6 * 3600))
    (folder / "prometheus.yml").write_text("{}\n")
    subprocess.run(
        [program("promtool"), "tsdb", "create-blocks-from", "openmetrics", "series.om", "data"],
        cwd=folder,
        check=True,
        capture_output=True,
    )
    url = f"http://127.0.0.1:{free_port()}"
    process = Process(
        [
            program("prometheus"),
            f"--config.file={folder / 'prometheus.yml'}",
            f"--storage.tsdb.path={folder / 'data'}",
            "--storage.tsdb.retention.time=100y",
            f"--web.listen-address={url.removeprefix('http://')}",
        ],
        folder / "log",
    )
    try:
        wait_for(lambda: is_up(f"{url}/-/ready"), "Prometheus is ready")
        yield url
    finally:
        process.end()


def _ask(prometheus: str, path: str, **parameters: object) -> list[dict[str, object]]:
    url = f"{prometheus}/api/v1/{path}?{urllib.parse.urlencode(parameters)}"
    try:
        with urllib.request.urlopen(url, timeout=30) as answer:
            return json.load(answer)["data"]["result"]
    except urllib.error.HTTPError as error:
        pytest.fail(f"{parameters['query']}: {error.read().decode()}")


CASES = [
    pytest.param(layout, panel, number, id=f"{layout.name}-{panel.id}-{number}")
    for layout in load_all()
    for panel in layout.widgets
    for number in range(len(panel.queries))
]


@pytest.mark.parametrize(("layout", "panel", "number"), CASES)
def test_a_query_gives_numbers_and_the_labels_of_its_legend(
    prometheus: str, layout: Layout, panel: Panel, number: int
) -> None:
    query = panel.queries[number]
    values = {"job": ".+", "migration": MIGRATION, "model": ".+", "__rate_interval": "5m", "__range": "3h"}
    expr = expand(query.expr, values)
    if query.instant:
        series = _ask(prometheus, "query", query=expr, time=END)
        samples = [item["value"][1] for item in series]
    else:
        series = _ask(prometheus, "query_range", query=expr, start=END - 3 * 3600, end=END, step=60)
        samples = [value for item in series for _, value in item["values"]]
        assert all(len(item["values"]) == 181 for item in series), "a line has gaps"
    assert samples, "no data"
    assert all(math.isfinite(float(value)) for value in samples)
    wanted = set(re.findall(r"{{(\w+)}}", query.legend)) | {
        column.field for column in panel.columns if column.field not in ("value", "about")
    }
    assert all(any(item["metric"].get(label) for item in series) for label in wanted)
    names = [_filled(query.legend, item["metric"]) for item in series]
    assert panel.type == "table" or len(set(names)) == len(names), "two series of one name"


def _filled(legend: str, labels: dict[str, str]) -> str:
    return re.sub(r"{{(\w+)}}", lambda match: labels.get(match[1], ""), legend)


def _number(prometheus: str, panel: str, query: int = 0) -> float:
    layout = next(layout for layout in load_all() if layout.name == "executive")
    values = {"job": ".+", "migration": MIGRATION, "__rate_interval": "5m", "__range": "3h"}
    expr = expand(layout.panel(panel).queries[query].expr, values)
    (series,) = _ask(prometheus, "query", query=expr, time=END)
    return float(series["value"][1])


def test_days_left_counts_to_the_deadline(prometheus: str) -> None:
    assert _number(prometheus, "days_left") == pytest.approx(51.3)


def test_progress_is_the_reached_part_of_the_goal(prometheus: str) -> None:
    share = 0.28 + 0.4  # what the invented traffic ends with
    assert _number(prometheus, "migration_progress") == pytest.approx(share / GOAL)
    assert _number(prometheus, "against_plan") == pytest.approx(share - 0.72)


def test_the_current_phase_is_due_at_its_planned_end(prometheus: str) -> None:
    assert _number(prometheus, "phase_end") == pytest.approx(31 - 4)


def test_savings_are_the_difference_per_target_call(prometheus: str) -> None:
    saved = sum(
        (REPLACED_USD[model] - USD_A_CALL[model]) * _calls_per_second("target", model, at, END, 6 * 3600) * STEP
        for model in MODELS["target"]
        for at in range(END - 3 * 3600 + STEP, END + 1, STEP)
    )
    assert _number(prometheus, "savings") == pytest.approx(saved, rel=0.01)


def test_budget_use_is_spent_by_limit(prometheus: str) -> None:
    assert [_number(prometheus, "budget_utilization", query) for query in range(3)] == pytest.approx([0.62, 0.55, 0.58])


def test_the_projection_carries_the_month_on_at_its_own_pace(prometheus: str) -> None:
    assert _number(prometheus, "cost_projection", 1) == pytest.approx(0.58 * 2500 * 3 / 2)


def test_the_alert_list_leaves_out_the_watchdog_and_says_since_when(prometheus: str) -> None:
    layout = next(layout for layout in load_all() if layout.name == "executive")
    expr = expand(layout.panel("active_alerts").queries[0].expr, {"migration": MIGRATION})
    rows = {
        (item["metric"]["alertname"], item["metric"]["about"].strip()): float(item["value"][1])
        for item in _ask(prometheus, "query", query=expr, time=END)
    }
    assert rows == {
        ("LLMBudgetThreshold", "daily"): 7000,
        ("LLMModelNeverSucceeds", "gpt-4.1-mini"): 1500,
        ("LLMExporterDown", "–"): 600,
    }
