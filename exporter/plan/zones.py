"""Time zones by name, and days and times as instants in one of them."""

from __future__ import annotations

from datetime import date, datetime
from zoneinfo import ZoneInfo, available_timezones

from exporter.plan.calendar import end_of_day, start_of_day
from exporter.plan.values import did_you_mean


def zone_or_none(name: str) -> ZoneInfo | None:
    """The time zone with this name of the IANA database."""
    try:
        return ZoneInfo(name)
    except (LookupError, ValueError, OSError):
        return None  # a path, a folder of the database, or not in it


def zone_remedy(name: str) -> str:
    """What to write instead of an unknown time zone."""
    zones = {zone.lower(): zone for zone in sorted(available_timezones())}
    near = did_you_mean(name, list(zones))
    if near.startswith("did"):
        lower = near.split("`")[1]
        return near.replace(lower, zones[lower])
    return "write a name of the IANA database, such as UTC, Europe/Berlin or America/New_York"


def begin_of(moment: date | datetime, zone: ZoneInfo) -> float:
    """Unix seconds of a point in time, or of the start of a day."""
    return moment.timestamp() if isinstance(moment, datetime) else start_of_day(moment, zone)


def finish_of(moment: date | datetime, zone: ZoneInfo) -> float:
    """Unix seconds of a point in time, or of the end of a day."""
    return moment.timestamp() if isinstance(moment, datetime) else end_of_day(moment, zone)


def day_of(moment: date | datetime, zone: ZoneInfo) -> date:
    """The calendar day on which a moment falls."""
    return moment.astimezone(zone).date() if isinstance(moment, datetime) else moment
