"""Every recorded series: its name and the labels that it has."""

from __future__ import annotations

from exporter.catalog.comparison import COMPARISON
from exporter.catalog.metrics import PLAN_FACTS, Metric
from exporter.catalog.recording import Recording

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
    Recording(
        "migration_role_application:llm_requests:rate1h",
        ("migration", "role", "application"),
        "Calls a second over an hour.",
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
    Recording(
        "migration_application:llm_target_share:ratio_rate1h",
        ("migration", "application"),
        "Share of an application's live calls on target models over an hour, 0..1; absent without live calls.",
    ),
    Recording(
        "migration:llm_target_share:ratio_rate1d",
        M,
        "Share of live calls on target models over a day, 0..1; absent without live calls.",
    ),
    Recording(
        "migration:llm_source_share:ratio",
        M,
        "Share of live calls still on source models, by the last measurement of one day; 1 when nothing is known.",
    ),
    Recording(
        "migration:llm_migration_behind_plan:ratio",
        M,
        "Share that the plan has on target models now, less the share of a day; negative when ahead of the plan.",
    ),
    Recording(
        "migration:llm_target_share:deriv7d",
        M,
        "Pace: share of live calls that moves to target models in a second, over seven days.",
    ),
    Recording(
        "migration:llm_target_share:required_rate",
        M,
        "Share a second that must move from now on to reach the goal at the deadline; absent after it.",
    ),
    Recording(
        "migration:llm_migration_completion:timestamp_seconds",
        M,
        "When the goal will be reached at the pace of seven days; absent when it is reached, or nothing moves.",
    ),
    # budget
    Recording("migration_period:llm_budget_spent_usd:sum", MP, "Cost of the current period over all exporters."),
    Recording("migration_period:llm_budget_used:ratio", MP, "Spent part of the budget; 1 is all of it."),
    Recording("migration_period:llm_budget_elapsed:ratio", MP, "Elapsed part of the period, 0..1."),
    Recording("migration_period:llm_budget_left:seconds", MP, "Time until the end of the period."),
    Recording("migration_period:llm_budget_usd:even_rate", MP, "USD a second at which the budget just lasts."),
    Recording("migration:llm_cost_usd:rate5m", M, "USD a second over five minutes, shadow calls included."),
    Recording("migration:llm_cost_usd:rate1h", M, "USD a second over an hour, shadow calls included."),
    Recording("migration:llm_cost_usd:increase1d", M, "USD of the last day."),
    Recording("migration:llm_cost_usd:rate7d", M, "USD a second over seven days; absent in the first day."),
    Recording(
        "migration_period:llm_budget_left_usd:expected",
        MP,
        "Cost to be expected until the end of the period, by the last seven days and their weekdays.",
    ),
    Recording(
        "migration_period:llm_budget_projected_usd:sum",
        MP,
        "Cost of the whole period to be expected: spent so far, and what the time left will cost.",
    ),
    Recording(
        "migration_period:llm_budget_runs_out:timestamp_seconds",
        MP,
        "When the budget will be used up; absent when it lasts to the end of its period.",
    ),
    Recording(
        "migration:llm_accounting_drift:ratio",
        M,
        "Difference between the ledger and the counters about the cost of the last day, as part of the larger one.",
    ),
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
    Recording(
        "migration_role_model:llm_requests_succeeded:sum",
        MRM,
        "Calls that did not fail, of all time, over all exporters.",
    ),
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
    Recording(
        "migration_role_model:llm_output_tokens_per_usd:ratio_rate1h",
        MRM,
        "Output tokens, reasoning included, for a dollar, over an hour.",
    ),
    Recording("migration_role:llm_tokens:rate5m", MR, "Tokens a second over five minutes."),
    # quality
    Recording(
        "migration_role_model_evaluator:llm_quality_score_count:rate1h",
        (*MRM, "evaluator"),
        "Evaluations a second over an hour.",
    ),
    Recording(
        "migration_role_model_evaluator:llm_quality_score_sum:rate1h",
        (*MRM, "evaluator"),
        "Sum of the scores of a second over an hour.",
    ),
    Recording(
        "migration_role_model_evaluator:llm_quality_score:mean_1h", (*MRM, "evaluator"), "Mean score of an hour."
    ),
    Recording("migration_role_model_evaluator:llm_quality_score:mean_1d", (*MRM, "evaluator"), "Mean score of a day."),
    *COMPARISON,
)
