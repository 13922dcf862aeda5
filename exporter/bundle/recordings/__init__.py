"""Recording rules: facts become the series that alerts and dashboards read.

Plan facts come from one exporter, the control; they are read as `plan:<metric>:max`, which outlives failed scrapes and
restarts of up to 15 minutes and does not care how many instances publish. Additive facts are summed over all exporters,
always `sum by`, never `without`: an instance that appears twice, or with new target labels, must not break a join.

Chains stay inside one group, in order, so that Prometheus evaluates every link in the same round.
"""

from __future__ import annotations

from collections.abc import Sequence

from exporter import catalog
from exporter.bundle.objects import RecordingRule, RuleGroup
from exporter.bundle.recordings import budget, comparison, cost, latency, quality, schedule, traffic
from exporter.bundle.recordings.chain import Chain, Link, Recorded
from exporter.bundle.text import fill
from exporter.catalog import Metric, plan_fact

GROUP_SIZE = 20  # rules in a group at most: the default limit of Mimir and Cortex
BRIDGE = "15m"  # how long a fact outlives its last scrape


def recording_groups(interval: float) -> tuple[RuleGroup, ...]:
    """All recording rules, in groups evaluated every `interval` seconds."""
    elsewhere = {*schedule.FACTS, *budget.FACTS}
    others = [metric for metric in catalog.PLAN_FACTS if metric not in elsewhere]
    plan_groups = [others[at : at + GROUP_SIZE] for at in range(0, len(others), GROUP_SIZE)]
    return (
        *(
            RuleGroup(_numbered("llm-plan", number), interval, _rules(facts=facts))
            for number, facts in enumerate(plan_groups, start=1)
        ),
        RuleGroup("llm-schedule", interval, _rules(schedule.CHAIN, facts=schedule.FACTS)),
        RuleGroup("llm-budget", interval, _rules(budget.CHAIN, facts=budget.FACTS)),
        RuleGroup("llm-traffic", interval, _rules(traffic.CHAIN)),
        RuleGroup("llm-latency", interval, _rules(latency.CHAIN)),
        RuleGroup("llm-cost", interval, _rules(cost.CHAIN)),
        RuleGroup("llm-quality", interval, _rules(quality.CHAIN)),
        RuleGroup("llm-comparison-sides", interval, _rules(comparison.SIDES)),
        RuleGroup("llm-comparison", interval, _rules(comparison.ERRORS_AND_COST)),
        RuleGroup("llm-comparison-latency", interval, _rules(comparison.LATENCY)),
        # Scores are judged by the hour: four times the interval is soon enough for a scan of an hour.
        RuleGroup("llm-comparison-quality", 4 * interval, _rules(comparison.QUALITY)),
    )


def _numbered(name: str, number: int) -> str:
    return name if number == 1 else f"{name}-{number}"


def _rules(chain: Chain = (), *, facts: Sequence[Metric] = ()) -> tuple[RecordingRule, ...]:
    return (
        *(RecordingRule(plan_fact(metric), _bridged(metric)) for metric in facts),
        *(_rule(link) for link in chain),
    )


def _rule(link: Link) -> RecordingRule:
    recorded = link if isinstance(link, Recorded) else Recorded(*link)
    return RecordingRule(recorded.name, fill(recorded.expr), recorded.labels)


def _bridged(metric: Metric) -> str:
    return f"max by ({', '.join(metric.labels)}) (last_over_time({metric.name}[{BRIDGE}]))"
