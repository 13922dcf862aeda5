"""The shipped rules over simulated days: silent when nothing happens, and there when something does."""

from __future__ import annotations

import os
from itertools import pairwise

import pytest

from tests.bench import scenarios
from tests.bench.judging import PER_WEEK, Week, eventful, verdict
from tests.programs import program
from tests.scenarios.incidents import KINDS
from tests.scenarios.settings import DAY, moderate

FULL = os.environ.get("LLM_MIGRATION_PROOF") == "full"


@pytest.fixture(scope="module")
def judged() -> dict[str, Week]:
    program("promtool")
    return dict(scenarios.short())


def test_a_quiet_day_is_silent(judged: dict[str, Week]) -> None:
    assert judged["quiet"].false == ()


def test_incidents_are_told_of_by_an_alert_of_their_own_signal(judged: dict[str, Week]) -> None:
    found = {one.kind: one for one in judged["busy"].found}

    assert set(found) == {"error_burst", "latency_step", "exporter_death"}
    for kind, one in found.items():
        assert one.delay is not None, f"nothing told of {kind}"
        assert one.delay <= 900, f"{one.alert} told of {kind} after {one.delay / 60:.0f} minutes"
    assert judged["busy"].false == ()


def test_the_weeks_of_the_acceptance_have_every_incident_with_time_in_between() -> None:
    begin = moderate().begin
    weeks = [eventful(number, begin) for number in range(scenarios.BUSY_WEEKS)]

    assert {incident.kind for week in weeks for incident in week} == set(KINDS)
    assert [incident.kind for incident in weeks[6]] == ["stalled_rollout"]
    for week in weeks[:6]:
        assert PER_WEEK - 2 <= len(week) <= PER_WEEK
        assert week[0].start >= begin + DAY
        assert all(after.start - before.end >= 8 * 3600 for before, after in pairwise(week))
    assert sum(incident.is_clear for week in weeks for incident in week) >= 30


@pytest.mark.proof
@pytest.mark.skipif(not FULL, reason="hours: the short form stands above; make prove runs this one")
def test_weeks_of_traffic_meet_the_acceptance() -> None:
    found = verdict(scenarios.full())

    assert found.days >= 20 * 7
    assert found.false_warnings_a_month <= 1
    assert found.false_criticals == 0
    assert found.detection >= 0.95
    for what, minutes in scenarios.GOALS.items():
        assert found.delays[what] <= minutes, what
