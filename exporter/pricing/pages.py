"""The price book's file: what `prices.yaml` says of each model, read and written without loss."""

from __future__ import annotations

import json
import re
import textwrap
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import date
from decimal import Decimal
from pathlib import Path
from typing import Any

import yaml

from exporter.errors import UserError
from exporter.money import usd_per_million_to_pico
from exporter.pricing.rates import Rates

TIERS = ("standard", "batch", "flex", "priority")

_LOADER: type[yaml.SafeLoader] = getattr(yaml, "CSafeLoader", yaml.SafeLoader)
_RATES = ("input", "cached_input", "cache_write", "output")
_PLAIN = re.compile(r"[A-Za-z][A-Za-z0-9._/+-]*")
_WIDTH = 118


@dataclass(frozen=True, slots=True)
class Price:
    """One line of a model's price list: the rates of a tier from a UTC day on (None: from ever)."""

    start: date | None
    tier: str
    rates: Rates | None  # None ends what was before: from here on there is no known price
    source: str = ""  # who says so, when it is not the book's own source


@dataclass(frozen=True, slots=True)
class ModelPrices:
    """One model's page in the book."""

    name: str
    provider: str
    prices: tuple[Price, ...]  # by tier, then by start
    label: str = ""  # the model whose snapshot this is, when the snapshot has a price of its own
    aliases: tuple[str, ...] = ()
    snapshots: tuple[str, ...] = ()  # `name-YYYYMMDD`: any such date is this model at this price
    note: str = ""
    retired_from_source: date | None = None


@dataclass(frozen=True, slots=True)
class Book:
    """The whole file."""

    version: str
    verified: str  # the day on which the prices were last compared with their source
    sources: Mapping[str, Mapping[str, str]]  # the first is where all prices come from that name no other
    models: tuple[ModelPrices, ...]


def read(path: Path) -> Book:
    """Read a price book.

    Raises:
        UserError: it cannot be read, or is no price book; the message names the model.
    """
    try:
        document = yaml.load(path.read_text(encoding="utf-8"), Loader=_LOADER)  # noqa: S506 - a safe loader
    except OSError as error:
        raise UserError(f"{path}: cannot read the price book: {error.strerror}") from None
    except (yaml.YAMLError, UnicodeDecodeError) as error:
        raise UserError(f"{path}: the price book is not YAML: {error}") from None
    where = "the header"
    models = []
    try:
        for provider, pages in document["providers"].items():
            for name, page in pages.items():
                where = f"model {name}"
                models.append(_model(str(name), str(provider), page))
        where = "the header"
        return Book(
            str(document["version"]),
            str(document["verified"]),
            {str(name): {str(k): str(v) for k, v in facts.items()} for name, facts in document["sources"].items()},
            tuple(models),
        )
    except (KeyError, TypeError, ValueError, AttributeError, ArithmeticError) as error:
        raise UserError(f"{path}: {where}: {type(error).__name__}: {error}; restore the shipped file") from None


def write(book: Book, heading: str) -> str:
    """The text of a price book: the same book always gives the same text."""
    lines = [*(f"# {line}".rstrip() for line in heading.splitlines()), ""]
    lines += [f"version: {_text(book.version)}", f"verified: {_text(book.verified)}"]
    lines.append("sources:" if book.sources else "sources: {}")
    for name, facts in book.sources.items():
        lines.append(f"  {name}:")
        lines += [f"    {key}: {_text(value)}" for key, value in facts.items()]
    lines += ["", "providers:"]
    provider = ""
    for model in book.models:
        if model.provider != provider:
            provider = model.provider
            lines.append(f"  {provider}:")
        lines.append(f"    {_text(model.name)}:")
        if model.label:
            lines.append(f"      label: {_text(model.label)}")
        lines += _list("aliases", model.aliases)
        lines += _list("snapshots", model.snapshots)
        if model.note:
            lines.append(f"      note: {_text(model.note)}")
        if model.retired_from_source:
            lines.append(f"      retired_from_source: {model.retired_from_source}")
        lines.append("      prices:")
        lines += [f"      - {format_price(price)}" for price in model.prices]
    return "\n".join(lines) + "\n"


def format_price(price: Price) -> str:
    """One line of a price list as the file has it."""
    fields: list[tuple[str, str]] = []
    if price.tier != "standard":
        fields.append(("tier", price.tier))
    if price.start:
        fields.append(("from", price.start.isoformat()))
    if price.rates is None:
        fields.append(("unknown", "true"))
    else:
        fields += _rate_fields(price.rates)
        if price.rates.above:
            tiers = ((str(threshold), _mapping(_rate_fields(higher))) for threshold, higher in price.rates.above)
            fields.append(("above", _mapping(tiers)))
    if price.source:
        fields.append(("source", _text(price.source)))
    return _mapping(fields)


def parse_price(line: Mapping[str, object]) -> Price:
    """One line of a price list.

    Raises:
        KeyError, TypeError, ValueError, ArithmeticError: it is not such a line.
    """
    start = line.get("from")
    if start is not None and type(start) is not date:
        raise TypeError(f"from is {start!r}; write a date, 2025-06-10")
    tier = str(line.get("tier", "standard"))
    if tier not in TIERS:
        raise ValueError(f"tier is {tier!r}; write one of {', '.join(TIERS)}")
    rates = None if line.get("unknown") else _rates(line)
    return Price(start, tier, rates, str(line.get("source", "")))


def _model(name: str, provider: str, page: Mapping[str, object]) -> ModelPrices:
    prices = _sequence(page["prices"])
    retired = page.get("retired_from_source")
    return ModelPrices(
        name=name,
        provider=provider,
        prices=tuple(parse_price(line) for line in prices),
        label=str(page.get("label", "")),
        aliases=tuple(str(alias) for alias in _sequence(page.get("aliases", []))),
        snapshots=tuple(str(form) for form in _sequence(page.get("snapshots", []))),
        note=str(page.get("note", "")),
        retired_from_source=date.fromisoformat(str(retired)) if retired else None,
    )


def _rates(line: Mapping[str, object]) -> Rates:
    above = line.get("above") or {}
    if not isinstance(above, Mapping):
        raise TypeError("above is not a mapping of token counts to rates")
    return Rates(
        input=_pico(line["input"]),
        output=_pico(line["output"]),
        cached_input=_pico(line["cached_input"]) if "cached_input" in line else None,
        cache_write=_pico(line["cache_write"]) if "cache_write" in line else None,
        above=tuple((int(threshold), _rates(above[threshold])) for threshold in sorted(above)),
    )


def _pico(value: object) -> int:
    if isinstance(value, bool) or not isinstance(value, int | float | str | Decimal):
        raise TypeError(f"{value!r} is not a price")
    pico = usd_per_million_to_pico(value)
    if pico < 0:
        raise ValueError(f"{value} is less than nothing")
    return pico


def _sequence(value: object) -> Sequence[Any]:
    if not isinstance(value, list):
        raise TypeError(f"{value!r} is not a list")
    return value


def _rate_fields(rates: Rates) -> list[tuple[str, str]]:
    usd = rates.usd_per_million()
    return [(name, f"{usd[name].normalize():f}") for name in _RATES if name in usd]


def _mapping(fields: Iterable[tuple[str, str]]) -> str:
    return "{" + ", ".join(f"{key}: {value}" for key, value in fields) + "}"


def _list(key: str, values: Sequence[str]) -> list[str]:
    if not values:
        return []
    text = f"{key}: [{', '.join(_text(value) for value in values)}]"
    return textwrap.wrap(
        text,
        _WIDTH,
        initial_indent=" " * 6,
        subsequent_indent=" " * 8,
        break_long_words=False,
        break_on_hyphens=False,
    )


def _text(value: str) -> str:
    """A YAML string: plain where it can be nothing else, quoted otherwise."""
    plain = _PLAIN.fullmatch(value) and yaml.safe_load(value) == value
    return value if plain else json.dumps(value, ensure_ascii=False)
