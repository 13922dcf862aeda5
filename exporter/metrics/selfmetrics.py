"""The exporter's own metrics: what this process did since it started, by prometheus_client on a registry of ours."""

from __future__ import annotations

import platform

import prometheus_client
from prometheus_client import (
    CollectorRegistry,
    Counter,
    Gauge,
    GCCollector,
    Histogram,
    PlatformCollector,
    ProcessCollector,
)
from prometheus_client.openmetrics.exposition import generate_latest as openmetrics_page

from exporter import __version__, catalog
from exporter.catalog import EVENT_RESULTS, REJECT_REASONS, Metric
from exporter.plan.model import CONTROL

AUTH_FAILURES = ("missing", "unknown", "forbidden", "certificate")
FOLDED_LABELS = ("model", "category", "application", "route", "evaluator", "unpriced")


class SelfMetrics:
    """Counters and gauges about the exporter itself."""

    def __init__(self, *, sqlite_version: str, mode: str = CONTROL) -> None:
        prometheus_client.disable_created_metrics()  # type: ignore[no-untyped-call]
        self.registry = CollectorRegistry(auto_describe=True)
        for collector in (ProcessCollector, PlatformCollector, GCCollector):
            collector(registry=self.registry)
        events = self._counter(catalog.EXPORTER_EVENTS, EVENT_RESULTS)
        self._accepted, self._duplicate, self._refused = map(events.labels, ("accepted", "duplicate", "rejected"))
        self._rejected = self._counter(catalog.EXPORTER_REJECTED, REJECT_REASONS)
        self._auth_failures = self._counter(catalog.EXPORTER_AUTH_FAILURES, AUTH_FAILURES)
        self._folded = self._counter(catalog.EXPORTER_LABELS_FOLDED, FOLDED_LABELS)
        self._dropped = self._counter(
            catalog.EXPORTER_SERIES_DROPPED,
            catalog.names((catalog.REQUESTS, catalog.ERRORS_BY_TYPE, catalog.ROUTE_REQUESTS)),
        )
        self._commit = Histogram(
            catalog.EXPORTER_COMMIT.name,
            catalog.EXPORTER_COMMIT.help,
            buckets=catalog.EXPORTER_COMMIT.buckets,
            registry=self.registry,
        )
        self._queue = self._gauge(catalog.EXPORTER_QUEUE)
        self._series_limit = self._gauge(catalog.EXPORTER_SERIES_LIMIT)
        self._reload_ok = self._gauge(catalog.EXPORTER_RELOAD_OK)
        self._reload_time = self._gauge(catalog.EXPORTER_RELOAD_TIME)
        self._price_book = self._gauge(catalog.EXPORTER_PRICE_BOOK)
        self._gauge(catalog.EXPORTER_MODE).labels(mode).set(1)
        self._gauge(catalog.EXPORTER_BUILD_INFO).labels(__version__, platform.python_version(), sqlite_version).set(1)

    def _counter(self, metric: Metric, values: tuple[str, ...]) -> Counter:
        counter = Counter(metric.family, metric.help, metric.labels, registry=self.registry)
        for value in values:
            counter.labels(value)
        return counter

    def _gauge(self, metric: Metric) -> Gauge:
        return Gauge(metric.name, metric.help, metric.labels, registry=self.registry)

    # What ingest, the ledger, the web and the runtime report

    def accepted(self, count: int, duplicates: int) -> None:
        """Events stored, and events that were stored before."""
        self._accepted.inc(count)
        if duplicates:
            self._duplicate.inc(duplicates)

    def rejected(self, reason: str, count: int = 1) -> None:
        """Events refused."""
        self._refused.inc(count)
        self._rejected.labels(reason).inc(count)

    def folded(self, label: str) -> None:
        """A label value beyond the known ones."""
        self._folded.labels(label).inc()

    def dropped(self, metric: str) -> None:
        """A label set beyond a metric's limit."""
        self._dropped.labels(metric).inc()

    def auth_failure(self, reason: str) -> None:
        """A request refused for its token."""
        self._auth_failures.labels(reason).inc()

    def committed(self, seconds: float) -> None:
        """A durable commit."""
        self._commit.observe(seconds)

    def queue(self, events: int) -> None:
        """Events that wait for their commit."""
        self._queue.set(events)

    def configured(self, *, now: float, series_limit: int, price_version: str, price_verified: str) -> None:
        """A configuration was taken into use."""
        self._reload_ok.set(1)
        self._reload_time.set(now)
        self._series_limit.set(series_limit)
        self._price_book.clear()
        self._price_book.labels(price_version, price_verified).set(1)

    def not_configured(self) -> None:
        """A configuration could not be taken into use; the last one stays."""
        self._reload_ok.set(0)

    def text(self, *, openmetrics: bool) -> str:
        """These metrics as text; OpenMetrics ends with `# EOF`."""
        encode = openmetrics_page if openmetrics else prometheus_client.generate_latest
        return bytes(encode(self.registry)).decode()
