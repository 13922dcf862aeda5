"""`prices`: look into the price book, and bring it up to date."""

from __future__ import annotations

from datetime import UTC, datetime
from pathlib import Path

import click

from exporter.clock import SystemClock
from exporter.pricing import refresh as refreshing
from exporter.pricing.book import PACKAGED, PriceBook
from exporter.pricing.show import show as show_model


@click.group()
def prices() -> None:
    """The price book that calls are priced with."""


@prices.command()
@click.argument("model")
@click.option("--at", type=click.DateTime(["%Y-%m-%d"]), help="Day of the prices, UTC.  [default: today]")
def show(model: str, at: datetime | None) -> None:
    """Print what MODEL costs, in USD per million tokens, by tier."""
    when = SystemClock().now() if at is None else at.replace(tzinfo=UTC).timestamp()
    click.echo(show_model(PriceBook.load(), model, when))


@prices.command()
@click.option("--file", "path", type=click.Path(path_type=Path), default=PACKAGED, help="The book to write.")
def refresh(path: Path) -> None:
    """Rewrite the price book from genai-prices (a maintainer's extra: `pip install '.[prices]'`)."""
    click.echo(str(refreshing.refresh(path)))
