from __future__ import annotations

import json
import subprocess
from pathlib import Path

import numpy as np
import pytest
from click.testing import CliRunner

from exporter import catalog
from exporter.backtest import Incident as BacktestIncident
from exporter.backtest import read_incidents
from exporter.backtest.sources import read
from exporter.events import check, decode
from tests.programs import program
from tests.scenarios.__main__ import main
from tests.scenarios.calls import Calls, Names
from tests.scenarios.drawing import draw
from tests.scenarios.incidents import Incident
from tests.scenarios.plan import bounds
from tests.scenarios.recording import Series, record
from tests.scenarios.settings import DAY, moderate
from tests.scenarios.truth import truth
from tests.scenarios.writing import events, openmetrics, page

SETTING = moderate(0.3)
BEGIN = SETTING.begin
HISTOGRAMS = ("_bucket", "_count", "_sum")


@pytest.fixture(scope="module")
def calls() -> Calls:
    return draw(SETTING, 2, "tuning", 5)


@pytest.fixture(scope="module")
def series(calls: Calls) -> Series:
    return record(SETTING, calls, 2)


def test_counters_end_at_the_truth(calls: Calls, series: Series) -> None:
    known = truth(calls, BEGIN, BEGIN + 2 * DAY)

    assert series.total("llm_requests_total")[-1] == known.requests
    assert series.total("llm_request_errors_total")[-1] == known.errors
    assert series.total("llm_request_errors_by_type_total")[-1] == known.errors
    assert series.total("llm_cost_usd_total")[-1] == pytest.approx(known.cost)
    assert series.total("llm_counterfactual_cost_usd_total")[-1] == pytest.approx(known.counterfactual)
    assert series.total("llm_tokens_total", type="output")[-1] == known.output_tokens
    given = series.total("llm_tokens_total", type="input") + series.total("llm_tokens_total", type="cached_input")
    assert given[-1] == known.input_tokens
    assert series.total("llm_request_duration_seconds_count")[-1] == known.requests
    assert series.total("llm_request_duration_seconds_sum")[-1] / known.requests == pytest.approx(known.latency_mean)
    live = {role: series.total("llm_requests_total", role=role)[-1] for role in ("source", "target")}
    assert live["target"] / (live["source"] + live["target"]) == pytest.approx(known.target_share)


def test_a_scrape_in_between_holds_what_ended_before_it(calls: Calls, series: Series) -> None:
    at = series.times[777]

    assert series.total("llm_requests_total")[777] == (calls.at <= at).sum()
    inside = series.total("llm_request_duration_seconds_bucket", le="5.0")[777]
    assert inside == ((calls.at <= at) & (calls.latency <= 5)).sum()


def test_counters_never_fall_and_buckets_are_nested(series: Series) -> None:
    for labels, values in zip(series.labels, series.values, strict=True):
        if labels["__name__"].endswith(("_total", *HISTOGRAMS)):
            present = values[~np.isnan(values)]
            assert np.all(np.diff(present) >= 0), labels
    buckets = [series.total("llm_request_duration_seconds_bucket", le=le)[-1] for le in ("1.0", "10.0", "+Inf")]
    assert buckets == sorted(buckets)


def test_names_and_labels_are_those_of_the_catalogue(series: Series) -> None:
    sampled = {name: metric for metric in catalog.METRICS for name in metric.sample_names}
    for labels in series.labels:
        if labels["__name__"] == "up":
            continue
        metric = sampled[labels["__name__"]]
        expected = {*metric.labels, "job", "instance", "__name__"}
        assert set(labels) - {"le"} == expected, labels
        assert labels["job"] == catalog.JOB
    bounds_ = {labels["le"] for labels in series.labels if labels["__name__"] == "llm_request_duration_seconds_bucket"}
    assert bounds_ == {*(repr(float(bound)) for bound in catalog.DURATION_BUCKETS), "+Inf"}


def test_budgets_start_anew_with_their_period(calls: Calls, series: Series) -> None:
    spent = series.total("llm_budget_spent_usd", period="daily")
    midnight = round(DAY / series.step)

    assert spent[midnight - 1] == pytest.approx(calls.cost[calls.at <= series.times[midnight - 1]].sum())
    assert spent[midnight] == 0
    assert spent[-2] == pytest.approx(calls.cost[(calls.at > BEGIN + DAY) & (calls.at <= series.times[-2])].sum())
    begin, end = bounds("monthly", np.array([BEGIN]))
    assert (begin[0], end[0]) == (1746057600, 1748736000)  # May 2025


def test_a_series_born_later_is_held_at_zero_and_then_true(calls: Calls) -> None:
    late = calls.where(~((calls.application == 3) & (calls.at < BEGIN + 1.5 * DAY)))
    series = record(SETTING, late, 2)
    first = late.at[late.application == 3].min()
    born = int(np.searchsorted(series.times, first))
    total = series.total("llm_requests_total", application="batch")

    assert np.isnan(
        [v for labels, v in zip(series.labels, series.values, strict=True) if labels.get("application") == "batch"]
    )[:, born - 1].all()
    assert total[born] == total[born + 2] == 0
    assert total[-1] == (late.application == 3).sum()


def test_dead_exporters_show_nothing_and_come_back_with_everything(calls: Calls) -> None:
    death = Incident("exporter_death", BEGIN + DAY, BEGIN + DAY + 1800, 1.0)
    series = record(SETTING, calls, 2, incidents=[death])
    dead = (series.times >= death.start) & (series.times < death.end)
    own = [row for row, labels in enumerate(series.labels) if labels["__name__"] == "llm_requests_total"]

    assert np.isnan(series.values[own][:, dead]).all()
    assert series.total("up", job=catalog.JOB)[dead].sum() == 0
    assert series.total("llm_requests_total")[-1] == len(calls)


def test_several_exporters_add_up_and_one_has_the_plan(calls: Calls) -> None:
    series = record(moderate(0.3, exporters=2), calls, 2)

    assert series.total("llm_requests_total")[-1] == len(calls)
    assert 0 < series.total("llm_requests_total", instance="exporter-1")[-1] < len(calls)
    owners = {labels["instance"] for labels in series.labels if labels["__name__"] == "llm_threshold"}
    assert owners == {"exporter-0"}


def test_prometheus_takes_the_series_as_blocks(calls: Calls, tmp_path: Path) -> None:
    short = record(SETTING, calls, 0.1)
    count = openmetrics(short, tmp_path / "series.txt", {"llm_requests_total", "llm_request_duration_seconds_sum"})
    subprocess.run(
        [program("promtool"), "tsdb", "create-blocks-from", "openmetrics", "-q", "series.txt", "blocks"],
        cwd=tmp_path,
        check=True,
        capture_output=True,
    )
    (tmp_path / "blocks" / "wal").mkdir()  # promtool reads no folder without a write-ahead log
    dumped = subprocess.run(
        [program("promtool"), "tsdb", "dump", "blocks"], cwd=tmp_path, check=True, capture_output=True, text=True
    )

    assert len(dumped.stdout.splitlines()) == count > 1000


def test_a_page_is_what_one_exporter_shows_at_one_scrape(calls: Calls) -> None:
    series = record(moderate(0.3, exporters=2), calls, 0.1)
    text = page(series, 100, "exporter-1")
    requests = [line for line in text.splitlines() if line.startswith("llm_requests_total{")]

    shown = sum(float(line.rsplit(" ", 1)[1]) for line in requests)
    assert shown == series.total("llm_requests_total", instance="exporter-1")[100]
    assert "instance=" not in text
    assert "llm_threshold" not in text


def test_events_are_what_the_exporter_takes(calls: Calls) -> None:
    names = Names.of(SETTING)
    body = json.dumps(list(events(calls.where(np.arange(500)), names))).encode()

    decoded = decode(body, ndjson=False, max_events=500)
    assert not decoded.rejected
    assert [check(event) for event in decoded.events] == [None] * 500
    assert sum(event.input_tokens for event in decoded.events) == calls.input[:500].sum()


def test_the_command_writes_series_incidents_and_events(tmp_path: Path) -> None:
    files = {kind: tmp_path / kind for kind in ("series", "labels", "events")}
    result = CliRunner().invoke(
        main,
        ["--setting=small", "--days=0.1", "--incident=error_burst:0.5:1:1:new-large"]
        + [f"--{kind}={path}" for kind, path in files.items()],
    )

    assert result.exit_code == 0, result.output
    assert read_incidents(files["labels"]) == [
        BacktestIncident("error_burst 0.5", BEGIN + 3600, BEGIN + 7200, ("errors", "anomaly"))
    ]
    history = read(str(files["series"]), {"llm_requests_total"}, 60)
    calls = [json.loads(line) for line in files["events"].read_text().splitlines()]
    assert sum(row[-1] or 0 for row in history.rows.values()) == len(calls) > 1000
    assert CliRunner().invoke(main, ["--incident=flood:1:1:1"]).exit_code == 2
