"""Calendar periods, against GNU date's figures and against walking along the clock minute by minute."""

from __future__ import annotations

from datetime import UTC, date, datetime, timedelta
from pathlib import Path
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from exporter.plan.calendar import end_of_day, period_bounds, planned_share, start_of_day
from exporter.plan.load import parse
from exporter.plan.model import Migration

BERLIN = ZoneInfo("Europe/Berlin")
NEW_YORK = ZoneInfo("America/New_York")
STEP = 900  # all changes of the clock in these zones and years fall on quarters of an hour
ZONES = (
    "UTC",
    "Europe/Berlin",
    "America/New_York",
    "Asia/Kolkata",
    "Australia/Lord_Howe",  # half an hour of summer time
    "America/Sao_Paulo",  # until 2018 midnight was skipped in spring and came back in autumn
    "America/Havana",  # midnight comes twice in autumn
    "Asia/Beirut",  # midnight is skipped in spring
    "Pacific/Apia",  # skipped 30 December 2011
)

# TZ=<zone> date -d '<day> 00:00' +%s
GNU_DATE = {
    (BERLIN, "2025-03-30"): 1743289200,
    (BERLIN, "2025-03-31"): 1743372000,
    (BERLIN, "2025-10-26"): 1761429600,
    (BERLIN, "2025-10-27"): 1761519600,
    (NEW_YORK, "2025-03-09"): 1741496400,
    (NEW_YORK, "2025-03-10"): 1741579200,
    (NEW_YORK, "2025-11-02"): 1762056000,
    (NEW_YORK, "2025-11-03"): 1762146000,
}


@pytest.mark.parametrize(("zone", "day"), list(GNU_DATE), ids=str)
def test_a_day_begins_when_gnu_date_says(zone: ZoneInfo, day: str) -> None:
    assert start_of_day(date.fromisoformat(day), zone) == GNU_DATE[zone, day]


@pytest.mark.parametrize(
    ("zone", "day", "hours"),
    [
        (BERLIN, date(2025, 3, 30), 23),
        (BERLIN, date(2025, 10, 26), 25),
        (NEW_YORK, date(2025, 3, 9), 23),
        (NEW_YORK, date(2025, 11, 2), 25),
        (BERLIN, date(2025, 6, 1), 24),
    ],
)
def test_days_of_clock_changes_have_23_and_25_hours(zone: ZoneInfo, day: date, hours: int) -> None:
    assert end_of_day(day, zone) - start_of_day(day, zone) == hours * 3600


def test_a_week_runs_from_monday_to_monday_over_a_clock_change() -> None:
    sunday_evening = datetime(2025, 3, 30, 22, 0, tzinfo=BERLIN).timestamp()

    assert period_bounds("weekly", sunday_evening, BERLIN) == (1742770800, 1743372000)


def test_the_week_of_new_year_belongs_to_both_years() -> None:
    new_year = datetime(2025, 1, 1, 12, 0, tzinfo=BERLIN).timestamp()

    assert period_bounds("weekly", new_year, BERLIN) == (1735513200, 1736118000)


def test_a_month_runs_to_the_first_of_the_next() -> None:
    in_march = datetime(2025, 3, 31, 23, 59, 59, tzinfo=BERLIN).timestamp()
    in_leap_february = datetime(2024, 2, 29, 12, 0, tzinfo=BERLIN).timestamp()

    assert period_bounds("monthly", in_march, BERLIN) == (1740783600, 1743458400)
    assert period_bounds("monthly", in_leap_february, BERLIN) == (1706742000, 1709247600)


def test_the_last_instant_of_a_day_belongs_to_it_and_the_first_of_the_next_does_not() -> None:
    midnight = float(GNU_DATE[BERLIN, "2025-03-31"])

    assert period_bounds("daily", midnight - 0.001, BERLIN)[1] == midnight
    assert period_bounds("daily", midnight, BERLIN)[0] == midnight


def test_an_unknown_period_is_refused() -> None:
    with pytest.raises(ValueError, match="unknown period 'yearly'"):
        period_bounds("yearly", 0.0, BERLIN)


@pytest.mark.parametrize("zone", ZONES)
@settings(max_examples=40, deadline=None)
@given(at=st.integers(1293840000, 1767225600))  # 2011 to 2025
def test_daily_bounds_are_where_the_date_on_the_wall_changes(zone: str, at: int) -> None:
    info = ZoneInfo(zone)

    start, end = period_bounds("daily", at, info)

    assert start <= at < end
    assert (start, end) == _walk_to_other_days(at, info)


@pytest.mark.parametrize(
    "zone", ["Europe/Berlin", "America/Sao_Paulo", "America/Havana", "Asia/Beirut", "Pacific/Apia"]
)
@pytest.mark.parametrize("period", ["daily", "weekly", "monthly"])
def test_periods_follow_each_other_without_gap_or_overlap_for_fifteen_years(zone: str, period: str) -> None:
    info = ZoneInfo(zone)
    at = datetime(2011, 1, 1, tzinfo=UTC).timestamp()
    while at < datetime(2026, 1, 1, tzinfo=UTC).timestamp():
        start, end = period_bounds(period, at, info)
        assert period_bounds(period, end - 1, info) == (start, end)
        assert period_bounds(period, end, info)[0] == end
        assert datetime.fromtimestamp(start, info).hour in (0, 1)
        at = end


def test_an_evening_that_comes_twice_over_midnight_belongs_to_the_period_that_has_begun() -> None:
    # In St. John's until 2011 the clock went back at 00:01 to 23:01 of the day before.
    zone = ZoneInfo("America/St_Johns")
    second_evening = datetime(2010, 11, 6, 23, 30, tzinfo=zone, fold=1).timestamp()

    start, end = period_bounds("daily", second_evening, zone)

    assert start <= second_evening < end
    assert end == datetime(2010, 11, 8, tzinfo=zone).timestamp()


def test_a_day_whose_midnight_lies_inside_a_gap_begins_at_the_jump() -> None:
    # Toronto, 30 March 1919: the clock went from 23:30 to 00:30.
    zone = ZoneInfo("America/Toronto")
    jump = datetime(1919, 3, 30, 23, 30, tzinfo=zone, fold=0).timestamp()

    assert start_of_day(date(1919, 3, 31), zone) == jump


def _walk_to_other_days(at: int, zone: ZoneInfo) -> tuple[float, float]:
    """The neighbouring changes of the date, found by stepping in quarters of an hour."""
    day = datetime.fromtimestamp(at, zone).date()
    start = at - at % STEP
    while datetime.fromtimestamp(start - STEP, zone).date() == day or _returns(start - STEP, day, zone):
        start -= STEP
    end = at - at % STEP + STEP
    while datetime.fromtimestamp(end, zone).date() == day or _returns(end, day, zone):
        end += STEP
    return float(start), float(end)


def _returns(at: int, day: date, zone: ZoneInfo) -> bool:
    """Whether the date leaves `day` at `at` only because the clock is set back over midnight."""
    before = datetime.fromtimestamp(at - 3 * 3600, zone).date()
    after = datetime.fromtimestamp(at + 3 * 3600, zone).date()
    return before == day == after and datetime.fromtimestamp(at, zone).date() != day


def _migration(phases: str, goal: str = "1.0") -> Migration:
    text = f"""
version: 1
migrations:
  - name: move
    models: {{a: b}}
    start: 2025-01-01
    deadline: 2025-12-31
    goal_share: {goal}
    phases: {phases}
"""
    return parse(text, Path("migration.yaml")).migrations[0]


def _utc(text: str) -> float:
    return datetime.fromisoformat(text).replace(tzinfo=UTC).timestamp()


CURVE = """
      - {name: one, planned_end: 2025-03-31, share_plan: [{date: 2025-01-11, share: 0.1}]}
      - name: two
        planned_end: 2025-04-10
        share_plan: [{date: 2025-04-01, share: 0.5}, {date: 2025-04-06, share: 0.5}]
"""


@pytest.mark.parametrize(
    ("at", "share"),
    [
        ("2024-12-31", 0.0),
        ("2025-01-01", 0.0),
        ("2025-01-06", 0.05),  # half way to the first point
        ("2025-01-11", 0.1),
        ("2025-02-20", 0.3),  # 40 of 80 days from 0.1 to 0.5
        ("2025-04-03", 0.5),  # level
        ("2025-04-08T12:00:00", 0.7),  # half way from 6 April to the end of 10 April, from 0.5 to 0.9
        ("2025-04-11", 0.9),
        ("2026-01-01", 0.9),
    ],
)
def test_the_planned_share_runs_in_straight_lines_from_start_through_the_points_to_the_goal(
    at: str, share: float
) -> None:
    assert planned_share(_migration(CURVE, "0.9"), _utc(at)) == pytest.approx(share, abs=1e-12)


def test_without_points_the_planned_share_is_one_line_from_start_to_the_end_of_the_last_phase() -> None:
    migration = _migration("[{name: one, planned_end: 2025-01-05}, {name: two, planned_end: 2025-01-10}]")

    assert planned_share(migration, _utc("2025-01-06")) == pytest.approx(0.5)


@given(st.floats(_utc("2024-06-01"), _utc("2026-06-01")), st.floats(0, 86400 * 30))
def test_the_planned_share_never_falls_and_never_leaves_zero_to_goal(at: float, later: float) -> None:
    migration = _migration(CURVE, "0.9")

    first, second = planned_share(migration, at), planned_share(migration, at + later)

    assert 0 <= first <= second + 1e-12
    assert second <= 0.9


def test_a_point_on_the_day_of_the_start_is_a_step() -> None:
    migration = _migration("[{name: one, planned_end: 2025-01-10, share_plan: [{date: 2025-01-01, share: 0.5}]}]")

    assert planned_share(migration, _utc("2025-01-01")) == 0
    assert planned_share(migration, _utc("2025-01-01") + 1) == pytest.approx(0.5, abs=1e-5)


def test_end_of_day_is_start_of_the_next_day() -> None:
    day = date(2025, 10, 26)

    assert end_of_day(day, BERLIN) == start_of_day(day + timedelta(days=1), BERLIN)
