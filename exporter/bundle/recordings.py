"""Recording rules: facts become the series that alerts and dashboards read.

Plan facts come from one exporter, the control; they are read as `plan:<metric>:max`, which outlives failed scrapes and
restarts of up to 15 minutes and does not care how many instances publish. Additive facts are summed over all exporters,
always `sum by`, never `without`: an instance that appears twice, or with new target labels, must not break a join.

Chains stay inside one group, in order, so that Prometheus evaluates every link in the same round.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from exporter import catalog
from exporter.bundle.objects import RecordingRule, RuleGroup
from exporter.bundle.text import fill
from exporter.catalog import Metric, plan_fact

GROUP_SIZE = 20  # rules in a group at most: the default limit of Mimir and Cortex
BRIDGE = "15m"  # how long a fact outlives its last scrape

_SCHEDULE_FACTS = (
    catalog.PHASE,
    catalog.PHASE_PLANNED_END,
    catalog.PHASE_ENTERED,
    catalog.DEADLINE,
    catalog.START,
    catalog.GOAL_SHARE,
    catalog.PLANNED_SHARE,
)
_BUDGET_FACTS = (
    catalog.BUDGET_LIMIT,
    catalog.BUDGET_ALERT_THRESHOLD,
    catalog.BUDGET_PERIOD_START,
    catalog.BUDGET_PERIOD_END,
)

# (recorded name, expression), in the order of evaluation.
Chain = Sequence[tuple[str, str]]

_SCHEDULE: Chain = (
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

_BUDGET: Chain = (
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


def _traffic() -> Iterator[tuple[str, str]]:
    by_model = "migration_role_model"
    for window in ("5m", "1h"):
        yield (
            f"{by_model}:llm_requests:rate{window}",
            f"sum by (migration, role, model) (rate(llm_requests_total[{window}]))",
        )
        yield (
            # A model that never failed has no error series: its ratio is 0, not absent.
            f"{by_model}:llm_request_errors:rate{window}",
            f"""
            sum by (migration, role, model) (rate(llm_request_errors_total[{window}]))
            or
            0 * {by_model}:llm_requests:rate{window}
            """,
        )
        yield (
            f"{by_model}:llm_request_errors:ratio_rate{window}",
            f"""
            {by_model}:llm_request_errors:rate{window}
            / on (migration, role, model)
            ({by_model}:llm_requests:rate{window} > 0)
            """,
        )
        if window == "5m":  # over an hour it is recorded with the share, in the schedule's chain
            yield (
                "migration_role:llm_requests:rate5m",
                f"sum by (migration, role) ({by_model}:llm_requests:rate5m)",
            )
        yield (
            f"migration_role:llm_request_errors:rate{window}",
            f"sum by (migration, role) ({by_model}:llm_request_errors:rate{window})",
        )
        yield (
            f"migration_role:llm_request_errors:ratio_rate{window}",
            f"""
            migration_role:llm_request_errors:rate{window}
            / on (migration, role)
            (sum by (migration, role) ({by_model}:llm_requests:rate{window}) > 0)
            """,
        )


def _latency() -> Iterator[tuple[str, str]]:
    name = "llm_request_duration_seconds"
    for window in ("5m", "1h"):
        buckets = f"migration_role_model_le:{name}_bucket:rate{window}"
        count = f"migration_role_model:{name}_count:rate{window}"
        yield buckets, f"sum by (migration, role, model, le) (rate({name}_bucket[{window}]))"
        yield count, f"sum by (migration, role, model) (rate({name}_count[{window}]))"
        yield (
            f"migration_role_model:{name}:mean_{window}",
            f"""
            sum by (migration, role, model) (rate({name}_sum[{window}]))
            / on (migration, role, model)
            ({count} > 0)
            """,
        )
        yield (
            f"migration_role_model:{name}:p95_{window}",
            f"""
            histogram_quantile(0.95, {buckets})
            and on (migration, role, model)
            ({count} > 0)
            """,
        )
    buckets, count = f"migration_role_model_le:{name}_bucket:rate5m", f"migration_role_model:{name}_count:rate5m"
    yield (
        f"migration_role:{name}:mean_5m",
        f"""
        sum by (migration, role) (rate({name}_sum[5m]))
        / on (migration, role)
        (sum by (migration, role) ({count}) > 0)
        """,
    )
    for percent, quantile in (("p50", "0.5"), ("p95", "0.95")):
        yield (
            f"migration_role:{name}:{percent}_5m",
            f"""
            histogram_quantile({quantile}, sum by (migration, role, le) ({buckets}))
            and on (migration, role)
            (sum by (migration, role) ({count}) > 0)
            """,
        )


_COST: Chain = (
    (
        "migration_role_model:llm_cost_usd:rate1h",
        "sum by (migration, role, model) (rate(llm_cost_usd_total[1h]))",
    ),
    (
        "migration_role:llm_cost_usd:rate1h",
        "sum by (migration, role) (migration_role_model:llm_cost_usd:rate1h)",
    ),
    (
        "migration:llm_cost_usd:rate1h",
        "sum by (migration) (migration_role:llm_cost_usd:rate1h)",
    ),
    (
        "migration_role:llm_counterfactual_cost_usd:rate1h",
        "sum by (migration, role) (rate(llm_counterfactual_cost_usd_total[1h]))",
    ),
    (
        "migration:llm_savings_usd:rate1h",
        """
        sum by (migration) (migration_role:llm_counterfactual_cost_usd:rate1h{role="target"})
        - on (migration)
        sum by (migration) (migration_role:llm_cost_usd:rate1h{role="target"})
        """,
    ),
    (
        "migration:llm_savings_promised_usd:rate1h",
        """
        sum by (migration) (migration_role:llm_cost_usd:rate1h{role="source"})
        - on (migration)
        sum by (migration) (migration_role:llm_counterfactual_cost_usd:rate1h{role="source"})
        """,
    ),
    (
        "migration:llm_shadow_cost_usd:rate1h",
        'sum by (migration) (migration_role:llm_cost_usd:rate1h{role="shadow"})',
    ),
    (
        "migration_role_model:llm_cost_usd_per_request:ratio_rate1h",
        """
        migration_role_model:llm_cost_usd:rate1h
        / on (migration, role, model)
        (sum by (migration, role, model) (rate(llm_requests_total[1h])) > 0)
        """,
    ),
    (
        "migration_role:llm_tokens:rate5m",
        "sum by (migration, role) (rate(llm_tokens_total[5m]))",
    ),
)


def recording_groups(interval: float) -> tuple[RuleGroup, ...]:
    """All recording rules, in groups evaluated every `interval` seconds."""
    elsewhere = {*_SCHEDULE_FACTS, *_BUDGET_FACTS}
    others = [metric for metric in catalog.PLAN_FACTS if metric not in elsewhere]
    plan_groups = [others[at : at + GROUP_SIZE] for at in range(0, len(others), GROUP_SIZE)]
    return (
        *(
            RuleGroup(_numbered("llm-plan", number), interval, _rules(facts=facts))
            for number, facts in enumerate(plan_groups, start=1)
        ),
        RuleGroup("llm-schedule", interval, _rules(_SCHEDULE, facts=_SCHEDULE_FACTS)),
        RuleGroup("llm-budget", interval, _rules(_BUDGET, facts=_BUDGET_FACTS)),
        RuleGroup("llm-traffic", interval, _rules(tuple(_traffic()))),
        RuleGroup("llm-latency", interval, _rules(tuple(_latency()))),
        RuleGroup("llm-cost", interval, _rules(_COST)),
    )


def _numbered(name: str, number: int) -> str:
    return name if number == 1 else f"{name}-{number}"


def _rules(chain: Chain = (), *, facts: Sequence[Metric] = ()) -> tuple[RecordingRule, ...]:
    return (
        *(RecordingRule(plan_fact(metric), _bridged(metric)) for metric in facts),
        *(RecordingRule(name, fill(expr)) for name, expr in chain),
    )


def _bridged(metric: Metric) -> str:
    return f"max by ({', '.join(metric.labels)}) (last_over_time({metric.name}[{BRIDGE}]))"
