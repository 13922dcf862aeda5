"""The phase, the share that has moved, the time that is left, and whether the pace will do.

Judgements over days stand on the share of a whole day, which knows no time of day, and on its last measurement of three
days, so that a weekend without calls is no news.
"""

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
        "migration_role_application:llm_requests:rate1h",
        "sum by (migration, role, application) (rate(llm_requests_total[1h]))",
    ),
    (
        "migration_role:llm_requests:rate1h",
        "sum by (migration, role) (migration_role_application:llm_requests:rate1h)",
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
    (
        "migration_application:llm_target_share:ratio_rate1h",
        """
        (
          sum by (migration, application) (migration_role_application:llm_requests:rate1h{role="target"})
          or
          0 * sum by (migration, application) (migration_role_application:llm_requests:rate1h{role="source"})
        )
        / on (migration, application)
        (
          sum by (migration, application) (migration_role_application:llm_requests:rate1h{role=~"source|target"})
          > 0
        )
        """,
    ),
    (
        # Sums, not means: a model that was not there yet took no calls.
        "migration:llm_target_share:ratio_rate1d",
        """
        (
          sum by (migration) (sum_over_time(migration_role:llm_requests:rate1h{role="target"}[1d]))
          or
          0 * sum by (migration) (sum_over_time(migration_role:llm_requests:rate1h{role="source"}[1d]))
        )
        / on (migration)
        (sum by (migration) (sum_over_time(migration_role:llm_requests:rate1h{role=~"source|target"}[1d])) > 0)
        """,
    ),
    (
        "migration:llm_source_share:ratio",
        """
        1 - last_over_time(migration:llm_target_share:ratio_rate1h[1d])
        or
        group by (migration) (plan:llm_migration_deadline_timestamp_seconds:max)
        """,
    ),
    (
        "migration:llm_migration_behind_plan:ratio",
        """
        plan:llm_migration_planned_share_ratio:max
        - on (migration)
        (
          last_over_time(migration:llm_target_share:ratio_rate1d[3d])
          or
          0 * plan:llm_migration_planned_share_ratio:max
        )
        """,
    ),
    (
        "migration:llm_target_share:deriv7d",
        """
        deriv(migration:llm_target_share:ratio_rate1d[7d:1h])
        and on (migration)
        (count_over_time(migration:llm_target_share:ratio_rate1d[7d:1h]) >= 24)
        """,
    ),
    (
        # Share a second that is needed from now on to reach the goal at the deadline.
        "migration:llm_target_share:required_rate",
        """
        clamp_min(
          plan:llm_migration_goal_share_ratio:max
          - on (migration)
          (
            last_over_time(migration:llm_target_share:ratio_rate1d[3d])
            or
            0 * plan:llm_migration_goal_share_ratio:max
          ),
          0
        )
        / on (migration)
        (migration:llm_migration_time_left:seconds > 0)
        """,
    ),
    (
        "migration:llm_migration_completion:timestamp_seconds",
        """
        time()
        + (
          plan:llm_migration_goal_share_ratio:max
          - on (migration)
          last_over_time(migration:llm_target_share:ratio_rate1d[3d])
          > 0
        )
        / on (migration)
        (migration:llm_target_share:deriv7d > 0)
        and on (migration)
        (migration:llm_migration_unfinished:bool == 1)
        """,
    ),
)
