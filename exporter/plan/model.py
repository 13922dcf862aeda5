"""The plan: what `migration.yaml` means, resolved and frozen.

Times are Unix seconds (float), money is nano-dollars (int), durations are seconds (float), shares and ratios are 0..1.
The plan says what was configured; what was changed at run time lives in `exporter.control`.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import date
from decimal import Decimal
from pathlib import Path
from typing import Any
from zoneinfo import ZoneInfo

PERIODS = ("daily", "weekly", "monthly")
SEVERITIES = ("info", "warning", "critical", "emergency")
CONTROL, SHARD = MODES = ("control", "shard")  # what an exporter is among several; alone, it is the control


@dataclass(frozen=True, slots=True)
class Scope:
    """Which traffic a migration covers; an empty set means all."""

    applications: frozenset[str] = frozenset()
    categories: frozenset[str] = frozenset()
    endpoints: frozenset[str] = frozenset()

    def covers(self, application: str, category: str, endpoint: str) -> bool:
        """Whether a call with these labels belongs to the scope."""
        return (
            (not self.applications or application in self.applications)
            and (not self.categories or category in self.categories)
            and (not self.endpoints or endpoint in self.endpoints)
        )


@dataclass(frozen=True, slots=True)
class SharePoint:
    """One point of the planned curve: the share of live requests on target models at a time."""

    at: float
    share: float


@dataclass(frozen=True, slots=True)
class Gate:
    """What must hold before a phase may be left; None or False switches a condition off."""

    compare: str = "live"  # live or shadow: on which target traffic the verdicts stand
    min_requests: int | None = None
    max_error_ratio: float | None = None
    min_share: float | None = None
    verdicts: tuple[str, ...] = ()
    soak: float = 3600.0
    tasks_done: bool = False
    no_critical_alerts: bool = False


@dataclass(frozen=True, slots=True)
class Phase:
    """One step of a migration, in the order of the file."""

    name: str
    planned_end: float  # the end of the last planned day, in the plan's time zone
    tasks: tuple[str, ...] = ()
    share_plan: tuple[SharePoint, ...] = ()
    gate: Gate | None = None


@dataclass(frozen=True, slots=True)
class Budgets:
    """Limits in nano-dollars; a period without a limit is absent."""

    limits: Mapping[str, int]  # period -> nano-dollars
    alert_threshold: float = 0.8


@dataclass(frozen=True, slots=True)
class Threshold:
    """One published threshold: `llm_threshold{name, severity}`."""

    # error_ratio, latency_mean_seconds, latency_p95_seconds, daily_cost_usd, quality_score, token_efficiency_ratio,
    # deadline_days (info, warning), deadline_emergency_days (critical)
    name: str
    severity: str  # info, warning, critical
    value: float


@dataclass(frozen=True, slots=True)
class Migration:
    """A move of traffic from source models to their successors."""

    name: str
    description: str
    models: Mapping[str, str]  # source model -> its successor (the target)
    default_predecessor: Mapping[str, str]  # target -> the source model at whose price it is compared
    scope: Scope
    deadline: float
    goal_share: float
    start: float
    phases: tuple[Phase, ...]
    auto_advance: bool
    budgets: Budgets
    thresholds: tuple[Threshold, ...]
    latency_statistic: str  # mean or p95

    @property
    def sources(self) -> tuple[str, ...]:
        """Source models, in the order of the file."""
        return tuple(self.models)

    @property
    def targets(self) -> tuple[str, ...]:
        """Target models, each once, in the order of their first mention."""
        return tuple(dict.fromkeys(self.models.values()))

    def phase(self, name: str) -> Phase | None:
        """The phase with this name."""
        return next((phase for phase in self.phases if phase.name == name), None)

    def predecessor(self, target: str) -> str | None:
        """The source model that a target call is compared with when the event does not say."""
        if target in self.default_predecessor:
            return self.default_predecessor[target]
        sources = [source for source, successor in self.models.items() if successor == target]
        return sources[0] if len(sources) == 1 else None


@dataclass(frozen=True, slots=True)
class PriceOverride:
    """A negotiated or private price, in USD per million tokens, from a date on."""

    model: str
    start: date | None
    rates: Mapping[str, Decimal]  # input, output, cached_input, cache_write -> USD per million tokens


@dataclass(frozen=True, slots=True)
class Limits:
    """Bounds that keep the exporter small whatever is sent to it."""

    hold: float = 150.0
    expire_idle: float = 0.0  # 0: series are never dropped for silence
    series_per_metric: int = 50_000
    applications: int = 200
    endpoints: int = 100
    body_bytes: int = 8 * 1024 * 1024
    batch: int = 10_000
    ingest_per_second: float = 0.0
    api_per_minute: float = 600.0


@dataclass(frozen=True, slots=True)
class LabelOptions:
    """Labels to leave out of all series, and labels to add to histograms."""

    drop: tuple[str, ...] = ()
    histogram_extra: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Channel:
    """A place where people are told; `options` are the keys of its type, checked by the loader."""

    name: str
    type: str  # slack, email, pagerduty, webhook, discord
    options: Mapping[str, object] = field(default_factory=dict)
    rate_limit: int | None = None
    enabled: bool = True


@dataclass(frozen=True, slots=True)
class Escalation:
    """After how many seconds without acknowledgement an alert goes further, and to whom."""

    critical: float = 900.0
    emergency: float = 300.0
    second: float = 3600.0
    to: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class AlertOverride:
    """What the file changes of a shipped alert."""

    enabled: bool = True
    for_seconds: float | None = None
    severity: str | None = None
    labels: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Token:
    """A bearer token by its SHA-256, with the role that it has."""

    name: str
    role: str  # ingest, viewer, operator, admin
    sha256: str


@dataclass(frozen=True, slots=True)
class Urls:
    """Where the other parts are reached; empty when not configured."""

    external: str = ""
    prometheus: str = ""
    alertmanager: str = ""
    grafana: str = ""
    runbooks: str = ""


@dataclass(frozen=True, slots=True)
class ExporterTarget:
    """One of several exporters, as Prometheus and the others reach it."""

    instance: str  # its label, for ever
    scheme: str  # http or https
    address: str  # host:port
    mode: str  # control or shard

    @property
    def url(self) -> str:
        """Its address with the scheme."""
        return f"{self.scheme}://{self.address}"


@dataclass(frozen=True, slots=True)
class Targets:
    """What the generated files are for, and which exporters there are; a single one needs no mention."""

    alertmanager_version: tuple[int, int] = (0, 25)
    scrape_interval: float = 15.0
    exporters: tuple[ExporterTarget, ...] = ()  # one control, any number of shards
    exporter_token_file: Path | None = None  # with which the control asks the shards
    exporter_ca_file: Path | None = None  # whom the control believes about their certificates

    @property
    def control(self) -> ExporterTarget | None:
        """The exporter at which changes are made."""
        return next((exporter for exporter in self.exporters if exporter.mode == CONTROL), None)

    @property
    def shards(self) -> tuple[ExporterTarget, ...]:
        """The exporters that only count."""
        return tuple(exporter for exporter in self.exporters if exporter.mode == SHARD)


@dataclass(frozen=True, slots=True)
class Retention:
    """How long the ledger keeps what; sizes in bytes."""

    events: float = 35 * 86400.0
    size: int = 20 * 1024**3
    hourly: float = 90 * 86400.0
    daily: float = 3 * 365 * 86400.0


@dataclass(frozen=True, slots=True)
class Plan:
    """Everything that one `migration.yaml` says."""

    path: Path
    timezone: ZoneInfo
    migrations: tuple[Migration, ...]
    categories: tuple[str, ...]
    prices: tuple[PriceOverride, ...] = ()
    limits: Limits = Limits()
    labels: LabelOptions = LabelOptions()
    channels: Mapping[str, Channel] = field(default_factory=dict)
    routing: Mapping[str, tuple[str, ...]] = field(default_factory=dict)  # severity -> channel names
    escalation: Escalation = Escalation()
    alerts: Mapping[str, AlertOverride] = field(default_factory=dict)
    rules: tuple[Mapping[str, Any], ...] = ()  # own rules: alert, expr, for (seconds), labels, annotations, tests
    tokens: tuple[Token, ...] = ()
    urls: Urls = Urls()
    targets: Targets = Targets()
    retention: Retention = Retention()
    text: str = field(default="", repr=False, compare=False)  # the file as it was read, to be shown

    def migration(self, name: str) -> Migration | None:
        """The migration with this name."""
        return next((migration for migration in self.migrations if migration.name == name), None)
