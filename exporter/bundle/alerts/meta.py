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
        name="LLMWatchdog",
        levels=(Level("none"),),
        expr="vector(1)",
        summary="Always firing, to prove that alerts reach their receivers.",
        description="Heartbeat of rules and notification: {{ $value }}. Its absence is the alarm.",
    ),
)
