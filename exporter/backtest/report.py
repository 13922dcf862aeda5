"""What a backtest found, as tables and as JSON."""

from __future__ import annotations

import statistics
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

from exporter.backtest.episodes import Episode, Incident, right, tells_of
from exporter.backtest.history import History

NEVER_JUDGED = frozenset(
    {"none", "info"}
)  # a watchdog fires always, and information is no claim that something is wrong


@dataclass(frozen=True, slots=True)
class AlertSummary:
    """All episodes of one alert at one severity. `precision` is None without incidents, or where nothing is claimed."""

    alert: str
    severity: str
    episodes: int
    first: float  # Unix seconds
    seconds: float  # fired in total
    right: int | None
    precision: float | None
    delay: float | None  # median seconds from the start of an incident to the first episode that tells of it


@dataclass(frozen=True, slots=True)
class IncidentSummary:
    """What told of one incident first; `alert` is empty when nothing did."""

    incident: Incident
    alert: str
    severity: str
    delay: float | None


def by_alert(
    found: Sequence[Episode], incidents: Sequence[Incident], history: History, grace: float
) -> list[AlertSummary]:
    """One line an alert and severity, in the order of names."""
    summaries = []
    for alert, severity in sorted({(episode.alert, episode.severity) for episode in found}):
        own = [episode for episode in found if (episode.alert, episode.severity) == (alert, severity)]
        judged = bool(incidents) and severity not in NEVER_JUDGED
        told = right(own, incidents, grace) if judged else []
        delays = [delay for incident in incidents for delay in _first_delay(told, incident, grace)]
        summaries.append(
            AlertSummary(
                alert,
                severity,
                len(own),
                own[0].start,
                sum((episode.end or history.end) - episode.start for episode in own),
                len(told) if judged else None,
                len(told) / len(own) if judged else None,
                statistics.median(delays) if delays else None,
            )
        )
    return summaries


def by_incident(found: Sequence[Episode], incidents: Sequence[Incident], grace: float) -> list[IncidentSummary]:
    """One line an incident: the first warning or worse that told of it."""
    summaries = []
    for incident in incidents:
        told = [
            episode for episode in found if episode.severity not in NEVER_JUDGED and tells_of(episode, incident, grace)
        ]
        first = min(told, key=lambda episode: episode.start, default=None)
        summaries.append(
            IncidentSummary(incident, first.alert, first.severity, first.start - incident.start)
            if first
            else IncidentSummary(incident, "", "", None)
        )
    return summaries


def as_table(found: Sequence[Episode], incidents: Sequence[Incident], history: History, grace: float) -> str:
    """Markdown: alerts, then incidents where there are any."""
    days = (history.end - history.begin) / 86400
    lines = [
        f"{history.steps:,} evaluations from {_utc(history.begin)} to {_utc(history.end)} ({days:.1f} days)",
        "",
        "| alert | severity | fired | first | in total | right | precision | median delay |",
        "|---|---|---:|---|---:|---:|---:|---:|",
    ]
    for row in by_alert(found, incidents, history, grace):
        share = "" if row.precision is None else f"{row.precision:.0%}"
        cells = (
            row.alert,
            row.severity,
            str(row.episodes),
            _utc(row.first),
            _span(row.seconds),
            "" if row.right is None else str(row.right),
            share,
            "" if row.delay is None else _span(row.delay),
        )
        lines.append(f"| {' | '.join(cells)} |")
    if incidents:
        lines += ["", "| incident | start | told by | severity | delay |", "|---|---|---|---|---:|"]
        for line in by_incident(found, incidents, grace):
            delay = "" if line.delay is None else _span(line.delay)
            lines.append(
                f"| {line.incident.name} | {_utc(line.incident.start)} | {line.alert or 'nothing'} | {line.severity} "
                f"| {delay} |"
            )
    return "\n".join(lines)


def as_json(found: Sequence[Episode], incidents: Sequence[Incident], history: History, grace: float) -> dict[str, Any]:
    """The same and every episode; times are RFC 3339, durations seconds."""
    return {
        "start": _utc(history.begin),
        "end": _utc(history.end),
        "step_seconds": history.step,
        "evaluations": history.steps,
        "alerts": [
            {
                "alert": row.alert,
                "severity": row.severity,
                "episodes": row.episodes,
                "first": _utc(row.first),
                "firing_seconds": row.seconds,
                "right": row.right,
                "precision": row.precision,
                "median_delay_seconds": row.delay,
            }
            for row in by_alert(found, incidents, history, grace)
        ],
        "incidents": [
            {
                "name": line.incident.name,
                "start": _utc(line.incident.start),
                "end": _utc(line.incident.end),
                "alert": line.alert or None,
                "severity": line.severity or None,
                "delay_seconds": line.delay,
            }
            for line in by_incident(found, incidents, grace)
        ],
        "episodes": [
            {
                "start": _utc(episode.start),
                "end": None if episode.end is None else _utc(episode.end),
                "labels": dict(episode.labels),
            }
            for episode in found
        ],
    }


def _first_delay(told: Sequence[Episode], incident: Incident, grace: float) -> list[float]:
    delays = [episode.start - incident.start for episode in told if tells_of(episode, incident, grace)]
    return [min(delays)] if delays else []


def _utc(at: float) -> str:
    return datetime.fromtimestamp(at, UTC).strftime("%Y-%m-%dT%H:%M:%SZ")


def _span(seconds: float) -> str:
    days, rest = divmod(round(seconds), 86400)
    hours, rest = divmod(rest, 3600)
    minutes, rest = divmod(rest, 60)
    parts = ((days, "d"), (hours, "h"), (minutes, "m"), (rest, "s"))
    return "".join(f"{count}{unit}" for count, unit in parts if count) or "0s"
