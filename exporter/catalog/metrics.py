"""Every metric: name, type, help, labels, unit, buckets."""

from __future__ import annotations

from dataclasses import dataclass

from exporter.catalog.values import COMMIT_BUCKETS, DURATION_BUCKETS, PAIR_RATIO_BUCKETS, QUALITY_BUCKETS, H, U


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
PAIR_RATIO = Metric(
    "llm_pair_ratio",
    "histogram",
    "Target call divided by source call, for calls joined by a pair_id that both succeeded.",
    ("migration", "category", "quantity"),
    "",
    PAIR_RATIO_BUCKETS,
)
PAIRS = Metric(
    "llm_pairs_total",
    "counter",
    "Comparisons: complete ones, calls that waited an hour for the other side in vain, and calls beyond one a side.",
    ("migration", "outcome"),
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
BASELINE = Metric(
    "llm_baseline",
    "gauge",
    "What live calls of a model were like when its baseline was taken, in the unit that the name says.",
    ("migration", "model", "name"),
)
BASELINE_SAMPLES = Metric(
    "llm_baseline_samples",
    "gauge",
    "Calls from which a model's baseline was taken.",
    ("migration", "model"),
)
BASELINE_TIMESTAMP = Metric(
    "llm_baseline_timestamp_seconds",
    "gauge",
    "When a model's baseline was taken; absent while it has none.",
    ("migration", "model"),
    "seconds",
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
EXPORTER_PERIOD_START = Metric(
    "llm_exporter_budget_period_start_timestamp_seconds",
    "gauge",
    "Start of the calendar period that this exporter's part of llm_budget_spent_usd is about.",
    ("migration", "period"),
    "seconds",
)
EXPORTER_MODE = Metric(
    "llm_exporter_mode_info", "gauge", "The control, which alone publishes the plan, or a shard.", ("mode",)
)
EXPORTER_BUILD_INFO = Metric(
    "llm_exporter_build_info",
    "gauge",
    "Versions of the exporter and of what it runs on.",
    ("version", "pythonversion", "sqliteversion"),
)

METRICS: tuple[Metric, ...] = tuple(value for value in globals().values() if isinstance(value, Metric))
BY_NAME: dict[str, Metric] = {metric.name: metric for metric in METRICS}

# Facts of the plan, published by the control only; rules read them through `plan:<metric>:max`.
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
    BASELINE,
    BASELINE_SAMPLES,
    BASELINE_TIMESTAMP,
)
