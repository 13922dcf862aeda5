"""From the shape to the plan: every value in the unit that the rest of the program uses.

Called only for a file without problems, so that every attribute of the specification has a value.
"""

from __future__ import annotations

from decimal import Decimal
from pathlib import Path
from zoneinfo import ZoneInfo

from exporter.money import usd_to_nano
from exporter.plan import model
from exporter.plan.calendar import end_of_day, start_of_day
from exporter.plan.check import version_pair
from exporter.plan.spec import FileSpec, PriceSpec, RuleSpec, TargetsSpec
from exporter.plan.spec_channels import ChannelSpec, EmailSpec
from exporter.plan.spec_migration import GateSpec, MigrationSpec, PhaseSpec, ThresholdsSpec
from exporter.plan.zones import begin_of, finish_of

_PAIRS = ("error_ratio", "latency_seconds", "daily_cost_usd", "quality_score", "token_efficiency")
_CHANNEL_OWN = ("type", "enabled", "rate_limit")


def build(spec: FileSpec, path: Path) -> model.Plan:
    """The plan that a faultless file says."""
    zone = ZoneInfo(spec.timezone)
    limits, retention, urls, escalation = spec.limits, spec.retention, spec.urls, spec.escalation
    return model.Plan(
        path=path,
        timezone=zone,
        migrations=tuple(_migration(migration, zone) for migration in spec.migrations.values),
        categories=tuple(dict.fromkeys((*spec.categories.values, "other"))),
        prices=tuple(
            _price(name, price) for name, prices in spec.prices.values.items() for price in _in_order(prices.values)
        ),
        limits=model.Limits(
            hold=limits.hold,
            expire_idle=limits.expire_idle,
            series_per_metric=limits.series_per_metric,
            applications=limits.applications,
            endpoints=limits.endpoints,
            body_bytes=limits.body_bytes,
            batch=limits.batch,
            ingest_per_second=limits.ingest_per_second,
            api_per_minute=limits.api_per_minute,
        ),
        labels=model.LabelOptions(
            drop=tuple(dict.fromkeys(spec.labels.drop.values)),
            histogram_extra=tuple(dict.fromkeys(spec.labels.histogram_extra.values)),
        ),
        channels={name: _channel(name, channel) for name, channel in spec.channels.values.items()},
        routing={severity: getattr(spec.routing, severity).values for severity in model.SEVERITIES},
        escalation=model.Escalation(
            critical=escalation.critical,
            emergency=escalation.emergency,
            second=escalation.second,
            to=escalation.to.values,
        ),
        alerts={
            name: model.AlertOverride(
                enabled=alert.enabled,
                for_seconds=alert.for_seconds,
                severity=alert.severity,
                labels=alert.labels.values,
            )
            for name, alert in spec.alerts.values.items()
        },
        rules=tuple(_rule(rule) for rule in spec.rules.values),
        tokens=tuple(model.Token(token.name, token.role, token.sha256) for token in spec.tokens.values),
        urls=model.Urls(urls.external, urls.prometheus, urls.alertmanager, urls.grafana, urls.runbooks),
        targets=_targets(spec.targets, path.parent),
        retention=model.Retention(retention.events, retention.size, retention.hourly, retention.daily),
    )


def _migration(spec: MigrationSpec, zone: ZoneInfo) -> model.Migration:
    return model.Migration(
        name=spec.name,
        description=spec.description,
        models=spec.models.values,
        default_predecessor=spec.default_predecessor.values,
        scope=model.Scope(
            frozenset(spec.scope.applications.values),
            frozenset(spec.scope.categories.values),
            frozenset(spec.scope.endpoints.values),
        ),
        deadline=finish_of(spec.deadline, zone),
        goal_share=spec.goal_share,
        start=begin_of(spec.start, zone),
        phases=tuple(_phase(phase, zone) for phase in spec.phases.values),
        auto_advance=spec.auto_advance,
        budgets=model.Budgets(
            {
                period: usd_to_nano(limit)
                for period in model.PERIODS
                if (limit := getattr(spec.budgets, period)) is not None
            },
            spec.budgets.alert_threshold,
        ),
        thresholds=(*_thresholds(spec.thresholds), *_deadline_thresholds(spec)),
        latency_statistic=spec.thresholds.latency_seconds.statistic,
    )


def _phase(spec: PhaseSpec, zone: ZoneInfo) -> model.Phase:
    return model.Phase(
        name=spec.name,
        planned_end=end_of_day(spec.planned_end, zone),
        tasks=spec.tasks.values,
        share_plan=tuple(
            model.SharePoint(start_of_day(point.date, zone), point.share) for point in spec.share_plan.values
        ),
        gate=None if spec.gate is None else _gate(spec.gate),
    )


def _gate(spec: GateSpec) -> model.Gate:
    return model.Gate(
        compare=spec.compare,
        min_requests=spec.min_requests,
        max_error_ratio=spec.max_error_ratio,
        min_share=spec.min_share,
        verdicts=spec.verdicts.values,
        soak=spec.soak,
        tasks_done=spec.tasks_done,
        no_critical_alerts=spec.no_critical_alerts,
    )


def _thresholds(spec: ThresholdsSpec) -> list[model.Threshold]:
    """Thresholds under the names of their series: what decides the query is part of the name."""
    names = {
        "latency_seconds": f"latency_{spec.latency_seconds.statistic}_seconds",
        "token_efficiency": "token_efficiency_ratio",
    }
    return [
        model.Threshold(names.get(pair, pair), severity, value)
        for pair in _PAIRS
        for severity in ("warning", "critical")
        if (value := getattr(getattr(spec, pair), severity)) is not None
    ]


def _deadline_thresholds(spec: MigrationSpec) -> list[model.Threshold]:
    days = spec.deadline_warnings_days
    steps = (
        ("deadline_days", "info", days.info),
        ("deadline_days", "warning", days.warning),
        ("deadline_emergency_days", "critical", days.emergency),
    )
    return [model.Threshold(name, severity, float(count)) for name, severity, count in steps if count is not None]


def _in_order(prices: tuple[PriceSpec, ...]) -> list[PriceSpec]:
    """By the day from which they hold, the undated one first."""
    return sorted(prices, key=lambda price: (price.start is not None, str(price.start)))


def _price(name: str, spec: PriceSpec) -> model.PriceOverride:
    rates: dict[str, Decimal | None] = {
        "input": spec.input,
        "output": spec.output,
        "cached_input": spec.cached_input,
        "cache_write": spec.cache_write,
    }
    return model.PriceOverride(name, spec.start, {kind: rate for kind, rate in rates.items() if rate is not None})


def _channel(name: str, spec: ChannelSpec) -> model.Channel:
    """A channel; its options are the keys of its type as the file calls them, those without a value left out."""
    options: dict[str, object] = {}
    for attribute, declared in spec.KEYS.items():
        value = getattr(spec, attribute)
        if attribute not in _CHANNEL_OWN and value is not None:
            options[declared.name] = list(value.values) if hasattr(value, "values") else value
    if isinstance(spec, EmailSpec) and spec.auth_password_file and not spec.auth_username:
        options["auth_username"] = spec.from_.rpartition("<")[2].rstrip(">")
    return model.Channel(name, spec.type, options, spec.rate_limit, spec.enabled)


def _targets(spec: TargetsSpec, folder: Path) -> model.Targets:
    """Paths are relative to the folder of the file, because the exporter itself reads them."""
    return model.Targets(
        alertmanager_version=version_pair(spec.alertmanager_version),
        scrape_interval=spec.scrape_interval,
        exporters=tuple(
            model.ExporterTarget(exporter.instance, *exporter.address, exporter.mode)
            for exporter in spec.exporters.values
        ),
        exporter_token_file=folder / spec.exporter_token_file if spec.exporter_token_file else None,
        exporter_ca_file=folder / spec.exporter_ca_file if spec.exporter_ca_file else None,
    )


def _rule(spec: RuleSpec) -> dict[str, object]:
    """A user's rule as a mapping; `for` in seconds."""
    return {
        "alert": spec.alert,
        "expr": spec.expr,
        "for": spec.for_seconds,
        "labels": spec.labels.values,
        "annotations": spec.annotations.values,
        "tests": list(spec.tests.values),
    }
