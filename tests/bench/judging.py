"""Simulated weeks through the real rules: false alarms, detection, delay.

Quiet weeks tell how often alerts fire for nothing; eventful weeks have one incident after another, with time between
them to calm down. Both are judged by `backtest`, so by Prometheus' own code.
"""

from __future__ import annotations

import json
import statistics
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import asdict, dataclass
from pathlib import Path

from exporter.backtest import Episode, History, RuleSet, evaluate
from exporter.backtest.episodes import Incident as Labelled
from exporter.backtest.episodes import tells_of
from exporter.backtest.history import ended, labelset
from tests.scenarios.drawing import draw
from tests.scenarios.incidents import KINDS, Incident
from tests.scenarios.recording import Series, record
from tests.scenarios.seeds import Purpose, generator
from tests.scenarios.settings import DAY, Setting, moderate

HOUR = 3600.0
GRACE = 600.0
WRONG = ("warning", "critical", "emergency")
# What a week of incidents has: kind, strength, hours, subject. The strengths around `clear` show where detection ends.
INCIDENTS: tuple[tuple[str, float, float, str], ...] = (
    ("latency_step", 1.5, 2, ""),
    ("latency_step", 2.0, 2, ""),
    ("latency_step", 3.0, 2, ""),
    ("latency_step", 2.0, 2, "old-large"),
    ("latency_creep", 3.0, 6, ""),
    ("error_burst", 0.02, 2, ""),
    ("error_burst", 0.05, 2, ""),
    ("error_burst", 0.10, 2, ""),
    ("error_burst", 0.05, 2, "old-small"),
    ("category_failing", 0.2, 2, ""),
    ("provider_outage", 0.5, 1, ""),
    ("retry_storm", 0.3, 2, ""),
    ("prompt_bloat", 1.3, 3, ""),
    ("prompt_bloat", 1.5, 3, ""),
    ("prompt_bloat", 2.0, 3, ""),
    ("price_change", 1.5, 3, ""),
    ("runaway_application", 1.5, 3, "batch"),
    ("runaway_application", 3.0, 3, "batch"),
    ("caching_lost", 1.0, 3, ""),
    ("silent_model_swap", 2.0, 3, ""),
    ("rollback", 0.8, 12, ""),
    ("exporter_death", 1.0, 0.5, ""),
    ("scrape_loss", 0.3, 2, ""),
)
FIRST_DAY = 1.0  # quiet, so that rules have an hour, a day, a baseline behind them
APART = 8.0  # hours between the end of one incident and the start of the next
PER_WEEK = 12


@dataclass(frozen=True, slots=True)
class Found:
    """One incident of a judged week and the first alert that told of it, seconds after its start."""

    kind: str
    strength: float
    subject: str
    clear: bool
    alert: str
    delay: float | None


@dataclass(frozen=True, slots=True)
class Week:
    """A judged span: the alerts that fired for nothing as (alert, severity, seconds since the begin), and incidents."""

    days: float
    false: tuple[tuple[str, str, float], ...]
    found: tuple[Found, ...]


def history(series: Series) -> History:
    """Series as `backtest` takes them."""
    rows = {
        labelset(labels.items()): [None if value != value else value for value in values.tolist()]
        for labels, values in zip(series.labels, series.values, strict=True)
    }
    return ended(History(series.begin, series.step, series.values.shape[1], rows))


def judge(
    rules: RuleSet,
    purpose: Purpose,
    seed: int,
    days: float,
    incidents: Sequence[Incident] = (),
    setting: Setting | None = None,
    step: float = 60.0,
) -> Week:
    """Simulate a span, evaluate the rules over it, and compare with what happened."""
    what = setting or moderate()
    calls = draw(what, days, purpose, seed, incidents)
    series = record(what, calls, days, step, incidents, generator(purpose, seed, 2))
    return compare(evaluate(rules, history(series)), incidents, days, what.begin)


def compare(episodes: Sequence[Episode], incidents: Sequence[Incident], days: float, begin: float) -> Week:
    """False alarms are episodes that begin at a time at which nothing happens or has just happened."""
    claims = [episode for episode in episodes if episode.severity in WRONG]
    false = [
        (episode.alert, episode.severity, episode.start - begin)
        for episode in claims
        if not any(incident.start <= episode.start < incident.end + 2 * HOUR for incident in incidents)
    ]
    return Week(days, tuple(false), tuple(_found(claims, incident) for incident in incidents))


def _found(claims: Sequence[Episode], incident: Incident) -> Found:
    labelled = Labelled(incident.kind, incident.start, incident.end, KINDS[incident.kind].signals)
    told = [episode for episode in claims if tells_of(episode, labelled, GRACE)]
    first = min(told, key=lambda episode: episode.start, default=None)
    return Found(
        incident.kind,
        incident.strength,
        incident.subject,
        incident.is_clear,
        first.alert if first else "",
        first.start - incident.start if first else None,
    )


def eventful(
    number: int, begin: float, catalogue: Sequence[tuple[str, float, float, str]] = INCIDENTS
) -> list[Incident]:
    """The incidents of a week: a part of the catalogue in an order and at times of day that change with the week.

    Two weeks have the whole catalogue, and each week begins at another hour, so that kinds meet day and night. Every
    seventh week has one incident only, which takes days to be one: the rollout stands still.
    """
    if number % 7 == 6:
        return [Incident("stalled_rollout", begin + FIRST_DAY * DAY, begin + 7 * DAY, 1.0)]
    size = len(catalogue)
    chosen = [catalogue[(number * PER_WEEK + index * 5) % size] for index in range(PER_WEEK)]
    at = begin + FIRST_DAY * DAY + (number * 1.7 % 6) * HOUR
    incidents = []
    for kind, strength, hours, subject in chosen:
        incidents.append(Incident(kind, at, at + hours * HOUR, strength, subject))
        at += (hours + APART) * HOUR
    return [incident for incident in incidents if incident.end + 2 * HOUR < begin + 7 * DAY]


def weeks(
    rules: RuleSet,
    purpose: Purpose,
    quiet: int,
    busy: int,
    cache: Path | None = None,
    key: str = "",
    jobs: int = 1,
) -> Iterator[tuple[str, Week]]:
    """So many quiet and busy weeks, each judged once: with a cache a run goes on where the last one was ended.

    Args:
        rules: what is judged.
        purpose: of the seeds.
        quiet: weeks without incident.
        busy: weeks with incidents.
        cache: folder for results.
        key: says which rules and which simulator the results in the cache are of.
        jobs: weeks at a time, each with a core and about a gigabyte.
    """
    plan = [("quiet", number) for number in range(quiet)] + [("busy", number) for number in range(busy)]

    def one(entry: tuple[str, int]) -> tuple[str, Week]:
        kind, number = entry
        file = cache / f"{key}-{purpose}-{kind}-{number}.json" if cache else None
        if file is not None and file.is_file():
            return kind, _read(file)
        setting = moderate()
        incidents = eventful(number, setting.begin) if kind == "busy" else []
        week = judge(rules, purpose, number if kind == "quiet" else 1000 + number, 7, incidents, setting)
        if file is not None:
            file.parent.mkdir(parents=True, exist_ok=True)
            file.write_text(json.dumps(asdict(week)), encoding="utf-8")
        return kind, week

    with ThreadPoolExecutor(jobs) as pool:  # threads do: the work is promtool's
        yield from pool.map(one, plan)


def _read(file: Path) -> Week:
    document = json.loads(file.read_text(encoding="utf-8"))
    return Week(
        document["days"],
        tuple((alert, severity, at) for alert, severity, at in document["false"]),
        tuple(Found(**found) for found in document["found"]),
    )


@dataclass(frozen=True, slots=True)
class Verdict:
    """The acceptance of all weeks together."""

    days: float
    false_warnings_a_month: float
    false_criticals: int
    clear: int
    detected: int
    delays: dict[str, float]  # median minutes to detection by what suffers: errors, latency, cost

    @property
    def detection(self) -> float:
        """Detected part of the clear incidents; 1 without any."""
        return self.detected / self.clear if self.clear else 1.0


def verdict(judged: Sequence[tuple[str, Week]]) -> Verdict:
    """False alarms are counted in the quiet weeks, detection in the busy ones."""
    quiet = [week for kind, week in judged if kind == "quiet"]
    days = sum(week.days for week in quiet)
    false = [severity for week in quiet for _, severity, _ in week.false]
    clear = [found for _, week in judged for found in week.found if found.clear]
    delays: dict[str, list[float]] = {}
    for found in clear:
        if found.delay is not None and KINDS[found.kind].minutes is not None:
            delays.setdefault(KINDS[found.kind].signals[0], []).append(found.delay / 60)
    return Verdict(
        days,
        false.count("warning") / days * 30.4 if days else 0.0,
        sum(severity != "warning" for severity in false),
        len(clear),
        sum(found.delay is not None for found in clear),
        {what: statistics.median(values) for what, values in sorted(delays.items())},
    )


def table(judged: Sequence[tuple[str, Week]]) -> str:
    """Markdown: detection by incident and strength, then false alarms by alert."""
    found = [one for _, week in judged for one in week.found]
    lines = ["| incident | strength | subject | clear | seen | detected | median delay, min | first told by |"]
    lines.append("|---|---:|---|---|---:|---:|---:|---|")
    known = [(kind, strength, subject) for kind, strength, _, subject in INCIDENTS]
    for kind, strength, subject in (*known, ("stalled_rollout", 1.0, "")):
        own = [one for one in found if (one.kind, one.strength, one.subject) == (kind, strength, subject)]
        if not own:
            continue
        delays = [one.delay / 60 for one in own if one.delay is not None]
        told = statistics.mode([one.alert for one in own if one.alert]) if delays else "nothing"
        size = f"{strength:g} x" if KINDS[kind].unit == "factor" else f"{strength:.0%}"
        lines.append(
            f"| {kind.replace('_', ' ')} | {size} | {subject} | {'yes' if own[0].clear else ''} | {len(own)} "
            f"| {len(delays) / len(own):.0%} | {f'{statistics.median(delays):.0f}' if delays else ''} | {told} |"
        )
    lines += ["", "| fired for nothing | severity | quiet weeks | other weeks |", "|---|---|---:|---:|"]
    counts: dict[str, dict[tuple[str, str], int]] = {"quiet": {}, "busy": {}}
    for kind, week in judged:
        for alert, severity, _ in week.false:
            counts[kind][alert, severity] = counts[kind].get((alert, severity), 0) + 1
    for key in sorted(counts["quiet"].keys() | counts["busy"].keys()):
        lines.append(f"| {key[0]} | {key[1]} | {counts['quiet'].get(key, 0)} | {counts['busy'].get(key, 0)} |")
    return "\n".join(lines)
