"""Every name that the product publishes, once: metrics, recorded series, alerts.

Nothing else spells a metric's help, unit or buckets. Tests hold rules, dashboards and a live page against this package,
which is used as one namespace: `catalog.REQUESTS`.
"""

from __future__ import annotations

from collections.abc import Iterable

from exporter.catalog.alerts import *  # noqa: F403 - one namespace is the point
from exporter.catalog.metrics import *  # noqa: F403
from exporter.catalog.metrics import METRICS, Metric
from exporter.catalog.recordings import *  # noqa: F403
from exporter.catalog.recordings import RECORDINGS
from exporter.catalog.values import *  # noqa: F403


def sample_labels() -> dict[str, frozenset[str]]:
    """Sample name -> label names, for every metric and every recorded series."""
    known: dict[str, frozenset[str]] = {}
    for metric in METRICS:
        for name in metric.sample_names:
            extra = ("le",) if name.endswith("_bucket") else ()
            known[name] = frozenset((*metric.labels, *extra))
    for recording in RECORDINGS:
        known[recording.name] = frozenset(recording.labels)
    return known


def names(metrics: Iterable[Metric]) -> tuple[str, ...]:
    """The names of some metrics, in their order."""
    return tuple(metric.name for metric in metrics)
