"""Who makes the demo's traffic: five applications, and how the models that they call behave."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

SUCCESSORS: Mapping[str, str] = {
    "gpt-4": "gpt-4.1",
    "gpt-4o": "gpt-4.1",
    "gpt-4o-mini": "gpt-4.1-mini",
    "gpt-4.5-preview": "gpt-4.1",
}
UNKNOWN_MODEL = "acme-tutor-7b"  # an experiment that somebody forgot to announce: it has no price
FALLBACK_MODEL = "gpt-4.5-preview"  # where retries go during the incident; the most expensive there is


@dataclass(frozen=True, slots=True)
class TokenCounts:
    """A lognormal distribution: half of all calls have fewer tokens than `median`."""

    median: float
    sigma: float


@dataclass(frozen=True, slots=True, eq=False)
class Application:
    """One application and the calls that it makes. Mixes are weights, relative to each other."""

    name: str
    weight: float  # share of all calls
    categories: Mapping[str, float]
    endpoints: Mapping[str, float]
    models: Mapping[str, float]  # before the migration
    input: TokenCounts
    output: TokenCounts
    ahead: float  # its share on target models, above (or below) everybody's
    streams: bool = False
    cached_prefix: int = 0  # tokens of a prompt that most calls share
    evaluated: float = 0.0  # share of calls whose answer is evaluated


@dataclass(frozen=True, slots=True)
class Behaviour:
    """How a model answers: latency in seconds, failures as a share of calls, quality around a mean."""

    base_seconds: float
    seconds_per_output_token: float
    failure_ratio: float
    quality: float


APPLICATIONS = (
    Application(
        name="tutor-app",
        weight=0.38,
        categories={"educational_support": 9, "content_generation": 1},
        endpoints={"/chat": 9, "/chat/hint": 1},
        models={"gpt-4o": 72, "gpt-4o-mini": 25, "gpt-4": 3},
        input=TokenCounts(820, 0.85),
        output=TokenCounts(130, 0.8),
        ahead=0.08,
        streams=True,
        cached_prefix=512,
        evaluated=0.03,
    ),
    Application(
        name="lesson-writer",
        weight=0.16,
        categories={"content_generation": 1},
        endpoints={"/lessons": 3, "/exercises": 2},
        models={"gpt-4o": 85, "gpt-4": 13, "gpt-4.5-preview": 2},
        input=TokenCounts(640, 0.7),
        output=TokenCounts(310, 0.55),
        ahead=-0.08,
        streams=True,
        evaluated=0.05,
    ),
    Application(
        name="grader",
        weight=0.24,
        categories={"testing_validation": 1},
        endpoints={"/grade": 1},
        models={"gpt-4o-mini": 80, "gpt-4o": 20},
        input=TokenCounts(900, 0.6),
        output=TokenCounts(60, 0.5),
        ahead=0.05,
        cached_prefix=384,
    ),
    Application(
        name="insight-reports",
        weight=0.10,
        categories={"analysis": 4, "other": 1},
        endpoints={"/reports/summary": 3, "/reports/question": 2},
        models={"gpt-4o": 87, "gpt-4": 10, "gpt-4.5-preview": 3},
        input=TokenCounts(1600, 0.6),
        output=TokenCounts(190, 0.6),
        ahead=-0.15,
    ),
    Application(
        name="platform-watch",
        weight=0.12,
        categories={"monitoring": 1},
        endpoints={"/triage": 1},
        models={"gpt-4o-mini": 1},
        input=TokenCounts(300, 0.5),
        output=TokenCounts(32, 0.6),
        ahead=-0.12,
    ),
)

BEHAVIOURS: Mapping[str, Behaviour] = {
    "gpt-4": Behaviour(0.80, 0.0080, 0.012, 0.86),
    "gpt-4o": Behaviour(0.45, 0.0065, 0.008, 0.88),
    "gpt-4o-mini": Behaviour(0.35, 0.0040, 0.006, 0.82),
    "gpt-4.5-preview": Behaviour(1.10, 0.0085, 0.015, 0.91),
    "gpt-4.1": Behaviour(0.40, 0.0055, 0.005, 0.90),
    "gpt-4.1-mini": Behaviour(0.30, 0.0035, 0.004, 0.86),
    UNKNOWN_MODEL: Behaviour(0.60, 0.0090, 0.010, 0.70),
}

# How calls fail: (share of failures, seconds until the caller knew, whether the input was counted).
FAILURES: Mapping[str, tuple[float, float, bool]] = {
    "rate_limit": (0.40, 0.15, False),
    "timeout": (0.22, 30.0, False),
    "server_error": (0.20, 1.5, False),
    "content_filter": (0.12, 0.9, True),
    "invalid_request": (0.06, 0.1, False),
}

# Days before now and the share of calls on target models then: a rollout in steps, about as planned.
SHARE_CURVE = ((60.0, 0.0), (30.0, 0.10), (15.0, 0.30), (7.0, 0.42), (2.0, 0.50), (0.75, 0.52), (0.0, 0.60))
SHARE_GROWTH_PER_DAY = 0.04  # from now on
