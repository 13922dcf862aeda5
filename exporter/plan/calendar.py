"""Calendar arithmetic in a time zone: where days, ISO weeks and months begin, and which share the plan has at a time.

Days are what people see on the wall: 23, 24 or 25 hours long. Everything is pure, in Unix seconds, and cheap enough for
each scrape; the starts of days are remembered.
"""

from __future__ import annotations

from datetime import UTC, date, datetime, timedelta
from functools import lru_cache
from zoneinfo import ZoneInfo

from exporter.plan.model import Migration

_ONE_DAY = timedelta(days=1)


@lru_cache(maxsize=4096)
def start_of_day(day: date, zone: ZoneInfo) -> float:
    """Unix seconds of the first instant of a day; 01:00 where midnight is skipped by the change to summer time."""
    first = datetime(day.year, day.month, day.day, tzinfo=zone).timestamp()
    second = datetime(day.year, day.month, day.day, tzinfo=zone, fold=1).timestamp()
    if second >= first:
        return first  # midnight exists; where it comes twice, its first time counts
    # Midnight lies in a gap: the day begins when the clock jumps, which happens after `second` and not after `first`.
    before, after = int(second) - 1, int(first)
    while after - before > 1:
        middle = (before + after) // 2
        if _day_at(middle, zone) < day:
            before = middle
        else:
            after = middle
    return float(after)


def end_of_day(day: date, zone: ZoneInfo) -> float:
    """Unix seconds of the end of a day, which is the start of the next."""
    return start_of_day(day + _ONE_DAY, zone)


def period_bounds(period: str, at: float, zone: ZoneInfo) -> tuple[float, float]:
    """Start and end of the calendar period that contains a time: start <= at < end.

    Args:
        period: `daily`, `weekly` (from Monday, as ISO weeks) or `monthly`.
        at: Unix seconds.
        zone: The time zone of the calendar.
    """
    day = _day_at(at, zone)
    first, following = _period_days(period, day)
    end = start_of_day(following, zone)
    if at >= end:
        # The clock was set back over midnight: the evening came again, but the next period had begun.
        first, following = _period_days(period, day + _ONE_DAY)
        end = start_of_day(following, zone)
    return start_of_day(first, zone), end


def planned_share(migration: Migration, at: float) -> float:
    """The share of live requests that the plan has on target models at a time (Unix seconds).

    The planned curve is made of straight lines through the points (start, 0), all share points of all phases in order,
    and (planned end of the last phase, goal share). Before the start it is 0, after the last phase's end the goal.
    """
    left_at, left_share = migration.start, 0.0
    if at <= left_at:
        return 0.0
    points = [(point.at, point.share) for phase in migration.phases for point in phase.share_plan]
    if migration.phases:
        points.append((migration.phases[-1].planned_end, migration.goal_share))
    for right_at, right_share in points:
        if at < right_at:
            return left_share + (right_share - left_share) * (at - left_at) / (right_at - left_at)
        left_at, left_share = right_at, right_share
    return migration.goal_share


@lru_cache(maxsize=1024)
def _period_days(period: str, day: date) -> tuple[date, date]:
    """The first day of the period that contains a day, and the first day after it."""
    if period == "daily":
        return day, day + _ONE_DAY
    if period == "weekly":
        monday = day - timedelta(days=day.weekday())
        return monday, monday + timedelta(days=7)
    if period == "monthly":
        first = day.replace(day=1)
        return first, (first + timedelta(days=31)).replace(day=1)
    raise ValueError(f"unknown period {period!r}: daily, weekly or monthly")


def _day_at(at: float, zone: ZoneInfo) -> date:
    return datetime.fromtimestamp(at, UTC).astimezone(zone).date()
