"""Each field of an event counts where the contract says, at prices that are worked out here by hand."""

from __future__ import annotations

from typing import Any

import pytest

from tests.integration.conftest import NOW, Running, event
from tests.plans import at

MILLION = {"input_tokens": 10**6, "output_tokens": 0}
HOUR = 3600.0


async def buckets(running: Running, name: str, **labels: str) -> dict[str, float]:
    """The cumulative counts of a histogram by their upper bound."""
    page = await running.page()
    wanted = set(labels.items())
    return {dict(key)["le"]: value for key, value in page.get(f"{name}_bucket", {}).items() if wanted <= key}


@pytest.mark.parametrize(
    ("fields", "usd"),
    [
        # USD a million: gpt-4.1 2 in, 0.50 cached, 8 out
        ({"input_tokens": 1_000_000, "cached_input_tokens": 600_000, "output_tokens": 0}, 0.4 * 2 + 0.6 * 0.5),
        ({"input_tokens": 1_000_000, "cached_input_tokens": 1_000_000, "output_tokens": 0}, 0.5),
        ({"input_tokens": 0, "output_tokens": 1_000_000, "reasoning_tokens": 900_000}, 8),
        # claude-3-opus 15 in, 1.50 cached, 18.75 written, 75 out
        (
            {
                "model": "claude-3-opus",
                "input_tokens": 1_000_000,
                "cached_input_tokens": 500_000,
                "cache_write_tokens": 200_000,
                "output_tokens": 100_000,
            },
            0.3 * 15 + 0.5 * 1.5 + 0.2 * 18.75 + 0.1 * 75,
        ),
    ],
)
async def test_every_kind_of_token_has_its_price_once(running: Running, fields: dict[str, Any], usd: float) -> None:
    await running.push(event(**fields))

    assert await running.total("llm_cost_usd_total") == pytest.approx(usd, abs=1e-9)
    assert await running.total("llm_tokens_total") == fields["input_tokens"] + fields["output_tokens"]


async def test_a_tier_has_its_own_price_and_without_one_the_call_is_unpriced_not_free(running: Running) -> None:
    await running.push(
        event(tier="standard", application="standard", **MILLION),
        event(tier="batch", application="batch", **MILLION),
        event(tier="flex", application="flex", **MILLION),
    )

    assert await running.total("llm_cost_usd_total", application="standard") == 2
    assert await running.total("llm_cost_usd_total", application="batch") == 1  # half price
    assert await running.total("llm_requests_total", application="flex") == 1
    assert await running.total("llm_cost_usd_total", application="flex") == 0
    assert await running.total("llm_unpriced_requests_total", model="gpt-4.1") == 1
    assert await running.total("llm_unpriced_tokens_total", model="gpt-4.1") == 10**6
    # What the flex call would have cost on gpt-4o, at the only price that it has.
    assert await running.total("llm_counterfactual_cost_usd_total", application="flex") == 2.5


async def test_shadow_calls_cost_money_and_are_no_live_traffic(running: Running) -> None:
    await running.push(event(shadow=True, quality_score=0.7, **MILLION), event(model="gpt-4o", **MILLION))

    assert await running.total("llm_cost_usd_total", role="shadow") == 2
    assert await running.total("llm_requests_total", role="target") == 0
    assert await running.total("llm_quality_score_count", role="shadow") == 1
    assert await running.total("llm_counterfactual_cost_usd_total", role="shadow") == 2.5
    assert await running.total("llm_budget_spent_usd", period="daily") == 4.5


async def test_quality_scores_are_kept_by_evaluator(running: Running) -> None:
    await running.push(
        event(quality_score=0.85, evaluator="judge"),
        event(quality_score=1, evaluator="judge"),
        event(quality_score=0),
        event(),
    )

    assert await running.total("llm_quality_score_sum", evaluator="judge") == 1.85
    judged = await buckets(running, "llm_quality_score", evaluator="judge")
    assert (judged["0.8"], judged["0.9"], judged["0.95"], judged["1.0"]) == (0, 1, 1, 2)
    assert await running.total("llm_quality_score_count", evaluator="") == 1
    assert await running.total("llm_quality_score_count") == 3


async def test_times_to_first_token_count_for_streamed_calls_only(running: Running) -> None:
    await running.push(event(time_to_first_token=0.25), event())

    assert await running.total("llm_time_to_first_token_seconds_count") == 1
    assert await running.total("llm_time_to_first_token_seconds_sum") == 0.25


async def test_late_and_early_calls_count_in_their_own_day_and_in_todays_counter(running: Running) -> None:
    running.clock.advance(at("2025-05-20T23:58:00") - NOW)
    before = await running.total("llm_requests_total")
    await running.push(
        event(timestamp=at("2025-05-21T00:02:00"), **MILLION),  # four minutes ahead, and tomorrow
        event(timestamp=at("2025-05-20T12:00:00"), **MILLION),
        event(timestamp=at("2025-05-01T12:00:00"), **MILLION),
    )

    assert await running.total("llm_requests_total") == before + 3
    assert await running.total("llm_cost_usd_total") == 6
    assert await running.total("llm_budget_spent_usd", period="daily") == 2
    running.clock.advance(180)  # past midnight
    assert await running.total("llm_budget_spent_usd", period="daily") == 2
    assert await running.total("llm_budget_spent_usd", period="monthly") == 6


@pytest.mark.parametrize("turned", [False, True])
async def test_the_halves_of_a_pair_are_compared_whichever_comes_first(running: Running, turned: bool) -> None:
    halves = [
        event(model="gpt-4o", pair_id="p", latency=2, input_tokens=0, output_tokens=400, category="other"),
        event(pair_id="p", shadow=True, latency=1, input_tokens=0, output_tokens=300, reasoning_tokens=100),
    ]
    for half in halves[::-1] if turned else halves:
        await running.push(half)
        await running.restart()  # one of them is found in the checkpoint

    labels = {"migration": "gpt4-migration", "category": "other"}
    assert await running.total("llm_pairs_total", outcome="complete") == 1
    assert await running.total("llm_pairs_total") == 1
    assert await running.total("llm_pair_ratio_sum", quantity="latency", **labels) == 0.5
    assert await running.total("llm_pair_ratio_sum", quantity="output_tokens", **labels) == 0.75
    # 300 tokens at 8 USD a million against 400 at 10
    assert await running.total("llm_pair_ratio_sum", quantity="cost", **labels) == 0.6
    latency = await buckets(running, "llm_pair_ratio", quantity="latency")
    assert (latency["0.33"], latency["0.5"]) == (0, 1)


async def test_pairs_that_repeat_or_stay_alone(running: Running) -> None:
    source = event(model="gpt-4o", pair_id="a", id="s")
    await running.push(source, source, {**source, "id": "again"}, event(pair_id="a"))  # the second has no new id
    await running.push(event(model="gpt-4o", pair_id="lonely"), event(pair_id="b"), event(model="claude-3-opus"))
    outcomes = ("complete", "source_only", "target_only", "duplicate")

    assert [await running.total("llm_pairs_total", outcome=name) for name in outcomes] == [1, 0, 0, 1]
    running.clock.advance(HOUR + 1)
    await running.push(event())  # the ledger's clock goes on with the calls
    assert [await running.total("llm_pairs_total", outcome=name) for name in outcomes] == [1, 1, 1, 1]
    await running.push(event(pair_id="lonely", timestamp=NOW))  # too late
    assert [await running.total("llm_pairs_total", outcome=name) for name in outcomes] == [1, 1, 1, 1]
    running.clock.advance(HOUR + 1)
    await running.push(event())
    assert [await running.total("llm_pairs_total", outcome=name) for name in outcomes] == [1, 1, 2, 1]
    assert await running.total("llm_pair_ratio_count", quantity="cost") == 1


async def test_a_scraper_sees_pairs_from_zero_on(running: Running) -> None:
    assert await running.total("llm_pairs_total", scraper=True) == 0
    assert "llm_pairs_total" in await running.page(scraper=True)
    await running.push(event(model="gpt-4o", pair_id="p"), event(pair_id="p"))

    assert await running.total("llm_pairs_total", scraper=True) == 0  # its hold has not ended yet
    assert await running.total("llm_pair_ratio_count", scraper=True) == 0
    running.clock.advance(151)
    assert await running.total("llm_pairs_total", scraper=True) == 1
    assert await running.total("llm_pair_ratio_count", scraper=True) == 3
