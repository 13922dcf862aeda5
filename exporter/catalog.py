"""Every name that the product publishes, once: metrics, their labels and help, and the names of recording rules.

Nothing else spells a metric's help, unit or buckets. Tests hold rules, dashboards and a live page against this module.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

U = ("migration", "role", "model", "application", "category")
H = ("migration", "role", "model", "category")

ROLES = ("source", "target", "shadow", "other")
TOKEN_TYPES = ("input", "cached_input", "cache_write", "output", "reasoning")
ERROR_TYPES = (
    "timeout",
    "rate_limit",
    "server_error",
    "model_not_found",
    "content_filter",
    "invalid_request",
    "authentication",
    "other",
)
EVENT_RESULTS = ("accepted", "duplicate", "rejected")
REJECT_REASONS = (
    "malformed",  # the body is not JSON, not UTF-8, not gzip
    "missing_field",
    "unknown_field",
    "wrong_type",
    "out_of_range",
    "inconsistent",  # fields that contradict each other
    "too_old",
    "in_future",
    "unknown_migration",
    "too_large",
    "queue_full",
    "unavailable",  # the ledger could not store it
)
DURATION_BUCKETS = (0.05, 0.1, 0.25, 0.5, 1, 2, 3, 5, 8, 10, 15, 20, 30, 60, 120, 300)
QUALITY_BUCKETS = (0.1, 0.2, 0.3, 0.4, 0.5, 0.6, 0.7, 0.8, 0.9, 0.95, 1.0)
COMMIT_BUCKETS = (0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5)

JOB = "llm-migration-exporter"

# Labels that identify one alert; acknowledgements are matched on exactly these.
ALERT_LABELS = (
    "alertname",
    "migration",
    "signal",
    "quantity",
    "model",
    "category",
    "period",
    "phase",
    "application",
)
SIGNALS = (
    "cost",
    "latency",
    "errors",
    "tokens",
    "quality",
    "anomaly",
    "schedule",
    "gate",
    "security",
    "meta",
)
BUNDLE = "llm-migration"


@dataclass(frozen=True, slots=True)
class Metric:
    """One published metric. A counter's name ends in `_total`; `buckets` are upper bounds without +Inf."""

    name: str
    type: str  # counter, gauge, histogram
    help: str
    labels: tuple[str, ...] = ()
    unit: str = ""
    buckets: tuple[float, ...] = ()

    @property
    def family(self) -> str:
        """The name in OpenMetrics' metadata lines, where a counter goes without `_total`."""
        return self.name.removesuffix("_total") if self.type == "counter" else self.name

    @property
    def sample_names(self) -> tuple[str, ...]:
        """Names under which samples appear."""
        if self.type == "histogram":
            return tuple(f"{self.name}_{suffix}" for suffix in ("bucket", "count", "sum"))
        return (self.name,)


REQUESTS = Metric(
    "llm_requests_total",
    "counter",
    "Model calls, failed ones included, by when they were accepted.",
    U,
)
ERRORS = Metric("llm_request_errors_total", "counter", "Model calls that failed.", U)
ERRORS_BY_TYPE = Metric(
    "llm_request_errors_by_type_total",
    "counter",
    "Model calls that failed, by kind of failure.",
    (*H, "error_type"),
)
ROUTE_REQUESTS = Metric(
    "llm_route_requests_total",
    "counter",
    "Model calls by the endpoint of the application that made them.",
    ("migration", "role", "application", "route"),
)
TOKENS = Metric(
    "llm_tokens_total",
    "counter",
    "Tokens, each in one type only: input is without what a cache read or wrote, output is without reasoning.",
    (*H, "type"),
)
COST = Metric("llm_cost_usd_total", "counter", "Cost of calls at the price of their own day.", U, "usd")
COUNTERFACTUAL = Metric(
    "llm_counterfactual_cost_usd_total",
    "counter",
    "What the same calls would have cost on the other side of the migration: source calls at their successor's price, "
    "target calls at their predecessor's.",
    U,
    "usd",
)
REPORTED_DIFFERENCE = Metric(
    "llm_reported_cost_difference_usd_total",
    "counter",
    "Absolute difference between the callers' own cost figures and ours.",
    U,
    "usd",
)
UNPRICED_REQUESTS = Metric(
    "llm_unpriced_requests_total",
    "counter",
    "Calls to models without a known price; their cost is in no sum.",
    ("model",),
)
UNPRICED_TOKENS = Metric(
    "llm_unpriced_tokens_total",
    "counter",
    "Tokens of calls to models without a known price.",
    ("model",),
)
DURATION = Metric(
    "llm_request_duration_seconds",
    "histogram",
    "Duration of whole calls.",
    H,
    "seconds",
    DURATION_BUCKETS,
)
FIRST_TOKEN = Metric(
    "llm_time_to_first_token_seconds",
    "histogram",
    "Time until the first token of a streamed answer.",
    H,
    "seconds",
    DURATION_BUCKETS,
)
QUALITY = Metric(
    "llm_quality_score",
    "histogram",
    "Results of evaluations, 0 to 1.",
    (*H, "evaluator"),
    "",
    QUALITY_BUCKETS,
)

MIGRATION_INFO = Metric(
    "llm_migration_info",
    "gauge",
    "Migrations that the plan declares.",
    ("migration", "description"),
)
MODEL_INFO = Metric(
    "llm_migration_model_info",
    "gauge",
    "Models of a migration; a target has no successor.",
    ("migration", "role", "model", "successor"),
)
PHASE = Metric(
    "llm_migration_phase",
    "gauge",
    "1 for the phase that a migration is in, 0 for the others.",
    ("migration", "phase"),
)
PHASE_PLANNED_END = Metric(
    "llm_migration_phase_planned_end_timestamp_seconds",
    "gauge",
    "When a phase should end.",
    ("migration", "phase"),
    "seconds",
)
PHASE_ENTERED = Metric(
    "llm_migration_phase_entered_timestamp_seconds",
    "gauge",
    "When a phase was last entered; absent for phases never entered.",
    ("migration", "phase"),
    "seconds",
)
DEADLINE = Metric(
    "llm_migration_deadline_timestamp_seconds",
    "gauge",
    "When the migration must be over.",
    ("migration",),
    "seconds",
)
START = Metric(
    "llm_migration_start_timestamp_seconds",
    "gauge",
    "When the migration began.",
    ("migration",),
    "seconds",
)
GOAL_SHARE = Metric(
    "llm_migration_goal_share_ratio",
    "gauge",
    "Share of live calls on target models that means done.",
    ("migration",),
    "ratio",
)
PLANNED_SHARE = Metric(
    "llm_migration_planned_share_ratio",
    "gauge",
    "Share of live calls that the plan has on target models now.",
    ("migration",),
    "ratio",
)
TASK_DONE = Metric(
    "llm_migration_task_done",
    "gauge",
    "Whether a task of a phase is ticked.",
    ("migration", "phase", "task"),
)
AUTO_ADVANCE = Metric(
    "llm_migration_auto_advance",
    "gauge",
    "Whether gates advance the phase by themselves.",
    ("migration",),
)
HOLD = Metric("llm_migration_hold", "gauge", "Whether the migration is held.", ("migration",))

BUDGET_LIMIT = Metric("llm_budget_limit_usd", "gauge", "Budget of a calendar period.", ("migration", "period"), "usd")
BUDGET_SPENT = Metric(
    "llm_budget_spent_usd",
    "gauge",
    "Cost so far in the calendar period, by when the calls ended; unpriced calls are not in it.",
    ("migration", "period"),
    "usd",
)
BUDGET_ALERT_THRESHOLD = Metric(
    "llm_budget_alert_threshold_ratio",
    "gauge",
    "Used share of the budget from which on people are told.",
    ("migration", "period"),
    "ratio",
)
BUDGET_PERIOD_START = Metric(
    "llm_budget_period_start_timestamp_seconds",
    "gauge",
    "Start of the calendar period.",
    ("migration", "period"),
    "seconds",
)
BUDGET_PERIOD_END = Metric(
    "llm_budget_period_end_timestamp_seconds",
    "gauge",
    "End of the calendar period.",
    ("migration", "period"),
    "seconds",
)
THRESHOLD = Metric(
    "llm_threshold",
    "gauge",
    "Thresholds in force, in the unit that their name says.",
    ("migration", "name", "severity"),
)

EXPORTER_EVENTS = Metric("llm_exporter_events_total", "counter", "Events by what became of them.", ("result",))
EXPORTER_REJECTED = Metric("llm_exporter_events_rejected_total", "counter", "Rejected events by reason.", ("reason",))
EXPORTER_AUTH_FAILURES = Metric(
    "llm_exporter_auth_failures_total", "counter", "Requests refused for their token.", ("reason",)
)
EXPORTER_LABELS_FOLDED = Metric(
    "llm_exporter_labels_folded_total",
    "counter",
    "Events with a label value beyond the known ones, counted under `other`.",
    ("label",),
)
EXPORTER_LAST_EVENT = Metric(
    "llm_exporter_last_event_timestamp_seconds",
    "gauge",
    "When an application's last event was accepted.",
    ("application",),
    "seconds",
)
EXPORTER_COMMIT = Metric(
    "llm_exporter_ledger_commit_seconds",
    "histogram",
    "Duration of durable commits.",
    (),
    "seconds",
    COMMIT_BUCKETS,
)
EXPORTER_QUEUE = Metric("llm_exporter_queue_events", "gauge", "Events that wait for their commit.")
EXPORTER_SERIES = Metric("llm_exporter_series", "gauge", "Label sets on the page, by metric.", ("metric",))
EXPORTER_SERIES_LIMIT = Metric("llm_exporter_series_limit", "gauge", "Label sets that one metric may have.")
EXPORTER_SERIES_DROPPED = Metric(
    "llm_exporter_series_dropped_total",
    "counter",
    "Label sets left off the page because a metric had reached its limit.",
    ("metric",),
)
EXPORTER_PRICE_BOOK = Metric(
    "llm_exporter_price_book_info",
    "gauge",
    "The price book in use and the day on which it was verified.",
    ("version", "verified"),
)
EXPORTER_RELOAD_OK = Metric(
    "llm_exporter_config_last_reload_successful",
    "gauge",
    "Whether the last reload of the configuration succeeded.",
)
EXPORTER_RELOAD_TIME = Metric(
    "llm_exporter_config_last_reload_success_timestamp_seconds",
    "gauge",
    "When the configuration was last loaded with success.",
    (),
    "seconds",
)
EXPORTER_BUILD_INFO = Metric(
    "llm_exporter_build_info",
    "gauge",
    "Versions of the exporter and of what it runs on.",
    ("version", "pythonversion", "sqliteversion"),
)

METRICS: tuple[Metric, ...] = tuple(value for value in globals().values() if isinstance(value, Metric))
BY_NAME: dict[str, Metric] = {metric.name: metric for metric in METRICS}

# Facts of the plan, published by one exporter only; rules read them through `plan:<metric>:max`.
PLAN_FACTS: tuple[Metric, ...] = (
    MIGRATION_INFO,
    MODEL_INFO,
    PHASE,
    PHASE_PLANNED_END,
    PHASE_ENTERED,
    DEADLINE,
    START,
    GOAL_SHARE,
    PLANNED_SHARE,
    TASK_DONE,
    AUTO_ADVANCE,
    HOLD,
    BUDGET_LIMIT,
    BUDGET_ALERT_THRESHOLD,
    BUDGET_PERIOD_START,
    BUDGET_PERIOD_END,
    THRESHOLD,
)


@dataclass(frozen=True, slots=True)
class Recording:
    """One recorded series: its name (`level:metric:operation`) and the labels that it has."""

    name: str
    labels: tuple[str, ...]
    help: str


M = ("migration",)
MP = ("migration", "period")
MR = ("migration", "role")
MRM = ("migration", "role", "model")


def plan_fact(metric: Metric) -> str:
    """The recorded name of a plan fact, bridged over failed scrapes."""
    return f"plan:{metric.name}:max"


RECORDINGS: tuple[Recording, ...] = (
    *(
        Recording(
            plan_fact(metric),
            metric.labels,
            f"{metric.name}, kept through gaps of up to 15 minutes.",
        )
        for metric in PLAN_FACTS
    ),
    # schedule
    Recording(
        "migration_phase:llm_migration_phase:current",
        ("migration", "phase"),
        "1 for the phase entered last; the other phases are absent.",
    ),
    Recording("migration_role:llm_requests:rate1h", MR, "Calls a second over an hour."),
    Recording(
        "migration:llm_target_share:ratio_rate1h",
        M,
        "Share of live calls on target models over an hour, 0..1; absent without live calls.",
    ),
    Recording(
        "migration:llm_migration_time_left:seconds",
        M,
        "Time until the deadline, negative when it has passed.",
    ),
    Recording(
        "migration:llm_migration_unfinished:bool",
        M,
        "0 when the phase is `completed` or the share reached its goal, by the last measurement of one day; else 1.",
    ),
    # budget
    Recording("migration_period:llm_budget_spent_usd:sum", MP, "Cost of the current period over all exporters."),
    Recording("migration_period:llm_budget_used:ratio", MP, "Spent part of the budget; 1 is all of it."),
    Recording("migration_period:llm_budget_elapsed:ratio", MP, "Elapsed part of the period, 0..1."),
    # traffic
    Recording("migration_role_model:llm_requests:rate5m", MRM, "Calls a second over five minutes."),
    Recording("migration_role_model:llm_requests:rate1h", MRM, "Calls a second over an hour."),
    Recording("migration_role_model:llm_request_errors:rate5m", MRM, "Failed calls a second over five minutes."),
    Recording("migration_role_model:llm_request_errors:rate1h", MRM, "Failed calls a second over an hour."),
    Recording("migration_role_model:llm_request_errors:ratio_rate5m", MRM, "Failed part of calls over five minutes."),
    Recording("migration_role_model:llm_request_errors:ratio_rate1h", MRM, "Failed part of calls over an hour."),
    Recording("migration_role:llm_requests:rate5m", MR, "Calls a second over five minutes."),
    Recording("migration_role:llm_request_errors:rate5m", MR, "Failed calls a second over five minutes."),
    Recording("migration_role:llm_request_errors:rate1h", MR, "Failed calls a second over an hour."),
    Recording("migration_role:llm_request_errors:ratio_rate5m", MR, "Failed part of calls over five minutes."),
    Recording("migration_role:llm_request_errors:ratio_rate1h", MR, "Failed part of calls over an hour."),
    # latency
    Recording(
        "migration_role_model_le:llm_request_duration_seconds_bucket:rate5m",
        (*MRM, "le"),
        "Calls a second within each bound, over five minutes.",
    ),
    Recording(
        "migration_role_model_le:llm_request_duration_seconds_bucket:rate1h",
        (*MRM, "le"),
        "Calls a second within each bound, over an hour.",
    ),
    Recording(
        "migration_role_model:llm_request_duration_seconds_count:rate5m",
        MRM,
        "Calls with a known duration, a second over five minutes.",
    ),
    Recording(
        "migration_role_model:llm_request_duration_seconds_count:rate1h",
        MRM,
        "Calls with a known duration, a second over an hour.",
    ),
    Recording("migration_role_model:llm_request_duration_seconds:mean_5m", MRM, "Mean duration over five minutes."),
    Recording("migration_role_model:llm_request_duration_seconds:mean_1h", MRM, "Mean duration over an hour."),
    Recording("migration_role_model:llm_request_duration_seconds:p95_5m", MRM, "95th percentile over five minutes."),
    Recording("migration_role_model:llm_request_duration_seconds:p95_1h", MRM, "95th percentile over an hour."),
    Recording("migration_role:llm_request_duration_seconds:mean_5m", MR, "Mean duration over five minutes."),
    Recording("migration_role:llm_request_duration_seconds:p50_5m", MR, "Median duration over five minutes."),
    Recording("migration_role:llm_request_duration_seconds:p95_5m", MR, "95th percentile over five minutes."),
    # cost
    Recording("migration_role_model:llm_cost_usd:rate1h", MRM, "USD a second over an hour."),
    Recording("migration_role:llm_cost_usd:rate1h", MR, "USD a second over an hour."),
    Recording("migration:llm_cost_usd:rate1h", M, "USD a second over an hour, shadow calls included."),
    Recording(
        "migration_role:llm_counterfactual_cost_usd:rate1h",
        MR,
        "USD a second over an hour that the same calls would have cost on the other side of the migration.",
    ),
    Recording(
        "migration:llm_savings_usd:rate1h",
        M,
        "USD a second over an hour saved by calls that moved already; negative when they cost more.",
    ),
    Recording(
        "migration:llm_savings_promised_usd:rate1h",
        M,
        "USD a second over an hour that the calls still on source models would save.",
    ),
    Recording(
        "migration:llm_shadow_cost_usd:rate1h",
        M,
        "USD a second over an hour for shadow calls: what the migration itself costs.",
    ),
    Recording("migration_role_model:llm_cost_usd_per_request:ratio_rate1h", MRM, "USD a call over an hour."),
    Recording("migration_role:llm_tokens:rate5m", MR, "Tokens a second over five minutes."),
)


@dataclass(frozen=True, slots=True)
class Alert:
    """One shipped alert: its name, its signal, and which of ALERT_LABELS its series have besides `alertname`."""

    name: str
    signal: str
    labels: tuple[str, ...]


ALERTS: tuple[Alert, ...] = (
    Alert("LLMBudgetThreshold", "cost", ("migration", "signal", "period")),
    Alert("LLMBudgetExceeded", "cost", ("migration", "signal", "period")),
    Alert("LLMUnpricedUsage", "cost", ("signal", "model")),
    Alert("LLMErrorRatioHigh", "errors", ("migration", "signal", "model")),
    Alert("LLMLatencyHigh", "latency", ("migration", "signal", "model")),
    Alert("LLMDeadlineNear", "schedule", ("migration", "signal")),
    Alert("LLMDeadlineMissed", "schedule", ("migration", "signal")),
    Alert("LLMExporterDown", "meta", ("signal", "quantity")),
    Alert("LLMWatchdog", "meta", ("signal",)),
)
ALERTS_BY_NAME: dict[str, Alert] = {alert.name: alert for alert in ALERTS}


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
