"""Threshold scales by name: those of a layout, and those that follow from the plan, so that panel and alert agree."""

from __future__ import annotations

from collections.abc import Iterator, Mapping

from exporter.bundle.dashboards.vocabulary import COLOURS, JsonObject
from exporter.errors import UserError
from exporter.layouts import Colour, Layout, Panel, Step
from exporter.plan.model import Plan

# Here the low values are the bad ones.
_HIGHER_IS_BETTER = frozenset({"quality_score", "token_efficiency_ratio", "days_left"})
# Names of the plan's thresholds that make one scale under another name.
_RENAMED = {"deadline_days": "days_left", "deadline_emergency_days": "days_left"}
# Scales that a layout may name although this plan sets no such threshold: they are neutral then.
_OPTIONAL = (
    "days_left",
    "error_ratio",
    "latency_mean_seconds",
    "latency_p95_seconds",
    "daily_cost_usd",
    "quality_score",
    "token_efficiency_ratio",
)
_BY_SEVERITY: tuple[tuple[str, Colour], ...] = (("info", "notice"), ("warning", "warning"), ("critical", "bad"))
_NEUTRAL = (Step("text"),)


def scales(plan: Plan) -> dict[str, tuple[Step, ...]]:
    """The scales that the plan gives: `budget`, `days_left`, and one by the name of each threshold.

    With several migrations the strictest value counts: a dashboard's colours cannot differ by migration.
    """
    found = {**dict.fromkeys(_OPTIONAL, _NEUTRAL), "budget": _budget(plan)}
    values: dict[str, dict[str, list[float]]] = {}
    for migration in plan.migrations:
        for threshold in migration.thresholds:
            name = _RENAMED.get(threshold.name, threshold.name)
            values.setdefault(name, {}).setdefault(threshold.severity, []).append(threshold.value)
    return found | {name: tuple(_steps(name, by_severity)) for name, by_severity in values.items()}


def steps(layout: Layout, panel: Panel, plan: Plan) -> JsonObject:
    """A panel's thresholds; without a scale, one neutral step.

    Raises:
        UserError: the panel names a scale that neither the layout nor the plan has, or one whose steps do not ascend.
    """
    known: Mapping[str, tuple[Step, ...]] = {**scales(plan), **layout.header.scales}
    scale = known.get(panel.thresholds) if panel.thresholds else _NEUTRAL
    where = f"layout {layout.name}: panel {panel.id}: thresholds"
    if scale is None:
        raise UserError(f"{where}: no scale is called {panel.thresholds!r}; there are {', '.join(sorted(known))}")
    bounds = [step.at for step in scale[1:]]
    if not scale or scale[0].at is not None or None in bounds or bounds != sorted(set(bounds), key=_number):
        raise UserError(
            f"{where}: the scale {panel.thresholds!r} must begin with a step without `from` and then ascend, "
            "for example [{colour: good}, {colour: warning, from: 0.5}, {colour: bad, from: 0.9}]"
        )
    return {"mode": "absolute", "steps": [{"color": COLOURS[step.colour], "value": step.at} for step in scale]}


def _number(bound: float | None) -> float:
    return float("inf") if bound is None else bound


def _budget(plan: Plan) -> tuple[Step, ...]:
    alert = min((migration.budgets.alert_threshold for migration in plan.migrations), default=0.8)
    return (Step("good"), *([Step("warning", alert)] if alert < 1 else []), Step("bad", 1.0))


def _steps(name: str, by_severity: Mapping[str, list[float]]) -> Iterator[Step]:
    if name not in _HIGHER_IS_BETTER:
        yield Step("good")
        yield from (Step(colour, min(by_severity[level])) for level, colour in _BY_SEVERITY if level in by_severity)
        return
    # A high value is good: each colour ends where the next better one begins.
    colour: Colour
    below: float | None = None
    for level, colour in reversed(_BY_SEVERITY):
        if level in by_severity:
            yield Step(colour, below)
            below = max(by_severity[level])
    yield Step("good", below)
