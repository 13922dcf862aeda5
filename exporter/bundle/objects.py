"""Rules, routes and receivers as frozen objects.

`document()` gives each as plain data in the order in which it is written. Durations are seconds here and Prometheus
durations (`5m`) in the documents.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from exporter.promql import duration

Document = dict[str, Any]


@dataclass(frozen=True, slots=True)
class RecordingRule:
    """One recorded series."""

    record: str
    expr: str
    labels: Mapping[str, str] = field(default_factory=dict)

    def document(self) -> Document:
        """The rule as Prometheus reads it."""
        document: Document = {"record": self.record, "expr": self.expr}
        if self.labels:
            document["labels"] = dict(self.labels)
        return document


@dataclass(frozen=True, slots=True)
class AlertRule:
    """One alerting rule."""

    alert: str
    expr: str
    labels: Mapping[str, str]
    annotations: Mapping[str, str]
    for_seconds: float = 0.0
    keep_firing_for_seconds: float = 0.0

    def document(self) -> Document:
        """The rule as Prometheus reads it; durations of zero are left out."""
        document: Document = {"alert": self.alert, "expr": self.expr}
        if self.for_seconds:
            document["for"] = duration(self.for_seconds)
        if self.keep_firing_for_seconds:
            document["keep_firing_for"] = duration(self.keep_firing_for_seconds)
        document["labels"] = dict(self.labels)
        document["annotations"] = dict(self.annotations)
        return document


@dataclass(frozen=True, slots=True)
class RuleGroup:
    """Rules that Prometheus evaluates one after the other, at one interval."""

    name: str
    interval: float
    rules: tuple[RecordingRule | AlertRule, ...]

    def document(self) -> Document:
        """The group as Prometheus reads it."""
        return {
            "name": self.name,
            "interval": duration(self.interval),
            "rules": [rule.document() for rule in self.rules],
        }


@dataclass(frozen=True, slots=True)
class Route:
    """A branch of Alertmanager's routing tree; `None` inherits from the parent."""

    receiver: str
    matchers: tuple[str, ...] = ()
    group_by: tuple[str, ...] = ()
    group_wait: float | None = None
    group_interval: float | None = None
    repeat_interval: float | None = None
    routes: tuple[Route, ...] = ()

    def document(self) -> Document:
        """The route as Alertmanager reads it."""
        document: Document = {"receiver": self.receiver}
        if self.matchers:
            document["matchers"] = list(self.matchers)
        if self.group_by:
            document["group_by"] = list(self.group_by)
        for key in ("group_wait", "group_interval", "repeat_interval"):
            seconds = getattr(self, key)
            if seconds is not None:
                document[key] = duration(seconds)
        if self.routes:
            document["routes"] = [route.document() for route in self.routes]
        return document


@dataclass(frozen=True, slots=True)
class Receiver:
    """A named set of integrations; without any it takes alerts and tells nobody."""

    name: str
    integrations: Mapping[str, tuple[Mapping[str, object], ...]] = field(default_factory=dict)  # slack_configs -> …

    def document(self) -> Document:
        """The receiver as Alertmanager reads it."""
        return {"name": self.name, **{key: [dict(item) for item in items] for key, items in self.integrations.items()}}


@dataclass(frozen=True, slots=True)
class InhibitRule:
    """While a source alert fires, target alerts that agree with it on all of `equal` tell nobody.

    A label that is absent on both sides counts as equal: `equal` must hold labels that decide.
    """

    source: tuple[str, ...]
    target: tuple[str, ...]
    equal: tuple[str, ...]

    def document(self) -> Document:
        """The rule as Alertmanager reads it."""
        return {
            "source_matchers": list(self.source),
            "target_matchers": list(self.target),
            "equal": list(self.equal),
        }
