"""The shipped alerts by family, and the rules that a plan makes of them."""

from __future__ import annotations

from exporter.bundle.alerts import budget, comparison, errors, latency, meta, quality, schedule
from exporter.bundle.alerts.definition import AlertDefinition, Level

FAMILIES: dict[str, tuple[AlertDefinition, ...]] = {
    "budget": budget.ALERTS,
    "errors": errors.ALERTS,
    "latency": latency.ALERTS,
    "quality": quality.ALERTS,
    "comparison": comparison.ALERTS,
    "schedule": schedule.ALERTS,
    "meta": meta.ALERTS,
}
DEFINITIONS: tuple[AlertDefinition, ...] = tuple(alert for family in FAMILIES.values() for alert in family)

__all__ = ["DEFINITIONS", "FAMILIES", "AlertDefinition", "Level"]
