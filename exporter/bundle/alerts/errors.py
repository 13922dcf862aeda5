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

# Not one success in an hour with enough calls; roles apart, as above.
_NEVER_SUCCEEDS = """
max by (migration, model) (
  (3600 * migration_role_model:llm_requests:rate1h{migration!=""} >= << min_requests >>)
  unless on (migration, role, model)
  (
    max_over_time(migration_role_model:llm_requests_succeeded:sum[1h])
    - on (migration, role, model)
    min_over_time(migration_role_model:llm_requests_succeeded:sum[1h])
    > 0
  )
)
"""

# One misspelt name in one script is no news; a tenth of a model's calls is.
_RETIRED = """
(
  sum by (migration, model) (
    increase(llm_request_errors_by_type_total{error_type="model_not_found",migration!=""}[30m])
  )
  >= 5
)
>= on (migration, model)
0.1 * sum by (migration, model) (increase(llm_requests_total[30m]))
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
    AlertDefinition(
        name="LLMModelNeverSucceeds",
        levels=(Level("critical", 5 * MINUTE),),
        expr=_NEVER_SUCCEEDS,
        keep_firing_for_seconds=5 * MINUTE,
        summary="Every call to a model fails.",
        description='{{ $value | printf "%.0f" }} calls of {{ $labels.migration }} to {{ $labels.model }} in an hour, '
        "and none succeeded.",
    ),
    AlertDefinition(
        name="LLMModelRetired",
        levels=(Level("critical", 2 * MINUTE),),
        expr=_RETIRED,
        keep_firing_for_seconds=10 * MINUTE,
        summary="The provider does not know a model any more.",
        description='{{ $value | printf "%.0f" }} calls of {{ $labels.migration }} to {{ $labels.model }} in half an '
        "hour were answered with model_not_found.",
    ),
)
