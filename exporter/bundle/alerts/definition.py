"""What one alert is: a declaration, from which its rules follow.

Adding an alert: its name, signal and labels in `exporter.catalog.ALERTS`; one `AlertDefinition` in the module of its
family; a page `rules/runbooks/<name>.md`; at least one firing and one silent case in `rules/tests/`.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from exporter.catalog import ALERTS_BY_NAME


@dataclass(frozen=True, slots=True)
class Level:
    """One rule of an alert: a severity with its own patience.

    Severity `emergency` is written as `severity="critical", urgency="emergency"`. `expr` replaces the alert's; `values`
    are for the templates, besides those that all have (`exporter.bundle.alerting`).
    """

    severity: str  # info, warning, critical, emergency, none
    for_seconds: float = 0.0
    labels: Mapping[str, str] = field(default_factory=dict)
    expr: str | None = None
    values: Mapping[str, object] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class AlertDefinition:
    """An alert with its levels.

    `expr` is a template (`exporter.bundle.text`) whose result has no labels but those that the catalogue lists for the
    alert. `summary` is one fixed sentence, `description` a Go template with the value.
    """

    name: str
    levels: tuple[Level, ...]
    expr: str
    summary: str
    description: str
    dashboard: str = "executive"
    keep_firing_for_seconds: float = 0.0

    @property
    def signal(self) -> str:
        """What the alert is about: cost, latency, errors and so on."""
        return ALERTS_BY_NAME[self.name].signal
