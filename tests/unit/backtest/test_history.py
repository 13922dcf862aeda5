from __future__ import annotations

import math
from pathlib import Path

import pytest

from exporter.backtest import Episode, Incident, RuleSet, Samples, on_grid, read_incidents
from exporter.backtest.episodes import Firing, episodes, tells_of
from exporter.backtest.history import LabelSet, labelset
from exporter.backtest.rulefiles import words_of
from exporter.backtest.sources import parse_openmetrics
from exporter.errors import UserError

A = labelset([("__name__", "a"), ("instance", "x"), ("job", "j")])
UP = labelset([("__name__", "up"), ("instance", "x"), ("job", "j")])


def samples(*pairs: tuple[float, float]) -> Samples:
    found = Samples()
    for at, value in pairs:
        found.add(at, value)
    return found


def test_a_step_holds_the_last_sample_since_the_step_before() -> None:
    history = on_grid({A: samples((61, 1), (75, 2), (120, 3), (121, 4), (300, 5))}, 60, None, None)

    assert (history.begin, history.steps, history.end) == (60, 5, 300)
    assert history.rows[A] == [None, 3, 4, None, 5]


def test_samples_may_come_in_any_order_and_a_span_cuts_them() -> None:
    history = on_grid({A: samples((300, 5), (60, 1), (120, 3))}, 60, 70, 200)

    assert (history.begin, history.steps) == (60, 3)
    assert history.rows[A] == [1, 3, None]


def test_a_series_ends_where_its_target_was_scraped_without_it() -> None:
    series = {A: samples((60, 1), (120, 2), (300, 3)), UP: samples((60, 1), (120, 1), (180, 0), (300, 1))}
    row = on_grid(series, 60, None, None).rows[A]

    assert row[:2] == [1, 2]
    assert row[2] is not None
    assert math.isnan(row[2])  # at 180 the scrape failed
    assert row[3:] == [None, 3]  # at 240 Prometheus itself was away


@pytest.mark.parametrize(
    ("step", "begin", "end", "message"),
    [(60, 600, 300, "before the begin"), (0.001, None, None, "too many"), (60, 6000, 9000, "between begin and end")],
)
def test_what_cannot_be_evaluated_is_refused(step: float, begin: float, end: float, message: str) -> None:
    with pytest.raises(UserError, match=message):
        on_grid({A: samples((60, 1), (300, 3))}, step, begin, end)


def test_openmetrics_is_read_with_labels_exemplars_and_comments() -> None:
    text = (
        "# TYPE a counter\n"
        'a{instance="x",job="j"} 1 60\n'
        'a{job="j",instance="x"} 2 120.5 # {trace_id="1"} 1.0 120.4\n'
        'a{job="q\\"uo\\\\te, \\n}"} 3e-05 60\n'
        "b 1 60\n"
        '{__name__="a"} NaN 60\n'
        "# EOF\n"
    )
    series = parse_openmetrics(text.splitlines(keepends=True), {"a"}, "file")

    assert list(series[A].times) == [60, 120.5]
    assert list(series[A].values) == [1, 2]
    assert series[labelset([("__name__", "a"), ("job", 'q"uo\\te, \n}')])].values[0] == 3e-05
    assert math.isnan(series[labelset([("__name__", "a")])].values[0])
    assert len(series) == 3


@pytest.mark.parametrize("line", ["a 1", 'a{x="1"} 1', "a one 60", "a 1 soon", "a{x=1} 1 60", "-a 1 60", "a{ 1 60"])
def test_lines_that_are_no_samples_are_named(line: str) -> None:
    with pytest.raises(UserError, match="file:2: "):
        parse_openmetrics(["# TYPE a gauge\n", line + "\n"], {"a", "-a", "a{"}, "file")


def label(**labels: str) -> LabelSet:
    return labelset(labels.items())


def test_consecutive_steps_are_one_episode_and_the_last_may_go_on() -> None:
    one, two = label(alertname="One"), label(alertname="Two")
    firing = [Firing(60, (one,)), Firing(120, (one, two)), Firing(240, (one,)), Firing(300, (one, two))]

    assert episodes(firing, 60, 300) == [
        Episode(one, 60, 180),
        Episode(two, 120, 180),
        Episode(one, 240, None),
        Episode(two, 300, None),
    ]
    assert episodes(firing, 60, 360)[-1] == Episode(two, 300, 360)


def test_an_episode_tells_of_an_incident_when_it_begins_in_it_with_a_signal_of_it() -> None:
    incident = Incident("outage", 100, 200, ("errors",))

    def told(start: float, signal: str = "errors") -> bool:
        return tells_of(Episode(label(alertname="One", signal=signal), start, None), incident, 60)

    assert [told(at) for at in (99, 100, 199, 259, 260)] == [False, True, True, True, False]
    assert not told(150, "cost")
    assert tells_of(Episode(label(alertname="One"), 150, None), Incident("any", 100, 200), 60)


def test_incidents_are_read_in_order_with_both_kinds_of_time(tmp_path: Path) -> None:
    path = tmp_path / "labels.csv"
    path.write_text(
        "start,end,name,signals\n2025-05-05T12:00:00Z,2025-05-05T13:00:00+01:00,second,errors cost\n60,120,first,\n"
    )
    with pytest.raises(UserError, match=r"labels.csv:2: end lies not after start"):
        read_incidents(path)
    path.write_text(
        "start,end,name,signals\n2025-05-05T12:00:00Z,2025-05-05T14:30:00+01:00,second,errors cost\n60,120,first,\n"
    )
    assert read_incidents(path) == [
        Incident("first", 60, 120),
        Incident("second", 1746446400, 1746451800, ("errors", "cost")),
    ]


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("start,name\n1,x\n", "no column end"),
        ("start,end,name\n1,later,x\n", r"labels.csv:2: end: 'later' is no time"),
        ("start,end,name\n1\n", r"labels.csv:2: end: None is no time"),
        ("", "no column start, end, name"),
    ],
)
def test_label_files_that_cannot_be_used_are_refused(tmp_path: Path, text: str, message: str) -> None:
    path = tmp_path / "labels.csv"
    path.write_text(text)
    with pytest.raises(UserError, match=message):
        read_incidents(path)


RULES = b"""
groups:
- name: g
  rules:
  - {record: 'a:one', expr: 'sum(raw_total{label="a:not_read"})'}
  - {record: 'a:two', expr: 'a:one * 2  # a:commented'}
  - {record: 'a:shown', expr: shown_total}
- name: alerts
  rules:
  - {alert: Two, expr: 'a:two > 1', annotations: {summary: Two.}}
"""


def test_only_what_alerts_read_is_evaluated() -> None:
    rules = RuleSet.parse({"rules.yml": RULES})
    needed = rules.needed()

    assert [rule.get("record") or rule["alert"] for rule in needed.rules()] == ["a:one", "a:two", "Two"]
    assert "raw_total" in needed.read
    assert not needed.read & {"shown_total", "a:one", "a:not_read", "a:commented"}
    assert words_of("sum by (x) (a{b='c'}[5m])") >= {"a", "x"}
    assert "c" not in words_of("sum by (x) (a{b='c'}[5m])")


def test_the_shift_in_time_keeps_what_rules_read_of_the_clock() -> None:
    def alignment(expression: str) -> float:
        return RuleSet.parse(
            {"r": f"groups: [{{name: g, rules: [{{alert: A, expr: '{expression}'}}]}}]".encode()}
        ).alignment

    assert [alignment(text) for text in ("a > 1", "hour() > 8", "day_of_week(a) == 0 and hour() > 8")] == [
        0,
        86400,
        604800,
    ]


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"groups: [", "not YAML"),
        (b"alerting: {}", "no rule file"),
        (b"groups: [{rules: []}]", "each group needs a name"),
        (b"groups: [{name: g, rules: [{expr: a}]}]", "each rule needs"),
        (b"groups: [{name: g, rules: [{record: 'a:b', expr: a}]}]", "no alerts"),
    ],
)
def test_files_that_are_no_rules_are_refused(content: bytes, message: str) -> None:
    with pytest.raises(UserError, match=message):
        RuleSet.parse({"rules.yml": content})
