"""Spans in which alerts fired, and incidents that they should have told of."""

from __future__ import annotations

import csv
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

from exporter.backtest.history import LabelSet
from exporter.errors import UserError

_COLUMNS = ("start", "end", "name")


@dataclass(frozen=True, slots=True)
class Firing:
    """All alerts that fire at one moment."""

    at: float
    alerts: tuple[LabelSet, ...]


@dataclass(frozen=True, slots=True)
class Episode:
    """An alert with these labels fired from `start` (its first evaluation as firing) until `end`, Unix seconds.

    `end` is the first evaluation at which it did not fire, or None when it still fired at the last.
    """

    labels: LabelSet
    start: float
    end: float | None

    def label(self, name: str) -> str:
        """The value of a label; empty when absent."""
        return dict(self.labels).get(name, "")

    @property
    def alert(self) -> str:
        """The alert's name."""
        return self.label("alertname")

    @property
    def severity(self) -> str:
        """Its severity; `emergency` for the critical ones that are urgent."""
        return "emergency" if self.label("urgency") == "emergency" else self.label("severity")


@dataclass(frozen=True, slots=True)
class Incident:
    """Something that alerts should tell of, from `start` to `end`, Unix seconds.

    `signals` are those of the alerts that count as telling of it; empty is any.
    """

    name: str
    start: float
    end: float
    signals: tuple[str, ...] = ()


def episodes(firing: Iterable[Firing], step: float, last: float) -> list[Episode]:
    """Consecutive moments with the same alert as one span."""
    running: dict[LabelSet, tuple[float, float]] = {}  # labels -> first and latest moment
    found: list[Episode] = []
    for moment in firing:
        for labels in moment.alerts:
            start, latest = running.get(labels, (moment.at, moment.at))
            if moment.at - latest > 1.5 * step:
                found.append(Episode(labels, start, latest + step))
                start = moment.at
            running[labels] = (start, moment.at)
    for labels, (start, latest) in running.items():
        found.append(Episode(labels, start, None if latest > last - step / 2 else latest + step))
    return sorted(found, key=lambda episode: (episode.start, episode.labels))


def tells_of(episode: Episode, incident: Incident, grace: float) -> bool:
    """Whether an episode began because of an incident: in its time, or within `grace` seconds after its end."""
    if incident.signals and episode.label("signal") not in incident.signals:
        return False
    return incident.start <= episode.start < incident.end + grace


def read_incidents(path: Path) -> list[Incident]:
    """A CSV file with the columns start, end, name, and where wanted `signals`, separated by spaces.

    Times are RFC 3339 (UTC where they do not say) or Unix seconds.

    Raises:
        UserError: a column is missing or a value is none.
    """
    try:
        with path.open(encoding="utf-8-sig", newline="") as file:
            reader = csv.DictReader(file)
            missing = [column for column in _COLUMNS if column not in (reader.fieldnames or ())]
            if missing:
                raise UserError(f"{path}:1: no column {', '.join(missing)}; the first line must name start, end, name")
            found = [_incident(path, number, row) for number, row in enumerate(reader, start=2)]
    except (UnicodeDecodeError, csv.Error) as error:
        raise UserError(f"{path}: not a CSV file: {error}") from error
    return sorted(found, key=lambda incident: incident.start)


def _incident(path: Path, line: int, row: dict[str, str | None]) -> Incident:
    start, end = (_time(path, line, column, row[column]) for column in ("start", "end"))
    if end <= start:
        raise UserError(f"{path}:{line}: end lies not after start")
    return Incident(row["name"] or f"line {line}", start, end, tuple((row.get("signals") or "").split()))


def _time(path: Path, line: int, column: str, text: str | None) -> float:
    try:
        return moment(text or "")
    except ValueError:
        raise UserError(
            f"{path}:{line}: {column}: {text!r} is no time; write 2025-05-31T12:00:00Z or Unix seconds"
        ) from None


def moment(text: str) -> float:
    """Unix seconds of RFC 3339 text, UTC where it does not say, or of a number.

    Raises:
        ValueError: it is neither.
    """
    try:
        return float(text)
    except ValueError:
        when = datetime.fromisoformat(text)
        return (when if when.tzinfo else when.replace(tzinfo=UTC)).timestamp()


def right(found: Sequence[Episode], incidents: Sequence[Incident], grace: float) -> list[Episode]:
    """The episodes that tell of any incident."""
    return [episode for episode in found if any(tells_of(episode, incident, grace) for incident in incidents)]
