"""Alerts about answers that are worse, and about dollars that buy less."""

from __future__ import annotations

from exporter.bundle.alerts.definition import AlertDefinition, Level

MINUTE = 60.0

# An hour where it holds enough evaluations to mean something, else the day, if that does. Roles and evaluators are
# judged apart, and the worst one is told of.
_QUALITY_LOW = """
min by (migration, model) (
  (
    (
      migration_role_model_evaluator:llm_quality_score:mean_1h
      and on (migration, role, model, evaluator)
      (3600 * migration_role_model_evaluator:llm_quality_score_count:rate1h >= << min_requests >>)
    )
    or
    (
      migration_role_model_evaluator:llm_quality_score:mean_1d
      and on (migration, role, model, evaluator)
      (
        3600 * sum_over_time(migration_role_model_evaluator:llm_quality_score_count:rate1h[1d:1h])
        >= << min_requests >>
      )
    )
  )
  < on (migration) group_left ()
  plan:llm_threshold:max{name="quality_score",severity="<< severity >>"}
)
"""

# Live calls, as in the baseline. Without a baseline of enough calls there is nothing to compare with.
_EFFICIENCY_LOW = """
max by (migration, model) (
  migration_role_model:llm_output_tokens_per_usd:ratio_rate1h{role=~"source|target"}
  and on (migration, role, model)
  (3600 * migration_role_model:llm_requests:rate1h >= << baseline_requests >>)
)
< on (migration, model)
(
  plan:llm_baseline:max{name="output_tokens_per_usd"}
  * on (migration) group_left ()
  plan:llm_threshold:max{name="token_efficiency_ratio",severity="<< severity >>"}
)
and on (migration, model)
(plan:llm_baseline_samples:max >= << baseline_requests >>)
"""

ALERTS = (
    AlertDefinition(
        name="LLMQualityLow",
        levels=(Level("warning", 15 * MINUTE), Level("critical", 15 * MINUTE)),
        expr=_QUALITY_LOW,
        keep_firing_for_seconds=15 * MINUTE,
        summary="Evaluations of a model's answers are worse than they may be.",
        description='Answers of {{ $labels.model }} for {{ $labels.migration }} score {{ $value | printf "%.2f" }} '
        "on average.",
    ),
    AlertDefinition(
        name="LLMTokenEfficiencyLow",
        levels=(Level("warning", 30 * MINUTE), Level("critical", 30 * MINUTE)),
        expr=_EFFICIENCY_LOW,
        keep_firing_for_seconds=15 * MINUTE,
        summary="A dollar buys fewer output tokens than when the baseline was taken.",
        description='{{ $labels.model }} gives {{ $labels.migration }} {{ $value | printf "%.0f" }} output tokens for '
        "a dollar.",
    ),
)
