from __future__ import annotations

from datetime import UTC, date, datetime

import pytest

from exporter.demo.plan import CHANNEL, PHASE, demo_plan, shipped, zone_name
from exporter.plan.load import load

DAYS = [
    datetime(2025, 6, 18, 17, 30, tzinfo=UTC),
    datetime(2026, 2, 28, 0, 5, tzinfo=UTC),
    datetime(2028, 2, 29, 23, 59, tzinfo=UTC),
]


def demo(tmp_path, now: datetime):
    path = tmp_path / "migration.yaml"
    path.write_text(demo_plan(now.timestamp(), "http://127.0.0.1:1/x", {"prometheus": "http://127.0.0.1:2"}))
    return load(path)


@pytest.mark.parametrize("now", DAYS)
def test_today_lies_in_the_rollout_and_the_deadline_ahead(tmp_path, now):
    (migration,) = demo(tmp_path, now).migrations
    ends = {phase.name: phase.planned_end for phase in migration.phases}
    assert ends["testing"] < now.timestamp() < ends[PHASE]
    assert 30 < (migration.deadline - now.timestamp()) / 86400 < 90
    assert migration.start < now.timestamp()


@pytest.mark.parametrize("now", DAYS)
def test_the_plan_wants_about_sixty_percent_today(tmp_path, now):
    (migration,) = demo(tmp_path, now).migrations
    points = [point for phase in migration.phases for point in phase.share_plan]
    before = max((point for point in points if point.at <= now.timestamp()), key=lambda point: point.at)
    after = min((point for point in points if point.at > now.timestamp()), key=lambda point: point.at)
    part = (now.timestamp() - before.at) / (after.at - before.at)
    assert before.share + part * (after.share - before.share) == pytest.approx(0.62, abs=0.06)


def test_all_severities_lead_to_the_demo_itself(tmp_path):
    plan = demo(tmp_path, DAYS[0])
    assert set(plan.channels) == {CHANNEL}
    assert set(plan.routing.values()) == {(CHANNEL,)}
    assert plan.limits.hold > 2 * plan.targets.scrape_interval
    assert plan.urls.prometheus == "http://127.0.0.1:2"


def test_models_prices_and_phases_are_those_of_the_shipped_plan(tmp_path):
    (migration,) = demo(tmp_path, DAYS[0]).migrations
    (original,) = shipped()["migrations"]
    assert dict(migration.models) == original["models"]
    assert [phase.name for phase in migration.phases] == [phase["name"] for phase in original["phases"]]
    assert isinstance(original["start"], date)


@pytest.mark.parametrize("hour", range(24))
def test_it_is_late_afternoon_in_the_demos_time_zone(tmp_path, hour):
    now = datetime(2025, 6, 18, hour, 12, tzinfo=UTC)
    plan = demo(tmp_path, now)
    assert now.astimezone(plan.timezone).hour == 17
    assert plan.timezone.key == zone_name(now.timestamp())
