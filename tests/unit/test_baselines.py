from __future__ import annotations

import random
import subprocess
from bisect import bisect_left
from fractions import Fraction
from pathlib import Path
from typing import Any

import msgspec
import pytest
import yaml

from exporter import baselines
from exporter.baselines import MIN_SAMPLES, NAMES, Sums, measure, quantile, take
from exporter.catalog import DURATION_BUCKETS
from exporter.control import Author, Change, Control
from exporter.errors import RequestError
from exporter.totals import Row, Totals
from tests.plans import migration, plan
from tests.programs import program

BY = Author("alice", "api", 5_000_000)
LATER = Author("alice", "api", 9_500_000)
CELLS = {
    1: ("gpt4-migration", "source", "gpt-4o", "web", "analysis"),
    2: ("gpt4-migration", "source", "gpt-4o", "batch", "monitoring"),
    3: ("gpt4-migration", "target", "gpt-4.1", "web", "analysis"),
    4: ("gpt4-migration", "shadow", "gpt-4.1", "web", "analysis"),
    5: ("another", "source", "gpt-4o", "web", "analysis"),
}


def histograms(count: int) -> list[list[int]]:
    """Counts by bucket, thin and thick, some with empty buckets, some far above the highest bound."""
    chance = random.Random(7)
    made = []
    for _ in range(count):
        top = chance.choice((1, 3, 1000, 10**9))
        made.append([chance.randint(0, top) * chance.randint(0, 1) for _ in range(len(DURATION_BUCKETS) + 1)])
        made[-1][chance.randrange(len(made[-1]))] += 1
    return made


def exact_quantile(q: Fraction, counts: list[int]) -> Fraction:
    """The value below which the share `q` lies, when observations are spread evenly over each bucket."""
    bounds = [Fraction(0), *map(Fraction, map(str, DURATION_BUCKETS))]
    wanted = q * sum(counts)
    reached = [sum(counts[: index + 1]) for index in range(len(counts))]
    bucket = next(index for index, total in enumerate(reached) if total >= wanted)
    if bucket == len(counts) - 1:
        return bounds[-1]
    missing = reached[bucket] - wanted
    return bounds[bucket + 1] - missing / counts[bucket] * (bounds[bucket + 1] - bounds[bucket])


@pytest.mark.parametrize("q", ["0.5", "0.95", "0.01", "1"])
def test_percentiles_are_the_exact_interpolation(q: str) -> None:
    for counts in histograms(200):
        expected = exact_quantile(Fraction(q), counts)
        assert quantile(float(q), counts, DURATION_BUCKETS) == pytest.approx(float(expected), rel=1e-9, abs=1e-12)


def test_percentiles_equal_those_of_prometheus_to_the_last_bit(tmp_path: Path) -> None:
    promtool = program("promtool")
    series, expected = [], []
    for number, counts in enumerate(histograms(40)):
        running = 0
        for count, bound in zip(counts, [*DURATION_BUCKETS, "+Inf"], strict=True):
            running += count
            series.append({"series": f'h_bucket{{n="{number}",le="{bound}"}}', "values": str(running)})
        for q in (0.5, 0.95):
            sample = {"labels": f'{{n="{number}"}}', "value": quantile(q, counts, DURATION_BUCKETS)}
            expr = f'histogram_quantile({q}, h_bucket{{n="{number}"}})'
            expected.append({"expr": expr, "eval_time": "0s", "exp_samples": [sample]})
    path = tmp_path / "quantiles.yml"
    path.write_text(yaml.safe_dump({"tests": [{"input_series": series, "promql_expr_test": expected}]}))
    run = subprocess.run([promtool, "test", "rules", str(path)], capture_output=True, text=True, check=False)

    assert run.returncode == 0, run.stdout[-3000:] + run.stderr[-3000:]


def counted(*calls: dict[str, Any]) -> Totals:
    totals = Totals()
    for number, key in CELLS.items():
        totals.add_name(number, "cell", key)
        totals.add_name(number + 10, "route", ("gpt4-migration", key[1], key[3], ""))
    totals.add_name(30, "unpriced", ("mystery",))
    totals.apply((row(**call) for call in calls), 0)
    return totals


def row(*, cell: int = 1, latency: float = 1.5, cost: int | None = 2_000_000, **changes: Any) -> Row:
    values = dict.fromkeys(Row._fields)
    values |= {
        "at_us": 1,
        "cell": cell,
        "route": cell + 10,
        "input_tokens": 700,
        "cached_input_tokens": 200,
        "cache_write_tokens": 100,
        "output_tokens": 300,
        "reasoning_tokens": 200,
        "latency_us": round(latency * 1_000_000),
        "error": 0,
        "cost": cost,
        "unpriced": 30 if cost is None else None,
        **changes,
    }
    return Row(**values)  # type: ignore[arg-type]


def started() -> Control:
    control = Control()
    apply(control, control.from_file(plan(), 1_000_000))
    return control


def apply(control: Control, changes: Any) -> None:
    for sealed in control.next(list(changes)):
        control.apply(sealed)


def figures(control: Control, model: str = "gpt-4o") -> dict[str, float]:
    return {name: value for owner, name, value in control.baselines("gpt4-migration") if owner == model}


def test_the_figures_are_those_of_the_live_calls_of_the_migration() -> None:
    control = started()
    calls = [
        *[{"latency": 1.5}] * 12,
        *[{"latency": 4, "cell": 2, "cost": 6_000_000}] * 7,
        {"latency": 400, "error": 1, "cost": 0, "output_tokens": 0, "reasoning_tokens": 0},
        *[{"cell": 4, "latency": 9}] * 50,  # shadow
        *[{"cell": 5, "latency": 9}] * 50,  # another migration
        *[{"cell": 3}] * 19,  # one too few
    ]
    taking = take(control, counted(*calls), migration(), BY)
    apply(control, taking.changes)

    # 12 calls of 1..2 s, 7 of 3..5 s, one above all bounds: rank 10 of 12 in the first, rank 19 the end of the second
    assert figures(control) == pytest.approx(
        {
            "latency_mean_seconds": (12 * 1.5 + 7 * 4 + 400) / 20,
            "latency_p50_seconds": 1 + 10 / 12,
            "latency_p95_seconds": 5.0,
            "error_ratio": 0.05,
            "cost_per_request_usd": (12 * 0.002 + 7 * 0.006) / 20,
            "tokens_per_request": (19 * 1500 + 1000) / 20,
            "output_tokens_per_usd": 19 * 500 / (12 * 0.002 + 7 * 0.006),
            "samples": 20,
            "timestamp_seconds": 5.0,
        }
    )
    assert taking.taken == ("gpt-4o",)
    assert figures(control, "gpt-4.1") == {}
    assert taking.missing["gpt-4.1"] == f"19 live calls so far; a baseline needs {MIN_SAMPLES}"
    assert set(taking.missing) == {"gpt-4", "gpt-4o-mini", "gpt-4.5-preview", "gpt-4.1", "gpt-4.1-mini"}


def test_the_next_taking_counts_only_calls_since_the_last() -> None:
    control, slow, fast = started(), [{"latency": 9}] * 30, [{"latency": 0.2}] * 20
    apply(control, take(control, counted(*slow), migration(), BY).changes)
    apply(control, take(control, counted(*slow, *fast), migration(), LATER).changes)

    now = figures(control)
    assert (now["latency_mean_seconds"], now["samples"], now["timestamp_seconds"]) == (0.2, 20, 9.5)


def test_too_few_calls_since_the_last_taking_keep_the_baseline_and_stay_for_the_next() -> None:
    control, slow, fast = started(), [{"latency": 9}] * 30, [{"latency": 0.2}] * 19
    apply(control, take(control, counted(*slow), migration(), BY).changes)
    before = figures(control)
    taking = take(control, counted(*slow, *fast), migration(), LATER)
    assert taking.changes == ()
    assert "19 live calls since the last baseline" in taking.missing["gpt-4o"]

    assert figures(control) == before
    apply(control, take(control, counted(*slow, *fast, {"latency": 0.2}), migration(), LATER).changes)
    assert figures(control)["samples"] == 20


def test_a_ledger_that_was_begun_anew_is_counted_from_its_beginning() -> None:
    control = started()
    apply(control, take(control, counted(*[{"latency": 9}] * 90), migration(), BY).changes)
    apply(control, take(control, counted(*[{"latency": 0.2}] * 25), migration(), LATER).changes)

    assert figures(control)["samples"] == 25


def test_calls_without_a_price_leave_no_figure_of_cost_not_even_an_old_one() -> None:
    control, priced, unpriced = started(), [{}] * 30, [{"cost": None}] * 2
    apply(control, take(control, counted(*priced), migration(), BY).changes)
    assert {"cost_per_request_usd", "output_tokens_per_usd"} <= set(figures(control))

    taking = take(control, counted(*priced * 2, *unpriced), migration(), LATER)
    apply(control, taking.changes)
    assert set(NAMES) - set(figures(control)) == {"cost_per_request_usd", "output_tokens_per_usd"}
    assert taking.taken == ("gpt-4o",)
    assert "2 of 32 calls have no known price" in taking.missing["gpt-4o"]


def test_a_model_that_costs_nothing_has_a_cost_and_no_tokens_per_dollar() -> None:
    control = started()
    apply(control, take(control, counted(*[{"cost": 0}] * 20), migration(), BY).changes)

    assert figures(control)["cost_per_request_usd"] == 0
    assert "output_tokens_per_usd" not in figures(control)


def random_calls(count: int) -> list[dict[str, Any]]:
    chance = random.Random(11)
    return [
        {
            "cell": chance.choice((1, 2, 3)),
            "latency": chance.lognormvariate(0.5, 1.5),
            "cost": chance.randrange(10**8),
            "error": chance.choice((0, 0, 0, 2)),
            "output_tokens": chance.randrange(5000),
        }
        for _ in range(count)
    ]


def test_three_exporters_give_the_baseline_that_one_would_give() -> None:
    calls = random_calls(600)
    alone, merged = started(), started()
    for first, last, by in ((0, 300, BY), (300, 600, LATER)):
        apply(alone, take(alone, counted(*calls[:last]), migration(), by).changes)
        parts = [counted(*calls[:last][index::3]) for index in range(3)]
        # as they come over the wire
        others = {
            f"shard-{index}": msgspec.json.decode(
                msgspec.json.encode(measure(parts[index], migration())), type=dict[str, Sums]
            )
            for index in (1, 2)
        }
        apply(merged, take(merged, parts[0], migration(), by, others).changes)
        window = [call["latency"] for call in calls[first:last] if call["cell"] != 3]
        assert figures(merged) == figures(alone)
        assert figures(merged)["samples"] == len(window)
        bounds = (0, *DURATION_BUCKETS)
        bucket = bisect_left(DURATION_BUCKETS, sorted(window)[len(window) // 2])
        assert bounds[bucket] <= figures(merged)["latency_p50_seconds"] <= bounds[bucket + 1]


@pytest.mark.parametrize(
    ("others", "says"),
    [
        ({"shard-1": {"gpt-9": Sums()}}, "no model gpt-9"),
        ({"shard-1": {"gpt-4o": Sums(requests=5)}}, "contradict"),
        ({"shard-1": {"gpt-4o": Sums(errors=1)}}, "contradict"),
        ({"shard-1": {"gpt-4o": Sums(cost_nanousd=10**400)}}, "contradict"),
        ({"": {}}, "needs a name"),
    ],
)
def test_sums_that_no_exporter_made_are_refused(others: dict[str, dict[str, Sums]], says: str) -> None:
    with pytest.raises(RequestError, match=says):
        take(started(), counted(), migration(), BY, others)


def test_only_the_first_phase_leaves_baselines_behind() -> None:
    control, totals = started(), counted(*[{}] * 40)
    step: list[Change]
    step, taking = baselines.advance(control, totals, migration(), "testing", BY)
    assert step[0].kind == "phase"
    assert taking is not None
    assert taking.taken == ("gpt-4o",)
    apply(control, step)

    step, taking = baselines.advance(control, totals, migration(), "gradual_rollout", LATER)
    assert [change.kind for change in step] == ["phase"]
    assert taking is None


def test_a_model_with_slashes_in_its_name_keeps_it() -> None:
    moved = migration(models={"azure/eu/gpt-4o": "gpt-4.1"}, default_predecessor={})
    control = Control()
    totals = Totals()
    totals.add_name(1, "cell", ("gpt4-migration", "source", "azure/eu/gpt-4o", "web", "analysis"))
    totals.add_name(11, "route", ("gpt4-migration", "source", "web", ""))
    totals.apply((row() for _ in range(20)), 0)
    apply(control, take(control, totals, moved, BY).changes)

    assert figures(control, "azure/eu/gpt-4o")["samples"] == 20
