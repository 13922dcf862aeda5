"""Plan facts, budgets and baselines as series: what an exporter says besides counting."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, datetime, timedelta

import numpy as np

from tests.scenarios.calls import SHADOW, Calls, Floats, Names
from tests.scenarios.settings import DAY, Migration, Setting

Row = tuple[str, dict[str, str], Floats]
PERIODS = ("daily", "weekly", "monthly")
_BASELINE_CALLS = 20


def gauges(
    setting: Setting, names: Names, mine: Calls, everything: Calls, times: Floats, *, control: bool
) -> Iterator[Row]:
    """Gauges of one exporter: its part of what is spent, and from the control the plan as well."""
    for number, migration in enumerate(setting.migrations):
        own = {"migration": migration.name}
        spent = mine.where(mine.migration == number)
        for period in PERIODS:
            begin, _ = bounds(period, times)
            values = _spent(setting, migration, spent, begin, times)
            yield "llm_budget_spent_usd", {**own, "period": period}, values
            yield "llm_exporter_budget_period_start_timestamp_seconds", {**own, "period": period}, begin
        if control:
            yield from _plan(setting, migration, everything.where(everything.migration == number), times)
            yield from _baselines(setting, names, migration, everything.where(everything.migration == number), times)
    one = np.ones(len(times))
    yield "llm_exporter_mode_info", {"mode": "control" if control else "shard"}, one
    yield "llm_exporter_config_last_reload_successful", {}, one


def bounds(period: str, times: Floats) -> tuple[Floats, Floats]:
    """Start and end of the UTC day, week or month of each time."""
    if period == "daily":
        start = times // DAY * DAY
        return start, start + DAY
    if period == "weekly":
        start = (times // DAY - (times // DAY + 3) % 7) * DAY
        return start, start + 7 * DAY
    days, which = np.unique(times // DAY, return_inverse=True)
    starts, ends = [], []
    for day in days:
        first = datetime.fromtimestamp(day * DAY, UTC).replace(day=1)
        following = (first + timedelta(days=32)).replace(day=1)
        starts.append(first.timestamp())
        ends.append(following.timestamp())
    return np.array(starts)[which], np.array(ends)[which]


def _spent(setting: Setting, migration: Migration, calls: Calls, begin: Floats, times: Floats) -> Floats:
    """USD of the period so far. Before the simulation began money went at the rate that was expected."""
    rate = migration.calls_per_second * _usd_per_call(calls) / setting.exporters
    running = np.concatenate(([0.0], calls.cost.cumsum()))

    def upto(at: Floats) -> Floats:
        return running[np.searchsorted(calls.at, at, side="right")]

    earlier = np.maximum(setting.begin - begin, 0.0) * rate
    return np.asarray(upto(times) - upto(begin) + earlier)


def _plan(setting: Setting, migration: Migration, calls: Calls, times: Floats) -> Iterator[Row]:
    own = {"migration": migration.name}
    one = np.ones(len(times))
    yield "llm_migration_info", {**own, "description": migration.name}, one
    for source, target in migration.pairs.items():
        yield "llm_migration_model_info", {**own, "role": "source", "model": source, "successor": target}, one
    for target in dict.fromkeys(migration.pairs.values()):
        yield "llm_migration_model_info", {**own, "role": "target", "model": target, "successor": ""}, one
    entered = [phase.name for phase in migration.phases if phase.entered is not None]
    for phase in migration.phases:
        named = {**own, "phase": phase.name}
        current = bool(entered) and entered[-1] == phase.name
        yield "llm_migration_phase", named, one * current
        yield "llm_migration_phase_planned_end_timestamp_seconds", named, one * phase.planned_end
        for task in phase.tasks:
            done = phase.entered is not None and not current
            yield "llm_migration_task_done", {**named, "task": task}, one * done
        if phase.entered is not None:
            yield "llm_migration_phase_entered_timestamp_seconds", named, one * phase.entered
    curve = (np.array(column) for column in zip(*migration.planned, strict=True))
    yield "llm_migration_deadline_timestamp_seconds", own, one * migration.deadline
    yield "llm_migration_start_timestamp_seconds", own, one * migration.start
    yield "llm_migration_goal_share_ratio", own, one * migration.goal
    yield "llm_migration_planned_share_ratio", own, np.interp(times, *curve)
    yield "llm_migration_auto_advance", own, one * 0
    yield "llm_migration_hold", own, one * 0
    for (name, severity), value in migration.thresholds.items():
        yield "llm_threshold", {**own, "name": name, "severity": severity}, one * value
    rate = migration.calls_per_second * _usd_per_call(calls)
    for period, days in zip(PERIODS, (1, 7, 30.4), strict=True):
        named = {**own, "period": period}
        begin, end = bounds(period, times)
        limit = round(rate * days * DAY * migration.budget_room.get(period, 2.0), 2)
        yield "llm_budget_limit_usd", named, one * limit
        yield "llm_budget_alert_threshold_ratio", named, one * 0.8
        yield "llm_budget_period_start_timestamp_seconds", named, begin
        yield "llm_budget_period_end_timestamp_seconds", named, end


def _usd_per_call(calls: Calls) -> float:
    """The median over hours, so that an incident does not raise the budget."""
    if not len(calls):
        return 0.0
    hour = ((calls.at - calls.at[0]) // 3600).astype(np.int64)
    money, count = np.bincount(hour, calls.cost), np.bincount(hour)
    return float(np.median(money[count > 0] / count[count > 0]))


def _baselines(setting: Setting, names: Names, migration: Migration, calls: Calls, times: Floats) -> Iterator[Row]:
    """Figures of the first day's live calls, as if they had been taken just before the span began."""
    one = np.ones(len(times))
    first = calls.where((calls.at < setting.begin + DAY) & (calls.role != SHADOW))
    for index, model in enumerate(names.models):
        own = first.where(first.model == index)
        named = {"migration": migration.name, "model": model}
        if len(own) < _BASELINE_CALLS:
            continue
        money = max(float(own.cost.sum()), 1e-12)
        figures = {
            "latency_mean_seconds": own.latency.mean(),
            "latency_p50_seconds": np.quantile(own.latency, 0.5),
            "latency_p95_seconds": np.quantile(own.latency, 0.95),
            "error_ratio": 1 - own.success.mean(),
            "cost_per_request_usd": own.cost.mean(),
            "tokens_per_request": (own.input + own.output).mean(),
            "output_tokens_per_usd": own.output.sum() / money,
        }
        for name, value in figures.items():
            yield "llm_baseline", {**named, "name": name}, one * float(value)
        yield "llm_baseline_samples", named, one * len(own)
        yield "llm_baseline_timestamp_seconds", named, one * (setting.begin - 3600)
