"""What a plan says, in words for the person who wrote it; printed by `check` for a file without problems."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from datetime import UTC, datetime
from zoneinfo import ZoneInfo

from exporter.money import format_usd
from exporter.plan.model import SEVERITIES, Channel, Gate, Migration, Phase, Plan
from exporter.promql import duration

_DAY = 86400.0
_INDENT = 14
_PERIOD_WORDS = {"daily": "a day", "weekly": "a week", "monthly": "a month"}
_CHANNEL_DETAIL = ("channel", "to", "url")


def describe(plan: Plan, now: float) -> str:
    """A summary of a plan as text of several lines.

    Args:
        plan: The plan.
        now: Unix seconds, to tell how many days are left.
    """
    count = len(plan.migrations)
    lines = [f"{plan.path}: {count} migration{'s' if count > 1 else ''}, days in {plan.timezone.key}"]
    for migration in plan.migrations:
        lines += ["", f"{migration.name}" + (f": {migration.description}" if migration.description else "")]
        lines += _section("models", _models(migration))
        lines += _section("covers", _scope(migration))
        lines += _section("deadline", [_deadline(migration, plan.timezone, now)])
        lines += _section("phases", _phases(migration, plan.timezone))
        lines += _section("budgets", [_budgets(migration)])
        lines += _section("thresholds", _thresholds(migration))
    lines += ["", "notifications"]
    for severity in SEVERITIES:
        lines += _section(severity, [_told(plan, plan.routing.get(severity, ()))])
    lines += _section("escalation", [_escalation(plan)])
    lines += ["", "exporter"]
    lines += _section("exporters", _exporters(plan))
    lines += _section("access", _access(plan))
    lines += _section("keeps", [_retention(plan)])
    lines += _section("changes", _changes(plan))
    return "\n".join(lines) + "\n"


def _section(title: str, texts: Iterable[str]) -> Iterator[str]:
    """Lines under a title that stands before the first of them; nothing for no lines."""
    for index, text in enumerate(texts):
        yield f"  {title if index == 0 else '':<{_INDENT - 2}}{text}"


def _models(migration: Migration) -> Iterator[str]:
    width = max(len(source) for source in migration.sources)
    for source, target in migration.models.items():
        compared = migration.default_predecessor.get(target) == source
        yield f"{source:<{width}} → {target}" + (", compared with this one" if compared else "")


def _scope(migration: Migration) -> Iterator[str]:
    scope = migration.scope
    for what in ("applications", "categories", "endpoints"):
        names = getattr(scope, what)
        if names:
            yield f"only the {what} {', '.join(sorted(names))}"


def _deadline(migration: Migration, zone: ZoneInfo, now: float) -> str:
    at = datetime.fromtimestamp(migration.deadline, UTC).astimezone(zone)
    days = (migration.deadline - now) / _DAY
    left = f"{_days(days)} left" if days >= 0 else f"passed {_days(-days)} ago"
    return f"{at:%Y-%m-%d %H:%M %Z}, {left}; done when {migration.goal_share:.0%} of live requests are on target models"


def _days(days: float) -> str:
    whole = int(days)
    return f"{whole} day{'' if whole == 1 else 's'}" if whole else "less than a day"


def _phases(migration: Migration, zone: ZoneInfo) -> Iterator[str]:
    width = max((len(phase.name) for phase in migration.phases), default=0)
    for phase in migration.phases:
        parts = [part for part in (_tasks(phase), _share(phase), _gate(phase.gate)) if part]
        details = f"  {', '.join(parts)}" if parts else ""
        yield f"{phase.name:<{width}}  until {_last_day(phase.planned_end, zone)}{details}"


def _last_day(end: float, zone: ZoneInfo) -> str:
    """The day that ends at an instant: the one of the second before it."""
    return datetime.fromtimestamp(end - 1, UTC).astimezone(zone).date().isoformat()


def _tasks(phase: Phase) -> str:
    count = len(phase.tasks)
    return f"{count} task{'s' if count > 1 else ''}" if count else ""


def _share(phase: Phase) -> str:
    return f"share up to {phase.share_plan[-1].share:.0%}" if phase.share_plan else ""


def _gate(gate: Gate | None) -> str:
    if gate is None:
        return ""
    conditions = [
        f"share {gate.min_share:.0%}" if gate.min_share is not None else "",
        f"{gate.min_requests} {gate.compare} requests" if gate.min_requests is not None else "",
        f"errors at most {gate.max_error_ratio:.1%}" if gate.max_error_ratio is not None else "",
        f"no worse in {', '.join(gate.verdicts)} ({gate.compare})" if gate.verdicts else "",
        "tasks done" if gate.tasks_done else "",
        "no critical alerts" if gate.no_critical_alerts else "",
    ]
    return f"left after {duration(gate.soak)} of: " + "; ".join(condition for condition in conditions if condition)


def _budgets(migration: Migration) -> str:
    limits = [f"{format_usd(nano)} USD {_PERIOD_WORDS[period]}" for period, nano in migration.budgets.limits.items()]
    if not limits:
        return "none"
    return f"{', '.join(limits)}; people are told from {migration.budgets.alert_threshold:.0%} on"


def _thresholds(migration: Migration) -> Iterator[str]:
    by_name: dict[str, list[str]] = {}
    for threshold in migration.thresholds:
        by_name.setdefault(threshold.name, []).append(f"{threshold.severity} {threshold.value:g}")
    for name, values in by_name.items():
        yield f"{name}: {', '.join(values)}"


def _told(plan: Plan, names: tuple[str, ...]) -> str:
    return ", ".join(_channel(plan.channels[name]) for name in names) or "nobody is told"


def _channel(channel: Channel) -> str:
    """A channel's name with where it leads, when that is no secret."""
    details = [channel.options[key] for key in _CHANNEL_DETAIL if key in channel.options]
    texts = [", ".join(map(str, detail)) if isinstance(detail, list) else str(detail) for detail in details]
    texts += [] if channel.enabled else ["switched off"]
    return f"{channel.name} ({'; '.join(texts)})" if texts else channel.name


def _escalation(plan: Plan) -> str:
    if not plan.escalation.to:
        return "none: alerts that nobody acknowledges go no further"
    steps = plan.escalation
    first = f"unacknowledged for {duration(steps.critical)} (critical) or {duration(steps.emergency)} (emergency)"
    return f"{first}, and again for {duration(steps.second)}: {_told(plan, steps.to)}"


def _exporters(plan: Plan) -> Iterator[str]:
    for exporter in plan.targets.exporters:
        yield f"{exporter.instance} at {exporter.url}, {exporter.mode}"


def _access(plan: Plan) -> Iterator[str]:
    if not plan.tokens:
        yield "no tokens: the exporter listens on loopback only"
    for token in plan.tokens:
        yield f"{token.name} as {token.role}"


def _retention(plan: Plan) -> str:
    keep = plan.retention
    sums = f"sums by hour {_length(keep.hourly)}, by day {_length(keep.daily)}"
    return f"events {_length(keep.events)}, {sums}; at most {keep.size / 2**30:g} GiB"


def _length(seconds: float) -> str:
    """Days as people count them."""
    days = seconds / _DAY
    if days >= 365 and days % 365 == 0:
        years = int(days // 365)
        return f"{years} year{'' if years == 1 else 's'}"
    return f"{days:g} day{'' if days == 1 else 's'}"


def _changes(plan: Plan) -> Iterator[str]:
    """What differs from the shipped prices, alerts and rules."""
    models = dict.fromkeys(price.model for price in plan.prices)
    if models:
        yield f"own prices for {', '.join(models)}"
    off = [name for name, alert in plan.alerts.items() if not alert.enabled]
    changed = [name for name, alert in plan.alerts.items() if alert.enabled]
    if off:
        yield f"alerts switched off: {', '.join(off)}"
    if changed:
        yield f"alerts changed: {', '.join(changed)}"
    if plan.rules:
        yield f"own rules: {', '.join(str(rule['alert']) for rule in plan.rules)}"
