"""What a call costs: the dated price book, with the plan's own prices over it.

Money is integer nano-dollars, rounded once per call, half to even. A call is priced at its own time, and a price that
is not known is None, never 0.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, date, datetime, time
from hashlib import blake2b
from pathlib import Path

from exporter.errors import UserError
from exporter.money import pico_to_nano, usd_per_million_to_pico
from exporter.plan.model import PriceOverride
from exporter.pricing.names import dashed_date, split_provider, split_snapshot, strip_date, tuned_base
from exporter.pricing.pages import TIERS, Book, ModelPrices, Price, read
from exporter.pricing.rates import Rates, Schedule, Usage

__all__ = ["CACHE_LIMIT", "PACKAGED", "PriceBook", "Rates", "Usage"]

PACKAGED = Path(__file__).parent.parent / "data" / "prices.yaml"
CACHE_LIMIT = 4096  # resolved (name, tier) pairs kept: applications can invent names without end

_FOREVER = float("-inf")


@dataclass(frozen=True, slots=True)
class _Entry:
    """A model's page, ready to be asked."""

    page: ModelPrices
    schedules: Mapping[str, Schedule]  # by tier


class PriceBook:
    """Prices of models by any name they have, at any time. Immutable but for a bounded cache of resolved names."""

    def __init__(self, version: str, verified: str, entries: Sequence[_Entry], names: Mapping[str, _Entry]) -> None:
        """Use `load`. `names` are all names in lower case; snapshot forms end in `-YYYYMMDD` or the like."""
        self.version = version
        self.verified = verified
        self._entries = tuple(entries)
        self._names = dict(names)
        self._cache: dict[tuple[str, str], Schedule | None] = {}

    @classmethod
    def load(cls, path: Path | None = None) -> PriceBook:
        """The packaged book, or another file of the same shape.

        Raises:
            UserError: the file cannot be read, or gives one name to two models.
        """
        path = path or PACKAGED
        book: Book = read(path)
        entries = [_entry(page) for page in book.models]
        names: dict[str, _Entry] = {}
        for entry in entries:
            page = entry.page
            for name in (page.name.lower(), *map(str.lower, page.aliases), *map(_form_key, page.snapshots)):
                other = names.setdefault(name, entry)
                if other is not entry:
                    raise UserError(f"{path}: {name} is the name of both {other.page.name} and {page.name}")
        return cls(book.version, book.verified, entries, names)

    def canonical(self, name: str) -> str | None:
        """The model's name as labels have it; None for a name that no model has.

        A snapshot counts as its model, also one whose price is its own or, being new, not known yet.
        """
        entry = self._find(name)
        if entry is None:
            stem = strip_date(name.lower())
            entry = self._find(stem) if stem else None
        return None if entry is None else entry.page.label or entry.page.name

    def cost_nano(self, name: str, usage: Usage, at: float, tier: str = "standard") -> int | None:
        """What one call costs in nano-dollars at a Unix time; None when its price is not known."""
        try:
            schedule = self._cache[name, tier]
        except KeyError:
            schedule = self._resolve(name, tier)
        if schedule is None:
            return None
        rates = schedule.always or schedule.at(at)
        return None if rates is None else pico_to_nano(rates.cost_pico(usage))

    def schedule(self, name: str, tier: str) -> Schedule | None:
        """The rates of a model in a tier through time; None when neither is known."""
        return self._resolve(name, tier)

    def price(self, name: str, at: float, tier: str = "standard") -> Rates | None:
        """The rates of a model at a Unix time, for display; None when they are not known."""
        schedule = self._resolve(name, tier)
        return None if schedule is None else schedule.at(at)

    def page(self, name: str) -> ModelPrices | None:
        """All that is known of the model that has this name, for display: names and the whole price list."""
        entry = self._find(name)
        return None if entry is None else entry.page

    def models(self) -> tuple[str, ...]:
        """The models by their own names, in the book's order; snapshots with prices of their own are among them."""
        return tuple(entry.page.name for entry in self._entries)

    def with_overrides(self, overrides: Sequence[PriceOverride]) -> PriceBook:
        """A book in which the plan's own prices count, each from its date on, in the standard tier.

        What is overridden has no known price in other tiers from that date: nobody said what a negotiated price means
        for a batch. The name of one snapshot or alias overrides this name alone; a name that no model has is a new,
        private model. The version tells books with different overrides apart.

        Raises:
            UserError: a price lacks a rate that is needed, or is finer than a millionth of a dollar per million tokens.
        """
        if not overrides:
            return self
        by_model: dict[str, list[PriceOverride]] = {}
        for override in overrides:
            by_model.setdefault(override.model.lower(), []).append(override)
        entries, names = list(self._entries), dict(self._names)
        for key, group in by_model.items():
            old = self._find(key)
            new = _entry(_overridden(group, old.page if old else None))
            if old is not None and old.page.name.lower() == key:
                entries[entries.index(old)] = new
                names.update({name: new for name, entry in names.items() if entry is old})
            else:
                entries.append(new)
                names[key] = new
        digest = blake2b(_fingerprint(overrides).encode(), digest_size=4).hexdigest()
        return PriceBook(f"{self.version}+{digest}", self.verified, entries, names)

    def _resolve(self, name: str, tier: str) -> Schedule | None:
        entry = self._find(name)
        schedule = None if entry is None else entry.schedules.get(tier)
        if len(self._cache) >= CACHE_LIMIT:
            self._cache.clear()
        self._cache[name, tier] = schedule
        return schedule

    def _find(self, name: str) -> _Entry | None:
        """The entry of a name: as it stands, then without the provider before it, then by what it was tuned from."""
        name = name.lower()
        entry = self._exact(name)
        if entry is not None:
            return entry
        split = split_provider(name)
        if split is not None:
            provider, bare = split
            entry = self._exact(bare)
            return entry if entry is not None and entry.page.provider == provider else None
        base = tuned_base(name)
        return self._exact(base) if base else None

    def _exact(self, name: str) -> _Entry | None:
        entry = self._names.get(name)
        if entry is not None:
            return entry
        split = split_snapshot(name)
        if split is None:
            return None
        stem, form = split
        entry = self._names.get(_form_key(stem + form))
        if entry is None and (dashed := dashed_date(name)):
            entry = self._exact(dashed)
        return entry


def _form_key(snapshot: str) -> str:
    """`name-YYYYMMDD` among the names; the space keeps it from being any name that a caller can mean."""
    return f" {snapshot.lower()}"


def _entry(page: ModelPrices) -> _Entry:
    schedules = {}
    for tier in TIERS:
        periods = [(_midnight(price.start), price.rates) for price in page.prices if price.tier == tier]
        if periods:
            schedules[tier] = Schedule(sorted(periods, key=lambda period: period[0]))
    return _Entry(page, schedules)


def _midnight(day: date | None) -> float:
    """When a UTC day begins."""
    return _FOREVER if day is None else datetime.combine(day, time(), UTC).timestamp()


def _overridden(overrides: Sequence[PriceOverride], old: ModelPrices | None) -> ModelPrices:
    """A model's page after its overrides."""
    name = overrides[0].model
    own = sorted(overrides, key=lambda override: override.start or date.min)
    first = own[0].start
    kept = [price for price in old.prices if _before(price.start, first)] if old else []
    prices = [*kept, *(Price(o.start, "standard", _override_rates(o), "migration.yaml") for o in own)]
    others = dict.fromkeys(price.tier for price in kept if price.tier != "standard")
    prices += [Price(first, tier, None, "migration.yaml") for tier in others]
    if old is None:
        return ModelPrices(name, "", tuple(prices))
    if old.name.lower() == name.lower():
        return replace(old, prices=tuple(prices))
    return ModelPrices(name, old.provider, tuple(prices), label=old.label or old.name)


def _before(start: date | None, end: date | None) -> bool:
    return end is not None and (start is None or start < end)


def _override_rates(override: PriceOverride) -> Rates:
    missing = [rate for rate in ("input", "output") if rate not in override.rates]
    if missing:
        raise UserError(f"prices: {override.model}: {' and '.join(missing)} is missing; give USD per million tokens")
    try:
        pico = {rate: usd_per_million_to_pico(usd) for rate, usd in override.rates.items()}
    except ValueError as error:
        raise UserError(f"prices: {override.model}: {error}; round it") from None
    return Rates(pico["input"], pico["output"], pico.get("cached_input"), pico.get("cache_write"))


def _fingerprint(overrides: Sequence[PriceOverride]) -> str:
    """The same text for the same overrides, in whatever order they are given."""
    return json.dumps(
        sorted(
            [o.model, str(o.start or ""), sorted((rate, str(usd.normalize())) for rate, usd in o.rates.items())]
            for o in overrides
        )
    )
