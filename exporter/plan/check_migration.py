"""What one migration must mean: its models, its phases, its gates, its numbers."""

from __future__ import annotations

from collections.abc import Collection, Iterable
from datetime import date
from itertools import pairwise
from zoneinfo import ZoneInfo

from exporter.plan.model import PERIODS
from exporter.plan.nodes import child
from exporter.plan.reading import Item, Place, Report
from exporter.plan.schema import Record
from exporter.plan.spec_migration import GateSpec, MigrationSpec, PhaseSpec
from exporter.plan.values import did_you_mean
from exporter.plan.zones import begin_of, day_of, finish_of

RESERVED_NAMES = ("events", "docs")  # paths of the API where a migration's name would stand
_GATE_CONDITIONS = ("min_requests", "max_error_ratio", "min_share", "verdicts", "tasks_done", "no_critical_alerts")
# Of each threshold: whether more is worse.
_THRESHOLDS = (
    ("error_ratio", True),
    ("latency_seconds", True),
    ("daily_cost_usd", True),
    ("quality_score", False),
    ("token_efficiency", False),
)


def check_migration(
    spec: MigrationSpec, zone: ZoneInfo | None, categories: Collection[str] | None, report: Report
) -> None:
    """Report everything about one migration that cannot be meant.

    Args:
        spec: The migration as it was read.
        zone: The calendar's time zone; None when it is unknown, then comparisons of days are left out.
        categories: The declared categories; None when they could not be read.
        report: Where problems go.
    """
    if spec.ok("name") and spec.name in RESERVED_NAMES:
        report.add(spec.at("name"), f"`{spec.name}` is a path of the API", "choose another name")
    _check_models(spec, report)
    _check_scope(spec, categories, report)
    _check_phase_names(spec, report)
    if zone is not None:
        _check_days(spec, zone, report)
    _check_share_plan(spec, report)
    for phase in _phases(spec):
        if phase.ok("gate") and phase.gate is not None:
            _check_gate(spec, phase.gate, report)
    _check_budgets(spec, report)
    _check_thresholds(spec, report)
    _check_warnings(spec, report)


def refuse_repeats(items: Iterable[Item[str]], what: str, report: Report) -> None:
    """Report values of a list that were in it before."""
    seen: set[str] = set()
    for item in items:
        if item.value in seen:
            report.add(item.place, f"{what} `{item.value}` is listed twice", "keep one of the two")
        seen.add(item.value)


def listing(words: Iterable[str]) -> str:
    """`a, b and c`."""
    *others, last = words
    return f"{', '.join(others)} and {last}" if others else last


def _phases(spec: MigrationSpec) -> tuple[PhaseSpec, ...]:
    return spec.phases.values if spec.ok("phases") else ()


def _check_models(spec: MigrationSpec, report: Report) -> None:
    if not spec.ok("models"):
        return
    models = spec.models.values
    in_circles: set[str] = set()
    for source, item in spec.models.items():
        circle = _circle(source, models)
        if models[source] == source:
            report.add(item.place, f"`{source}` is its own successor", "write the model that replaces it")
        elif circle and not in_circles & set(circle):
            path = " → ".join((*circle, circle[0]))
            report.add(item.place, f"the models replace each other in a circle: {path}", "delete one of these entries")
        elif not circle and item.value in models:
            message = f"`{item.value}` replaces `{source}` and is itself replaced by `{models[item.value]}`"
            last = _last(source, models)
            if last is not None:
                report.add(item.place, message, f"a model has one role, write the last of the chain: {source}: {last}")
        in_circles |= set(circle)
    _check_predecessors(spec, models, report)


def _check_predecessors(spec: MigrationSpec, models: dict[str, str], report: Report) -> None:
    sources: dict[str, list[str]] = {}
    for source, target in models.items():
        sources.setdefault(target, []).append(source)
    if not spec.ok("default_predecessor"):
        return
    if spec.models.complete and sources:
        for target, item in spec.default_predecessor.items():
            if target not in sources:
                report.add(item.place, f"`{target}` is not a target model", did_you_mean(target, list(sources)))
            elif item.value not in sources[target]:
                message = f"`{item.value}` is not a source model of `{target}`"
                report.add(item.place, message, did_you_mean(item.value, sources[target]))
    for target, shared in sources.items():
        if len(shared) > 1 and target not in spec.default_predecessor.names:
            message = f"`{target}` replaces {listing(shared)}, and nothing says with which of them it is compared"
            remedy = f"add the one whose work it mostly does, such as {target}: {shared[0]}"
            place = spec.at("default_predecessor")
            if not spec.wrote("default_predecessor"):
                place = Place(place.key, spec.models.entries[shared[-1]].place.mark)
            report.add(place, message, remedy)


def _circle(source: str, models: dict[str, str]) -> tuple[str, ...]:
    """The models of the circle that a source lies on, from it on; empty when it lies on none."""
    path = [source]
    while (successor := models.get(path[-1])) is not None:
        if successor == source:
            return tuple(path)
        if successor in path:
            return ()
        path.append(successor)
    return ()


def _last(source: str, models: dict[str, str]) -> str | None:
    """The end of the chain of successors, None when the chain runs into a circle."""
    seen = {source}
    while source in models:
        source = models[source]
        if source in seen:
            return None
        seen.add(source)
    return source


def _check_scope(spec: MigrationSpec, categories: Collection[str] | None, report: Report) -> None:
    if categories is None or not spec.ok("scope") or not spec.scope.ok("categories"):
        return
    for item in spec.scope.categories:
        if item.value not in categories:
            remedy = did_you_mean(item.value, [*categories])
            report.add(item.place, f"the category `{item.value}` is not declared in `categories`", remedy)


def _check_phase_names(spec: MigrationSpec, report: Report) -> None:
    seen: set[str] = set()
    for phase in _phases(spec):
        if phase.ok("tasks"):
            refuse_repeats(phase.tasks, "the task", report)
        if phase.ok("name"):
            if phase.name in seen:
                report.add(phase.at("name"), f"two phases are called `{phase.name}`", "give each a name of its own")
            seen.add(phase.name)


def _check_days(spec: MigrationSpec, zone: ZoneInfo, report: Report) -> None:
    first = day_of(spec.start, zone) if spec.ok("start") else None
    last = day_of(spec.deadline, zone) if spec.ok("deadline") else None
    if spec.ok("start", "deadline") and begin_of(spec.start, zone) >= finish_of(spec.deadline, zone):
        report.add(spec.at("deadline"), f"the deadline {last} is not after the start {first}", "correct one of the two")
        return  # phases cannot be right then
    dated = [phase for phase in _phases(spec) if phase.ok("planned_end")]
    for phase in dated:
        end = phase.planned_end
        if first is not None and end < first:
            report.add(phase.at("planned_end"), f"{end} is before the migration's start {first}", "write a later day")
        if last is not None and end > last:
            remedy = "plan the phase to end by then, or correct the deadline"
            report.add(phase.at("planned_end"), f"{end} is after the deadline {last}", remedy)
        points = phase.share_plan if phase.ok("share_plan") else ()
        for item in points:
            if item.value.ok("date"):
                _check_point_day(item.value.at("date"), item.value.date, first, end, report)
    for before, phase in pairwise(dated):
        if phase.planned_end <= before.planned_end:
            message = f"{phase.planned_end} is not after the end of the phase before it, {before.planned_end}"
            report.add(phase.at("planned_end"), message, "phases stand in order, each with a later end")


def _check_point_day(place: Place, day: date, first: date | None, end: date, report: Report) -> None:
    if first is not None and day < first:
        report.add(place, f"{day} is before the migration's start {first}", "write a later day")
    if day > end:
        report.add(place, f"{day} is after the planned end of its phase, {end}", "move the point to a later phase")


def _check_share_plan(spec: MigrationSpec, report: Report) -> None:
    points = [item.value for phase in _phases(spec) if phase.ok("share_plan") for item in phase.share_plan]
    readable = [point for point in points if point.ok("date", "share")]
    for before, point in pairwise(readable):
        if point.date <= before.date:
            message = f"{point.date} is not after the point before it, {before.date}"
            report.add(point.at("date"), message, "points stand in order of their dates")
        if point.share < before.share:
            message = f"the share falls from {before.share:g} to {point.share:g}"
            report.add(point.at("share"), message, "a plan only rises: write at least the share of the point before it")
    for point in readable:
        if spec.ok("goal_share") and point.share > spec.goal_share:
            message = f"{point.share:g} is above goal_share {spec.goal_share:g}"
            report.add(point.at("share"), message, f"write at most {spec.goal_share:g}")


def _check_gate(spec: MigrationSpec, gate: GateSpec, report: Report) -> None:
    if gate.ok("verdicts"):
        refuse_repeats(gate.verdicts, "the verdict", report)
    if (
        gate.ok("min_share")
        and gate.min_share is not None
        and spec.ok("goal_share")
        and gate.min_share > spec.goal_share
    ):
        message = f"{gate.min_share:g} is above goal_share {spec.goal_share:g}, the gate would never open"
        report.add(gate.at("min_share"), message, f"write at most {spec.goal_share:g}")
    if not gate.ok(*_GATE_CONDITIONS):
        return
    numbers = (gate.min_requests, gate.max_error_ratio, gate.min_share)
    others = (gate.verdicts.values, gate.tasks_done, gate.no_critical_alerts)
    if all(number is None for number in numbers) and not any(others):
        remedy = f"add one of {', '.join(_GATE_CONDITIONS)}, or delete the gate"
        report.add(gate.place, "the gate asks for nothing, it would always be open", remedy)


def _check_budgets(spec: MigrationSpec, report: Report) -> None:
    if not spec.ok("budgets"):
        return
    budgets = spec.budgets
    limits = [(period, getattr(budgets, period)) for period in PERIODS if budgets.ok(period)]
    written = [(period, limit) for period, limit in limits if limit is not None]
    for (shorter, limit), (longer, larger) in pairwise(written):
        if limit > larger:
            message = f"the {shorter} limit {limit} is above the {longer} limit {larger}"
            report.add(budgets.at(shorter), message, f"write at most {larger}, or raise the {longer} limit")


def _check_thresholds(spec: MigrationSpec, report: Report) -> None:
    if not spec.ok("thresholds"):
        return
    for name, more_is_worse in _THRESHOLDS:
        if not spec.thresholds.ok(name):
            continue
        pair: Record = getattr(spec.thresholds, name)
        if not pair.ok("warning", "critical"):
            continue
        warning, critical = getattr(pair, "warning"), getattr(pair, "critical")  # noqa: B009 - two record types
        if warning is None or critical is None:
            continue
        if more_is_worse and critical < warning:
            message = f"critical {critical:g} is below warning {warning:g}"
            report.add(pair.at("critical"), message, "more is worse here: critical must be at least warning")
        if not more_is_worse and critical > warning:
            message = f"critical {critical:g} is above warning {warning:g}"
            report.add(pair.at("critical"), message, "less is worse here: critical must be at most warning")


def _check_warnings(spec: MigrationSpec, report: Report) -> None:
    if not spec.ok("deadline_warnings_days"):
        return
    days = spec.deadline_warnings_days
    steps = [(name, getattr(days, name)) for name in ("info", "warning", "emergency") if days.ok(name)]
    written = [(name, count) for name, count in steps if count is not None]
    for (milder, earlier), (name, later) in pairwise(written):
        if later >= earlier:
            message = f"{name} comes {later} days before the deadline, not after {milder} with {earlier}"
            report.add(Place(child(days.place.key, name), days.at(name).mark), message, f"write less than {earlier}")
