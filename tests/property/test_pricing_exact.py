"""Money is exact: whatever tokens come, the book and decimal arithmetic say the same."""

from __future__ import annotations

from decimal import ROUND_HALF_EVEN, Decimal, localcontext

from hypothesis import given
from hypothesis import strategies as st

from exporter.plan.model import PriceOverride
from exporter.pricing.book import PriceBook, Usage

BOOK = PriceBook.load()
AT = 1_795_000_000.0  # 2026-11-18

rates = st.decimals(min_value=0, max_value=1000, places=6)
tokens = st.integers(min_value=0, max_value=2**53 - 1)


@st.composite
def usages(draw: st.DrawFn) -> Usage:
    total = draw(tokens)
    cached = draw(st.integers(0, total))
    written = draw(st.integers(0, total - cached))
    return Usage(total, cached, written, draw(tokens))


@given(usages(), rates, rates, rates | st.none(), rates | st.none())
def test_a_cost_is_the_exact_sum_rounded_once(
    usage: Usage, into: Decimal, out: Decimal, cached: Decimal | None, written: Decimal | None
) -> None:
    given_rates = {"input": into, "output": out}
    if cached is not None:
        given_rates["cached_input"] = cached
    if written is not None:
        given_rates["cache_write"] = written
    book = BOOK.with_overrides([PriceOverride("acme", None, given_rates)])
    with localcontext() as context:
        context.prec = 60
        plain = usage.input_tokens - usage.cached_input_tokens - usage.cache_write_tokens
        micro = (
            plain * into
            + usage.cached_input_tokens * (into if cached is None else cached)
            + usage.cache_write_tokens * (into if written is None else written)
            + usage.output_tokens * out
        )
        expected = (micro * 1000).to_integral_value(ROUND_HALF_EVEN)
    assert book.cost_nano("acme", usage, AT) == expected


@given(st.lists(usages(), max_size=30), st.randoms())
def test_the_sum_of_calls_does_not_depend_on_their_order(calls: list[Usage], order: object) -> None:
    costs = [BOOK.cost_nano("gpt-4o-mini", call, AT) for call in calls]
    assert all(cost is not None for cost in costs)
    total = sum(cost for cost in costs if cost is not None)
    shuffled = list(calls)
    order.shuffle(shuffled)  # type: ignore[attr-defined]
    assert total == sum(BOOK.cost_nano("gpt-4o-mini", call, AT) or 0 for call in shuffled)
    exact = sum(
        (
            Decimal(call.input_tokens - call.cached_input_tokens) * 150
            + Decimal(call.cached_input_tokens) * 75
            + Decimal(call.output_tokens) * 600
            for call in calls
        ),
        Decimal(0),
    )  # nano-dollars: 0.15, 0.075 and 0.60 USD per million tokens, none of them needs rounding
    assert total == exact


@given(usages(), st.sampled_from(sorted(BOOK.models())))
def test_more_tokens_never_cost_less(usage: Usage, model: str) -> None:
    # A larger prompt at the same rates, or at the higher ones of long prompts.
    cost = BOOK.cost_nano(model, usage, AT)
    more = BOOK.cost_nano(model, usage._replace(input_tokens=usage.input_tokens + 1), AT)
    assert cost is not None
    assert more is not None
    assert 0 <= cost <= more


@given(st.text(max_size=60), st.sampled_from(["standard", "batch", "flex", "priority"]))
def test_any_text_is_a_name_or_has_no_price(name: str, tier: str) -> None:
    label = BOOK.canonical(name)
    assert label is None or label in BOOK.models()
    assert label is not None or BOOK.cost_nano(name, Usage(1, 0, 0, 1), AT, tier) is None
