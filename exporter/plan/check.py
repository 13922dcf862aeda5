"""What a plan must mean: rules between keys, each with a message that says what to change.

Every check looks only at values that could be read, so that one mistake is reported once and hides no other.
"""

from __future__ import annotations

import ipaddress
from collections.abc import Collection
from itertools import combinations
from urllib.parse import urlsplit

from exporter import catalog
from exporter.plan.check_migration import check_migration, listing, refuse_repeats
from exporter.plan.model import SEVERITIES
from exporter.plan.nodes import shown
from exporter.plan.reading import Entries, Items, Report
from exporter.plan.schema import Record
from exporter.plan.spec import FileSpec, PriceSpec, TargetsSpec
from exporter.plan.spec_channels import WebhookSpec
from exporter.plan.spec_exporters import check_exporters
from exporter.plan.spec_migration import MigrationSpec, ScopeSpec
from exporter.plan.values import did_you_mean
from exporter.plan.zones import zone_or_none, zone_remedy

OWN_LABELS = (*catalog.ALERT_LABELS, "severity", "urgency", "signal", "bundle")
OLDEST_ALERTMANAGER = (0, 25)
WEBHOOK_SECRET_FILES = (0, 26)  # the first that reads a webhook's address from a file
_RULE_SEVERITIES = ("info", "warning", "critical")
_SCOPE_KEYS = ("applications", "categories", "endpoints")


def check_alert_names(names: Collection[str] | None = None) -> frozenset[str]:
    """The names that `alerts` may override: those given, else the catalogue's."""
    return frozenset(alert.name for alert in catalog.ALERTS) if names is None else frozenset(names)


def check(spec: FileSpec, alert_names: Collection[str], report: Report) -> None:
    """Report everything that cannot be meant.

    Args:
        spec: The file as it was read.
        alert_names: The shipped alerts.
        report: Where problems go.
    """
    if spec.ok("version") and spec.version != 1:
        report.add(spec.at("version"), f"version {spec.version} of this file is not known", "write version: 1")
    zone = zone_or_none(spec.timezone) if spec.ok("timezone") else None
    if spec.ok("timezone") and zone is None:
        report.add(spec.at("timezone"), f"there is no time zone `{spec.timezone}`", zone_remedy(spec.timezone))
    categories = None
    if spec.ok("categories"):
        refuse_repeats(spec.categories, "the category", report)
        categories = (*spec.categories.values, "other") if spec.categories.complete else None
    if spec.ok("migrations"):
        for migration in spec.migrations.values:
            check_migration(migration, zone, categories, report)
        _check_names(spec.migrations, "migrations", report)
        _check_claims(spec.migrations.values, report)
    _check_prices(spec, report)
    _check_limits(spec, report)
    _check_labels(spec, report)
    _check_channels(spec, report)
    _check_alerts(spec, alert_names, report)
    _check_rules(spec, alert_names, report)
    if spec.ok("tokens"):
        _check_names(spec.tokens, "tokens", report)
    _check_targets(spec, report)


def _check_names(records: Items[Record], what: str, report: Report) -> None:
    """Names of a list's records are unique."""
    seen: dict[str, int] = {}
    for item in records:
        record = item.value
        name: str | None = getattr(record, "name", None)
        if name is None:
            continue
        if name in seen:
            message = f"two {what} are called `{name}`, the first on line {seen[name]}"
            report.add(record.at("name"), message, "give each a name of its own")
        seen.setdefault(name, record.at("name").mark.line)


def _check_claims(migrations: tuple[MigrationSpec, ...], report: Report) -> None:
    """No call can belong to two migrations."""
    for first, second in combinations(migrations, 2):
        if not (first.ok("models", "scope", "name") and second.ok("models", "scope", "name")):
            continue
        shared = [model for model in _models(second) if model in _models(first)]
        if shared and not _disjoint(first.scope, second.scope):
            message = f"the migration `{first.name}` claims {listing(shared)} too"
            remedy = "give both a scope, with different applications, categories or endpoints"
            report.add(second.at("models"), message, remedy)


def _models(spec: MigrationSpec) -> list[str]:
    """Sources and targets, each once."""
    models = spec.models.values
    return list(dict.fromkeys((*models, *models.values())))


def _disjoint(first: ScopeSpec, second: ScopeSpec) -> bool:
    """Whether no call is in both scopes; true as well when a scope could not be read, which is reported already."""
    for name in _SCOPE_KEYS:
        if not (first.ok(name) and second.ok(name)):
            return True
        ours, theirs = set(getattr(first, name).values), set(getattr(second, name).values)
        if ours and theirs and not ours & theirs:
            return True
    return False


def _check_prices(spec: FileSpec, report: Report) -> None:
    if not spec.ok("prices"):
        return
    for model, entry in spec.prices.items():
        dated: dict[object, int] = {}
        for item in entry.value:
            price: PriceSpec = item.value
            if not price.ok("start"):
                continue
            if price.start in dated:
                since = "without a date" if price.start is None else f"from {price.start}"
                message = f"`{model}` has two prices {since}, the first on line {dated[price.start]}"
                report.add(price.at("start"), message, "give each a `from` of its own")
            dated.setdefault(price.start, price.place.mark.line)


def _check_limits(spec: FileSpec, report: Report) -> None:
    if not spec.ok("limits"):
        return
    limits = spec.limits
    if limits.ok("hold") and spec.ok("targets") and spec.targets.ok("scrape_interval"):
        shortest = 2 * spec.targets.scrape_interval
        if limits.hold <= shortest:
            message = f"{limits.hold:g} s is not longer than two scrape intervals, {shortest:g} s"
            report.add(limits.at("hold"), message, "Prometheus would miss first calls: write ten scrape intervals")
    if limits.ok("hold", "expire_idle") and 0 < limits.expire_idle <= limits.hold:
        message = f"{limits.expire_idle:g} s is not longer than limits.hold, {limits.hold:g} s"
        report.add(limits.at("expire_idle"), message, "write hours or days, or 0s for never")


def _check_labels(spec: FileSpec, report: Report) -> None:
    if not spec.ok("labels") or not spec.labels.ok("drop", "histogram_extra"):
        return
    for item in spec.labels.histogram_extra:
        if item.value in spec.labels.drop.values:
            message = f"`{item.value}` is to be added to histograms, and dropped from all series"
            report.add(item.place, message, "delete it from one of the two lists")


def _check_channels(spec: FileSpec, report: Report) -> None:
    if not spec.ok("channels"):
        return
    targets = spec.targets if spec.ok("targets") and spec.targets.ok("alertmanager_version") else None
    for channel in spec.channels.values.values():
        if isinstance(channel, WebhookSpec):
            _check_webhook(channel, targets, report)
    declared = sorted(spec.channels.names)
    lists = [(spec.routing, severity) for severity in SEVERITIES] if spec.ok("routing") else []
    users: list[tuple[Record, str]] = [*lists]
    if spec.ok("escalation"):
        users.append((spec.escalation, "to"))
    for record, attribute in users:
        if not record.ok(attribute):
            continue
        channels: Items[str] = getattr(record, attribute)
        refuse_repeats(channels, "the channel", report)
        for item in channels:
            if item.value not in spec.channels.names:
                remedy = did_you_mean(item.value, declared) or "declare it under `channels`"
                report.add(item.place, f"the channel `{shown(item.value)}` is not declared", remedy)


def _check_webhook(channel: WebhookSpec, targets: TargetsSpec | None, report: Report) -> None:
    if not channel.ok("url", "url_file"):
        return
    if (channel.url is None) == (channel.url_file is None):
        message = "a webhook needs exactly one of `url` and `url_file`"
        report.add(channel.place, message, "write url_file where the address is secret, else url")
    elif channel.url is not None and channel.url.startswith("http:") and not _is_loopback(channel.url):
        message = f"`{channel.url}` would carry alerts unencrypted through the network"
        report.add(channel.at("url"), message, "write https://…; http is for the loopback interface only")
    elif channel.url_file is not None and targets and version_pair(targets.alertmanager_version) < WEBHOOK_SECRET_FILES:
        message = f"Alertmanager {targets.alertmanager_version} cannot read a webhook's address from a file"
        remedy = "write `url` with a `token_file`, or set targets.alertmanager_version to '0.26' or later"
        report.add(channel.at("url_file"), message, remedy)


def _is_loopback(url: str) -> bool:
    host = urlsplit(url).hostname or ""
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return host == "localhost" or host.endswith(".localhost")


def _check_alerts(spec: FileSpec, alert_names: Collection[str], report: Report) -> None:
    if not spec.ok("alerts"):
        return
    for name, item in spec.alerts.items():
        if name not in alert_names:
            report.add(item.place, f"there is no alert `{name}`", did_you_mean_alert(name, alert_names))
        if not item.value.ok("labels"):
            continue
        for label, entry in item.value.labels.items():
            if label in OWN_LABELS:
                remedy = "use `severity` beside `labels`" if label == "severity" else "choose another name"
                report.add(entry.place, f"the label `{label}` is set by the rules themselves", remedy)


def did_you_mean_alert(name: str, alert_names: Collection[str]) -> str:
    """A remedy for an unknown alert: the nearest name in its own spelling."""
    spelled = {known.lower(): known for known in sorted(alert_names)}
    remedy = did_you_mean(name, list(spelled))
    for lower, known in spelled.items():
        if f"`{lower}`" in remedy:
            return remedy.replace(lower, known)
    return "write one of: " + ", ".join(sorted(alert_names))


def _check_rules(spec: FileSpec, alert_names: Collection[str], report: Report) -> None:
    if not spec.ok("rules"):
        return
    seen: set[str] = set()
    for rule in spec.rules.values:
        if rule.ok("alert"):
            if rule.alert in alert_names:
                remedy = "change the shipped one under `alerts`, or choose another name"
                report.add(rule.at("alert"), f"`{rule.alert}` is a shipped alert", remedy)
            elif rule.alert in seen:
                report.add(rule.at("alert"), f"two rules are called `{rule.alert}`", "give each a name of its own")
            seen.add(rule.alert)
        if rule.ok("labels"):
            _check_rule_labels(rule.labels, report)


def _check_rule_labels(labels: Entries[str], report: Report) -> None:
    for label, item in labels.items():
        if label not in OWN_LABELS or label in ("alertname", "bundle"):
            message = f"the label `{label}` is not one that alerts have"
            remedy = "acknowledgements are matched on labels: write severity, urgency, signal, or one of "
            others = [name for name in catalog.ALERT_LABELS if name not in ("alertname", "signal")]
            report.add(item.place, message, remedy + ", ".join(others))
        elif label == "severity" and item.value == "emergency":
            report.add(
                item.place,
                "an emergency is a critical alert with an urgency",
                "write severity: critical, urgency: emergency",
            )
        elif label == "severity" and item.value not in _RULE_SEVERITIES:
            report.add(
                item.place, f"there is no severity `{shown(item.value)}`", did_you_mean(item.value, _RULE_SEVERITIES)
            )
        elif label == "urgency" and item.value != "emergency":
            report.add(item.place, f"there is no urgency `{shown(item.value)}`", "write emergency, or delete the label")
        elif label == "signal" and item.value not in catalog.SIGNALS:
            report.add(
                item.place, f"there is no signal `{shown(item.value)}`", did_you_mean(item.value, catalog.SIGNALS)
            )


def _check_targets(spec: FileSpec, report: Report) -> None:
    if spec.ok("targets") and spec.targets.ok("alertmanager_version"):
        written = spec.targets.alertmanager_version
        if version_pair(written) < OLDEST_ALERTMANAGER:
            message = f"Alertmanager {written} is too old for the generated configuration"
            report.add(spec.targets.at("alertmanager_version"), message, "upgrade it to 0.25 or later")
    if spec.ok("targets") and spec.targets.ok("exporters"):
        check_exporters(spec.targets.exporters, report)
    if spec.ok("retention") and spec.retention.ok("hourly", "daily") and spec.retention.daily < spec.retention.hourly:
        message = "sums by day would be kept for less time than sums by hour"
        report.add(spec.retention.at("daily"), message, "keep daily at least as long as hourly")


def version_pair(text: str) -> tuple[int, int]:
    """Major and minor of a version that was read."""
    major, minor, *_ = text.split(".")
    return int(major), int(minor)
