from __future__ import annotations

import ast
from dataclasses import fields
from pathlib import Path

import numpy as np
import pytest

from tests import scenarios
from tests.scenarios.calls import ROLES, Calls, Names
from tests.scenarios.drawing import draw
from tests.scenarios.incidents import KINDS, Incident
from tests.scenarios.seeds import generator
from tests.scenarios.settings import DAY, moderate
from tests.scenarios.tokens import INPUT, OUTPUT, distance, fit
from tests.scenarios.truth import truth
from tests.testdata import dataset

SETTING = moderate()
BEGIN = SETTING.begin
NOON = BEGIN + DAY / 2


@pytest.fixture(scope="module")
def quiet() -> Calls:
    return draw(SETTING, 1, "tuning", 1)


def same(one: Calls, other: Calls) -> bool:
    return all(
        np.array_equal(getattr(one, field.name), getattr(other, field.name), equal_nan=field.name == "quality")
        for field in fields(Calls)
    )


def test_the_simulator_shares_no_code_with_what_it_judges() -> None:
    for module in Path(scenarios.__file__).parent.glob("*.py"):
        for node in ast.walk(ast.parse(module.read_text(encoding="utf-8"))):
            names = [alias.name for alias in node.names] if isinstance(node, ast.Import) else []
            names += [node.module or ""] if isinstance(node, ast.ImportFrom) else []
            assert not [name for name in names if name.split(".")[0] == "exporter"], module.name


def test_a_seed_is_a_scenario_and_purposes_share_none(quiet: Calls) -> None:
    assert same(quiet, draw(SETTING, 1, "tuning", 1))
    first = {generator("tuning", number).integers(2**63) for number in range(200)}
    second = {generator("judging", number).integers(2**63) for number in range(200)}
    assert len(first) == len(second) == 200
    assert not first & second


def test_a_week_has_days_nights_and_week_ends() -> None:
    calls = draw(moderate(0.2), 7, "tuning", 3)
    hours = np.bincount(((calls.at - BEGIN) // 3600).astype(int), minlength=168).reshape(7, 24)

    assert len(calls) == pytest.approx(0.2 * 7 * DAY, rel=0.1)
    assert hours[:5, 12:17].mean() > 4 * hours[:5, 1:5].mean()
    assert hours[5:].sum() / 2 < 0.75 * hours[:5].sum() / 5
    assert np.all(np.diff(calls.at) >= 0)


def test_the_share_follows_the_plan_and_shadow_calls_repeat_source_calls(quiet: Calls) -> None:
    share = truth(quiet, BEGIN, BEGIN + DAY).target_share
    planned = np.interp(BEGIN + DAY / 2, *zip(*SETTING.migrations[0].share, strict=True))

    assert share == pytest.approx(planned, abs=0.01)
    shadows = quiet.where(quiet.role == ROLES.index("shadow"))
    assert len(shadows) == pytest.approx(0.02 * (quiet.role == 0).sum(), rel=0.2)
    assert set(shadows.at) <= set(quiet.at[quiet.role == 0])


@pytest.mark.parametrize(
    ("kind", "strength"), [("prompt_bloat", 1.5), ("price_change", 1.5), ("runaway_application", 3)]
)
def test_cost_incidents_cost_as_much_more_as_they_say(quiet: Calls, kind: str, strength: float) -> None:
    incident = Incident(kind, NOON, NOON + 7200, strength)
    before, after = (truth(calls, NOON, NOON + 7200) for calls in (quiet, draw(SETTING, 1, "tuning", 1, [incident])))

    assert after.cost / before.cost == pytest.approx(strength, rel=0.05)


@pytest.mark.parametrize("strength", [0.05, 0.2])
def test_an_error_burst_adds_its_points_to_the_model_that_it_strikes(quiet: Calls, strength: float) -> None:
    incident = Incident("error_burst", NOON, NOON + 6 * 3600, strength, "new-large")
    ratios = []
    for calls in (quiet, draw(SETTING, 1, "tuning", 1, [incident])):
        own = calls.where(calls.model == Names.of(SETTING).models.index("new-large"))
        ratios.append(truth(own, NOON, NOON + 6 * 3600).error_ratio)

    assert ratios[1] - ratios[0] == pytest.approx(strength, rel=0.15)


def test_a_latency_step_is_a_factor_and_a_creep_grows_to_it(quiet: Calls) -> None:
    step = draw(SETTING, 1, "tuning", 1, [Incident("latency_step", NOON, NOON + 7200, 2, "new-large")])
    creep = draw(SETTING, 1, "tuning", 1, [Incident("latency_creep", NOON, NOON + 7200, 3, "new-large")])
    struck = (quiet.model == Names.of(SETTING).models.index("new-large")) & (quiet.at >= NOON)
    during = struck & (quiet.at < NOON + 7200)
    late = during & (quiet.at > NOON + 7000)

    assert np.allclose(step.latency[during], 2 * quiet.latency[during])
    assert np.all(creep.latency[late] / quiet.latency[late] > 2.9)
    assert np.all(creep.latency[during] / quiet.latency[during] <= 3)


def test_a_retry_storm_multiplies_calls_and_a_rollback_takes_the_share_back(quiet: Calls) -> None:
    storm = truth(draw(SETTING, 1, "tuning", 1, [Incident("retry_storm", NOON, NOON + 7200, 0.5)]), NOON, NOON + 7200)
    back = truth(draw(SETTING, 1, "tuning", 1, [Incident("rollback", NOON, NOON + 7200, 0.8)]), NOON, NOON + 7200)
    before = truth(quiet, NOON, NOON + 7200)

    # of the calls to target models half fail and are repeated: 1/2 + 1/4 + 1/8 more of them
    target = (quiet.role != 0) & (quiet.at > NOON) & (quiet.at <= NOON + 7200)
    assert storm.requests - before.requests == pytest.approx(0.875 * target.sum(), rel=0.1)
    assert back.target_share == pytest.approx(0.2 * before.target_share, rel=0.2)


@pytest.mark.parametrize("kind", sorted(KINDS))
def test_an_incident_changes_nothing_outside_its_time(quiet: Calls, kind: str) -> None:
    incident = Incident(kind, NOON, NOON + 3600, 2.0 if KINDS[kind].unit == "factor" else 0.5)
    calls = draw(SETTING, 1, "tuning", 1, [incident])
    before, after = quiet.at < NOON, calls.at < NOON

    assert same(quiet.where(before), calls.where(after))
    assert calls.at[calls.at >= NOON + 3600].tolist() == quiet.at[quiet.at >= NOON + 3600].tolist()


def test_token_distributions_are_those_of_the_trace() -> None:
    rows = np.loadtxt(
        dataset("azure-llm-inference-2023-conv.csv"), delimiter=",", skiprows=1, usecols=(1, 2), dtype=float
    )
    for mixture, counts in ((INPUT, rows[:, 0]), (OUTPUT, rows[:, 1])):
        again = fit(counts, len(mixture.weights))

        assert distance(mixture, counts) < 0.05
        assert mixture.mean == pytest.approx(counts.mean(), rel=0.02)
        assert np.allclose(again.means, mixture.means, atol=0.01)
        assert np.allclose(again.weights, mixture.weights, atol=0.01)
        drawn = mixture.draw(generator("tuning", 0), 50_000)
        assert np.quantile(drawn, 0.99) == pytest.approx(np.quantile(counts, 0.99), rel=0.5)
