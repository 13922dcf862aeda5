"""The rules that ship and their twin give the same numbers on the same samples."""

from __future__ import annotations

import json
import subprocess
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
import pytest

from tests.comparison import twin
from tests.comparison.twin import Array, Compared
from tests.programs import program

RULES = Path(__file__).parents[2] / "rules"
CATEGORIES = ("chat", "search", "rare")
SUCCESSORS = {"old": "new", "older": "new", "mini": "newmini"}
SIDES = (
    *(("source", model) for model in SUCCESSORS),
    *((role, model) for role in ("target", "shadow") for model in ("new", "newmini")),
)
BOUNDS = ("0.5", "1.0", "2.0", "5.0", "+Inf")
SCORE_BOUNDS = ("0.5", "0.8", "1.0", "+Inf")
Key = tuple[str, ...]  # role, model, category, instance


@dataclass
class Counters:
    """Counters as a scraper sees them: by metric and labels, one value a scrape."""

    interval: float
    scrapes: int
    values: dict[str, dict[tuple[tuple[str, str], ...], Array]] = field(default_factory=dict)

    def add(self, metric: str, labels: Mapping[str, str], increments: Array) -> None:
        self.values.setdefault(metric, {})[tuple(labels.items())] = np.round(np.cumsum(increments), 6)

    def strata(self, metric: str, role: str, at: list[float], window: float, **more: str) -> Array:
        """What `increase` gives, `[steps, strata]`, summed as the rules must sum it."""
        times = [self.interval * scrape for scrape in range(self.scrapes)]
        names = [(successor, category) for successor in ("new", "newmini") for category in CATEGORIES]
        table = np.zeros((len(at), len(names)))
        for key, values in self.values[metric].items():
            labels = dict(key)
            if labels["role"] != role or any(labels[name] != value for name, value in more.items()):
                continue
            column = names.index((SUCCESSORS.get(labels["model"], labels["model"]), labels["category"]))
            for row, moment in enumerate(at):
                table[row, column] += twin.increase(times, list(values), moment, window)
        return table

    def series(self) -> Iterator[dict[str, str]]:
        for metric, by_labels in self.values.items():
            for labels, values in by_labels.items():
                inside = ",".join(f'{name}="{value}"' for name, value in labels)
                yield {"series": f"{metric}{{{inside}}}", "values": " ".join(f"{value:.10g}" for value in values)}
        scrapes = f"1x{self.scrapes}"
        for source, target in SUCCESSORS.items():
            labels_of = f'migration="m",role="source",model="{source}",successor="{target}"'
            yield {"series": f"llm_migration_model_info{{{labels_of}}}", "values": scrapes}
        for target in ("new", "newmini"):
            labels_of = f'migration="m",role="target",model="{target}",successor=""'
            yield {"series": f"llm_migration_model_info{{{labels_of}}}", "values": scrapes}


def call_counters(seed: int) -> Counters:
    """Eight hours: categories and models that move at different times, an outage of all while one moves, a restart."""
    rng = np.random.default_rng(seed)
    counters = Counters(40.0, 720)
    now = np.arange(counters.scrapes) * counters.interval / 3600
    for role, model in SIDES:
        for number, category in enumerate(CATEGORIES):
            moved = (now > 3 + number) * 0.7 + 0.1
            busy = {"source": 1 - moved, "target": moved, "shadow": np.full_like(now, 0.2)}[role]
            rate = busy * (4.0 if category != "rare" else 0.02) * (2 if model in ("mini", "newmini") else 1)
            for instance in ("a", "b"):
                key = {"migration": "m", "role": role, "model": model, "category": category, "instance": instance}
                calls = rng.poisson(rate).astype(float)
                p = 0.02 + 0.03 * number + 0.02 * (role == "target") + 0.5 * ((now > 3.9) & (now < 4.1))
                failed = rng.binomial(calls.astype(int), p).astype(float)
                slow = 2.0 * (role == "target") + 1.0 * (model == "mini")
                shares = np.array([3.0, 3.0, 2.0 + slow, 1.0 + slow, 0.5])
                buckets = rng.multinomial(calls.astype(int), shares / shares.sum()).cumsum(-1).astype(float)
                counters.add("llm_requests_total", key, calls)
                counters.add("llm_request_errors_total", key, failed)
                counters.add("llm_cost_usd_total", key, calls * rng.gamma(2, 0.01 * (1 + number), len(now)))
                counters.add("llm_request_duration_seconds_count", key, calls)
                counters.add("llm_request_duration_seconds_sum", key, calls * rng.gamma(2, 1 + slow, len(now)))
                for at, bound in enumerate(BOUNDS):
                    counters.add("llm_request_duration_seconds_bucket", {**key, "le": bound}, buckets[:, at])
    restart = counters.scrapes // 2 + 7  # a ledger that starts anew
    for by_labels in counters.values.values():
        for labels, values in by_labels.items():
            if ("instance", "b") in labels:
                values[restart:] = np.round(values[restart:] - values[restart], 6)
    return counters


def score_counters(seed: int) -> Counters:
    """A day and a half of scores by two evaluators, of which one is stricter and came later."""
    rng = np.random.default_rng(seed)
    counters = Counters(300.0, 432)
    for role, model in SIDES:
        for category in CATEGORIES:
            key = {"migration": "m", "role": role, "model": model, "category": category, "evaluator": "judge"}
            shares = np.array([2.0 + (role == "target"), 3.0, 4.0, 0.0])
            scores = rng.multinomial(rng.poisson(0.5, counters.scrapes), shares / shares.sum()).cumsum(-1).astype(float)
            counters.add("llm_quality_score_count", key, scores[:, -1])
            counters.add("llm_quality_score_sum", key, scores @ np.array([0.0, 0.0, 0.0, 0.7]))
            for at, bound in enumerate(SCORE_BOUNDS):
                counters.add("llm_quality_score_bucket", {**key, "le": bound}, scores[:, at])
    return counters


def expectations(
    against: str, names: tuple[str, str, str], found: Compared, quantity: str
) -> Iterator[tuple[str, float]]:
    """(expression, expected value) of a comparison's numbers."""
    for name, value in zip(names, (found.statistic, found.effect, found.samples), strict=True):
        yield name, float(value)
    yield f'migration:llm_target_verdict{{quantity="{quantity}",against="{against}"}}', float(found.verdict)


def checks(eval_time: str, expected: Iterator[tuple[str, float]]) -> Iterator[dict[str, object]]:
    for expr, value in expected:
        if np.isnan(value):
            yield {"expr": expr, "eval_time": eval_time, "exp_samples": []}
            continue
        close = f"count((abs({expr} - ({value!r})) <= {1e-7 * max(1, abs(value))!r}) or {expr} == {value!r})"
        yield {"expr": close, "eval_time": eval_time, "exp_samples": [{"labels": "{}", "value": 1}]}


def call_checks(counters: Counters, minutes: int) -> Iterator[dict[str, object]]:
    at = [60.0 * minute for minute in range(5, minutes + 1, 5)][-73:]
    for against, role in (("live", "target"), ("shadow", "shadow")):
        mine = f'{{against="{against}"}}'

        def of(metric: str, side: str, **more: str) -> Array:
            return counters.strata(metric, side, at, 300, **more)

        n, m = of("llm_requests_total", role), of("llm_requests_total", "source")
        failed = twin.errors(n, m, of("llm_request_errors_total", role), of("llm_request_errors_total", "source"))
        spent = twin.cost(n, m, of("llm_cost_usd_total", role), of("llm_cost_usd_total", "source"))
        durations = twin.latency(
            *(
                np.stack([of("llm_request_duration_seconds_bucket", side, le=bound) for bound in BOUNDS], -1)
                for side in (role, "source")
            )
        )
        prefix = "migration_against:llm_comparison_"
        by_bound = "migration_against_le:llm_comparison_latency"
        samples = f"{prefix}requests:samples6h{mine}"
        wanted = (
            ("errors", (f"{prefix}errors:zscore6h{mine}", f"{prefix}errors:difference6h{mine}", samples), failed),
            ("cost", (f"{prefix}cost_usd:zscore6h{mine}", f"{prefix}cost_usd:ratio6h{mine}", samples), spent),
            (
                "latency",
                (
                    f"max({by_bound}:ks6h{mine})",
                    f"max({by_bound}:surplus_ratio6h{mine})",
                    f"{prefix}latency:samples6h{mine}",
                ),
                durations,
            ),
        )
        for quantity, names, found in wanted:
            yield from checks(f"{minutes}m", expectations(against, names, found, quantity))


def score_checks(counters: Counters, hours: int) -> Iterator[dict[str, object]]:
    at = [3600.0 * hour for hour in range(1, hours + 1)][-25:]
    for against, role in (("live", "target"), ("shadow", "shadow")):
        mine = f'{{against="{against}"}}'
        found = twin.quality(
            *(
                np.stack(
                    [counters.strata("llm_quality_score_bucket", side, at, 3600, le=bound) for bound in SCORE_BOUNDS],
                    -1,
                )
                for side in (role, "source")
            )
        )
        by_bound = "migration_against_le:llm_comparison_quality"
        names = (
            f"min({by_bound}:ks1d{mine})",
            f"min({by_bound}:surplus_ratio1d{mine})",
            f"migration_against:llm_comparison_quality:samples1d{mine}",
        )
        yield from checks(f"{hours}h", expectations(against, names, found, "quality"))


def promtool(folder: Path, cases: list[dict[str, object]]) -> None:
    """Run cases against the recording rules."""
    document = {
        "rule_files": [str(RULES / "recording.yml")],
        "evaluation_interval": "5m",
        "group_eval_order": ["llm-plan", "llm-comparison-sides", "llm-comparison"],
        "tests": cases,
    }
    file = folder / "twin.json"
    file.write_text(json.dumps(document), encoding="utf-8")  # JSON is YAML
    done = subprocess.run(
        [program("promtool"), "test", "rules", str(file)], capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, (done.stdout + done.stderr)[:4000]


@pytest.mark.parametrize("seed", [1, 2])
def test_what_the_rules_record_of_calls_is_what_the_twin_computes(tmp_path: Path, seed: int) -> None:
    counters = call_counters(seed)
    expected = [check for minutes in (20, 125, 330, 475) for check in call_checks(counters, minutes)]
    assert sum(check["exp_samples"] != [] for check in expected) >= 60
    promtool(tmp_path, [{"interval": "40s", "input_series": list(counters.series()), "promql_expr_test": expected}])


def test_what_the_rules_record_of_scores_is_what_the_twin_computes(tmp_path: Path) -> None:
    counters = score_counters(3)
    expected = [check for hours in (2, 12, 35) for check in score_checks(counters, hours)]
    promtool(tmp_path, [{"interval": "5m", "input_series": list(counters.series()), "promql_expr_test": expected}])
