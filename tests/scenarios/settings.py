"""Who calls what: migrations, applications, categories, models with their speed, failures and prices."""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import UTC, datetime

DAY = 86400.0
WEEK = 7 * DAY
MONDAY = datetime(2025, 5, 5, tzinfo=UTC).timestamp()  # simulated weeks begin on a Monday in the middle of a rollout


@dataclass(frozen=True, slots=True)
class Price:
    """US dollars per million tokens: this table is the simulator's own."""

    input: float
    cached_input: float
    output: float


@dataclass(frozen=True, slots=True)
class Model:
    """How a model behaves. A whole call takes `start` seconds plus its answer at `speed` tokens a second."""

    name: str
    price: Price
    start: float = 0.5
    speed: float = 80.0
    failures: float = 0.008  # share of calls
    answer: float = 1.0  # length of answers, relative
    quality: float = 0.9


@dataclass(frozen=True, slots=True)
class Application:
    """A caller: its part of a migration's calls, the categories and source models of its calls, with weights."""

    name: str
    weight: float
    categories: dict[str, float]
    models: dict[str, float]


@dataclass(frozen=True, slots=True)
class Phase:
    """A step of the plan, with times as Unix seconds; `entered` is None for a phase to come.

    Tasks of phases that are over are done.
    """

    name: str
    planned_end: float
    entered: float | None = None
    tasks: tuple[str, ...] = ("Measure", "Decide")


@dataclass(frozen=True, slots=True)
class Migration:
    """A migration and its traffic. Points of a curve are (Unix seconds, share); between them it is straight."""

    name: str
    pairs: dict[str, str]  # source model -> target model
    applications: tuple[Application, ...]
    calls_per_second: float  # mean over a week
    planned: tuple[tuple[float, float], ...]
    share: tuple[tuple[float, float], ...]  # what the traffic really does
    shadow: float = 0.02  # share of source calls repeated on the target for comparison
    goal: float = 1.0
    start: float = MONDAY - 100 * DAY
    deadline: float = MONDAY + 120 * DAY
    phases: tuple[Phase, ...] = ()
    thresholds: dict[tuple[str, str], float] = field(default_factory=dict)  # (name, severity) -> value
    budget_room: dict[str, float] = field(default_factory=dict)  # period -> limit / expected cost


@dataclass(frozen=True, slots=True)
class Setting:
    """Everything that does not depend on chance."""

    migrations: tuple[Migration, ...]
    models: dict[str, Model]
    begin: float = MONDAY
    exporters: int = 1
    hold: float = 150.0  # seconds for which a new series shows its first value
    cached: float = 0.3  # share of input tokens read from a cache
    evaluated: float = 0.02  # share of calls with a quality score


MODELS = {
    model.name: model
    for model in (
        Model("old-large", Price(10.0, 5.0, 30.0), start=0.7, speed=60.0, failures=0.010, quality=0.90),
        Model("old-small", Price(0.6, 0.3, 2.4), start=0.4, speed=110.0, failures=0.008, quality=0.86),
        Model("new-large", Price(3.0, 0.75, 12.0), start=0.6, speed=85.0, failures=0.008, quality=0.92),
        Model("new-small", Price(0.4, 0.1, 1.6), start=0.35, speed=140.0, failures=0.007, quality=0.87),
    )
}
THRESHOLDS = {
    ("error_ratio", "warning"): 0.05,
    ("error_ratio", "critical"): 0.10,
    ("latency_mean_seconds", "warning"): 5.0,
    ("latency_mean_seconds", "critical"): 10.0,
    ("quality_score", "warning"): 0.8,
    ("token_efficiency_ratio", "warning"): 0.8,
    ("deadline_days", "info"): 90.0,
    ("deadline_days", "warning"): 30.0,
    ("deadline_emergency_days", "critical"): 7.0,
}
ROOM = {"daily": 2.0, "weekly": 1.6, "monthly": 1.6}


def moderate(calls_per_second: float = 1.0, **changes: object) -> Setting:
    """One migration in the middle of its rollout: four models, three categories, four applications."""
    applications = (
        Application("web", 0.45, {"analysis": 0.7, "content_generation": 0.3}, {"old-large": 0.5, "old-small": 0.5}),
        Application("reports", 0.25, {"analysis": 1.0}, {"old-large": 1.0}),
        Application("support", 0.20, {"other": 0.6, "content_generation": 0.4}, {"old-small": 1.0}),
        Application("batch", 0.10, {"content_generation": 1.0}, {"old-large": 0.3, "old-small": 0.7}),
    )
    return Setting((_rollout("m1", applications, calls_per_second),), MODELS, **changes)  # type: ignore[arg-type]


def small(calls_per_second: float = 0.5) -> Setting:
    """One migration with two models, two categories, two applications: few series, for tests that must be quick."""
    applications = (
        Application("web", 0.6, {"analysis": 0.7, "content_generation": 0.3}, {"old-large": 1.0}),
        Application("batch", 0.4, {"content_generation": 1.0}, {"old-large": 1.0}),
    )
    pairs = {"old-large": "new-large"}
    models = {name: MODELS[name] for name in ("old-large", "new-large")}
    return Setting((_rollout("m1", applications, calls_per_second, pairs),), models)


def large(calls_per_second: float = 2.0, begin: float = MONDAY) -> Setting:
    """Three migrations, ten models, six categories, twenty applications: the set-up by which cost is judged."""
    categories = ("content_generation", "educational_support", "testing_validation", "analysis", "monitoring", "other")
    models = {
        **{f"old-{n}": Model(f"old-{n}", Price(5.0 + n, 2.5, 15.0 + n), speed=60.0 + 5 * n) for n in range(6)},
        **{f"new-{n}": Model(f"new-{n}", Price(2.0 + n, 0.5, 8.0 + n), speed=90.0 + 5 * n) for n in range(4)},
    }
    pairs = (
        {"old-0": "new-0", "old-1": "new-0", "old-2": "new-1"},
        {"old-3": "new-2", "old-4": "new-2"},
        {"old-5": "new-3"},
    )
    everything = dict.fromkeys(categories, 1.0)
    migrations = tuple(
        _rollout(
            f"m{number}",
            tuple(Application(f"app-{n:02}", 1.0, everything, dict.fromkeys(moves, 1.0)) for n in range(20)),
            calls_per_second,
            moves,
            begin,
        )
        for number, moves in enumerate(pairs, start=1)
    )
    return Setting(migrations, models, begin)


def _rollout(
    name: str,
    applications: tuple[Application, ...],
    calls_per_second: float,
    pairs: dict[str, str] | None = None,
    begin: float = MONDAY,
) -> Migration:
    """A migration that is a third through its rollout at `begin`."""
    planned = ((begin - 30 * DAY, 0.0), (begin - 20 * DAY, 0.1), (begin + 60 * DAY, 1.0))
    phases = (
        Phase("preparation", begin - 60 * DAY, begin - 100 * DAY),
        Phase("testing", begin - 30 * DAY, begin - 60 * DAY),
        Phase("gradual_rollout", begin + 60 * DAY, begin - 30 * DAY),
        Phase("full_migration", begin + 90 * DAY),
        Phase("completed", begin + 120 * DAY),
    )
    return Migration(
        name,
        pairs or {"old-large": "new-large", "old-small": "new-small"},
        applications,
        calls_per_second,
        planned,
        share=planned,
        start=begin - 100 * DAY,
        deadline=begin + 120 * DAY,
        phases=phases,
        thresholds=THRESHOLDS,
        budget_room=ROOM,
    )
