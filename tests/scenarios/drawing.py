"""Calls of a span of time, drawn: daily and weekly pattern, slow swings, heavy tails, failures."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from tests.scenarios import tokens
from tests.scenarios.calls import ERROR_TYPES, SHADOW, SOURCE, TARGET, Calls, Floats, Ints, Names, joined, price
from tests.scenarios.incidents import Incident, afflict, share_at
from tests.scenarios.seeds import Purpose, generator
from tests.scenarios.settings import DAY, Migration, Setting

STEP = 60.0  # seconds for which the rate is constant
_WEEKDAYS = np.array([1.12, 1.18, 1.18, 1.15, 1.05, 0.68, 0.64])  # Monday first; mean 1
_ERROR_WEIGHTS = np.array([0.35, 0.25, 0.25, 0.0, 0.05, 0.05, 0.0, 0.05])
_TAIL = 0.45  # spread of the logarithm of latency
_SLOW = (0.004, 4.0)  # this share of the calls takes so many times as long


def draw(setting: Setting, days: float, purpose: Purpose, seed: int, incidents: Sequence[Incident] = ()) -> Calls:
    """All calls that end within `days` from the setting's begin, incidents included.

    The same purpose, seed and days give the same calls; an incident changes only what happens during it.
    """
    names = Names.of(setting)
    quiet = joined(
        *(
            _migration(setting, names, number, days, generator(purpose, seed, 10 + number), incidents)
            for number in range(len(setting.migrations))
        )
    )
    return afflict(quiet, setting, names, incidents, generator(purpose, seed, 1))


def pattern(at: Floats) -> Floats:
    """The rate at these times, relative to the mean of a week: working days, a peak after noon, quiet nights."""
    hour = at % DAY / 3600
    day = ((at // DAY).astype(np.int64) + 3) % 7  # 1970 began on a Thursday
    daily = 1 + 0.65 * np.cos((hour - 14) / 24 * 2 * np.pi) + 0.12 * np.cos((hour - 11) / 6 * np.pi)
    following = (day + 1) % 7
    late = np.clip((hour - 20) / 4, 0, 1)  # the evening leads over to the next day
    return daily * (_WEEKDAYS[day] * (1 - late) + _WEEKDAYS[following] * late)


def _swings(rng: np.random.Generator, steps: int, size: float, hours: float) -> Floats:
    """Factors around 1 that wander by `size` and forget themselves within so many hours."""
    keep = np.exp(-STEP / (hours * 3600))
    noise = rng.standard_normal(steps) * size * np.sqrt(1 - keep**2)
    level = np.empty(steps)
    now = float(rng.standard_normal() * size)
    for step in range(steps):
        now = keep * now + noise[step]
        level[step] = now
    return np.exp(level - size**2 / 2)


def _migration(
    setting: Setting,
    names: Names,
    number: int,
    days: float,
    rng: np.random.Generator,
    incidents: Sequence[Incident],
) -> Calls:
    migration = setting.migrations[number]
    steps = round(days * DAY / STEP)
    starts = setting.begin + STEP * np.arange(steps)
    rate = migration.calls_per_second * pattern(starts + STEP / 2) * _swings(rng, steps, 0.08, 3)
    load = _swings(rng, steps, 0.05, 2)  # of the provider: slows all calls
    counts = rng.poisson(rate * STEP)
    step = np.repeat(np.arange(steps), counts)
    at = np.sort(starts[step] + STEP * rng.random(len(step)))
    step = ((at - setting.begin) / STEP).astype(np.int64).clip(0, steps - 1)
    application, category, source = _who(migration, names, rng, len(at))
    to_target = rng.random(len(at)) < share_at(migration, at, incidents)
    successor = np.array([names.models.index(migration.pairs.get(model, model)) for model in names.models])
    live = _complete(
        setting,
        rng,
        at,
        number,
        (application, category, np.where(to_target, TARGET, SOURCE)),
        np.where(to_target, successor[source], source),
        np.where(to_target, source, successor[source]),
        load[step],
    )
    repeated = rng.random(len(at)) < migration.shadow  # drawn for all, so that a share that changes moves no draw
    shadow = _complete(
        setting,
        rng,
        at[repeated],
        number,
        (application[repeated], category[repeated], np.full(int(repeated.sum()), SHADOW)),
        successor[source[repeated]],
        source[repeated],
        load[step[repeated]],
        prompt=live.input[repeated],
    )
    return joined(live, shadow.where(~to_target[repeated]))


def _who(migration: Migration, names: Names, rng: np.random.Generator, count: int) -> tuple[Ints, Ints, Ints]:
    """Application, category and source model of so many calls."""
    weights = np.array([app.weight for app in migration.applications])
    which = rng.choice(len(weights), size=count, p=weights / weights.sum())
    application, category, source = (np.zeros(count, np.int64) for _ in range(3))
    for index, app in enumerate(migration.applications):
        mine = which == index
        application[mine] = names.applications.index(app.name)
        for column, table, known in (
            (category, app.categories, names.categories),
            (source, app.models, names.models),
        ):
            share = np.array(list(table.values()))
            picked = rng.choice(len(share), size=int(mine.sum()), p=share / share.sum())
            column[mine] = np.array([known.index(name) for name in table])[picked]
    return application, category, source


def _complete(
    setting: Setting,
    rng: np.random.Generator,
    at: Floats,
    number: int,
    who: tuple[Ints, Ints, Ints],
    model: Ints,
    other: Ints,
    load: Floats,
    prompt: Floats | None = None,
) -> Calls:
    """Rows with tokens, latency, outcome and money."""
    count = len(at)
    application, category, role = who
    table = np.array([(m.start, m.speed, m.failures, m.answer, m.quality) for m in setting.models.values()])[model]
    size = 0.7 + 0.3 * category  # categories differ in length, and so in latency and money
    input_ = np.floor(tokens.INPUT.draw(rng, count) * size) + 1 if prompt is None else prompt
    cached = np.floor(input_ * setting.cached * (rng.random(count) < 0.9))
    output = np.floor(tokens.OUTPUT.draw(rng, count) * size * table[:, 3]) + 1
    latency = _seconds(rng, table[:, 0], table[:, 1], output, load)
    success = rng.random(count) >= table[:, 2]
    error = rng.choice(len(ERROR_TYPES), size=count, p=_ERROR_WEIGHTS / _ERROR_WEIGHTS.sum())
    fast = ~success & (error != 0)  # a refusal comes at once, a time-out after half a minute
    latency = np.where(success, latency, np.where(fast, 0.2 + 0.1 * rng.random(count), 30.0))
    input_, cached, output = (np.where(success, column, 0.0) for column in (input_, cached, output))
    evaluated = success & (rng.random(count) < setting.evaluated)
    score = np.clip(rng.normal(table[:, 4], 0.08, count), 0, 1)
    return Calls(
        at=at,
        migration=np.full(count, number),
        application=application,
        category=category,
        role=role,
        model=model,
        other_model=other,
        input=input_,
        cached=cached,
        output=output,
        latency=latency,
        success=success,
        error_type=error,
        cost=price(setting, model, input_, cached, output),
        counterfactual=price(setting, other, input_, cached, output),
        quality=np.where(evaluated, score, np.nan),
    )


def _seconds(rng: np.random.Generator, start: Floats, speed: Floats, output: Floats, load: Floats) -> Floats:
    """Durations of whole calls: log-normal around what the model needs, and a few very slow ones."""
    spread = np.exp(_TAIL * rng.standard_normal(len(output)) - _TAIL**2 / 2)
    slow = np.where(rng.random(len(output)) < _SLOW[0], _SLOW[1], 1.0)
    return (start + output / speed) * spread * slow * load
