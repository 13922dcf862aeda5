"""Alerts about the date.

A deadline matters as long as something is left on the source models: `migration:llm_migration_unfinished:bool` decides.
"""

from __future__ import annotations

from exporter.bundle.alerts.definition import AlertDefinition, Level

# How long a level waits; the milder level before it goes on for as long, so that between two levels nothing resolves.
# It also covers the start of a new Prometheus, which knows the share of the traffic only after its second scrape.
PATIENCE = 15 * 60.0

_INFO = 'plan:llm_threshold:max{name="deadline_days",severity="info"}'
_WARNING = 'plan:llm_threshold:max{name="deadline_days",severity="warning"}'
_EMERGENCY = 'max by (migration) (plan:llm_threshold:max{name="deadline_emergency_days"})'

# One level speaks at a time: each leaves the word to the more urgent ones.
_DEADLINE_NEAR = """
(
  (
    clamp_min(migration:llm_migration_time_left:seconds >= -<< patience >>, 0) / 86400
    <= on (migration)
    << own >>
  )
  and on (migration)
  (migration:llm_migration_unfinished:bool == 1)
)
<% for threshold in more_urgent %>
unless on (migration)
(
  (migration:llm_migration_time_left:seconds + << patience >>) / 86400
  <= on (migration)
  << threshold >>
)
<% endfor %>
"""


def _level(severity: str, own: str, *more_urgent: str) -> Level:
    return Level(severity, PATIENCE, values={"own": own, "more_urgent": more_urgent, "patience": int(PATIENCE)})


ALERTS = (
    AlertDefinition(
        name="LLMDeadlineNear",
        levels=(
            _level("info", _INFO, _WARNING, _EMERGENCY),
            _level("warning", _WARNING, _EMERGENCY),
            _level("emergency", _EMERGENCY),
        ),
        expr=_DEADLINE_NEAR,
        summary="The deadline is near and traffic is still on the source models.",
        description='{{ $labels.migration }} has {{ $value | printf "%.1f" }} days left and has not reached its goal.',
    ),
    AlertDefinition(
        name="LLMDeadlineMissed",
        levels=(Level("critical", PATIENCE),),
        expr="""
        -(
          (migration:llm_migration_time_left:seconds < 0)
          and on (migration)
          (migration:llm_migration_unfinished:bool == 1)
        )
        """,
        summary="The deadline has passed and traffic is still on the source models.",
        description="{{ $labels.migration }} should have been finished {{ $value | humanizeDuration }} ago.",
    ),
)
