"""Alerts about slow calls."""

from __future__ import annotations

from exporter.bundle.alerts.definition import AlertDefinition, Level

MINUTE = 60.0

# The plan publishes a threshold for the mean or for the 95th percentile; the other one has no series and joins to
# nothing. Windows and roles as in `errors`.
_LATENCY_HIGH = """
max by (migration, model) (
<% for statistic in ("mean", "p95") %>
  (
    (
      (
        migration_role_model:llm_request_duration_seconds:<< statistic >>_5m
        and on (migration, role, model)
        (300 * migration_role_model:llm_request_duration_seconds_count:rate5m >= << min_requests >>)
      )
      or
      (
        migration_role_model:llm_request_duration_seconds:<< statistic >>_1h
        and on (migration, role, model)
        (3600 * migration_role_model:llm_request_duration_seconds_count:rate1h >= << min_requests >>)
      )
    )
    >= on (migration) group_left ()
    plan:llm_threshold:max{name="latency_<< statistic >>_seconds",severity="<< severity >>"}
  )
<% if not loop.last %>
  or
<% endif %>
<% endfor %>
)
"""

ALERTS = (
    AlertDefinition(
        name="LLMLatencyHigh",
        levels=(Level("warning", 10 * MINUTE), Level("critical", 5 * MINUTE)),
        expr=_LATENCY_HIGH,
        keep_firing_for_seconds=5 * MINUTE,
        summary="Calls to a model take too long.",
        description="Calls of {{ $labels.migration }} to {{ $labels.model }} take {{ $value | humanizeDuration }}, "
        "by the statistic of the threshold.",
    ),
)
