"""Our price book against the package that it comes from: every model, to the nano-dollar."""

from __future__ import annotations

import random
from collections.abc import Iterator
from datetime import UTC, date, datetime, timedelta
from decimal import ROUND_HALF_EVEN, Decimal
from importlib.metadata import version
from typing import Any

import pytest

genai_prices = pytest.importorskip("genai_prices", reason="the oracle is the package genai-prices")

from exporter.pricing.book import PACKAGED, PriceBook, Usage  # noqa: E402
from exporter.pricing.names import FORMS  # noqa: E402
from exporter.pricing.pages import Book, ModelPrices, read  # noqa: E402

PROVIDERS = ("openai", "anthropic", "google", "mistral", "x-ai", "deepseek", "cohere")
CONTEXTS: dict[str, dict[str, str] | None] = {
    "standard": None,
    "batch": {"processing": "batch"},
    "flex": {"service_tier": "flex"},
    "priority": {"service_tier": "priority"},
}

#: Names for which we and the source differ, and why we are right.
DIFFERENCES = {
    **dict.fromkeys(
        ("gemini-1.5-flash-8b", "gemini-1.5-flash-8b-001", "gemini-1.5-flash-8b-latest"),
        "the source's pattern takes it for gemini-1.5-flash at twice the price",
    ),
}
#: Names that only we know: the source has other names of the same model.
OURS = {
    "codestral": "the source has codestral-latest and dated names",
    "ft:gpt-4o": "the source has it by its dated base",
    "ft:gpt-4o-mini": "the source has it by its dated base",
    "magistral-small": "the source's pattern wants something behind it",
    "mistral-medium-3-1": "the source's own identifier, which its pattern does not match",
    "pixtral-large": "the source has pixtral-large-latest and a dated name",
}

TEXT: Book = read(PACKAGED)
BOOK = PriceBook.load()
PAGES = [page for page in TEXT.models if page.provider in PROVIDERS and page.retired_from_source is None]


@pytest.fixture(scope="module", autouse=True)
def same_source() -> None:
    installed, ours = version("genai-prices"), TEXT.sources["genai-prices"]["version"]
    if installed != ours:
        pytest.skip(f"the book was made from genai-prices {ours}, {installed} is installed: refresh it")


def oracle(name: str, provider: str, usage: Usage, at: datetime, tier: str) -> int:
    """The source's own answer in nano-dollars."""
    price = genai_prices.calc_price(
        genai_prices.Usage(
            input_tokens=usage.input_tokens,
            cache_read_tokens=usage.cached_input_tokens,
            cache_write_tokens=usage.cache_write_tokens,
            output_tokens=usage.output_tokens,
        ),
        name,
        provider_id=provider,
        genai_request_timestamp=at,
        price_context=CONTEXTS[tier],
    )
    return int((price.total_price * 10**9).to_integral_value(ROUND_HALF_EVEN))


def source_model(name: str, provider: str) -> Any:
    found = next(p for p in genai_prices.data_snapshot.get_snapshot().providers if p.id == provider)
    return found.find_model(name)


def known_name(page: ModelPrices) -> str:
    """One of the model's names that the source has too."""
    return next(
        name
        for name in (page.name, *page.aliases)
        if name not in DIFFERENCES and source_model(name, page.provider) is not None
    )


def moments(page: ModelPrices) -> Iterator[datetime]:
    """Before anything, now, and both sides of every midnight on which a price changes."""
    yield datetime(2023, 3, 1, 12, tzinfo=UTC)
    yield datetime(2026, 11, 23, 12, tzinfo=UTC)
    for day in {price.start for price in page.prices if price.start}:
        midnight = datetime(day.year, day.month, day.day, tzinfo=UTC)
        yield midnight
        yield midnight - timedelta(milliseconds=1)


def usages(page: ModelPrices) -> list[Usage]:
    thresholds = {tokens for price in page.prices if price.rates for tokens, _ in price.rates.above}
    inputs = {0, 1, 999, 1000, 1_000_000, *(tokens + step for tokens in thresholds for step in (-1, 0, 1))}
    return [
        Usage(tokens, cached, written, output)
        for tokens in sorted(inputs)
        for cached, written in ((0, 0), (tokens // 2, 0), (tokens, 0), (tokens // 3, tokens // 3), (0, tokens))
        for output in (0, 1, 777, 1_000_000)
    ]


def has_tier(model: Any, tier: str, day: date) -> bool:
    """Whether the source says anything of a tier on a day; where it does not, it silently takes standard prices."""
    context = CONTEXTS[tier]
    return context is None or any(
        all(context.get(key) == value for key, value in variant.when.items())
        and (variant.constraint is None or variant.constraint.start_date <= day)
        for variant in model.price_variants or ()
    )


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_every_model_costs_what_its_source_says(page: ModelPrices) -> None:
    name = known_name(page)
    model = source_model(name, page.provider)
    drawn = random.Random(page.name)
    grid = usages(page)
    for at in moments(page):
        for tier in CONTEXTS:
            sample = drawn.sample(grid, 25)
            if not has_tier(model, tier, at.date()):
                lines = [p for p in page.prices if p.tier == tier and (p.start or date.min) <= at.date()]
                assert all(line.source for line in lines), "a price that nobody vouches for"
                if not lines:
                    assert BOOK.cost_nano(name, sample[0], at.timestamp(), tier) is None
                continue
            for usage in sample:
                ours = BOOK.cost_nano(name, usage, at.timestamp(), tier)
                assert ours == oracle(name, page.provider, usage, at, tier), (name, usage, at, tier)


@pytest.mark.parametrize("name", ["gpt-4", "gpt-4o", "gpt-4.1", "gpt-5.5", "o3", "gemini-2.5-pro", "claude-haiku-5-5"])
def test_the_whole_grid_of_usages_agrees(name: str) -> None:
    page = next(page for page in PAGES if page.name == name)
    at = datetime(2026, 11, 23, 12, tzinfo=UTC)
    for usage in usages(page):
        assert BOOK.cost_nano(name, usage, at.timestamp()) == oracle(name, page.provider, usage, at, "standard"), usage


def test_every_name_means_the_same_model_to_the_source() -> None:
    at, usage = datetime(2026, 11, 23, 12, tzinfo=UTC), Usage(1_000, 100, 10, 1_000)
    ours = set()
    for page in PAGES:
        names = [page.name, *page.aliases]
        for snapshot in page.snapshots:
            form = next(form for form in FORMS if snapshot.endswith(form))
            names.append(snapshot.removesuffix(form) + FORMS[form])
        for name in names:
            if source_model(name, page.provider) is None:
                ours.add(name)
            elif name not in DIFFERENCES:
                cost = BOOK.cost_nano(name, usage, at.timestamp())
                assert cost == oracle(name, page.provider, usage, at, "standard"), name
    assert ours == set(OURS)


def test_every_listed_difference_is_one() -> None:
    at, usage = datetime(2026, 11, 23, 12, tzinfo=UTC), Usage(1_000, 0, 0, 1_000)
    for name in DIFFERENCES:
        assert BOOK.cost_nano(name, usage, at.timestamp()) != oracle(name, "google", usage, at, "standard")


def test_the_batch_prices_from_elsewhere_are_half_of_the_standard_ones() -> None:
    lines = [(page, price) for page in TEXT.models for price in page.prices if price.source == "openai-batch"]
    assert {page.name for page, _ in lines} >= {"gpt-4.1", "gpt-4.1-mini", "gpt-4o", "gpt-4o-mini"}
    for page, price in lines:
        assert price.start is not None
        at = datetime(price.start.year, price.start.month, price.start.day, tzinfo=UTC)
        full = oracle(page.name, page.provider, Usage(1_000_000, 0, 0, 500_000), at, "standard")
        half = BOOK.cost_nano(page.name, Usage(1_000_000, 0, 0, 500_000), at.timestamp(), "batch")
        assert half is not None
        assert Decimal(half) * 2 == full
