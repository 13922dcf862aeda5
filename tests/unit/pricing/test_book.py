"""What calls cost, against prices worked out by hand from the providers' published lists."""

from __future__ import annotations

from datetime import UTC, date, datetime
from decimal import Decimal
from pathlib import Path

import pytest

from exporter.errors import UserError
from exporter.plan.model import PriceOverride
from exporter.pricing.book import CACHE_LIMIT, PriceBook, Usage

IN_2025 = datetime(2025, 7, 1, 12, tzinfo=UTC).timestamp()
IN_2026 = datetime(2026, 11, 1, 12, tzinfo=UTC).timestamp()


@pytest.fixture(scope="module")
def book() -> PriceBook:
    return PriceBook.load()


def at(*moment: int) -> float:
    return datetime(*moment, tzinfo=UTC).timestamp()


def override(model: str, start: date | None = None, **rates: str) -> PriceOverride:
    return PriceOverride(model, start, {rate: Decimal(usd) for rate, usd in rates.items()})


# (model, input, cached, written, output, dollars)
@pytest.mark.parametrize(
    ("model", "usage", "usd"),
    [
        ("gpt-4", (1000, 0, 0, 500), "0.06"),  # 1000 x 30 + 500 x 60 microdollars
        ("gpt-4", (22_361_870, 0, 0, 4_088_665), "916.176"),
        ("gpt-4.1", (22_361_870, 0, 0, 4_088_665), "77.43306"),
        ("gpt-4.5-preview", (22_361_870, 0, 0, 4_088_665), "2290.44"),
        ("gpt-4.5-preview", (1000, 400, 0, 100), "0.075"),  # 600 x 75 + 400 x 37.5 + 100 x 150
        ("gpt-4o", (1_000_000, 0, 0, 1_000_000), "12.5"),
        ("gpt-4o", (1000, 1000, 0, 0), "0.00125"),
        ("gpt-4o-mini", (1, 0, 0, 1), "0.00000075"),
        ("gpt-4.1", (1, 1, 0, 0), "0.0000005"),
        ("gpt-4.1-mini", (1000, 0, 0, 1000), "0.002"),
        ("gpt-4", (1000, 1000, 0, 0), "0.03"),  # no cached rate: cached input is input
        ("gpt-4o", (1000, 0, 1000, 0), "0.0025"),  # no rate for writing a cache: input
        ("claude-haiku-4-5", (1000, 500, 300, 100), "0.001125"),  # 200 x 1 + 500 x 0.1 + 300 x 1.25 + 100 x 5
        ("text-embedding-3-small", (1_000_000, 0, 0, 0), "0.02"),
        ("gpt-4.1", (0, 0, 0, 0), "0"),
    ],
)
def test_a_call_costs_what_the_price_list_says(book: PriceBook, model: str, usage: tuple[int, ...], usd: str) -> None:
    assert book.cost_nano(model, Usage(*usage), IN_2026) == Decimal(usd) * 10**9


@pytest.mark.parametrize(
    ("moment", "usd"),
    [
        (at(2025, 6, 9, 23, 59, 59), "0.05"),  # 1000 x 10 + 1000 x 40
        (at(2025, 6, 10), "0.01"),  # 1000 x 2 + 1000 x 8
        (at(2023, 1, 1), "0.05"),
        (IN_2026, "0.01"),
    ],
)
def test_a_call_has_the_price_of_its_own_day_in_utc(book: PriceBook, moment: float, usd: str) -> None:
    assert book.cost_nano("o3", Usage(1000, 0, 0, 1000), moment) == Decimal(usd) * 10**9


@pytest.mark.parametrize(
    ("usage", "usd"),
    [
        ((200_000, 0, 0, 1000), "0.26"),  # 200,000 x 1.25 + 1000 x 10
        ((200_001, 0, 0, 1000), "0.5150025"),  # 200,001 x 2.5 + 1000 x 15: the whole call
        ((200_001, 200_001, 0, 1000), "0.06500025"),  # cached tokens count for the threshold, at 0.25
        ((200_000, 200_000, 0, 1000), "0.035"),  # at 0.125
    ],
)
def test_a_long_prompt_costs_the_higher_rate_for_the_whole_call(
    book: PriceBook, usage: tuple[int, ...], usd: str
) -> None:
    assert book.cost_nano("gemini-2.5-pro", Usage(*usage), IN_2026) == Decimal(usd) * 10**9


def test_a_snapshot_with_a_price_of_its_own_is_priced_as_itself_and_labelled_as_its_model(book: PriceBook) -> None:
    usage = Usage(1_000_000, 0, 0, 1_000_000)
    assert book.cost_nano("gpt-4o-2024-05-13", usage, IN_2026) == 20 * 10**9
    assert book.cost_nano("gpt-4o-2024-08-06", usage, IN_2026) == Decimal("12.5") * 10**9
    assert book.canonical("gpt-4o-2024-05-13") == "gpt-4o"
    assert book.canonical("gpt-3.5-turbo-0613") == "gpt-3.5-turbo"


@pytest.mark.parametrize(
    ("name", "model"),
    [
        ("gpt-4.1", "gpt-4.1"),
        ("GPT-4.1", "gpt-4.1"),
        ("gpt-4.1-2025-04-14", "gpt-4.1"),
        ("gpt-4-0613", "gpt-4"),
        ("gpt-35-turbo", "gpt-3.5-turbo"),
        ("gpt-4.5-preview-2025-02-27", "gpt-4.5-preview"),
        ("gpt-5.2-20251211", "gpt-5.2"),
        ("openai/gpt-4.1", "gpt-4.1"),
        ("OpenAI/GPT-4o-2024-08-06", "gpt-4o"),
        ("models/gemini-2.5-pro", "gemini-2.5-pro"),
        ("gemini-1.5-pro-002", "gemini-1.5-pro"),
        ("gemini-2.5-pro-preview-05-06", "gemini-2.5-pro"),
        ("claude-3-5-sonnet-20241022", "claude-3-5-sonnet"),
        ("claude-3-5-sonnet@20240620", "claude-3-5-sonnet"),
        ("anthropic/claude-3.5-haiku", "claude-3-5-haiku"),
        ("claude-sonnet-4-20250514", "claude-sonnet-4-0"),
        ("ft:gpt-4o-mini-2024-07-18:acme::9XyZ", "ft:gpt-4o-mini"),
        ("grok-4-0709", "grok-4"),
        ("mistral-large-2411", "mistral-large"),
        ("mistral-large-2512", "mistral-large-2512"),  # another generation, not a snapshot
    ],
)
def test_a_model_is_known_by_all_its_names(book: PriceBook, name: str, model: str) -> None:
    assert book.canonical(name) == model
    assert book.cost_nano(name, Usage(1, 0, 0, 1), IN_2026) is not None


@pytest.mark.parametrize(
    "name",
    [
        "",
        "gpt",
        "gpt-4.1-",
        "gpt-4.11",
        "gpt-4o-audio-preview",
        "gpt-4o-mini-search-preview",
        "command-a-vision-07-2025",
        "anthropic/gpt-4.1",
        "azure/gpt-4.1",
        "openai/openai/gpt-4.1",
        "gpt-oss-120b",
        "/",
        "-2024-08-06",
        "ft:gpt-4.1-2025-04-14:acme::9XyZ",
        "gpt-4.5-preview-YYYY-MM-DD",
    ],
)
def test_what_is_not_exactly_a_name_of_a_model_has_no_price(book: PriceBook, name: str) -> None:
    assert book.canonical(name) is None
    assert book.cost_nano(name, Usage(1, 0, 0, 1), IN_2026) is None
    assert book.price(name, IN_2026) is None


def test_a_new_snapshot_counts_as_its_model_but_has_no_price_until_somebody_knows_it(book: PriceBook) -> None:
    assert book.canonical("gpt-4.1-2027-01-31") == "gpt-4.1"
    assert book.cost_nano("gpt-4.1-2027-01-31", Usage(1, 0, 0, 1), IN_2026) is None


@pytest.mark.parametrize(
    ("model", "tier", "moment", "usd"),
    [
        ("gpt-4.1", "batch", IN_2025, "0.005"),  # half of 2 and 8
        ("gpt-4.1", "batch", IN_2026, "0.005"),
        ("gpt-4.1-mini", "batch", IN_2025, "0.001"),
        ("gpt-4o", "batch", IN_2025, "0.00625"),
        ("gpt-4o-mini", "batch", IN_2025, "0.000375"),
        ("gpt-4.1", "batch", at(2025, 4, 13), None),  # before it existed
        ("gpt-4.1", "priority", IN_2026, "0.0175"),  # 3.5 and 14
        ("gpt-4.1", "priority", IN_2025, None),
        ("gpt-4.1", "flex", IN_2026, None),
        ("gpt-5-mini", "flex", IN_2026, "0.001125"),  # 0.125 and 1
        ("gpt-4.5-preview", "batch", IN_2025, None),
        ("gpt-4.1", "no-such-tier", IN_2026, None),
        ("claude-opus-4-5", "batch", IN_2026, "0.015"),  # half of 5 and 25
    ],
)
def test_a_tier_has_its_own_price_or_none(
    book: PriceBook, model: str, tier: str, moment: float, usd: str | None
) -> None:
    expected = None if usd is None else Decimal(usd) * 10**9
    assert book.cost_nano(model, Usage(1000, 0, 0, 1000), moment, tier) == expected


def test_cached_tokens_of_a_batch_had_no_further_discount(book: PriceBook) -> None:
    assert book.cost_nano("gpt-4.1", Usage(1000, 1000, 0, 0), IN_2025, "batch") == 1_000_000


@pytest.mark.parametrize(("tokens", "nano"), [(1, 0), (3, 2), (5, 2), (7, 4), (2, 1)])
def test_half_a_nano_dollar_is_rounded_to_even(book: PriceBook, tokens: int, nano: int) -> None:
    cheap = book.with_overrides([override("cheap", input="0.0005", output="0")])  # half a nano-dollar a token
    assert cheap.cost_nano("cheap", Usage(tokens, 0, 0, 0), IN_2026) == nano


def test_a_cost_is_rounded_once_and_not_by_kind_of_token(book: PriceBook) -> None:
    rates = {"input": "0.0004", "cached_input": "0.0004", "cache_write": "0.0004", "output": "0.0004"}
    cheap = book.with_overrides([override("cheap", **rates)])
    assert cheap.cost_nano("cheap", Usage(3, 1, 1, 1), IN_2026) == 2  # 4 x 0.4 = 1.6


def test_an_override_counts_from_its_day_on(book: PriceBook) -> None:
    own = book.with_overrides([override("gpt-4.1", date(2025, 7, 1), input="1", output="4", cached_input="0.1")])
    usage = Usage(1000, 1000, 0, 1000)
    assert own.cost_nano("gpt-4.1", usage, at(2025, 6, 30, 23, 59, 59)) == 8_500_000
    assert own.cost_nano("gpt-4.1", usage, at(2025, 7, 1)) == 4_100_000
    assert own.cost_nano("openai/gpt-4.1-2025-04-14", usage, at(2025, 7, 1)) == 4_100_000
    assert book.cost_nano("gpt-4.1", usage, at(2025, 7, 1)) == 8_500_000


def test_overrides_follow_each_other_in_time_in_whatever_order_they_are_given(book: PriceBook) -> None:
    own = book.with_overrides(
        [
            override("o3", date(2025, 9, 1), input="3", output="0"),
            override("o3", date(2025, 3, 1), input="7", output="0"),
        ]
    )
    costs = [own.cost_nano("o3", Usage(1, 0, 0, 0), at(2025, month, 15)) for month in (2, 3, 7, 10)]
    assert costs == [10_000, 7_000, 7_000, 3_000]  # the list price of 2025-06-10 does not come back


def test_an_override_without_a_date_replaces_all_of_the_past(book: PriceBook) -> None:
    own = book.with_overrides([override("o3", input="1", output="1")])
    assert own.cost_nano("o3", Usage(1, 0, 0, 0), at(2024, 1, 1)) == 1000


def test_an_override_makes_other_tiers_unknown_from_its_day_on(book: PriceBook) -> None:
    own = book.with_overrides([override("gpt-4.1", date(2025, 7, 1), input="1", output="4")])
    assert own.cost_nano("gpt-4.1", Usage(1000, 0, 0, 0), at(2025, 6, 30), "batch") == 1_000_000
    assert own.cost_nano("gpt-4.1", Usage(1000, 0, 0, 0), at(2025, 7, 1), "batch") is None
    assert own.cost_nano("gpt-4.1", Usage(1000, 0, 0, 0), IN_2026, "priority") is None


def test_an_override_also_replaces_the_rates_of_long_prompts(book: PriceBook) -> None:
    own = book.with_overrides([override("gemini-2.5-pro", input="1", output="1")])
    assert own.cost_nano("gemini-2.5-pro", Usage(300_000, 0, 0, 0), IN_2026) == 300_000_000


def test_an_override_of_one_snapshot_leaves_the_others_alone(book: PriceBook) -> None:
    own = book.with_overrides([override("gpt-4o-2024-08-06", input="1", output="1")])
    usage = Usage(1_000_000, 0, 0, 0)
    assert own.cost_nano("gpt-4o-2024-08-06", usage, IN_2026) == 10**9
    assert own.cost_nano("gpt-4o", usage, IN_2026) == Decimal("2.5") * 10**9
    assert own.canonical("gpt-4o-2024-08-06") == "gpt-4o"


def test_a_private_model_is_known_by_its_name_as_it_is_written(book: PriceBook) -> None:
    own = book.with_overrides([override("Acme/Llama-70B", date(2026, 1, 1), input="0.9", output="0.9")])
    assert own.canonical("acme/llama-70b") == "Acme/Llama-70B"
    assert own.cost_nano("Acme/Llama-70B", Usage(1000, 500, 0, 0), IN_2026) == 900_000
    assert own.cost_nano("Acme/Llama-70B", Usage(1000, 0, 0, 0), at(2025, 12, 31)) is None
    assert own.models()[-1] == "Acme/Llama-70B"


def test_the_version_tells_books_with_other_overrides_apart(book: PriceBook) -> None:
    one, two = override("a", input="1", output="1"), override("b", input="1", output="1")
    versions = {book.with_overrides(own).version for own in ([], [one], [two], [one, two])}
    assert len(versions) == 4
    assert book.with_overrides([two, one]).version in versions
    assert all(version.startswith(book.version) for version in versions)


@pytest.mark.parametrize(
    ("rates", "message"),
    [
        ({"input": "1"}, "prices: acme: output is missing; give USD per million tokens"),
        ({}, "prices: acme: input and output is missing; give USD per million tokens"),
        (
            {"input": "0.0000001", "output": "1"},
            "prices: acme: 1E-7 USD per million tokens is finer than 0.000001 USD per million; round it",
        ),
    ],
)
def test_an_override_that_cannot_be_used_says_why(book: PriceBook, rates: dict[str, str], message: str) -> None:
    with pytest.raises(UserError) as caught:
        book.with_overrides([override("acme", **rates)])
    assert str(caught.value) == message


def test_ten_thousand_invented_names_do_not_fill_the_memory(book: PriceBook) -> None:
    for number in range(10_000):
        assert book.cost_nano(f"invented-{number}", Usage(1, 0, 0, 1), IN_2026) is None
        assert len(book._cache) <= CACHE_LIMIT
    assert book.cost_nano("gpt-4.1", Usage(1, 0, 0, 0), IN_2026) == 2000


def test_rates_are_shown_as_price_lists_print_them(book: PriceBook) -> None:
    rates = book.price("gpt-4.5-preview", IN_2025)
    assert rates is not None
    assert rates.usd_per_million() == {
        "input": Decimal(75),
        "cached_input": Decimal("37.5"),
        "output": Decimal(150),
    }


def test_all_models_of_the_shipped_migration_have_a_price(book: PriceBook) -> None:
    for model in ("gpt-4", "gpt-4o", "gpt-4o-mini", "gpt-4.5-preview", "gpt-4.1", "gpt-4.1-mini"):
        assert model in book.models()
        assert book.canonical(model) == model
        assert book.price(model, IN_2025) is not None


def test_a_name_that_two_models_claim_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "prices.yaml"
    path.write_text(
        "version: '1'\nverified: '1'\nsources: {}\nproviders:\n  p:\n"
        "    one:\n      aliases: [Both]\n      prices:\n      - {input: 1, output: 1}\n"
        "    two:\n      aliases: [both]\n      prices:\n      - {input: 1, output: 1}\n"
    )
    with pytest.raises(UserError, match="both is the name of both one and two"):
        PriceBook.load(path)
