"""Results of evaluations by model, role and evaluator: what two evaluators mean by a number differs."""

from __future__ import annotations

from exporter.bundle.recordings.chain import Chain

_LEVEL = "migration_role_model_evaluator"

CHAIN: Chain = (
    (
        f"{_LEVEL}:llm_quality_score_count:rate1h",
        "sum by (migration, role, model, evaluator) (rate(llm_quality_score_count[1h]))",
    ),
    (
        f"{_LEVEL}:llm_quality_score_sum:rate1h",
        "sum by (migration, role, model, evaluator) (rate(llm_quality_score_sum[1h]))",
    ),
    (
        f"{_LEVEL}:llm_quality_score:mean_1h",
        f"""
        {_LEVEL}:llm_quality_score_sum:rate1h
        / on (migration, role, model, evaluator)
        ({_LEVEL}:llm_quality_score_count:rate1h > 0)
        """,
    ),
    (
        f"{_LEVEL}:llm_quality_score:mean_1d",
        f"""
        avg_over_time({_LEVEL}:llm_quality_score_sum:rate1h[1d])
        / on (migration, role, model, evaluator)
        (avg_over_time({_LEVEL}:llm_quality_score_count:rate1h[1d]) > 0)
        """,
    ),
)
