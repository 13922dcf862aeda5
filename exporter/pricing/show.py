"""`prices show`: one model's page of the price book for people."""

from __future__ import annotations

from datetime import UTC, date, datetime
from difflib import get_close_matches

from exporter.errors import UserError
from exporter.pricing.book import PriceBook
from exporter.pricing.pages import TIERS, Price
from exporter.pricing.rates import Rates

_COLUMNS = ("input", "cached_input", "cache_write", "output")


def show(book: PriceBook, name: str, at: float) -> str:
    """A model's names and its whole price list; `*` marks what is in force at a Unix time.

    Raises:
        UserError: no model has this name; the message names those that are spelled like it.
    """
    page = book.page(name)
    if page is None:
        close = get_close_matches(name.lower(), book.models(), n=3)
        hint = f"did you mean {', '.join(close)}?" if close else "`prices:` in migration.yaml can give it a price"
        raise UserError(f"no model in the price book is named {name}; {hint}")
    facts = [
        ("model", page.name),
        ("counted as", page.label),
        ("provider", page.provider),
        ("also", ", ".join((*page.aliases, *page.snapshots))),
        ("note", page.note),
        (
            "retired",
            f"{page.retired_from_source} by the source; its last price is kept" * bool(page.retired_from_source),
        ),
        ("book", f"{book.version}, verified {book.verified}"),
    ]
    lines = [f"{key + ':':<12}{value}" for key, value in facts if value]
    lines += ["", f"  {'USD per million tokens':<34}" + "".join(f"{column:>14}" for column in _COLUMNS)]
    today = datetime.fromtimestamp(at, UTC).date()
    for tier in TIERS:
        prices = [price for price in page.prices if price.tier == tier]
        begun = [price for price in prices if (price.start or date.min) <= today]
        for price in prices:
            lines += _rows(price, in_force=bool(begun) and price is begun[-1])
    return "\n".join(lines)


def _rows(price: Price, *, in_force: bool) -> list[str]:
    when = f"from {price.start}" if price.start else "always"
    head = f"{'*' if in_force else ' '} {price.tier:<9} {when:<15}"
    source = f"   {price.source}" if price.source else ""
    if price.rates is None:
        return [f"{head}{'not known':>23}{source}"]
    rows = [f"{head:<36}{_cells(price.rates)}{source}"]
    rows += [f"  {f'above {tokens:,} input tokens':>32}  {_cells(rates)}" for tokens, rates in price.rates.above]
    return rows


def _cells(rates: Rates) -> str:
    usd = rates.usd_per_million()
    return "".join(f"{f'{usd[column].normalize():f}' if column in usd else '-':>14}" for column in _COLUMNS)
