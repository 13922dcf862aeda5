"""Alerts about the date.

A deadline matters as long as something is left on the source models: `migration:llm_migration_unfinished:bool` decides.
"""

from __future__ import annotations

from exporter.bundle.alerts.definition import AlertDefinition, Level

# How long a level waits; the milder level before it goes on for as long, so that between two levels nothing resolves.
# It also covers the start of a new Prometheus, which knows the share of the traffic only after its second scrape.
PATIENCE = 15 * 60.0
MINUTE = 60.0
HOUR = 3600.0

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


# Told with every date: ten days are many for the last per cent, and few for everything.
_STILL_THERE = (
    '{{ with printf "migration:llm_source_share:ratio{migration=%q}" $labels.migration | query }}'
    "{{ . | first | value | humanizePercentage }}{{ end }} of its calls are still on source models."
)

_PHASE_OVERDUE = """
(time() - plan:llm_migration_phase_planned_end_timestamp_seconds:max > 0)
and on (migration, phase)
migration_phase:llm_migration_phase:current
and on (migration)
(migration:llm_migration_unfinished:bool == 1)
and on (migration)
(migration:llm_source_share:ratio >= << share >>)
"""

# Behind the plan's curve, and too slow to reach the goal in time all the same: who is late but fast is not told.
_AT_RISK = """
(migration:llm_migration_behind_plan:ratio > << behind >>)
and on (migration)
(migration:llm_migration_unfinished:bool == 1)
and on (migration)
(migration:llm_migration_time_left:seconds > 0)
unless on (migration)
(
  migration:llm_target_share:deriv7d
  >= on (migration)
  migration:llm_target_share:required_rate
)
"""

# A week in which the share of a day stayed where it was, although the plan is ahead of it and nobody holds it.
_STALLED = """
(migration:llm_migration_behind_plan:ratio > 0.05)
and on (migration)
(
  max_over_time(migration:llm_target_share:ratio_rate1d[7d:1h])
  - on (migration)
  min_over_time(migration:llm_target_share:ratio_rate1d[7d:1h])
  < 0.02
)
and on (migration)
(count_over_time(migration:llm_target_share:ratio_rate1d[7d:1h]) >= 120)
and on (migration)
(migration:llm_migration_unfinished:bool == 1)
unless on (migration)
(plan:llm_migration_hold:max == 1)
"""

# Application by application, at today's calls: that some applications rest at weekends is no return.
_NOW = """
sum by (migration, application) (
  3600 * migration_role_application:llm_requests:rate1h{role=~"source|target",migration!=""}
)
""".strip()
_BEFORE = "last_over_time(migration_application:llm_target_share:ratio_rate1h[30m] offset 1d)"
_REVERTED = f"""
(
  sum by (migration) (
    {_NOW}
    * on (migration, application)
    ({_BEFORE} - on (migration, application) migration_application:llm_target_share:ratio_rate1h)
  )
  >= on (migration)
  << drop >> * sum by (migration) ({_NOW} and on (migration, application) {_BEFORE})
)
and on (migration)
(sum by (migration) ({_NOW} and on (migration, application) {_BEFORE}) >= << min_requests >>)
unless on (migration)
(plan:llm_migration_hold:max == 1)
"""

_SOURCE_USED = """
max by (migration, model) (3600 * migration_role_model:llm_requests:rate1h{role="source"} > 0.5)
and on (migration)
(migration:llm_migration_time_left:seconds < 0)
<% if share %>
and on (migration)
(
  sum by (migration) (migration_role:llm_requests:rate1h{role="source"})
  >= on (migration)
  << share >> * sum by (migration) (migration_role:llm_requests:rate1h{role=~"source|target"})
)
<% endif %>
"""

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
        description='{{ $labels.migration }} has {{ $value | printf "%.1f" }} days left and has not reached its goal: '
        + _STILL_THERE,
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
        description="{{ $labels.migration }} should have been finished {{ $value | humanizeDuration }} ago: "
        + _STILL_THERE,
    ),
    AlertDefinition(
        name="LLMPhaseOverdue",
        levels=(
            Level("info", PATIENCE, values={"share": 0}),
            Level("warning", PATIENCE, values={"share": 0.1}),
        ),
        expr=_PHASE_OVERDUE,
        summary="A phase lasts longer than planned.",
        description="Phase {{ $labels.phase }} of {{ $labels.migration }} should have ended "
        "{{ $value | humanizeDuration }} ago: " + _STILL_THERE,
    ),
    AlertDefinition(
        name="LLMMigrationAtRisk",
        levels=(
            Level("warning", 6 * HOUR, values={"behind": 0.1}),
            Level("critical", 6 * HOUR, values={"behind": 0.3}),
        ),
        expr=_AT_RISK,
        keep_firing_for_seconds=HOUR,
        summary="The migration is behind its plan and too slow for its deadline.",
        description="{{ $labels.migration }} is {{ $value | humanizePercentage }} of its calls behind the plan: "
        + _STILL_THERE,
    ),
    AlertDefinition(
        name="LLMMigrationStalled",
        levels=(Level("warning", HOUR),),
        expr=_STALLED,
        keep_firing_for_seconds=HOUR,
        summary="Nothing has moved for a week, and the plan is ahead.",
        description="{{ $labels.migration }} is {{ $value | humanizePercentage }} of its calls behind the plan: "
        + _STILL_THERE,
    ),
    AlertDefinition(
        name="LLMTrafficReverted",
        levels=(
            Level("warning", 30 * MINUTE, values={"drop": 0.1}),
            Level("critical", 30 * MINUTE, values={"drop": 0.5}),
        ),
        expr=_REVERTED,
        keep_firing_for_seconds=HOUR,
        summary="Calls have gone back from target to source models.",
        description='{{ $value | printf "%.0f" }} calls an hour of {{ $labels.migration }} were on target models at '
        "this time yesterday, and are not now: " + _STILL_THERE,
    ),
    AlertDefinition(
        name="LLMSourceUsedAfterDeadline",
        levels=(
            Level("warning", PATIENCE, values={"share": 0}),
            Level("critical", PATIENCE, values={"share": 0.05}),
        ),
        expr=_SOURCE_USED,
        keep_firing_for_seconds=30 * MINUTE,
        summary="A source model is called after the deadline.",
        description='{{ $value | printf "%.0f" }} calls of {{ $labels.migration }} went to {{ $labels.model }} in the '
        "last hour: " + _STILL_THERE,
    ),
)
