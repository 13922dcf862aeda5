"""When would the alerts have fired? Rules evaluated over the past, recorded or simulated.

The engine is `promtool test rules`: the past becomes the input series of a generated test, and the test asks at every
step which alerts fire. What it was chosen over, and why:

* A real Prometheus evaluates rules now, never in the past.
* `promtool tsdb create-blocks-from rules` leaves alerts out, and a rule that reads another rule of the same run finds
  nothing: one pass a level, and no way at all for rules that read their own past or `ALERTS`, which latches and
  escalation do.
* Range queries level by level, with `for` worked out outside, are some ten times as fast, and wrong for the same rules.
* vmalert's replay is another language in details that decide alerts: `rate` does not extrapolate, series live by other
  rules of staleness, and version 1.79 of Debian knows no `keep_firing_for`.

promtool runs Prometheus' own code for rules, alerts and storage, in order, so what is reported is exactly what a
Prometheus with these rules and samples would have done. The price is time: some 10 ms of one core a step for 500 series
and 70 rules, so about two minutes for a week at one minute. Recording rules that no alert needs are left out.

promtool's tests begin in 1970. All times in the history (metrics that end in `_timestamp_seconds`) move with it, by
whole days or weeks where rules read the hour or the weekday; rules that read the day of the month or the month see
those of 1970.

    history    series on a grid of steps
    sources    OpenMetrics files, Prometheus' data folders, Prometheus' HTTP API
    rulefiles  which rules alerts need, and what those read
    promtool   the generated test, run, and what it found
    episodes   spans in which an alert fired, against incidents
    report     tables and JSON
"""

from exporter.backtest.episodes import Episode, Incident, read_incidents
from exporter.backtest.history import History, Samples, on_grid
from exporter.backtest.promtool import evaluate
from exporter.backtest.report import as_json, as_table
from exporter.backtest.rulefiles import RuleSet

__all__ = [
    "Episode",
    "History",
    "Incident",
    "RuleSet",
    "Samples",
    "as_json",
    "as_table",
    "evaluate",
    "on_grid",
    "read_incidents",
]
