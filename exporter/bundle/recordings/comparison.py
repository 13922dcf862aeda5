"""Comparison of the target with the source, like for like: in live traffic, and of shadow calls with live source calls.

Each stratum is five minutes of one category, of one target model and the models that it replaces. Within a stratum both
sides meet the same outages and the same mix; between strata nothing is compared, so that neither a rollout that moves
one category first nor an outage while the share steps up can pass for a difference of the models. With n calls of the
target and m of the source in a stratum, sums of the target count by m / (n + m) and sums of the source by n / (n + m):
both sides then have n m / (n + m) calls, the weight of the stratum.

* Errors: Cochran-Mantel-Haenszel. The difference of the weighted sums is observed minus expected.
* Latency and quality: Kolmogorov-Smirnov over the buckets of the histogram, on weighted cumulative counts.
* Cost: the difference of the weighted sums, by its own spread.

Windows add up what was recorded for each five minutes (`[6h:5m]`): a scan of hours of raw buckets costs ten times as
much. Calls come in bursts, and a stratum in which an outage begins is not quite like for like: the variance is
therefore never taken for less than the spread of the five-minute differences around their mean.
"""

from __future__ import annotations

from collections.abc import Iterator
from textwrap import indent

from exporter.bundle.recordings.chain import Chain, Link, Recorded
from exporter.bundle.recordings.strata import CALLS, ON_PAIR, SCORES, SIDE, Strata, Window, block, counted, summed

Z_LIMIT = 4.0  # errors: a one-sided chance of 3 in 100,000
KS_LIMIT = 2.28  # latency and quality: exp(-2 x²) is the same chance
COST_Z_LIMIT = 4.5  # its variance is only estimated
MIN_SAMPLES = 100  # calls a side, as the harmonic mean of both
MIN_SCORES = 50
MIN_STRATA = {"errors": 6, "latency": 6, "cost": 24, "quality": 3}  # times five minutes; of quality, hours
ERROR_RATIO = 1.2  # the target fails that many times as often …
ERROR_DIFFERENCE = 0.001  # … and one call in a thousand more
COST_RATIO = 1.1
KS_DIFFERENCE = 0.1  # a tenth more of the calls is beyond some bound

VERDICT = "migration:llm_target_verdict"


def _verdict(quantity: str, window: Window, samples: str, worse: str, better: str, weight: str, least: int) -> Recorded:
    """-1 where it is worse, else 1 where it is better, else 0; absent where there is not enough to say so."""
    return Recorded(
        VERDICT,
        f"""
(
  -group by ({ON_PAIR}) (
{indent(worse.strip(), " " * 4)}
  )
  or
  group by ({ON_PAIR}) (
{indent(better.strip(), " " * 4)}
  )
  or
  0 * {samples}
)
and on ({ON_PAIR})
({samples} >= {least})
and on ({ON_PAIR})
({window.total(weight, "count_over_time")} >= {MIN_STRATA[quantity]})
""",
        {"quantity": quantity},
    )


def _errors() -> Iterator[Link]:
    calls = "migration_role_successor_category:llm_requests:increase5m"
    errors = "migration_role_successor_category:llm_request_errors:increase5m"
    strata = Strata(calls, "migration_role_successor_category:llm_comparison_requests:source_share5m")
    name = "migration_against:llm_comparison_errors"
    weight, samples = (f"migration_against:llm_comparison_requests:{op}" for op in ("weight5m", "samples6h"))
    yield calls, counted("llm_requests_total", CALLS.step)
    yield (
        errors,
        f"""
{counted("llm_request_errors_total", CALLS.step).strip()}
or
0 * {calls}
""",
    )
    yield strata.share, strata.shares()
    yield weight, strata.target(calls)
    yield f"{name}:target5m", strata.target(errors)
    yield f"{name}:source5m", strata.source(errors)
    yield (
        f"{name}:variance5m",
        summed(f"""
{strata.share}
* on ({strata.on})
(1 - {strata.share})
* on ({strata.on})
{strata.both(errors)}
* on ({strata.on})
clamp_min({strata.both(calls)} - on ({strata.on}) {strata.both(errors)}, 0)
/ on ({strata.on})
({strata.both(calls)} - 1)
"""),
    )
    difference = f"{name}:difference5m"
    yield difference, f"{name}:target5m - on ({ON_PAIR}) {name}:source5m"
    yield samples, f"2 * {CALLS.total(weight)}"
    yield f"{name}:ratio6h", _ratio(name, CALLS)
    yield (
        f"{name}:difference6h",
        f"""
{CALLS.total(difference)}
/ on ({ON_PAIR})
({CALLS.total(weight)} > 0)
""",
    )
    yield (
        f"{name}:variance6h",
        f"""
(
  {CALLS.total(f"{name}:variance5m")}
  > on ({ON_PAIR})
{indent(block(CALLS.spread(difference)), "  ")}
)
or
{block(CALLS.spread(difference))}
""",
    )
    yield (
        f"{name}:zscore6h",
        f"""
{CALLS.total(difference)}
/ on ({ON_PAIR})
sqrt({name}:variance6h > 0)
""",
    )

    def beyond(z: str, least: str, not_ratio: str) -> str:
        return f"""
({name}:zscore6h {z})
and on ({ON_PAIR})
({name}:difference6h {least})
unless on ({ON_PAIR})
({name}:ratio6h {not_ratio})
"""

    yield _verdict(
        "errors",
        CALLS,
        samples,
        beyond(f">= {Z_LIMIT:g}", f">= {ERROR_DIFFERENCE:g}", f"< {ERROR_RATIO:g}"),
        beyond(f"<= -{Z_LIMIT:g}", f"<= -{ERROR_DIFFERENCE:g}", f"> 1 / {ERROR_RATIO:g}"),
        weight,
        MIN_SAMPLES,
    )


def _cost() -> Iterator[Link]:
    """After the errors, in their group: the same calls and shares."""
    cost = "migration_role_successor_category:llm_cost_usd:increase5m"
    strata = Strata("", "migration_role_successor_category:llm_comparison_requests:source_share5m")
    name = "migration_against:llm_comparison_cost_usd"
    weight, samples = (f"migration_against:llm_comparison_requests:{op}" for op in ("weight5m", "samples6h"))
    difference = f"({name}:target5m - on ({ON_PAIR}) {name}:source5m)"
    yield cost, counted("llm_cost_usd_total", CALLS.step)
    yield f"{name}:target5m", strata.target(cost)
    yield f"{name}:source5m", strata.source(cost)
    yield f"{name}:ratio6h", _ratio(name, CALLS)
    yield (
        # The last term keeps the score finite where no call differs from another.
        f"{name}:zscore6h",
        f"""
{CALLS.total(difference)}
/ on ({ON_PAIR})
(
  sqrt(
{indent(CALLS.spread(difference).strip(), " " * 4)}
  )
  + on ({ON_PAIR})
  (0.0001 * {CALLS.total(f"({name}:target5m + on ({ON_PAIR}) {name}:source5m)")} > 0)
)
""",
    )
    verdict = _verdict(
        "cost",
        CALLS,
        samples,
        f"""
({name}:zscore6h >= {COST_Z_LIMIT:g})
unless on ({ON_PAIR})
({name}:ratio6h < {COST_RATIO:g})
""",
        f"""
({name}:zscore6h <= -{COST_Z_LIMIT:g})
unless on ({ON_PAIR})
({name}:ratio6h > 1 / {COST_RATIO:g})
""",
        weight,
        MIN_SAMPLES,
    )
    yield Recorded(
        # Calls without a known price cost something, not nothing: no verdict. Models without any cost: likewise.
        verdict.name,
        f"""
{verdict.expr.strip()}
and on ({ON_PAIR})
{CALLS.total(f"{name}:target5m", "count_over_time")}
unless on (migration)
(
  plan:llm_migration_model_info:max
  and on (model)
  sum by (model) (increase(llm_unpriced_requests_total[{CALLS.window}])) > 0
)
""",
        verdict.labels,
    )


def _histogram(
    quantity: str, histogram: str, window: Window, least: int, higher_is_worse: bool, *more: str
) -> Iterator[Link]:
    level = "_".join(("migration_role_successor_category", *more))
    calls, sums, share = (
        f"{level}:{histogram}_count:increase{window.step}",
        f"{level}:{histogram}_sum:increase{window.step}",
        f"{level}:llm_comparison_{quantity}:source_share{window.step}",
    )
    strata = Strata(calls, share, *more)
    name, by_bound = f"migration_against:llm_comparison_{quantity}", f"migration_against_le:llm_comparison_{quantity}"
    weight, samples = f"{name}:weight{window.step}", f"{name}:samples{window.window}"
    surplus, ks = f"{by_bound}:surplus{window.step}", f"{by_bound}:ks{window.window}"
    share_beyond = f"{by_bound}:surplus_ratio{window.window}"
    yield calls, counted(f"{histogram}_count", window.step, *more)
    yield sums, counted(f"{histogram}_sum", window.step, *more)
    yield share, strata.shares()
    yield weight, strata.target(calls)
    yield f"{name}:target{window.step}", strata.target(sums)
    yield f"{name}:source{window.step}", strata.source(sums)
    yield surplus, strata.surplus(histogram, window.step, *more)
    yield samples, f"2 * {window.total(weight)}"
    if quantity == "quality":
        yield (
            f"{name}:difference{window.window}",
            f"""
{window.total(f"({name}:target{window.step} - on ({ON_PAIR}) {name}:source{window.step})")}
/ on ({ON_PAIR})
({window.total(weight)} > 0)
""",
        )
    else:
        yield f"{name}:ratio{window.window}", _ratio(name, window)
    yield (
        share_beyond,
        f"""
{window.total(surplus)}
/ on ({ON_PAIR}) group_left ()
({window.total(weight)} > 0)
""",
    )
    yield (
        # At most a quarter of the weight is the variance of what is within a bound, whatever the distribution.
        ks,
        f"""
{window.total(surplus)}
/ on ({ON_PAIR}, le)
sqrt(
  (
    4
    *
{indent(block(window.spread(surplus)), " " * 4)}
    > on ({ON_PAIR}) group_left ()
    {window.total(weight)}
  )
  or
  (
    0 * {window.total(surplus)}
    + on ({ON_PAIR}) group_left ()
    ({window.total(weight)} > 0)
  )
)
""",
    )

    def beyond(pick: str, sign: str) -> str:
        comparison = ">=" if pick == "max" else "<="
        return f"""
({pick} by ({ON_PAIR}) ({ks}) {comparison} {sign}{KS_LIMIT:g})
and on ({ON_PAIR})
({pick} by ({ON_PAIR}) ({share_beyond}) {comparison} {sign}{KS_DIFFERENCE:g})
"""

    above, below = beyond("max", ""), beyond("min", "-")
    worse, better = (above, below) if higher_is_worse else (below, above)
    yield _verdict(quantity, window, samples, worse, better, weight, least)


def _ratio(name: str, window: Window) -> str:
    return f"""
{window.total(f"{name}:target{window.step}")}
/ on ({ON_PAIR})
({window.total(f"{name}:source{window.step}")} > 0)
"""


SIDES: Chain = (
    (
        # A target stands for itself, a source for its successor. Models that the plan does not name stay comparable,
        # without a successor; of two plans at once (for 15 minutes after a change) the first one counts.
        SIDE,
        """
        bottomk by (migration, model) (1, plan:llm_migration_model_info:max{role="source"})
        or
        label_replace(
          group by (migration, role, model) (plan:llm_migration_model_info:max{role="target"}),
          "successor", "$1", "model", "(.+)"
        )
        or
        label_replace(
          label_replace(
            group by (migration, model) (plan:llm_migration_model_info:max{role="target"}),
            "successor", "$1", "model", "(.+)"
          ),
          "role", "shadow", "", ""
        )
        or on (migration, role, model)
        group by (migration, role, model) (llm_requests_total{role=~"source|target|shadow"})
        """,
    ),
)
ERRORS_AND_COST: Chain = (*_errors(), *_cost())
LATENCY: Chain = tuple(_histogram("latency", "llm_request_duration_seconds", CALLS, MIN_SAMPLES, higher_is_worse=True))
QUALITY: Chain = tuple(_histogram("quality", "llm_quality_score", SCORES, MIN_SCORES, False, "evaluator"))
