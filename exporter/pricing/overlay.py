"""What we know beyond the source: `overlay.yaml`, kept by hand, put over every refresh."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import date
from pathlib import Path

import yaml

from exporter.errors import UserError
from exporter.pricing.names import FORMS
from exporter.pricing.pages import TIERS, ModelPrices, Price, parse_price

OVERLAY = Path(__file__).with_name("overlay.yaml")


@dataclass(frozen=True, slots=True)
class Overlay:
    """Prices with their own sources, and names that the main source has only as patterns."""

    sources: Mapping[str, Mapping[str, str]]
    prices: Mapping[str, tuple[Price, ...]]  # by model
    names: Mapping[str, tuple[str, ...]]  # by model; `name-YYYYMMDD` stands for any such date

    def apply(self, models: Sequence[ModelPrices]) -> tuple[ModelPrices, ...]:
        """The models with what is known beyond the source.

        Raises:
            UserError: the overlay speaks of a model that the book does not have.
        """
        unknown = sorted({*self.prices, *self.names} - {model.name for model in models})
        if unknown:
            raise UserError(
                f"overlay.yaml: no such model: {', '.join(unknown)}; name it as exporter/data/prices.yaml does"
            )
        owner = {name: model for model, names in self.names.items() for name in names}
        return tuple(self._page(model, owner) for model in models)

    def _page(self, model: ModelPrices, owner: Mapping[str, str]) -> ModelPrices:
        known = [price for price in model.prices if not price.source]
        began = {price.tier: min(_day(p) for p in known if p.tier == price.tier) for price in known}
        more = [
            price for price in self.prices.get(model.name, ()) if _day(price) < began.get(price.tier, date.max)
        ]  # where the source says something, it counts
        names = self.names.get(model.name, ())
        forms = {name for name in names if name.endswith(tuple(FORMS))}
        aliases = {alias for alias in model.aliases if owner.get(alias, model.name) == model.name}
        return replace(
            model,
            prices=tuple(sorted((*known, *more), key=lambda price: (TIERS.index(price.tier), _day(price)))),
            aliases=tuple(sorted((aliases | set(names)) - forms - {model.name})),
            snapshots=tuple(sorted({*model.snapshots, *forms})),
        )


def read_overlay(path: Path = OVERLAY) -> Overlay:
    """Read the overlay.

    Raises:
        UserError: it cannot be read, or a price names no source.
    """
    try:
        document = yaml.safe_load(path.read_text(encoding="utf-8"))
        overlay = Overlay(
            {name: {key: str(value) for key, value in facts.items()} for name, facts in document["sources"].items()},
            {model: tuple(parse_price(line) for line in lines) for model, lines in document["prices"].items()},
            {model: tuple(names) for model, names in document["names"].items()},
        )
    except (OSError, yaml.YAMLError, KeyError, TypeError, ValueError, AttributeError, ArithmeticError) as error:
        raise UserError(f"{path}: {type(error).__name__}: {error}; see the comments in the file") from None
    for model, prices in overlay.prices.items():
        for price in prices:
            if price.source not in overlay.sources:
                raise UserError(
                    f"{path}: {model}: source {price.source!r} is not one of `sources`; say where it can be read"
                )
    return overlay


def _day(price: Price) -> date:
    return price.start or date.min
