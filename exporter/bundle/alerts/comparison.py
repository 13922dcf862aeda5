"""Alerts about a target that does worse than the source for the same calls.

The verdict (`exporter.bundle.recordings.comparison`) holds significance, size of the effect and enough calls; an alert
adds duration. What live calls show is worth more than what shadow calls do: those are one severity milder.
"""

from __future__ import annotations

from exporter.bundle.alerts.definition import AlertDefinition, Level

PATIENCE = 15 * 60.0
AFTERGLOW = 30 * 60.0

# When the migration is completed, what is left on the source is no measure any more.
_WORSE = """
max by (migration) (
  << value >>
  and on (migration, against)
  (migration:llm_target_verdict{quantity="<< judged >>",against="<< against >>"} == -1)
  unless on (migration)
  migration_phase:llm_migration_phase:current{phase="completed"}
)
"""


def _levels(live: str, shadow: str, judged: str, value: str) -> tuple[Level, ...]:
    return tuple(
        Level(
            severity,
            PATIENCE,
            labels={"quantity": against},
            values={"judged": judged, "against": against, "value": value, "calls": calls},
        )
        for severity, against, calls in ((live, "live", "calls"), (shadow, "shadow", "shadow calls"))
    )


ALERTS = (
    AlertDefinition(
        name="LLMTargetErrorsWorse",
        levels=_levels("critical", "warning", "errors", "migration_against:llm_comparison_errors:difference6h"),
        expr=_WORSE,
        keep_firing_for_seconds=AFTERGLOW,
        summary="The target model fails more often than the source for the same calls.",
        description="Of the << calls >> of {{ $labels.migration }} to the target {{ $value | humanizePercentage }} "
        "more fail than of those to the source, over six hours and for the same mix.",
    ),
    AlertDefinition(
        name="LLMTargetLatencyWorse",
        levels=_levels(
            "warning",
            "info",
            "latency",
            "max by (migration, against) (migration_against_le:llm_comparison_latency:surplus_ratio6h)",
        ),
        expr=_WORSE,
        keep_firing_for_seconds=AFTERGLOW,
        summary="The target model is slower than the source for the same calls.",
        description="Where they differ most, {{ $value | humanizePercentage }} more of the << calls >> of "
        "{{ $labels.migration }} to the target are slow, over six hours and for the same mix.",
    ),
    AlertDefinition(
        # A source without cost makes the ratio infinite, not absent.
        name="LLMTargetCostWorse",
        levels=_levels(
            "warning",
            "info",
            "cost",
            "(migration_against:llm_comparison_cost_usd:ratio6h\n"
            "  or on (migration, against) (migration_against:llm_comparison_cost_usd:zscore6h > 0) * Inf)",
        ),
        expr=_WORSE,
        keep_firing_for_seconds=AFTERGLOW,
        summary="The target model costs more than the source for the same calls.",
        description='The << calls >> of {{ $labels.migration }} to the target cost {{ $value | printf "%.2f" }} times '
        "what those to the source do, over six hours and for the same mix.",
    ),
    AlertDefinition(
        name="LLMTargetQualityWorse",
        levels=_levels(
            "warning",
            "info",
            "quality",
            "-min by (migration, against) (migration_against_le:llm_comparison_quality:surplus_ratio1d)",
        ),
        expr=_WORSE,
        keep_firing_for_seconds=AFTERGLOW,
        summary="The target model's answers score lower than the source's for the same calls.",
        description="Where they differ most, {{ $value | humanizePercentage }} more of the scores of << calls >> of "
        "{{ $labels.migration }} to the target are low, over a day and for the same mix.",
    ),
)
