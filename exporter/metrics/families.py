"""What is on the page, as data: families of label sets with values, before any text."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field

from exporter import catalog
from exporter.catalog import ERROR_TYPES, PAIR_OUTCOMES, TOKEN_TYPES, Metric
from exporter.control import Control
from exporter.money import nano_to_usd
from exporter.plan.calendar import period_bounds, planned_share
from exporter.plan.model import PERIODS, Migration, Plan
from exporter.totals import Cell, Counts, Exemplar, Group, Histogram, Observed, Totals
from exporter.totals.pairs import RATIO_SCALE

Labels = tuple[str, ...]
_BASELINES = {"samples": catalog.BASELINE_SAMPLES, "timestamp_seconds": catalog.BASELINE_TIMESTAMP}
_Add = Callable[[Metric, Labels, int | float], None]


@dataclass(slots=True)
class Family:
    """One metric's label sets; `scale` divides a histogram's sum and exemplars into the unit of its name."""

    metric: Metric
    rows: list[tuple[Labels, int | float]] = field(default_factory=list)
    histograms: list[tuple[Labels, Histogram]] = field(default_factory=list)
    scale: int = 1
    exemplars: dict[Labels, Mapping[int, Exemplar]] = field(default_factory=dict)  # by bucket; few label sets have any

    def __len__(self) -> int:
        return len(self.rows) + len(self.histograms)


@dataclass(slots=True)
class Usage:
    """Copies of the totals, as one kind of reader is shown them."""

    cells: Sequence[Cell]
    groups: Sequence[Group]
    routes: Sequence[Counts]
    unpriced: Sequence[Counts]
    first_token: Sequence[Observed]
    quality: Sequence[Observed]
    by_application: Sequence[Observed] | None  # None: histograms are not split by application
    pair_ratios: Sequence[Observed]
    pairs: Sequence[Counts]


def usage_families(usage: Usage) -> list[Family]:
    """Calls, tokens, money, durations."""
    requests, errors, cost, counterfactual, difference = (
        Family(metric)
        for metric in (
            catalog.REQUESTS,
            catalog.ERRORS,
            catalog.COST,
            catalog.COUNTERFACTUAL,
            catalog.REPORTED_DIFFERENCE,
        )
    )
    for cell in usage.cells:
        key = cell.key
        values = cell.values
        requests.rows.append((key, values[0]))
        errors.rows.append((key, values[1]))
        cost.rows.append((key, nano_to_usd(values[2])))
        counterfactual.rows.append((key, nano_to_usd(values[3])))
        difference.rows.append((key, nano_to_usd(values[4])))
    by_type = Family(catalog.ERRORS_BY_TYPE)
    tokens = Family(catalog.TOKENS)
    duration = Family(catalog.DURATION, scale=1_000_000)
    for group in usage.groups:
        labels = group.key
        by_type.rows += [((*labels, name), count) for name, count in zip(ERROR_TYPES, group.errors, strict=True)]
        tokens.rows += [((*labels, name), count) for name, count in zip(TOKEN_TYPES, group.tokens, strict=True)]
        duration.histograms.append((labels, group.duration))
        if group.exemplars:
            duration.exemplars[labels] = group.exemplars
    first_token = Family(catalog.FIRST_TOKEN, scale=1_000_000)
    first_token.histograms += [(observed.key, observed.histogram) for observed in usage.first_token]
    quality = Family(catalog.QUALITY, scale=1000)
    quality.histograms += [(observed.key, observed.histogram) for observed in usage.quality]
    if usage.by_application is not None:
        duration, first_token, quality = _split(usage.by_application, duration, first_token, quality)
    ratios = Family(catalog.PAIR_RATIO, scale=RATIO_SCALE)
    ratios.histograms += [(observed.key, observed.histogram) for observed in usage.pair_ratios]
    pairs = Family(catalog.PAIRS)
    for counts in usage.pairs:
        pairs.rows += [((*counts.key, name), count) for name, count in zip(PAIR_OUTCOMES, counts.values, strict=True)]
    routes = Family(catalog.ROUTE_REQUESTS, [(counts.key, counts.values[0]) for counts in usage.routes])
    unpriced = Family(catalog.UNPRICED_REQUESTS, [(counts.key, counts.values[0]) for counts in usage.unpriced])
    unpriced_tokens = Family(catalog.UNPRICED_TOKENS, [(counts.key, counts.values[1]) for counts in usage.unpriced])
    return [
        requests,
        errors,
        by_type,
        routes,
        tokens,
        cost,
        counterfactual,
        difference,
        unpriced,
        unpriced_tokens,
        duration,
        first_token,
        quality,
        ratios,
        pairs,
    ]


def _split(observed: Iterable[Observed], *whole: Family) -> list[Family]:
    """Histograms by application, in the place of those without: both at once would count every call twice in a sum."""
    split = {
        name: Family(
            dataclasses.replace(family.metric, labels=(*family.metric.labels, "application")), scale=family.scale
        )
        for name, family in zip(("duration", "first_token", "quality"), whole, strict=True)
    }
    for one in observed:
        name, *labels = one.key
        split[name].histograms.append((tuple(labels), one.histogram))
    return list(split.values())


def spending_families(plan: Plan, totals: Totals, now: float) -> list[Family]:
    """What this exporter counted in the periods of the Unix time `now`: its part of what was spent, and since when."""
    spent, start_of = Family(catalog.BUDGET_SPENT), Family(catalog.EXPORTER_PERIOD_START)
    for migration in plan.migrations:
        for period in PERIODS:
            labels = (migration.name, period)
            start, end = period_bounds(period, now, plan.timezone)
            spent.rows.append((labels, nano_to_usd(totals.spent(migration.name, start, end))))
            start_of.rows.append((labels, start))
    return [spent, start_of]


def plan_families(plan: Plan, control: Control, now: float) -> list[Family]:
    """What is planned and decided, at the Unix time `now`: facts that only one of several exporters may publish."""
    families = {metric: Family(metric) for metric in catalog.PLAN_FACTS}

    def add(metric: Metric, labels: Labels, value: int | float) -> None:
        families[metric].rows.append((labels, value))

    for migration in plan.migrations:
        name = migration.name
        add(catalog.MIGRATION_INFO, (name, migration.description), 1)
        for model, successor in migration.models.items():
            add(catalog.MODEL_INFO, (name, "source", model, successor), 1)
        for model in migration.targets:
            add(catalog.MODEL_INFO, (name, "target", model, ""), 1)
        add(catalog.DEADLINE, (name,), migration.deadline)
        add(catalog.START, (name,), migration.start)
        add(catalog.GOAL_SHARE, (name,), migration.goal_share)
        add(catalog.PLANNED_SHARE, (name,), planned_share(migration, now))
        add(catalog.AUTO_ADVANCE, (name,), int(migration.auto_advance))
        add(catalog.HOLD, (name,), int(control.held(name)))
        _add_phases(migration, control, add)
        for period in PERIODS:
            limit = control.budget_limit(name, period)
            start, end = period_bounds(period, now, plan.timezone)
            add(catalog.BUDGET_PERIOD_START, (name, period), start)
            add(catalog.BUDGET_PERIOD_END, (name, period), end)
            if limit is not None:
                add(catalog.BUDGET_LIMIT, (name, period), nano_to_usd(limit))
                add(catalog.BUDGET_ALERT_THRESHOLD, (name, period), control.budget_alert_threshold(name, period))
        for threshold, severity, value in control.thresholds(name):
            add(catalog.THRESHOLD, (name, threshold, severity), value)
        for model, figure, value in control.baselines(name):
            if model in migration.models or model in migration.targets:
                metric = _BASELINES.get(figure)
                add(metric or catalog.BASELINE, (name, model) if metric else (name, model, figure), value)
    return list(families.values())


def _add_phases(migration: Migration, control: Control, add: _Add) -> None:
    current = control.phase(migration)
    for phase in migration.phases:
        labels = (migration.name, phase.name)
        add(catalog.PHASE, labels, int(phase.name == current))
        add(catalog.PHASE_PLANNED_END, labels, phase.planned_end)
        entered = control.entered.get(labels)
        if entered is not None:
            add(catalog.PHASE_ENTERED, labels, entered / 1_000_000)
        for task in phase.tasks:
            add(catalog.TASK_DONE, (*labels, task), int(control.task_done(migration.name, phase.name, task)))


def series_family(families: Iterable[Family]) -> Family:
    """How many label sets each metric has on this page."""
    return Family(catalog.EXPORTER_SERIES, [((family.metric.name,), len(family)) for family in families])
