"""Alerts about money: budgets of calendar periods, and usage that has no price.

The exporter adds up the period in the configured time zone; rules compare. A budget alert resolves at the end of its
period, because the next one starts at nothing.
"""

from __future__ import annotations

from exporter.bundle.alerts.definition import AlertDefinition, Level

MINUTE = 60.0

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


# Money is spent faster than evenly in both windows: the long one makes it matter, the short one shows that it goes on.
# A burst that was there at this hour a week ago too, or a day ago where that is not known, is a habit.
_BURN_RATE = """
(
<% for factor, long, short in windows %>
  (
    (
      3600 * << long >>
      > on (migration) group_right ()
      << factor >> * 3600 * migration_period:llm_budget_usd:even_rate
    )
    and on (migration, period)
    (
      << short >>
      > on (migration) group_right ()
      << factor >> * migration_period:llm_budget_usd:even_rate
    )
  )
<% if not loop.last %>
  or
<% endif %>
<% endfor %>
)
unless on (migration)
(
  2 * (
    max_over_time(migration:llm_cost_usd:rate1h[2h] offset 167h)
    or
    max_over_time(migration:llm_cost_usd:rate1h[2h] offset 23h)
  )
  >= on (migration)
  migration:llm_cost_usd:rate1h
)
and on (migration, period)
(migration_period:llm_budget_used:ratio < 1)
"""
_HOUR = (14.4, "migration:llm_cost_usd:rate1h", "migration:llm_cost_usd:rate5m")
# Nearly complete windows only: ten minutes after the first start, six hours would be ten minutes.
_SIX_HOURS = (
    6,
    "(avg_over_time(migration:llm_cost_usd:rate5m[6h]) "
    "and (count_over_time(migration:llm_cost_usd:rate1h[6h:1h]) >= 5))",
    "avg_over_time(migration:llm_cost_usd:rate5m[30m])",
)
_DAY = (2, "migration:llm_cost_usd:increase1d / 86400", "avg_over_time(migration:llm_cost_usd:rate5m[2h])")


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
        # 14.4 times the even pace for an hour is 2 % of a month; 6 times for six hours 5 %; 2 times for a day 7 %.
        name="LLMBudgetBurnRate",
        levels=(
            Level("warning", 15 * MINUTE, values={"windows": (_SIX_HOURS, _DAY)}),
            Level("critical", 2 * MINUTE, values={"windows": (_HOUR,)}),
        ),
        expr=_BURN_RATE,
        keep_firing_for_seconds=10 * MINUTE,
        summary="Money is spent many times faster than a budget allows.",
        description='{{ $labels.migration }} spends USD {{ $value | printf "%.2f" }} an hour, at which the '
        "{{ $labels.period }} budget cannot last.",
    ),
    AlertDefinition(
        # Not at the beginning of a period, when little is known of it, and not when it is too late.
        name="LLMBudgetProjectedOverrun",
        levels=(Level("warning", 60 * MINUTE),),
        expr="""
        (
          migration_period:llm_budget_projected_usd:sum
          > on (migration, period)
          1.05 * plan:llm_budget_limit_usd:max
        )
        and on (migration, period)
        (migration_period:llm_budget_elapsed:ratio > 0.1)
        and on (migration, period)
        (migration_period:llm_budget_used:ratio < 1)
        """,
        keep_firing_for_seconds=30 * MINUTE,
        summary="A budget will not last to the end of its period.",
        description="The {{ $labels.period }} cost of {{ $labels.migration }} will be about USD "
        '{{ $value | printf "%.2f" }}, by the last seven days.',
    ),
    AlertDefinition(
        name="LLMDailyCostHigh",
        levels=(Level("warning"), Level("critical")),
        expr="""
        sum by (migration) (migration_period:llm_budget_spent_usd:sum{period="daily"})
        >= on (migration)
        plan:llm_threshold:max{name="daily_cost_usd",severity="<< severity >>"}
        """,
        summary="Today has cost more than it should.",
        description='{{ $labels.migration }} has cost USD {{ $value | printf "%.2f" }} today.',
    ),
    AlertDefinition(
        # Six hours, so that a nightly job's unpriced calls are still there in the morning.
        name="LLMUnpricedUsage",
        levels=(Level("warning"),),
        expr="sum by (model) (increase(llm_unpriced_requests_total[6h])) > 0",
        summary="Calls to a model without a known price are in no cost figure.",
        description='About {{ $value | printf "%.0f" }} calls to {{ $labels.model }} in six hours had no known price.',
    ),
    AlertDefinition(
        # For two hours, because a burst is in the ledger at once and in the mean of overlapping hours after an hour.
        name="LLMAccountingDrift",
        levels=(Level("warning", 120 * MINUTE),),
        expr="migration:llm_accounting_drift:ratio > 0.05",
        summary="Ledger and counters disagree about the cost of the last day.",
        description="The ledger of {{ $labels.migration }} and what Prometheus saw differ by "
        "{{ $value | humanizePercentage }}.",
    ),
)
