from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest

from exporter.errors import UserError
from exporter.replay.formats import Row, Trace
from exporter.replay.mapping import EventMaker, LatencyFormula, Mapping

TRACE = Trace(Path("t.csv"), "azure", "ab" * 32, 2, 0.0, 1.0, 10, 20, frozenset({None}))
BURST = replace(TRACE, format="burstgpt", models=frozenset({"ChatGPT", "GPT-4", "mystery"}))
ROW = Row(7, 9, 3.0, None, 100, 50, True, None, {})


def test_an_event_has_the_labels_of_the_mapping_and_the_counts_of_the_row():
    mapping = Mapping(model="gpt-4", category="analysis", application="a", endpoint="/e", migration="m", shadow=True)
    event = EventMaker(TRACE, mapping)(ROW, 1700000000.1234567)
    identity = event.pop("id")
    assert identity.startswith("replay-")
    assert identity.endswith("-7")
    assert len(identity) <= 128
    assert event.pop("latency") > 0
    assert event == {
        "timestamp": 1700000000.123457,
        "model": "gpt-4",
        "input_tokens": 100,
        "output_tokens": 50,
        "success": True,
        "category": "analysis",
        "application": "a",
        "endpoint": "/e",
        "migration": "m",
        "shadow": True,
    }


@pytest.mark.parametrize(
    "other",
    [
        {"model": "gpt-4.1"},
        {"category": "analysis"},
        {"application": "a"},
        {"endpoint": "/e"},
        {"migration": "m"},
        {"shadow": True},
        {"latency": 1.5},
        {"latency": LatencyFormula(base=9)},
    ],
)
def test_another_mapping_gives_other_ids(other):
    one = Mapping(model="gpt-4")
    ids = {EventMaker(TRACE, mapping)(ROW, 0.0)["id"] for mapping in (one, replace(one, **other))}
    assert len(ids) == 2


def test_another_content_gives_other_ids_and_another_time_does_not():
    mapping = Mapping(model="gpt-4")
    event = EventMaker(TRACE, mapping)
    assert event(ROW, 1.0)["id"] == event(ROW, 2.0)["id"]
    assert EventMaker(replace(TRACE, path=Path("renamed.csv")), mapping)(ROW, 1.0)["id"] == event(ROW, 1.0)["id"]
    assert EventMaker(replace(TRACE, sha256="cd" * 32), mapping)(ROW, 1.0)["id"] != event(ROW, 1.0)["id"]


def test_a_trace_without_models_needs_one():
    with pytest.raises(UserError, match="--model"):
        EventMaker(TRACE, Mapping())


def test_burstgpts_names_become_models_and_can_be_mapped():
    def model(name: str, mapping: Mapping) -> str:
        return EventMaker(BURST, mapping)(ROW._replace(model=name), 0.0)["model"]

    assert [model(name, Mapping()) for name in ("ChatGPT", "GPT-4", "mystery")] == [
        "gpt-3.5-turbo",
        "gpt-4",
        "mystery",
    ]
    assert model("ChatGPT", Mapping(models={"ChatGPT": "gpt-4o-mini"})) == "gpt-4o-mini"
    assert model("GPT-4", Mapping(models={"ChatGPT": "gpt-4o-mini"})) == "gpt-4"
    assert model("ChatGPT", Mapping(model="gpt-4.1")) == "gpt-4.1"


def test_latency_is_fixed_or_the_traces_own_or_drawn_by_the_formula():
    slow = ROW._replace(latency=43.0)
    flat = LatencyFormula(base=1, per_input_token=0.01, per_output_token=0.1, jitter=0)
    assert EventMaker(TRACE, Mapping(model="m", latency=1.5))(slow, 0)["latency"] == 1.5
    assert EventMaker(TRACE, Mapping(model="m"))(slow, 0)["latency"] == 43.0
    assert EventMaker(TRACE, Mapping(model="m", latency=flat))(slow, 0)["latency"] == 1 + 1 + 5


def test_jitter_spreads_evenly_and_repeats():
    formula = LatencyFormula(base=2, per_input_token=0, per_output_token=0, jitter=0.5)
    event = EventMaker(TRACE, Mapping(model="m", latency=formula))
    latencies = [event(ROW._replace(number=number), 0)["latency"] for number in range(2000)]
    assert latencies == [event(ROW._replace(number=number), 0)["latency"] for number in range(2000)]
    assert 1 <= min(latencies) < 1.05
    assert 2.95 < max(latencies) < 3
    assert sum(latencies) / 2000 == pytest.approx(2, abs=0.05)


def test_the_same_row_under_another_model_has_the_same_luck():
    events = [EventMaker(TRACE, Mapping(model=model))(ROW, 0) for model in ("gpt-4", "gpt-4.1")]
    assert events[0]["latency"] == events[1]["latency"]


@pytest.mark.parametrize("wrong", [{"base": -1}, {"per_output_token": -0.1}, {"jitter": 1.5}])
def test_a_formula_that_could_go_below_zero_is_refused(wrong):
    with pytest.raises(UserError):
        LatencyFormula(**wrong)
