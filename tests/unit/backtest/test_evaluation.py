"""promtool as the engine: what fires is known by hand."""

from __future__ import annotations

import json
import math
import re
import subprocess
import sys
from datetime import UTC, datetime
from pathlib import Path

import pytest
from click.testing import CliRunner

from exporter.backtest import Episode, History, Incident, RuleSet, as_json, as_table, evaluate
from exporter.backtest.history import Value, labelset
from exporter.backtest.sources import read
from exporter.cli import cli
from exporter.errors import UserError
from tests.processes import prometheus
from tests.programs import program

BEGIN = datetime(2025, 5, 5, 6, tzinfo=UTC).timestamp()  # a Monday


def rules(*alerts: str) -> RuleSet:
    listed = "\n".join(f"  - {alert}" for alert in alerts)
    return RuleSet.parse({"rules.yml": f"groups:\n- name: g\n  rules:\n{listed}\n".encode()})


def history(step: float = 60, **rows: list[Value]) -> History:
    steps = max(len(row) for row in rows.values())
    named = {labelset([("__name__", name), ("model", 'old "4"')]): row for name, row in rows.items()}
    return History(BEGIN, step, steps, named)


@pytest.fixture(autouse=True)
def _installed() -> None:
    program("promtool")


def test_for_and_keep_firing_are_evaluated_as_prometheus_does() -> None:
    found = evaluate(
        rules('{alert: High, expr: "a > 1", for: 3m, keep_firing_for: 2m, labels: {severity: warning}}'),
        history(a=[0, 2, 2, 0, 2, 2, 2, 2, 2, 0, 0, 0, 0, 0]),
    )

    labels = labelset([("alertname", "High"), ("severity", "warning"), ("model", 'old "4"')])
    assert found == [Episode(labels, BEGIN + 7 * 60, BEGIN + 11 * 60)]


def test_recorded_series_latches_and_alerts_about_alerts_are_evaluated() -> None:
    found = evaluate(
        rules(
            '{record: "a:double", expr: "2 * a"}',
            '{record: "a:latched", expr: "(a:double > 3) or last_over_time(a:latched[2m])"}',
            '{alert: Latched, expr: "a:latched > 0", labels: {severity: info}}',
            "{alert: Follows, expr: \"sum(ALERTS{alertname='Latched'}) > 0\", for: 2m, labels: {severity: critical}}",
        ),
        history(a=[0, 2, 0, 0, 0, 0]),
    )

    assert [(episode.alert, (episode.start - BEGIN) / 60, episode.end) for episode in found] == [
        ("Latched", 1, None),
        ("Follows", 3, None),
    ]


def test_gaps_are_bridged_for_five_minutes_and_ends_are_not() -> None:
    gap = history(a=[2, *[None] * 9])
    end = history(a=[2, math.nan, *[None] * 8])
    alert = '{alert: High, expr: "a > 1"}'

    bridged = [(e.start - BEGIN, (e.end or 0) - BEGIN) for e in evaluate(rules(alert), gap)]
    assert bridged in ([(0, 360)], [(0, 300)])  # a sample of exactly five minutes ago counts before Prometheus 3
    assert [(e.start - BEGIN, (e.end or 0) - BEGIN) for e in evaluate(rules(alert), end)] == [(0, 60)]


def test_times_move_with_the_history_and_the_clock_keeps_hour_and_weekday() -> None:
    deadline: list[Value] = [BEGIN + 600] * 20
    near = rules('{alert: Near, expr: "d_timestamp_seconds - time() <= 300"}')
    late = rules('{alert: Late, expr: "(hour() == 6) * (minute() >= 5) * (day_of_week() == 1) and on () a"}')

    assert [(e.start - BEGIN) / 60 for e in evaluate(near, history(d_timestamp_seconds=deadline))] == [5]
    assert [(e.start - BEGIN) / 60 for e in evaluate(late, history(a=[1.0] * 8))] == [5]


def test_rules_that_fail_are_an_error_with_promtools_reason() -> None:
    with pytest.raises(UserError, match=r"cannot evaluate the rules:\n(?s:.*)parse error"):
        evaluate(rules('{alert: Broken, expr: "a >"}'), history(a=[1, 2]))


def test_precision_and_delay_are_counted_against_incidents() -> None:
    past = history(a=[0, 2, 2, 0, 0, 0, 2, 0, 0, 0])
    found = evaluate(
        rules(
            '{alert: High, expr: "a > 1", labels: {severity: warning, signal: errors}}',
            '{alert: Watch, expr: "vector(1)", labels: {severity: none}}',
        ),
        past,
    )
    incidents = [Incident("burst", BEGIN, BEGIN + 120, ("errors",)), Incident("quiet", BEGIN + 500, BEGIN + 540)]
    document = as_json(found, incidents, past, 60)

    high, watch = document["alerts"]
    assert (high["episodes"], high["right"], high["precision"], high["median_delay_seconds"]) == (2, 1, 0.5, 60)
    assert high["firing_seconds"] == 180
    assert (watch["episodes"], watch["precision"]) == (1, None)
    assert [(line["name"], line["alert"], line["delay_seconds"]) for line in document["incidents"]] == [
        ("burst", "High", 60),
        ("quiet", None, None),
    ]
    table = as_table(found, incidents, past, 60)
    assert "| High | warning | 2 | 2025-05-05T06:01:00Z | 3m | 1 | 50% | 1m |" in table
    assert "| quiet | 2025-05-05T06:08:20Z | nothing |  |  |" in table


OPENMETRICS = "".join(
    f'llm_up{{job="j",instance="i"}} {2 if 10 <= minute < 20 else 0} {BEGIN + 60 * minute}\n' for minute in range(40)
)


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    (tmp_path / "series.txt").write_text(OPENMETRICS + "# EOF\n", encoding="utf-8")
    (tmp_path / "rules.yml").write_text(
        "groups: [{name: g, rules: [{alert: LLMHigh, expr: 'llm_up > 1', for: 2m, labels: {severity: warning}}]}]\n"
    )
    (tmp_path / "labels.csv").write_text(f"start,end,name\n{BEGIN + 540},{BEGIN + 900},burst\n")
    subprocess.run(
        [program("promtool"), "tsdb", "create-blocks-from", "openmetrics", "-q", "series.txt", "blocks"],
        cwd=tmp_path,
        check=True,
        capture_output=True,
    )
    return tmp_path


def test_the_command_prints_a_table_and_writes_json(folder: Path) -> None:
    command = ["backtest", str(folder / "series.txt"), "--rules", str(folder / "rules.yml")]
    result = CliRunner().invoke(
        cli, [*command, "--labels", str(folder / "labels.csv"), "--json", str(folder / "found.json")]
    )

    assert result.exit_code == 0, result.output
    assert "40 evaluations from 2025-05-05T06:00:00Z" in result.output
    assert "| LLMHigh | warning | 1 | 2025-05-05T06:12:00Z | 8m | 1 | 100% | 3m |" in result.output
    document = json.loads((folder / "found.json").read_text())
    assert document["episodes"][0]["labels"]["alertname"] == "LLMHigh"
    assert document["episodes"][0]["end"] == "2025-05-05T06:20:00Z"


def test_a_data_folder_with_blocks_only_gives_the_same_and_is_left_alone(folder: Path) -> None:
    before = sorted(folder.rglob("blocks/**/*"))
    blocks = read(str(folder / "blocks"), {"llm_up"}, 60)

    assert blocks == read(str(folder / "series.txt"), {"llm_up"}, 60)
    assert sorted(folder.rglob("blocks/**/*")) == before
    short = read(str(folder / "blocks"), {"llm_up"}, 60, BEGIN + 600, BEGIN + 720)
    assert list(short.rows.values()) == [[2, 2, 2]]


def test_a_running_prometheus_gives_the_same(folder: Path) -> None:
    (folder / "server").mkdir()
    (folder / "blocks").rename(folder / "server" / "tsdb")
    (folder / "prometheus.yml").write_text("scrape_configs: []\n")
    with prometheus(folder / "server", folder / "prometheus.yml") as server:
        found = read(server.url, {"llm_up", "absent"}, 60, BEGIN, BEGIN + 39 * 60)

    assert found == read(str(folder / "series.txt"), {"llm_up"}, 60)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["http://127.0.0.1:1"], "say from when to when"),
        (["http://127.0.0.1:1", "--start", "0", "--end", "60"], "no Prometheus answers there"),
        (["rules.yml"], "rules.yml:1: no series"),
        (["nowhere.txt"], "nowhere.txt"),
        (["."], "not a data folder|no samples"),
        (["series.txt", "--start", "soon"], "'soon' is no time"),
        (["series.txt", "--step", "0s"], "at least a second"),
        (["series.txt", "--labels", "rules.yml"], "no column"),
    ],
)
def test_what_cannot_be_done_is_said(folder: Path, arguments: list[str], message: str) -> None:
    command = [sys.executable, "-m", "exporter", "backtest", *arguments, "--rules", "rules.yml"]
    ended = subprocess.run(command, cwd=folder, capture_output=True, text=True, check=False)

    assert ended.returncode in (1, 2)
    assert "Traceback" not in ended.stderr
    assert re.search(message, ended.stderr), ended.stderr
