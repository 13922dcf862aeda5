"""Recorded series that compare the target with the source; of labels `against` is `live` or `shadow`.

A weighted sum is what a side would have with as many calls of each kind, in each five minutes, as the other side.
"""

from __future__ import annotations

from exporter.catalog.recording import Recording

STRATUM = ("migration", "role", "successor", "category")
SCORES = (*STRATUM, "evaluator")
MA = ("migration", "against")
MAL = (*MA, "le")

VERDICT = "migration:llm_target_verdict"

COMPARISON: tuple[Recording, ...] = (
    Recording(
        "migration_role_model_successor:llm_migration_side:info",
        ("migration", "role", "model", "successor"),
        "The target model with which a model is compared: its successor, or itself.",
    ),
    # errors and cost
    Recording("migration_role_successor_category:llm_requests:increase5m", STRATUM, "Calls of five minutes."),
    Recording(
        "migration_role_successor_category:llm_request_errors:increase5m", STRATUM, "Failed calls of five minutes."
    ),
    Recording(
        "migration_role_successor_category:llm_comparison_requests:source_share5m",
        STRATUM,
        "Part of the source in the calls of five minutes of both sides; absent where one side has none.",
    ),
    Recording("migration_against:llm_comparison_requests:weight5m", MA, "Weighted calls of five minutes, a side."),
    Recording("migration_against:llm_comparison_errors:target5m", MA, "Weighted failed calls of the target."),
    Recording("migration_against:llm_comparison_errors:source5m", MA, "Weighted failed calls of the source."),
    Recording(
        "migration_against:llm_comparison_errors:variance5m",
        MA,
        "Variance of the difference of five minutes between equal models.",
    ),
    Recording(
        "migration_against:llm_comparison_errors:difference5m",
        MA,
        "Failed calls of the target in five minutes, observed minus expected.",
    ),
    Recording(
        "migration_against:llm_comparison_requests:samples6h",
        MA,
        "Comparable calls a side in six hours: the harmonic mean of both sides in each stratum.",
    ),
    Recording(
        "migration_against:llm_comparison_errors:ratio6h",
        MA,
        "How many times as often the target fails for the same mix; absent while the source never fails.",
    ),
    Recording(
        "migration_against:llm_comparison_errors:difference6h",
        MA,
        "Failed part of the target's calls minus that of the source's for the same mix.",
    ),
    Recording(
        "migration_against:llm_comparison_errors:variance6h",
        MA,
        "Variance of the summed difference: as between equal models, or as the five-minute differences spread.",
    ),
    Recording(
        "migration_against:llm_comparison_errors:zscore6h",
        MA,
        "Failed calls of the target beyond what is expected, in standard deviations.",
    ),
    Recording("migration_role_successor_category:llm_cost_usd:increase5m", STRATUM, "USD of five minutes."),
    Recording("migration_against:llm_comparison_cost_usd:target5m", MA, "Weighted USD of the target."),
    Recording("migration_against:llm_comparison_cost_usd:source5m", MA, "Weighted USD of the source."),
    Recording(
        "migration_against:llm_comparison_cost_usd:ratio6h",
        MA,
        "Cost of the target's calls divided by that of the source's for the same mix.",
    ),
    Recording(
        "migration_against:llm_comparison_cost_usd:zscore6h",
        MA,
        "Cost of the target beyond that of the source, in standard deviations.",
    ),
    # latency
    Recording(
        "migration_role_successor_category:llm_request_duration_seconds_count:increase5m",
        STRATUM,
        "Calls of five minutes whose duration is known.",
    ),
    Recording(
        "migration_role_successor_category:llm_request_duration_seconds_sum:increase5m",
        STRATUM,
        "Durations of the calls of five minutes, added up.",
    ),
    Recording(
        "migration_role_successor_category:llm_comparison_latency:source_share5m",
        STRATUM,
        "Part of the source in the timed calls of five minutes of both sides; absent where one side has none.",
    ),
    Recording("migration_against:llm_comparison_latency:weight5m", MA, "Weighted timed calls of five minutes, a side."),
    Recording("migration_against:llm_comparison_latency:target5m", MA, "Weighted durations of the target."),
    Recording("migration_against:llm_comparison_latency:source5m", MA, "Weighted durations of the source."),
    Recording(
        "migration_against_le:llm_comparison_latency:surplus5m",
        MAL,
        "Weighted calls of the target beyond the bound, minus those of the source.",
    ),
    Recording(
        "migration_against:llm_comparison_latency:samples6h",
        MA,
        "Comparable timed calls a side in six hours.",
    ),
    Recording(
        "migration_against:llm_comparison_latency:ratio6h",
        MA,
        "Mean duration of the target divided by that of the source for the same mix.",
    ),
    Recording(
        "migration_against_le:llm_comparison_latency:surplus_ratio6h",
        MAL,
        "Part of the target's calls beyond the bound minus that of the source's, for the same mix.",
    ),
    Recording(
        "migration_against_le:llm_comparison_latency:ks6h",
        MAL,
        "Kolmogorov-Smirnov statistic at the bound; the largest decides.",
    ),
    # quality
    Recording(
        "migration_role_successor_category_evaluator:llm_quality_score_count:increase1h", SCORES, "Scores of an hour."
    ),
    Recording(
        "migration_role_successor_category_evaluator:llm_quality_score_sum:increase1h",
        SCORES,
        "Scores of an hour, added up.",
    ),
    Recording(
        "migration_role_successor_category_evaluator:llm_comparison_quality:source_share1h",
        SCORES,
        "Part of the source in the scores of an hour of both sides; absent where one side has none.",
    ),
    Recording("migration_against:llm_comparison_quality:weight1h", MA, "Weighted number of scores of an hour, a side."),
    Recording("migration_against:llm_comparison_quality:target1h", MA, "Weighted scores of the target."),
    Recording("migration_against:llm_comparison_quality:source1h", MA, "Weighted scores of the source."),
    Recording(
        "migration_against_le:llm_comparison_quality:surplus1h",
        MAL,
        "Weighted scores of the target beyond the bound, minus those of the source.",
    ),
    Recording("migration_against:llm_comparison_quality:samples1d", MA, "Comparable scores a side in a day."),
    Recording(
        "migration_against:llm_comparison_quality:difference1d",
        MA,
        "Mean score of the target minus that of the source for the same mix.",
    ),
    Recording(
        "migration_against_le:llm_comparison_quality:surplus_ratio1d",
        MAL,
        "Part of the target's scores beyond the bound minus that of the source's, for the same mix.",
    ),
    Recording(
        "migration_against_le:llm_comparison_quality:ks1d",
        MAL,
        "Kolmogorov-Smirnov statistic at the bound; the largest decides.",
    ),
    Recording(
        VERDICT,
        ("migration", "quantity", "against"),
        "The target beside the source: 1 better, 0 same, -1 worse; absent when there is not enough data.",
    ),
)
