"""The phase, the share that has moved, the time that is left."""

from __future__ import annotations

from exporter import catalog
from exporter.bundle.recordings.chain import Chain

FACTS = (
    catalog.PHASE,
    catalog.PHASE_PLANNED_END,
    catalog.PHASE_ENTERED,
    catalog.DEADLINE,
    catalog.START,
    catalog.GOAL_SHARE,
    catalog.PLANNED_SHARE,
)

CHAIN: Chain = (
    (
        # By the newest entry: a series left over from a replaced exporter may still say 1 for an older phase. A
        # migration that never entered a phase by a change is in the one that its exporter names.
        "migration_phase:llm_migration_phase:current",
        """
        group by (migration, phase) (
          plan:llm_migration_phase_entered_timestamp_seconds:max
          == on (migration) group_left ()
          max by (migration) (plan:llm_migration_phase_entered_timestamp_seconds:max)
        )
        or
        (
          (plan:llm_migration_phase:max == 1)
          unless on (migration)
          plan:llm_migration_phase_entered_timestamp_seconds:max
        )
        """,
    ),
    (
        "migration_role:llm_requests:rate1h",
        "sum by (migration, role) (rate(llm_requests_total[1h]))",
    ),
    (
        # x / (x + 0) is exactly 1: both sides are made of the same two sums. Shadow calls are no progress.
        "migration:llm_target_share:ratio_rate1h",
        """
        (
          sum by (migration) (migration_role:llm_requests:rate1h{role="target"})
          or
          0 * sum by (migration) (migration_role:llm_requests:rate1h{role="source"})
        )
        / on (migration)
        (sum by (migration) (migration_role:llm_requests:rate1h{role=~"source|target"}) > 0)
        """,
    ),
    (
        "migration:llm_migration_time_left:seconds",
        "plan:llm_migration_deadline_timestamp_seconds:max - time()",
    ),
    (
        # Unknown progress is no progress. A night without traffic is bridged: the last measured share stands for a day.
        "migration:llm_migration_unfinished:bool",
        """
        (
          group by (migration) (plan:llm_migration_deadline_timestamp_seconds:max)
          unless on (migration)
          migration_phase:llm_migration_phase:current{phase="completed"}
          unless on (migration)
          (
            last_over_time(migration:llm_target_share:ratio_rate1h[1d])
            >= on (migration)
            plan:llm_migration_goal_share_ratio:max
          )
        )
        or
        0 * group by (migration) (plan:llm_migration_deadline_timestamp_seconds:max)
        """,
    ),
)
