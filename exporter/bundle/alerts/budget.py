"""Alerts about money: budgets of calendar periods, and usage that has no price.

The exporter adds up the period in the configured time zone; rules compare. A budget alert resolves at the end of its
period, because the next one starts at nothing.
"""

from __future__ import annotations

from exporter.bundle.alerts.definition import AlertDefinition, Level

# The budget's own threshold is a series that the API changes at run time, so its label comes from its value.
_OWN_THRESHOLD = """
(
  migration_period:llm_budget_used:ratio
  >= on (migration, period)
  plan:llm_budget_alert_threshold_ratio:max
)
* on (migration, period) group_right ()
count_values by (migration, period) (
  "threshold", round(100 * plan:llm_budget_alert_threshold_ratio:max, 0.01)
)
"""

# Where the budget's own threshold is this one, the rule above speaks alone.
_FIXED_THRESHOLD = """
(migration_period:llm_budget_used:ratio >= << ratio >>)
unless on (migration, period)
(plan:llm_budget_alert_threshold_ratio:max == << ratio >>)
"""


def _fixed(severity: str, percent: int) -> Level:
    values = {"ratio": percent / 100, "percent": percent}
    return Level(severity, labels={"threshold": str(percent)}, expr=_FIXED_THRESHOLD, values=values)


ALERTS = (
    AlertDefinition(
        name="LLMBudgetThreshold",
        levels=(
            _fixed("info", 50),
            Level("warning", expr=_OWN_THRESHOLD, values={"percent": "{{ $labels.threshold }}"}),
            _fixed("warning", 95),
        ),
        expr="",
        summary="A budget has reached one of its thresholds.",
        description="The {{ $labels.period }} budget of {{ $labels.migration }} is "
        "{{ $value | humanizePercentage }} used (threshold << percent >> %).",
    ),
    AlertDefinition(
        name="LLMBudgetExceeded",
        levels=(Level("critical"),),
        expr="migration_period:llm_budget_used:ratio >= 1",
        summary="A budget is used up.",
        description="The {{ $labels.period }} budget of {{ $labels.migration }} is "
        "{{ $value | humanizePercentage }} used.",
    ),
    AlertDefinition(
        # Six hours, so that a nightly job's unpriced calls are still there in the morning.
        name="LLMUnpricedUsage",
        levels=(Level("warning"),),
        expr="sum by (model) (increase(llm_unpriced_requests_total[6h])) > 0",
        summary="Calls to a model without a known price are in no cost figure.",
        description='About {{ $value | printf "%.0f" }} calls to {{ $labels.model }} in six hours had no known price.',
    ),
)
