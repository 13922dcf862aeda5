from __future__ import annotations

import dataclasses
from typing import Any

import pytest

from exporter import thresholds
from exporter.control import Author, Control
from exporter.errors import RequestError
from tests.plans import migration, plan

BY = Author("alice", "api", 5_000_000)


def started(**changes: Any) -> Control:
    control = Control()
    apply(control, control.from_file(plan(migration(**changes)), 1_000_000))
    return control


def apply(control: Control, changes: Any) -> None:
    for sealed in control.next(list(changes)):
        control.apply(sealed)


def changed(**wanted: Any) -> dict[str, float]:
    """The published thresholds that a request makes different; absent ones are switched off."""
    control = started()
    before = {f"{name}/{severity}": value for name, severity, value in control.thresholds("gpt4-migration")}
    apply(control, thresholds.change(control, migration(), wanted, BY))
    after = {f"{name}/{severity}": value for name, severity, value in control.thresholds("gpt4-migration")}
    return {key: after.get(key, -1) for key in before.keys() | after.keys() if after.get(key) != before.get(key)}


# The plan of the tests has error_ratio 0.05 and 0.1, and latency_mean_seconds 5.
@pytest.mark.parametrize(
    ("wanted", "expected"),
    [
        ({"error_rate_warning": 3.0}, {"error_ratio/warning": 0.03}),
        (
            {"error_rate_warning": 7, "error_rate_critical": 14},
            {"error_ratio/warning": 0.07, "error_ratio/critical": 0.14},
        ),
        ({"error_rate_warning": 0.1}, {"error_ratio/warning": 0.001}),
        ({"error_ratio": {"warning": 0.03}}, {"error_ratio/warning": 0.03}),
        ({"error_ratio_warning": 0.03}, {"error_ratio/warning": 0.03}),
        ({"error_rate_warning": 3, "error_ratio": {"warning": 0.03}}, {"error_ratio/warning": 0.03}),
        ({"error_ratio": {"critical": None}}, {"error_ratio/critical": -1}),
        (
            {"error_rate_critical": None, "error_rate_warning": 50},
            {"error_ratio/critical": -1, "error_ratio/warning": 0.5},
        ),
        ({"error_rate_warning": 5}, {}),
        ({"latency_warning": 2.5}, {"latency_mean_seconds/warning": 2.5}),
        ({"latency_seconds": {"critical": 9, "statistic": "mean"}}, {"latency_mean_seconds/critical": 9}),
        (
            {"daily_cost_warning": 80, "daily_cost_critical": 80},
            {"daily_cost_usd/warning": 80, "daily_cost_usd/critical": 80},
        ),
        (
            {"quality_score": {"warning": 0.8, "critical": 0.7}},
            {"quality_score/warning": 0.8, "quality_score/critical": 0.7},
        ),
        ({"token_efficiency": {"warning": 1.2}}, {"token_efficiency_ratio/warning": 1.2}),
        (
            {"deadline_warnings_days": {"info": 60, "warning": 20, "emergency": 3}},
            {"deadline_days/info": 60, "deadline_days/warning": 20, "deadline_emergency_days/critical": 3},
        ),
    ],
)
def test_every_spelling_changes_the_threshold_that_it_means(wanted: Any, expected: Any) -> None:
    assert changed(**wanted) == expected


@pytest.mark.parametrize(
    ("wanted", "says"),
    [
        ({"error_rate_waring": 3}, "did you mean `error_rate_warning`"),
        ({"eror_ratio": {"warning": 0.03}}, "did you mean `error_ratio`"),
        ({"error_ratio": {"warnin": 0.03}}, "did you mean `warning`"),
        ({"error_ratio": 0.03}, 'takes an object: {"warning": …'),
        ({"error_rate_warning": -1}, "write per cent from 0 to 100"),
        ({"error_rate_critical": 101}, "write per cent from 0 to 100"),
        ({"error_ratio": {"critical": 1.5}}, "write a share from 0 to 1"),
        ({"latency_warning": 0}, "write seconds above 0"),
        ({"latency_warning": "2"}, "not a number"),
        ({"latency_warning": True}, "not a number"),
        ({"latency_warning": 10**400}, "out of all bounds"),
        ({"latency_warning": float("nan")}, "out of all bounds"),
        ({"daily_cost_warning": -5}, "write US dollars above 0"),
        ({"error_rate_critical": 4.9}, "critical 0.049 would be below warning 0.05"),
        ({"error_rate_warning": 10.1}, "critical 0.1 would be below warning 0.101"),
        ({"quality_score": {"warning": 0.7, "critical": 0.8}}, "critical 0.8 would be above warning 0.7"),
        ({"deadline_warnings_days": {"info": 7, "warning": 30}}, "warning 30 would be above info 7"),
        ({"deadline_warnings_days": {"info": 7, "warning": 7}}, "would both be 7"),
        ({"deadline_warnings_days": {"info": 7.5}}, "write whole days"),
        ({"error_rate_warning": 3, "error_ratio": {"warning": 0.04}}, "same threshold with different values"),
        ({"latency_seconds": {"statistic": "p95"}}, "changed in migration.yaml"),
        ({}, "no threshold is named"),
    ],
)
def test_nonsense_is_refused_and_says_what_to_write(wanted: Any, says: str) -> None:
    with pytest.raises(RequestError) as caught:
        changed(**wanted)

    assert caught.value.status == 422
    assert says in str(caught.value)


def test_all_mistakes_are_told_at_once() -> None:
    with pytest.raises(RequestError) as caught:
        changed(error_rate_waring=3, latency_warning=-1)

    assert "error_rate_waring" in str(caught.value)
    assert "latency_warning" in str(caught.value)


def test_the_answer_has_both_spellings_and_may_be_sent_back() -> None:
    control = started()
    answer = thresholds.in_force(control, migration())

    assert (answer["error_rate_warning"], answer["error_rate_critical"]) == (5.0, 10.0)
    assert answer["error_ratio"] == {"warning": 0.05, "critical": 0.1}
    assert (answer["latency_warning"], answer["latency_critical"]) == (5.0, None)
    assert answer["latency_seconds"] == {"warning": 5.0, "critical": None, "statistic": "mean"}
    assert answer["daily_cost_usd"] == {"warning": None, "critical": None}
    assert thresholds.change(control, migration(), answer, BY) == []


@pytest.mark.parametrize("percent", [0.1, 0.3, 1.1, 2.3, 3.0, 7, 14.35, 28, 57.3, 99.99])
def test_a_percentage_comes_back_as_it_was_sent(percent: float) -> None:
    control = started(thresholds=())
    apply(control, thresholds.change(control, migration(), {"error_rate_warning": percent}, BY))

    assert thresholds.in_force(control, migration())["error_rate_warning"] == percent


def test_where_the_plan_compares_the_95th_percentile_the_short_name_means_that() -> None:
    moved = dataclasses.replace(migration(), latency_statistic="p95", thresholds=())
    control = Control()
    apply(control, thresholds.change(control, moved, {"latency_critical": 8}, BY))

    assert list(control.thresholds("gpt4-migration")) == [("latency_p95_seconds", "critical", 8.0)]
