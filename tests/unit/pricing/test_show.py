"""What `prices show` prints."""

from __future__ import annotations

from datetime import UTC, date, datetime
from decimal import Decimal
from pathlib import Path

import pytest

from exporter.errors import UserError
from exporter.plan.model import PriceOverride
from exporter.pricing.book import PriceBook
from exporter.pricing.pages import Book, ModelPrices, Price, write
from exporter.pricing.rates import Rates
from exporter.pricing.show import show

NOW = datetime(2026, 11, 23, tzinfo=UTC).timestamp()


@pytest.fixture
def book(tmp_path: Path) -> PriceBook:
    long = Rates(4_000_000, 16_000_000)
    prices = (
        Price(None, "standard", Rates(10_000_000, 40_000_000)),
        Price(date(2025, 6, 10), "standard", Rates(2_000_000, 8_000_000, 500_000, None, ((200_000, long),))),
        Price(date(2027, 1, 1), "standard", Rates(1_000_000, 1_000_000)),
        Price(date(2025, 6, 10), "batch", Rates(1_000_000, 4_000_000), "docs"),
    )
    model = ModelPrices("o3", "openai", prices, aliases=("o3-2025-04-16",), retired_from_source=date(2026, 11, 1))
    path = tmp_path / "prices.yaml"
    path.write_text(write(Book("1", "2026-11-22", {}, (model,)), ""))
    return PriceBook.load(path)


def test_a_page_has_all_prices_and_marks_those_in_force(book: PriceBook) -> None:
    assert show(book, "O3-2025-04-16", NOW).splitlines() == [
        "model:      o3",
        "provider:   openai",
        "also:       o3-2025-04-16",
        "retired:    2026-11-01 by the source; its last price is kept",
        "book:       1, verified 2026-11-22",
        "",
        "  USD per million tokens                     input  cached_input   cache_write        output",
        "  standard  always                              10             -             -            40",
        "* standard  from 2025-06-10                      2           0.5             -             8",
        "        above 200,000 input tokens               4             -             -            16",
        "  standard  from 2027-01-01                      1             -             -             1",
        "* batch     from 2025-06-10                      1             -             -             4   docs",
    ]


def test_an_override_is_shown_with_where_it_comes_from(book: PriceBook) -> None:
    rates = {"input": Decimal("1.5"), "output": Decimal(6)}
    text = show(book.with_overrides([PriceOverride("o3", date(2026, 1, 1), rates)]), "o3", NOW)
    assert (
        "* standard  from 2026-01-01                    1.5             -             -             6   migration.yaml"
        in text
    )
    assert "* batch     from 2026-01-01              not known   migration.yaml" in text


def test_an_unknown_name_comes_with_a_suggestion(book: PriceBook) -> None:
    with pytest.raises(UserError, match="no model in the price book is named o33; did you mean o3"):
        show(book, "o33", NOW)
    with pytest.raises(UserError, match=r"named xyz; `prices:` in migration\.yaml can give it a price"):
        show(book, "xyz", NOW)
