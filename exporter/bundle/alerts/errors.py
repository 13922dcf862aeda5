"""Alerts about failing calls."""

from __future__ import annotations

from exporter.bundle.alerts.definition import AlertDefinition, Level

MINUTE = 60.0

# Five minutes where they hold enough calls to mean something, else the hour, if that does. Roles are judged apart, so
# that many good shadow calls cannot hide failing live ones, and then folded: `role` does not identify an alert.
_ERROR_RATIO_HIGH = """
max by (migration, model) (
  (
    (
      migration_role_model:llm_request_errors:ratio_rate5m
      and on (migration, role, model)
      (300 * migration_role_model:llm_requests:rate5m >= << min_requests >>)
    )
    or
    (
      migration_role_model:llm_request_errors:ratio_rate1h
      and on (migration, role, model)
      (3600 * migration_role_model:llm_requests:rate1h >= << min_requests >>)
    )
  )
  >= on (migration) group_left ()
  plan:llm_threshold:max{name="error_ratio",severity="<< severity >>"}
)
"""

ALERTS = (
    AlertDefinition(
        name="LLMErrorRatioHigh",
        levels=(Level("warning", 10 * MINUTE), Level("critical", 5 * MINUTE)),
        expr=_ERROR_RATIO_HIGH,
        keep_firing_for_seconds=5 * MINUTE,
        summary="Too many calls to a model fail.",
        description="{{ $value | humanizePercentage }} of the calls of {{ $labels.migration }} "
        "to {{ $labels.model }} fail.",
    ),
)
