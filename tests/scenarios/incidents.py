"""What goes wrong: kinds of incidents, their strength, and what they do to the calls during them."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np

from tests.scenarios.calls import (
    ERROR_TYPES,
    SHADOW,
    TARGET,
    Bools,
    Calls,
    Floats,
    Names,
    joined,
    price,
)
from tests.scenarios.settings import Migration, Setting


@dataclass(frozen=True, slots=True)
class Kind:
    """A kind of incident.

    `unit` says what a strength is: `factor` on the quantity that suffers, `points` of the error ratio (0.05 is five
    percentage points), `share` of what is lost. An incident at `clear` or stronger must be found within `minutes`.
    `signals` are those of alerts that would tell of it; others that fire meanwhile are neither right nor wrong.
    """

    name: str
    unit: str
    signals: tuple[str, ...]
    clear: float | None = None
    minutes: float | None = None


KINDS = {
    kind.name: kind
    for kind in (
        Kind("latency_step", "factor", ("latency", "anomaly"), 2.0, 10),
        Kind("latency_creep", "factor", ("latency", "anomaly"), 2.0),  # its delay counts from a start that nobody feels
        Kind("error_burst", "points", ("errors", "anomaly"), 0.05, 10),
        Kind("category_failing", "points", ("errors", "anomaly")),
        Kind("provider_outage", "points", ("errors", "anomaly"), 0.05, 10),
        Kind("retry_storm", "points", ("errors", "anomaly"), 0.05, 10),
        Kind("prompt_bloat", "factor", ("cost", "tokens", "anomaly"), 1.5, 60),
        Kind("price_change", "factor", ("cost", "tokens", "anomaly"), 1.5, 60),
        Kind("runaway_application", "factor", ("cost", "tokens", "anomaly"), 1.5, 60),
        Kind("caching_lost", "share", ("cost", "tokens", "anomaly")),
        Kind("silent_model_swap", "factor", ("quality", "tokens", "cost", "latency", "anomaly")),
        Kind("stalled_rollout", "share", ("schedule",)),
        Kind("rollback", "share", ("schedule", "anomaly")),
        Kind("exporter_death", "share", ("meta",)),
        Kind("scrape_loss", "share", ("meta",)),
    )
}
RECORDED = ("exporter_death", "scrape_loss")  # happen to the scrapes, not to the calls
SHARES = ("stalled_rollout", "rollback")  # happen to the share of the target models
RETRIES = 3


@dataclass(frozen=True, slots=True)
class Incident:
    """One incident in [`start`, `end`), Unix seconds. `subject` narrows it: a model, a category or an application."""

    kind: str
    start: float
    end: float
    strength: float
    subject: str = ""

    @property
    def is_clear(self) -> bool:
        """Whether rules must find it."""
        clear = KINDS[self.kind].clear
        return clear is not None and self.strength >= clear


Effect = Callable[[Calls, Incident, Setting, Names, np.random.Generator], Calls]


def afflict(
    calls: Calls, setting: Setting, names: Names, incidents: Sequence[Incident], rng: np.random.Generator
) -> Calls:
    """The calls with all incidents that happen to calls."""
    for incident in incidents:
        effect = _EFFECTS.get(incident.kind)
        if effect is None:
            continue
        during = (calls.at >= incident.start) & (calls.at < incident.end)
        calls = joined(calls.where(~during), effect(calls.where(during), incident, setting, names, rng))
    return calls


def share_at(migration: Migration, at: Floats, incidents: Sequence[Incident]) -> Floats:
    """The share of calls on target models at these times."""
    times, shares = (np.array(column) for column in zip(*migration.share, strict=True))
    share = np.interp(at, times, shares)
    for incident in incidents:
        during = (at >= incident.start) & (at < incident.end)
        if incident.kind == "stalled_rollout":
            share = np.where(during, np.interp(incident.start, times, shares), share)
        elif incident.kind == "rollback":
            share = np.where(during, share * (1 - incident.strength), share)
    return share


def _struck(calls: Calls, incident: Incident, names: Names) -> Bools:
    """The calls that an incident of a model concerns: those to its subject, else all to target models."""
    if incident.subject:
        return np.asarray(calls.model == names.models.index(incident.subject))
    return np.asarray((calls.role == TARGET) | (calls.role == SHADOW))


def _latency_step(calls: Calls, incident: Incident, _s: Setting, names: Names, _r: np.random.Generator) -> Calls:
    return calls.changed(latency=np.where(_struck(calls, incident, names), incident.strength, 1.0) * calls.latency)


def _latency_creep(calls: Calls, incident: Incident, _s: Setting, names: Names, _r: np.random.Generator) -> Calls:
    done = (calls.at - incident.start) / (incident.end - incident.start)
    factor = 1 + (incident.strength - 1) * done
    return calls.changed(latency=np.where(_struck(calls, incident, names), factor, 1.0) * calls.latency)


def _fail(calls: Calls, failing: Bools, error: str, seconds: float) -> Calls:
    """Some calls fail: no tokens, no money, an answer after so many seconds."""
    failing = failing & calls.success
    return calls.changed(
        success=calls.success & ~failing,
        error_type=np.where(failing, ERROR_TYPES.index(error), calls.error_type),
        latency=np.where(failing, seconds, calls.latency),
        quality=np.where(failing, np.nan, calls.quality),
        **{name: np.where(failing, 0.0, getattr(calls, name)) for name in _SPENT},
    )


_SPENT = ("input", "cached", "output", "cost", "counterfactual")


def _error_burst(calls: Calls, incident: Incident, _s: Setting, names: Names, rng: np.random.Generator) -> Calls:
    failing = _struck(calls, incident, names) & (rng.random(len(calls)) < incident.strength)
    return _fail(calls, failing, "server_error", 0.3)


def _category_failing(calls: Calls, incident: Incident, _s: Setting, names: Names, rng: np.random.Generator) -> Calls:
    category = names.categories.index(incident.subject) if incident.subject else 0
    failing = (calls.category == category) & (rng.random(len(calls)) < incident.strength)
    return _fail(calls, failing, "content_filter", 0.3)


def _provider_outage(calls: Calls, incident: Incident, _s: Setting, _n: Names, rng: np.random.Generator) -> Calls:
    return _fail(calls, rng.random(len(calls)) < incident.strength, "server_error", 30.0)


def _retry_storm(calls: Calls, incident: Incident, _s: Setting, names: Names, rng: np.random.Generator) -> Calls:
    """Calls fail and are repeated at once, up to three times, at a provider that fails as often each time."""
    struck = _struck(calls, incident, names)
    first = _fail(calls, struck & (rng.random(len(calls)) < incident.strength), "rate_limit", 0.3)
    parts = [first]
    again = calls.where(struck & ~first.success)
    for attempt in range(1, RETRIES + 1):
        again = again.changed(at=np.minimum(again.at + 2.0**attempt, incident.end - 1e-3))
        tried = _fail(again, rng.random(len(again)) < incident.strength, "rate_limit", 0.3)
        parts.append(tried)
        again = again.where(~tried.success)
    return joined(*parts)


def _repriced(calls: Calls, setting: Setting, **columns: Floats) -> Calls:
    """The calls with other tokens, and the money that follows."""
    changed = calls.changed(**columns)
    return changed.changed(
        cost=price(setting, changed.model, changed.input, changed.cached, changed.output),
        counterfactual=price(setting, changed.other_model, changed.input, changed.cached, changed.output),
    )


def _prompt_bloat(calls: Calls, incident: Incident, setting: Setting, _n: Names, _r: np.random.Generator) -> Calls:
    """Prompts grow until the calls cost `strength` times as much together."""
    nothing = np.zeros(len(calls))
    prompts = price(setting, calls.model, calls.input, calls.cached, nothing).sum()
    factor = 1 + (incident.strength - 1) * calls.cost.sum() / max(prompts, 1e-12)
    return _repriced(calls, setting, input=np.floor(calls.input * factor), cached=np.floor(calls.cached * factor))


def _price_change(calls: Calls, incident: Incident, _s: Setting, _n: Names, _r: np.random.Generator) -> Calls:
    return calls.changed(cost=calls.cost * incident.strength)


def _caching_lost(calls: Calls, incident: Incident, setting: Setting, _n: Names, rng: np.random.Generator) -> Calls:
    lost = rng.random(len(calls)) < incident.strength
    return _repriced(calls, setting, cached=np.where(lost, 0.0, calls.cached))


def _model_swap(calls: Calls, incident: Incident, setting: Setting, names: Names, _r: np.random.Generator) -> Calls:
    """Another model answers under the same name: longer answers, at its pace, and worse ones."""
    struck = _struck(calls, incident, names)
    return _repriced(
        calls.changed(
            latency=np.where(struck & calls.success, calls.latency * incident.strength, calls.latency),
            quality=np.where(struck, np.maximum(calls.quality - 0.2, 0), calls.quality),
        ),
        setting,
        output=np.where(struck, np.floor(calls.output * incident.strength), calls.output),
    )


def _runaway(calls: Calls, incident: Incident, _s: Setting, names: Names, rng: np.random.Generator) -> Calls:
    """An application repeats itself until all calls cost `strength` times as much together."""
    application = names.applications.index(incident.subject) if incident.subject else 0
    mine = calls.where((calls.application == application) & (calls.role != SHADOW))
    if not len(mine):
        return calls
    times = (incident.strength - 1) * calls.cost.sum() / max(mine.cost.sum(), 1e-12)
    extra = mine.where(rng.choice(len(mine), size=round(times * len(mine))))
    moved = np.clip(extra.at + rng.uniform(-30, 30, len(extra)), incident.start, incident.end - 1e-3)
    return joined(calls, extra.changed(at=moved))


_EFFECTS: dict[str, Effect] = {
    "latency_step": _latency_step,
    "latency_creep": _latency_creep,
    "error_burst": _error_burst,
    "category_failing": _category_failing,
    "provider_outage": _provider_outage,
    "retry_storm": _retry_storm,
    "prompt_bloat": _prompt_bloat,
    "price_change": _price_change,
    "caching_lost": _caching_lost,
    "silent_model_swap": _model_swap,
    "runaway_application": _runaway,
}
