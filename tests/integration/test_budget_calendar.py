"""Calls around midnights, Mondays, ends of months and changes of the clock, from the request to the budget on the page.

The expected calendar is written here by hand from the published rules, and shares nothing with the program: which
offset a zone has at an instant, then the date on the wall, then the ISO week and the month of that date.
"""

from __future__ import annotations

import calendar
from collections.abc import Callable, Iterator
from datetime import UTC, date, datetime, timedelta
from pathlib import Path

import pytest

from exporter.plan.load import load
from tests.configs import variant
from tests.integration.conftest import Running, event

HALF_HOUR = timedelta(minutes=30)
SECOND = timedelta(seconds=1)
NANO_PER_TOKEN = 2000  # of the price that the plan names: 2 USD a million


def sunday(year: int, month: int, number: int) -> date:
    """The first, second … Sunday of a month; -1 for the last."""
    days = [day for day in range(1, calendar.monthrange(year, month)[1] + 1) if date(year, month, day).weekday() == 6]
    return date(year, month, days[number if number < 0 else number - 1])


def instant(day: date, hours: float) -> datetime:
    """So many hours after the beginning of a day, UTC."""
    return datetime(day.year, day.month, day.day, tzinfo=UTC) + timedelta(hours=hours)


def berlin(at: datetime) -> timedelta:
    """Directive 2000/84/EC: from 1:00 UTC on the last Sunday in March until 1:00 UTC on the last in October."""
    summer = instant(sunday(at.year, 3, -1), 1) <= at < instant(sunday(at.year, 10, -1), 1)
    return timedelta(hours=2 if summer else 1)


def new_york(at: datetime) -> timedelta:
    """15 U.S.C. 260a: from 2:00 standard time on the second Sunday in March until 2:00 daylight time on the first in
    November.
    """
    summer = instant(sunday(at.year, 3, 2), 2 + 5) <= at < instant(sunday(at.year, 11, 1), 2 + 4)
    return timedelta(hours=-4 if summer else -5)


def kolkata(_: datetime) -> timedelta:
    """Five hours and a half, always."""
    return timedelta(hours=5.5)


def lord_howe(at: datetime) -> timedelta:
    """Half an hour of summer time: until 2:00 on the first Sunday in April, from 2:00 on the first in October."""
    winter = instant(sunday(at.year, 4, 1), 2 - 11) <= at < instant(sunday(at.year, 10, 1), 2 - 10.5)
    return timedelta(hours=10.5 if winter else 11)


def apia(at: datetime) -> timedelta:
    """On summer time behind UTC until the end of 29 December 2011, then at once a day further; no 30 December.

    Good for the years 2011 (its last weeks) and 2022 on, in which there is no summer time any more.
    """
    if at.year >= 2022:
        return timedelta(hours=13)
    return timedelta(hours=-10) if at < datetime(2011, 12, 30, 10, tzinfo=UTC) else timedelta(hours=14)


Offset = Callable[[datetime], timedelta]
ZONES: dict[str, Offset] = {
    "Europe/Berlin": berlin,
    "America/New_York": new_york,
    "Asia/Kolkata": kolkata,
    "Australia/Lord_Howe": lord_howe,
    "Pacific/Apia": apia,
}
SCENES = {
    ("Europe/Berlin", "the clock goes forward, on the eve of a Monday"): datetime(2025, 3, 30, 1, tzinfo=UTC),
    ("Europe/Berlin", "the clock goes back, on the eve of a Monday"): datetime(2025, 10, 26, 1, tzinfo=UTC),
    ("Europe/Berlin", "a year ends within a week"): datetime(2024, 12, 31, 23, tzinfo=UTC),
    ("Europe/Berlin", "a leap day"): datetime(2024, 2, 29, 23, tzinfo=UTC),
    ("America/New_York", "the clock goes forward"): datetime(2025, 3, 9, 7, tzinfo=UTC),
    ("America/New_York", "the clock goes back, on the second of a month"): datetime(2025, 11, 2, 6, tzinfo=UTC),
    ("Asia/Kolkata", "a month begins on a Monday"): datetime(2025, 8, 31, 18, 30, tzinfo=UTC),
    ("Australia/Lord_Howe", "the clock goes back by half an hour"): datetime(2025, 4, 5, 15, tzinfo=UTC),
    ("Australia/Lord_Howe", "the clock goes forward by half an hour"): datetime(2025, 10, 4, 15, 30, tzinfo=UTC),
    ("Pacific/Apia", "a day is left out"): datetime(2011, 12, 30, 10, tzinfo=UTC),
    ("Pacific/Apia", "a month begins on a Monday"): datetime(2025, 8, 31, 11, tzinfo=UTC),
}


def period(kind: str, at: datetime, offset: Offset) -> tuple[int, ...]:
    """What tells a day, a week or a month from all others."""
    day = (at + offset(at)).date()
    if kind == "daily":
        return (day.toordinal(),)
    return day.isocalendar()[:2] if kind == "weekly" else (day.year, day.month)


def edge(kind: str, at: datetime, offset: Offset, step: timedelta) -> datetime:
    """The last instant in steps of half an hour, from a full one on, that is still in the same period."""
    here = period(kind, at, offset)
    while period(kind, at + step, offset) == here:
        at += step
    return at


def half_hours(centre: datetime) -> Iterator[datetime]:
    """Calls for two days around an instant: on each half hour, and a moment before it."""
    at = centre - timedelta(hours=49)
    while at < centre + timedelta(hours=49):
        yield at - timedelta(microseconds=1)
        yield at
        at += HALF_HOUR


@pytest.mark.parametrize(("zone", "scene"), list(SCENES), ids=lambda text: text.replace(" ", "-"))
async def test_a_call_counts_in_the_day_the_week_and_the_month_in_which_it_ended(
    zone: str, scene: str, tmp_path: Path
) -> None:
    offset, centre = ZONES[zone], SCENES[zone, scene]
    prices = {"gpt-4.1": [{"input": NANO_PER_TOKEN / 1000, "output": 1}]}
    plan = load(variant(tmp_path, lambda document: document.update(timezone=zone), prices=prices))
    running = Running(tmp_path / "data", plan)
    running.clock.jump((centre - timedelta(hours=49)).timestamp() - running.clock.now())
    await running.start()
    calls = [(at, 1 + 7 * number) for number, at in enumerate(half_hours(centre))]
    late = calls[::5]  # sent when all is over
    waiting = [call for call in calls if call not in late]
    taken: list[tuple[datetime, int]] = []

    async def push(batch: list[tuple[datetime, int]]) -> None:
        if batch:
            await running.push(
                *(event(timestamp=at.isoformat(), input_tokens=tokens, output_tokens=0) for at, tokens in batch)
            )
            taken.extend(batch)

    async def check(now: datetime) -> None:
        page = await running.page()
        for kind in ("daily", "weekly", "monthly"):
            labels = frozenset({"migration": "gpt4-migration", "period": kind}.items())
            here = period(kind, now, offset)
            expected = sum(tokens for at, tokens in taken if period(kind, at, offset) == here) * NANO_PER_TOKEN
            assert round(page["llm_budget_spent_usd"][labels] * 1e9) == expected, (kind, now)
            full = now - (now - centre) % HALF_HOUR
            start, end = edge(kind, full, offset, -HALF_HOUR), edge(kind, full, offset, HALF_HOUR) + HALF_HOUR
            assert page["llm_budget_period_start_timestamp_seconds"][labels] == start.timestamp(), (kind, now)
            assert page["llm_budget_period_end_timestamp_seconds"][labels] == end.timestamp(), (kind, now)

    try:
        interesting = {centre - SECOND, centre, centre + HALF_HOUR, centre + timedelta(hours=1)}
        for at in half_hours(centre):
            if any(period(kind, at, offset) != period(kind, at - SECOND, offset) for kind in ("daily", "monthly")):
                interesting |= {at - SECOND, at, at + SECOND}
        assert len(interesting) > 10
        for now in sorted(interesting):
            running.clock.advance(now.timestamp() - running.clock.now())
            await push([call for call in waiting if call[0] <= now])
            waiting = [call for call in waiting if call[0] > now]
            await check(now)
        end = centre + timedelta(hours=49)
        running.clock.advance(end.timestamp() - running.clock.now())
        await push(waiting)
        await check(end)
        await push(late)  # into their own days, and into today's counter
        await check(end)
        await running.restart()
        await check(end)
        assert await running.total("llm_requests_total") == len(calls)
        total = sum(tokens for _, tokens in calls)
        assert await running.total("llm_cost_usd_total") == pytest.approx(total * NANO_PER_TOKEN / 1e9, rel=1e-12)
    finally:
        await running.stop()


def test_the_calendar_of_this_file_knows_the_published_dates() -> None:
    """What newspapers said, so that a mistake in a rule above cannot agree with one in the program."""
    assert sunday(2025, 3, -1) == date(2025, 3, 30)
    assert sunday(2025, 10, -1) == date(2025, 10, 26)
    assert (sunday(2025, 3, 2), sunday(2025, 11, 1)) == (date(2025, 3, 9), date(2025, 11, 2))
    assert (sunday(2025, 4, 1), sunday(2025, 10, 1)) == (date(2025, 4, 6), date(2025, 10, 5))
    before = datetime(2011, 12, 30, 9, 59, 59, tzinfo=UTC)
    assert (before + apia(before)).isoformat() == "2011-12-29T23:59:59+00:00"
    assert (before + SECOND + apia(before + SECOND)).isoformat() == "2011-12-31T00:00:00+00:00"
    assert date(2025, 9, 1).weekday() == 0
