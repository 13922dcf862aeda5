"""What was spent of each calendar budget, at which pace, and what it will come to.

The forecast of a period is what was spent so far and, for the time that is left, what the same days of the last seven
cost: whole weeks by their sum, whole days by their own weekday, the last day by what it cost from this time of day on.
No range depends on the calendar, so that the rules are right in range queries over the past as well.
"""

from __future__ import annotations

from exporter import catalog
from exporter.bundle.recordings.chain import Chain

FACTS = (
    catalog.BUDGET_LIMIT,
    catalog.BUDGET_ALERT_THRESHOLD,
    catalog.BUDGET_PERIOD_START,
    catalog.BUDGET_PERIOD_END,
)

CHAIN: Chain = (
    (
        # Each exporter's last word counts for 15 minutes, but only if it was spoken in the current period: an exporter
        # that was down at midnight does not bring yesterday's money into today. `timestamp` of a bare selector is the
        # time of the scrape; the subquery finds it for exporters that do not answer now. The clocks of exporters and
        # Prometheus differ: who still says of itself that its figure is about an older period than that of the others
        # is left out as well. What a clock far ahead says makes nobody else old. An exporter is known by its `instance`
        # alone, whatever other labels its target has after a restart.
        "migration_period:llm_budget_spent_usd:sum",
        """
        sum by (migration, period) (
          max by (migration, period, job, instance) (
            (
              last_over_time(llm_budget_spent_usd[15m])
              unless
              (
                last_over_time(llm_exporter_budget_period_start_timestamp_seconds[15m])
                < on (migration, period) group_left ()
                max by (migration, period) (
                  last_over_time(llm_exporter_budget_period_start_timestamp_seconds[15m]) <= time() + 60
                )
              )
            )
            and
            (
              (
                timestamp(llm_budget_spent_usd)
                or
                max_over_time(timestamp(llm_budget_spent_usd)[15m:30s])
              )
              >= on (migration, period) group_left ()
              plan:llm_budget_period_start_timestamp_seconds:max
            )
          )
        )
        """,
    ),
    (
        "migration_period:llm_budget_used:ratio",
        """
        migration_period:llm_budget_spent_usd:sum
        / on (migration, period)
        (plan:llm_budget_limit_usd:max > 0)
        """,
    ),
    (
        "migration_period:llm_budget_elapsed:ratio",
        """
        clamp(
          (time() - plan:llm_budget_period_start_timestamp_seconds:max)
          / on (migration, period)
          (
            plan:llm_budget_period_end_timestamp_seconds:max
            - on (migration, period)
            plan:llm_budget_period_start_timestamp_seconds:max
          ),
          0, 1
        )
        """,
    ),
    (
        "migration_period:llm_budget_left:seconds",
        "clamp_min(plan:llm_budget_period_end_timestamp_seconds:max - time(), 0)",
    ),
    (
        "migration_period:llm_budget_usd:even_rate",
        """
        plan:llm_budget_limit_usd:max
        / on (migration, period)
        (
          plan:llm_budget_period_end_timestamp_seconds:max
          - on (migration, period)
          plan:llm_budget_period_start_timestamp_seconds:max
          > 0
        )
        """,
    ),
    ("migration:llm_cost_usd:rate5m", "sum by (migration) (rate(llm_cost_usd_total[5m]))"),
    ("migration:llm_cost_usd:rate1h", "sum by (migration) (rate(llm_cost_usd_total[1h]))"),
    (
        # The mean of overlapping hours: it reaches back 25 hours and fades at both ends, and what Prometheus missed is
        # taken to be like the rest.
        "migration:llm_cost_usd:increase1d",
        """
        86400 * avg_over_time(migration:llm_cost_usd:rate1h[1d])
        and on (migration)
        (count_over_time(migration:llm_cost_usd:rate1h[1d:1h]) >= 20)
        """,
    ),
    (
        "migration:llm_cost_usd:rate7d",
        """
        avg_over_time(migration:llm_cost_usd:rate1h[7d:1h])
        and on (migration)
        (count_over_time(migration:llm_cost_usd:rate1h[7d:1h]) >= 24)
        """,
    ),
    (
        # Day by day of the week that ended now, the oldest first; without a full week by its mean. A day from now to
        # now holds the rest of one date and the beginning of the next, and the beginning is known from the ledger.
        "migration_period:llm_budget_left_usd:expected",
        """
        <% set days = "floor(migration_period:llm_budget_left:seconds % 604800 / 86400)" %>
        (
          604800 * floor(migration_period:llm_budget_left:seconds / 604800)
          * on (migration) group_left ()
          migration:llm_cost_usd:rate7d
        <% for day in range(7) %>
        <% set offset = " offset %dd" % (6 - day) if day < 6 else "" %>
          + on (migration, period)
          (
            clamp(<< days >> - << day >>, 0, 1)
            * on (migration) group_left ()
            last_over_time(migration:llm_cost_usd:increase1d[1h]<< offset >>)
          )
          + on (migration, period)
          (
            (<< days >> == bool << day >>)
            * on (migration) group_left ()
            clamp_min(
              last_over_time(migration:llm_cost_usd:increase1d[1h]<< offset >>)
              - on (migration)
              last_over_time(migration_period:llm_budget_spent_usd:sum{period="daily"}[1h]<< offset >>),
              0
            )
          )
        <% endfor %>
        )
        or
        migration_period:llm_budget_left:seconds
        * on (migration) group_left ()
        migration:llm_cost_usd:rate7d
        """,
    ),
    (
        "migration_period:llm_budget_projected_usd:sum",
        """
        migration_period:llm_budget_spent_usd:sum
        + on (migration, period)
        migration_period:llm_budget_left_usd:expected
        """,
    ),
    (
        "migration_period:llm_budget_runs_out:timestamp_seconds",
        """
        time()
        + migration_period:llm_budget_left:seconds
        * on (migration, period)
        (
          clamp_min(plan:llm_budget_limit_usd:max - on (migration, period) migration_period:llm_budget_spent_usd:sum, 0)
          / on (migration, period)
          (migration_period:llm_budget_left_usd:expected > 0)
          <= 1
        )
        """,
    ),
    (
        # The ledger's growth of a day against that of the counters. On the first day of a month, and where what was
        # spent has fallen because an exporter is gone, there is nothing to compare.
        "migration:llm_accounting_drift:ratio",
        """
        <% set ledger = 'sum by (migration) (delta(migration_period:llm_budget_spent_usd:sum{period="monthly"}[1d]))' %>
        abs(
          << ledger >>
          - on (migration)
          migration:llm_cost_usd:increase1d
        )
        / on (migration)
        (
          (
            (<< ledger >> > on (migration) migration:llm_cost_usd:increase1d)
            or
            migration:llm_cost_usd:increase1d
          )
          > 1
        )
        and on (migration)
        (plan:llm_budget_period_start_timestamp_seconds:max{period="monthly"} <= time() - 86400)
        and on (migration)
        (
          max_over_time(migration_period:llm_budget_spent_usd:sum{period="monthly"}[1d])
          - on (migration)
          migration_period:llm_budget_spent_usd:sum{period="monthly"}
          < 0.01
        )
        and on (migration)
        (count_over_time(migration:llm_cost_usd:rate1h[1d:1h]) >= 23)
        """,
    ),
)
