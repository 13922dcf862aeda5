from __future__ import annotations

from collections import Counter, defaultdict
from datetime import UTC, datetime, timedelta, timezone
from itertools import takewhile
from statistics import mean, median

import msgspec
import pytest

from exporter.demo.profiles import SUCCESSORS, UNKNOWN_MODEL
from exporter.demo.traffic import Incident, Traffic
from exporter.events import Event, check

NOW = datetime(2025, 6, 18, 17, 30, tzinfo=UTC).timestamp()  # a Wednesday
TARGETS = {"gpt-4.1", "gpt-4.1-mini"}

# List prices in USD per million tokens: input, cached input, output.
PRICES = {
    "gpt-4": (30, 30, 60),
    "gpt-4o": (2.5, 1.25, 10),
    "gpt-4o-mini": (0.15, 0.075, 0.6),
    "gpt-4.5-preview": (75, 37.5, 150),
    "gpt-4.1": (2, 0.5, 8),
    "gpt-4.1-mini": (0.4, 0.1, 1.6),
}


def cost(event) -> float:
    whole, cached, output = PRICES.get(event["model"], (0, 0, 0))
    reused = event.get("cached_input_tokens", 0)
    return ((event["input_tokens"] - reused) * whole + reused * cached + event["output_tokens"] * output) / 1e6


@pytest.fixture(scope="module")
def day():
    return list(Traffic(NOW).history())


def live(seconds: float, incident: Incident | None = None, rate: float = 20):
    return list(takewhile(lambda event: event["timestamp"] < NOW + seconds, Traffic(NOW).live(NOW, rate, incident)))


def test_every_event_is_valid(day):
    for event in [*day, *live(60, Incident("gpt-4.1", NOW + 10, NOW + 50))]:
        assert check(msgspec.convert(event, Event)) is None


def test_ids_are_unique_and_the_same_seed_gives_the_same_events(day):
    ids = [event["id"] for event in day] + [event["id"] for event in live(60)]
    assert len(set(ids)) == len(ids)
    assert list(Traffic(NOW).history()) == day
    assert next(iter(Traffic(NOW, seed=8).history()))["id"] not in set(ids)


def test_history_ends_now_and_is_in_order(day):
    times = [event["timestamp"] for event in day]
    assert times == sorted(times)
    assert NOW - 86400 <= times[0] < NOW - 86000
    assert NOW - 60 < times[-1] <= NOW
    assert 20_000 < len(day) < 40_000


def test_a_days_cost_approaches_a_daily_budget_of_100_usd(day):
    assert 80 < sum(map(cost, day)) < 140


def test_afternoons_are_busier_than_nights_and_wednesdays_than_sundays(day):
    hours = Counter(datetime.fromtimestamp(event["timestamp"], UTC).hour for event in day)
    assert hours[14] > 5 * hours[3]
    sunday = list(Traffic(NOW + 4 * 86400).history())
    assert len(sunday) < 0.85 * len(day)


def test_the_day_is_that_of_the_zone():
    far = list(Traffic(NOW, zone=timezone(timedelta(hours=12))).history())
    hours = Counter(datetime.fromtimestamp(event["timestamp"], UTC).hour for event in far)
    assert hours[2] > 5 * hours[15]


def test_the_share_of_calls_on_target_models_reaches_sixty_percent(day):
    def share(events) -> float:
        known = [event for event in events if not event.get("shadow") and event["model"] != UNKNOWN_MODEL]
        return sum(event["model"] in TARGETS for event in known) / len(known)

    assert share([event for event in day if event["timestamp"] > NOW - 3600]) == pytest.approx(0.6, abs=0.04)
    earlier = list(Traffic(NOW).history(hours=24 * 15, rate=100))
    quarter = len(earlier) // 15
    assert share(earlier[:quarter]) == pytest.approx(0.3, abs=0.05)
    assert share(earlier[:quarter]) < share(earlier[quarter : 8 * quarter]) < share(earlier[-quarter:])


def test_all_models_applications_and_categories_occur(day):
    assert {event["model"] for event in day} == {*SUCCESSORS, *TARGETS, UNKNOWN_MODEL}
    assert len({event["application"] for event in day}) == 5
    assert {event["category"] for event in day} == {
        "content_generation",
        "educational_support",
        "testing_validation",
        "analysis",
        "monitoring",
        "other",
    }


def test_target_calls_say_what_they_replace_and_shadow_calls_have_their_pair(day):
    by_id = {event["id"]: event for event in day}
    shadows = [event for event in day if event.get("shadow")]
    assert len(shadows) > 100
    for event in day:
        if event["model"] in TARGETS:
            assert SUCCESSORS[event["replaces"]] == event["model"]
    for shadow in shadows:
        source = by_id[shadow["pair_id"]]
        assert source["pair_id"] == shadow["pair_id"]
        assert SUCCESSORS[source["model"]] == shadow["model"]


def test_calls_fail_seldom_and_in_several_ways(day):
    failures = Counter(event["error_type"] for event in day if not event["success"])
    assert {"timeout", "rate_limit", "server_error", "content_filter"} <= set(failures)
    assert 0.003 < failures.total() / len(day) < 0.02


def test_latency_has_a_heavy_tail_and_stays_below_the_thresholds_in_the_mean(day):
    by_model = defaultdict(list)
    for event in day:
        by_model[event["model"]].append(event["latency"])
    for model, latencies in by_model.items():
        if model != UNKNOWN_MODEL:
            assert mean(latencies) < 5, model
        if len(latencies) > 500:
            assert max(latencies) > 5 * median(latencies), model


def test_first_tokens_come_before_the_last_and_cached_tokens_are_some_of_the_input(day):
    streamed = [event for event in day if "time_to_first_token" in event]
    assert len(streamed) > 5000
    assert all(event["time_to_first_token"] <= event["latency"] for event in streamed)
    assert sum("cached_input_tokens" in event for event in day) > 5000


def test_live_traffic_has_the_rate_that_was_asked_for():
    assert len(live(100, rate=20)) == pytest.approx(2000, rel=0.1)


def test_in_an_incident_one_model_fails_slows_down_and_becomes_expensive():
    incident = Incident("gpt-4.1", NOW + 60, NOW + 120)
    events = live(180, incident)

    def window(begin: float, end: float, model: str | None = None):
        return [
            event
            for event in events
            if NOW + begin <= event["timestamp"] < NOW + end and model in (None, event["model"])
        ]

    def errors(calls) -> float:
        return sum(not event["success"] for event in calls) / len(calls)

    before, during, after = (window(begin, begin + 60, "gpt-4.1") for begin in (0, 60, 120))
    assert errors(before) < 0.03
    assert errors(during) == pytest.approx(0.5, abs=0.1)
    assert errors(after) < 0.03
    assert mean(event["latency"] for event in during) > 3 * mean(event["latency"] for event in before)
    assert errors(window(60, 120, "gpt-4o")) < 0.05
    assert sum(map(cost, window(60, 120))) > 3 * sum(map(cost, window(0, 60)))
