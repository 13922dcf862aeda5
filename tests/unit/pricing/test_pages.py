"""The file of the price book: read and written without loss, and with messages that name the place."""

from __future__ import annotations

from datetime import date
from pathlib import Path

import pytest

from exporter.errors import UserError
from exporter.pricing.pages import Book, ModelPrices, Price, read, write
from exporter.pricing.rates import Rates

HEAD = "version: v\nverified: '2026-01-01'\nsources: {s: {version: '1'}}\nproviders:\n  openai:\n"


def test_everything_that_a_page_can_say_survives_writing_and_reading(tmp_path: Path) -> None:
    rates = Rates(3625, 870_000, 1, None, ((128_000, Rates(7, 8, 2)), (272_000, Rates(9, 10, 3, 4))))
    model = ModelPrices(
        name="odd: name",
        provider="openai",
        prices=(
            Price(None, "standard", rates),
            Price(date(2025, 6, 10), "standard", Rates(0, 1)),
            Price(date(2025, 6, 10), "batch", Rates(1, 1), "somewhere"),
            Price(date(2026, 6, 10), "batch", None),
        ),
        label="other",
        aliases=("1e5", "a,b", "gpt-4o:extended", "no", *(f"a-rather-long-alias-{n}" for n in range(20))),
        snapshots=("x@YYYYMMDD",),
        note="text rates; audio input has its own",
        retired_from_source=date(2026, 11, 1),
    )
    book = Book("2026-11-23", "2026-11-24", {"s": {"version": "1", "url": "https://example.com/?a=b"}}, (model,))
    path = tmp_path / "prices.yaml"
    path.write_text(write(book, "A heading\n\nin three lines"))
    assert read(path) == book
    assert path.read_text().startswith("# A heading\n#\n# in three lines\n\nversion: ")


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("{", "the price book is not YAML"),
        ("[]", "the header: TypeError"),
        (HEAD + "    m: {prices: [{input: 1}]}", "model m: KeyError: 'output'"),
        (HEAD + "    m: {prices: [{input: -1, output: 1}]}", "model m: ValueError: -1 is less than nothing"),
        (HEAD + "    m: {prices: [{input: true, output: 1}]}", "model m: TypeError: True is not a price"),
        (HEAD + "    m: {prices: [{input: x, output: 1}]}", "model m: InvalidOperation"),
        (HEAD + "    m: {prices: [{from: soon, input: 1, output: 1}]}", "from is 'soon'; write a date, 2025-06-10"),
        (HEAD + "    m: {prices: [{tier: slow, input: 1, output: 1}]}", "tier is 'slow'; write one of standard, batch"),
        (HEAD + "    m: {prices: 1}", "model m: TypeError: 1 is not a list"),
        (HEAD + "    m: {prices: [{input: 0.0000001, output: 1}]}", "finer than 0.000001 USD per million"),
    ],
)
def test_a_broken_book_says_what_is_wrong_and_where(tmp_path: Path, text: str, message: str) -> None:
    path = tmp_path / "prices.yaml"
    path.write_text(text)
    with pytest.raises(UserError) as caught:
        read(path)
    assert str(caught.value).startswith(f"{path}: ")
    assert message in str(caught.value)


def test_a_missing_book_is_named(tmp_path: Path) -> None:
    with pytest.raises(UserError, match=r"prices\.yaml: cannot read the price book: No such file or directory"):
        read(tmp_path / "prices.yaml")
