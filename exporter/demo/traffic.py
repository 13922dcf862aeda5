"""Traffic of a migration in its rollout, made up but plausible: the same events for the same seed and moment.

Token counts are lognormal, as in published traces of chat services; latency follows the output tokens with a heavy
tail; calls follow the day and the week; applications leave their old models at their own pace, and the share of calls
on the new ones reaches some 60 % now.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from datetime import datetime, tzinfo
from itertools import pairwise
from random import Random
from typing import Any, TypeVar
from zoneinfo import ZoneInfo

from exporter.demo.profiles import (
    APPLICATIONS,
    BEHAVIOURS,
    FAILURES,
    FALLBACK_MODEL,
    SHARE_CURVE,
    SHARE_GROWTH_PER_DAY,
    SUCCESSORS,
    UNKNOWN_MODEL,
    Application,
    TokenCounts,
)

HISTORY_PER_HOUR = 1000.0  # calls at an average hour; a day of them costs about 100 USD
_UNKNOWN_SHARE = 0.002
_SHADOW_SHARE = 0.03  # of calls to source models: the successor is asked too, and nobody sees its answer
_TAIL_SHARE = 0.012  # calls that take several times as long, for no reason that the caller can see
_LATENCY_SIGMA = 0.3
_LARGEST_COUNT = 16_000
_DAY = 86400.0

# Weight of each hour of the local day, and of each day from Monday on.
_HOURS = (
    *(0.25, 0.18, 0.15, 0.15, 0.18, 0.30, 0.55, 0.95, 1.40, 1.70, 1.80, 1.70),
    *(1.45, 1.60, 1.75, 1.70, 1.55, 1.35, 1.20, 1.15, 1.05, 0.85, 0.60, 0.40),
)
_WEEKDAYS = (1.08, 1.12, 1.12, 1.10, 1.02, 0.78, 0.78)

_APPLICATIONS = {application: application.weight for application in APPLICATIONS}
_FAILURES = {kind: share for kind, (share, _, _) in FAILURES.items()}

T = TypeVar("T")

Event = dict[str, Any]


@dataclass(frozen=True, slots=True)
class Incident:
    """One model fails and slows down for a while, and the failed calls are repeated with an expensive one.

    Times are Unix seconds; `failure_ratio` is the share of its calls that end in a server error.
    """

    model: str
    start: float
    end: float
    failure_ratio: float = 0.5
    slowdown: float = 4.0
    fallback: str = FALLBACK_MODEL

    def hits(self, model: str, when: float) -> bool:
        """Whether a call to this model at this time is in it."""
        return model == self.model and self.start <= when < self.end


class Traffic:
    """A source of events. `now` is the moment at which the migration stands where the demo begins."""

    def __init__(self, now: float, *, seed: int = 7, zone: tzinfo | None = None) -> None:
        self._now = now
        self._seed = seed
        self._zone = zone or ZoneInfo("UTC")

    def history(self, hours: float = 24.0, rate: float = HISTORY_PER_HOUR) -> Iterator[Event]:
        """Events of the last `hours` before now, `rate` of them at an average hour, in the order of their times."""
        begin = self._now - hours * 3600
        return self._events(f"demo-{self._seed}-past", begin, self._now, rate / 3600, None, patterned=True)

    def live(self, start: float, rate: float, incident: Incident | None = None) -> Iterator[Event]:
        """Events from `start` on without an end, `rate` of them a second. The reader sends each when it is due."""
        return self._events(f"demo-{self._seed}-live", start, math.inf, rate, incident, patterned=False)

    def share(self, when: float) -> float:
        """The share of calls on target models at a time, over all applications."""
        days = (self._now - when) / _DAY
        if days <= 0:
            return min(1.0, SHARE_CURVE[-1][1] - days * SHARE_GROWTH_PER_DAY)
        for (older, low), (newer, high) in pairwise(SHARE_CURVE):
            if newer <= days <= older:
                return low + (high - low) * (older - days) / (older - newer)
        return 0.0

    def _events(
        self, prefix: str, begin: float, end: float, per_second: float, incident: Incident | None, *, patterned: bool
    ) -> Iterator[Event]:
        draw = Random(prefix)  # noqa: S311 - a demonstration's dice
        busiest = max(_HOURS) * max(_WEEKDAYS) if patterned else 1.0
        when = begin
        number = 0
        while True:
            when += draw.expovariate(per_second * busiest)
            if when >= end:
                return
            if patterned and draw.random() * busiest > self._busy(when):
                continue  # thinning: what is left follows the day and the week
            yield from self._call(draw, when, f"{prefix}-{number:06}", incident)
            number += 1

    def _busy(self, when: float) -> float:
        local = datetime.fromtimestamp(when, self._zone)
        hour = local.hour + local.minute / 60
        this, following = _HOURS[local.hour], _HOURS[(local.hour + 1) % 24]
        return (this + (following - this) * (hour - local.hour)) * _WEEKDAYS[local.weekday()]

    def _call(self, draw: Random, when: float, identity: str, incident: Incident | None) -> Iterator[Event]:
        """One call, with what follows from it: a shadow call, or a repetition elsewhere after a failure."""
        application = _pick(draw, _APPLICATIONS)
        source = _pick(draw, application.models)
        event: Event = {
            "id": identity,
            "timestamp": round(when, 3),
            "application": application.name,
            "category": _pick(draw, application.categories),
            "endpoint": _pick(draw, application.endpoints),
        }
        input_tokens = _count(draw, application.input) + application.cached_prefix
        output_tokens = _count(draw, application.output)
        if draw.random() < _UNKNOWN_SHARE:
            event["model"] = UNKNOWN_MODEL
        elif draw.random() < self.share(when) + application.ahead:
            event.update(model=SUCCESSORS[source], replaces=source)
        else:
            event["model"] = source
        shadowed = event["model"] == source and draw.random() < _SHADOW_SHARE
        evaluated = shadowed or draw.random() < application.evaluated
        self._answer(draw, event, application, input_tokens, output_tokens, incident, evaluated=evaluated)
        if shadowed and event["success"]:
            event["pair_id"] = identity
            shadow = {**_labels(event), "model": SUCCESSORS[source], "replaces": source, "shadow": True}
            shadow |= {"id": f"{identity}-shadow", "pair_id": identity}
            shorter = max(1, round(output_tokens * draw.uniform(0.75, 1.1)))
            self._answer(draw, shadow, application, input_tokens, shorter, incident, evaluated=True)
            yield event
            yield shadow
            return
        yield event
        if incident is not None and not event["success"] and incident.hits(event["model"], when):
            again = {**_labels(event), "id": f"{identity}-again", "model": incident.fallback}
            self._answer(draw, again, application, input_tokens, output_tokens, incident, evaluated=False)
            yield again

    def _answer(
        self,
        draw: Random,
        event: Event,
        application: Application,
        input_tokens: int,
        output_tokens: int,
        incident: Incident | None,
        *,
        evaluated: bool,
    ) -> None:
        """Fill in what the provider answered: tokens, latency, success or failure, quality."""
        behaviour = BEHAVIOURS[event["model"]]
        burning = incident is not None and incident.hits(event["model"], event["timestamp"])
        slowness = draw.lognormvariate(0, _LATENCY_SIGMA)
        if draw.random() < _TAIL_SHARE:
            slowness *= draw.uniform(3, 8)
        if burning and incident is not None:
            slowness *= incident.slowdown
        if burning and incident is not None and draw.random() < incident.failure_ratio:
            self._fail(draw, event, "server_error", input_tokens, slowness)
            return
        if draw.random() < behaviour.failure_ratio:
            kind = _pick(draw, _FAILURES)
            self._fail(draw, event, kind, input_tokens, slowness)
            return
        event["input_tokens"] = input_tokens
        event["output_tokens"] = output_tokens
        wait = behaviour.base_seconds * slowness
        event["latency"] = round(wait + behaviour.seconds_per_output_token * output_tokens * slowness, 3)
        event["success"] = True
        if application.cached_prefix and draw.random() < 0.7:
            event["cached_input_tokens"] = application.cached_prefix
        if application.streams and not event.get("shadow"):
            event["time_to_first_token"] = round(wait, 3)
        if evaluated:
            event["quality_score"] = round(min(1.0, max(0.0, draw.gauss(behaviour.quality, 0.06))), 3)
            event["evaluator"] = "rubric-v2"

    @staticmethod
    def _fail(draw: Random, event: Event, kind: str, input_tokens: int, slowness: float) -> None:
        _, seconds, counted = FAILURES[kind]
        event["input_tokens"] = input_tokens if counted else 0
        event["output_tokens"] = 0
        event["latency"] = round(seconds * (draw.uniform(1.0, 1.02) if kind == "timeout" else slowness), 3)
        event["success"] = False
        event["error_type"] = kind


def _labels(event: Event) -> Event:
    return {name: event[name] for name in ("timestamp", "application", "category", "endpoint")}


def _count(draw: Random, tokens: TokenCounts) -> int:
    return min(_LARGEST_COUNT, max(1, round(draw.lognormvariate(math.log(tokens.median), tokens.sigma))))


def _pick(draw: Random, weights: Mapping[T, float]) -> T:
    return draw.choices(tuple(weights), weights=tuple(weights.values()))[0]
