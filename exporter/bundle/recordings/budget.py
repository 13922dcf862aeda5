"""What was spent of each calendar budget."""

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
)
