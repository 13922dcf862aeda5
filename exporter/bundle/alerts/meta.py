"""Alerts about the monitoring itself."""

from __future__ import annotations

from exporter.bundle.alerts.definition import AlertDefinition, Level

MINUTE = 60.0

# By the best scrape of some minutes: one failed scrape, or a restart of a minute, is nothing. Labels of the target
# (`instance`, `job`) do not identify an alert and are counted away; the description lists the instances.
_SCRAPED = 'max by (instance) (max_over_time(up{job="<< job >>"}[<< down_window >>]))'

# Nothing is left to measure with: what is derived from events ends by itself, and must not be announced as resolved
# (see the inhibition on `quantity="all"`).
_ALL_DOWN = f"""
(
  count({_SCRAPED} == 0)
  == count({_SCRAPED})
)
or
count(absent_over_time(up{{job="<< job >>"}}[<< down_window >>]))
"""

_SOME_DOWN = f"""
count({_SCRAPED} == 0)
< count({_SCRAPED})
"""

# Every exporter that has the migration in its plan publishes the start of its budgets' periods, a control its mode as
# well. Two teams may have a control each in one Prometheus, as long as they are not about the same migration.
_KNOWN = 'last_over_time(llm_exporter_budget_period_start_timestamp_seconds{period="daily"}[<< down_window >>])'
_CONTROLS = f"""
count by (migration) (
  group by (migration, job, instance) ({_KNOWN})
  and on (job, instance)
  last_over_time(llm_exporter_mode_info{{mode="control"}}[<< down_window >>])
)
"""

_NO_CONTROL = f"""
count by (migration) (group by (migration, job, instance) ({_KNOWN}))
unless on (migration)
{_CONTROLS.strip()}
"""

ALERTS = (
    AlertDefinition(
        name="LLMExporterDown",
        levels=(
            Level("critical", 2 * MINUTE, labels={"quantity": "all"}, expr=_ALL_DOWN),
            Level("critical", 2 * MINUTE, labels={"quantity": "some"}, expr=_SOME_DOWN),
        ),
        expr="",
        summary="An exporter is down or not scraped.",
        description='Exporters without a successful scrape for five minutes: {{ $value | printf "%.0f" }}'
        '{{ range printf "up{job=%q} == 0" "<< job >>" | query }} {{ .Labels.instance }}{{ end }}.',
    ),
    AlertDefinition(
        # Before the facts of the plan have outlived their fifteen minutes (see the inhibition).
        name="LLMControlMissing",
        levels=(Level("critical", 5 * MINUTE),),
        expr=_NO_CONTROL,
        summary="No exporter publishes the plan: limits, thresholds and phases are unknown.",
        description='{{ $value | printf "%.0f" }} exporters count calls of {{ $labels.migration }}, and none of them '
        "is the control.",
    ),
    AlertDefinition(
        name="LLMControlDuplicate",
        levels=(Level("warning", 10 * MINUTE),),
        expr=f"{_CONTROLS.strip()} > 1",
        summary="Several exporters publish the plan, and changes made at one of them may not come into force.",
        description='{{ $value | printf "%.0f" }} exporters are the control of {{ $labels.migration }}; there must be '
        "one.",
    ),
    AlertDefinition(
        name="LLMWatchdog",
        levels=(Level("none"),),
        expr="vector(1)",
        summary="Always firing, to prove that alerts reach their receivers.",
        description="Heartbeat of rules and notification: {{ $value }}. Its absence is the alarm.",
    ),
)
