"""Reads the genai-prices package into pages of our price book. For the maintainer's `prices refresh` only."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, date, datetime, time
from decimal import Decimal
from importlib.metadata import version
from typing import TYPE_CHECKING

from exporter.errors import UserError
from exporter.money import usd_per_million_to_pico
from exporter.pricing.names import FORMS, split_provider, split_snapshot
from exporter.pricing.pages import ModelPrices, Price
from exporter.pricing.rates import Rates

if TYPE_CHECKING:
    from genai_prices.types import MatchLogic, ModelInfo, ModelPrice, Provider

#: Who is read, and in which order a bare name belongs to whom: makers before resellers, so that `claude-…` is priced
#: by Anthropic and not by the cloud that resells it. Hosts of open-weight models are left out: one bare name would
#: have as many prices as there are hosts; a team puts what it pays into `prices:` of its own file.
PROVIDERS = ("openai", "anthropic", "google", "mistral", "x-ai", "deepseek", "cohere")

#: What the source calls our tiers.
CONTEXTS = {
    "batch": {"processing": "batch"},
    "flex": {"service_tier": "flex"},
    "priority": {"service_tier": "priority"},
}

_FORMS_OF = {
    "openai": ("-YYYY-MM-DD",),
    "anthropic": ("-YYYYMMDD", "@YYYYMMDD"),
    "google": ("-NNN", "-MM-DD", "-MM-YYYY"),
    "mistral": ("-YYMM",),
    "x-ai": ("-YYYYMMDD",),
}
_TOKEN_KEYS = ("input_mtok", "cache_read_mtok", "cache_write_mtok", "output_mtok")
_TOOL_FEES = frozenset({"web_searches_kcount", "storage_searches_kcount"})  # paid for tools, not for the answer
_MEDIA_OUTPUT = frozenset({"output_audio_mtok", "output_image_mtok", "output_video_mtok"})
_MEDIA_INPUT = {"input_audio_mtok": "audio", "input_image_mtok": "image", "input_video_mtok": "video"}
_MEDIA_NAME = re.compile(
    r"(?:^|[-.])(audio|banana|image|live|moderation|ocr|omni|realtime|transcribe|tts|voice|whisper)(?:[-.]|$)"
)
_SEARCH_NAME = re.compile(r"-search-(?:preview|api)(?:-|$)")
_PARTIAL = re.compile(r"(?:[-@.:]|-20\d\d)\Z")
_UNRELEASED = re.compile(r"-(?:preview|exp|thinking)")
_RESELLER = re.compile(r"open ?router", re.IGNORECASE)
_CONFIRMED = re.compile(r"verified against", re.IGNORECASE)
_BEGINNING = date(1970, 1, 1)


@dataclass(frozen=True, slots=True, order=True)
class Skipped:
    """A model, or one name of a model, that is not taken over, and why."""

    provider: str
    name: str
    reason: str


@dataclass(frozen=True, slots=True)
class Source:
    """What the installed genai-prices package says."""

    version: str
    models: tuple[ModelPrices, ...]
    skipped: tuple[Skipped, ...]


def read_source() -> Source:
    """The models of `PROVIDERS` whose text can be priced by the token.

    Raises:
        UserError: the package is not installed.
    """
    try:
        from genai_prices.data import providers  # noqa: PLC0415 - needed by maintainers only, slow to import
    except ImportError:
        raise UserError(
            "the prices come from the package genai-prices, which is not installed: "
            "pip install 'llm-migration-exporter[prices]'"
        ) from None
    known = {provider.id: provider for provider in providers}
    reader = _Reader([known[name] for name in PROVIDERS if name in known])
    return Source(version("genai-prices"), *reader.read())


class _Reader:
    def __init__(self, providers: Sequence[Provider]) -> None:
        self._providers = providers
        self._skipped: set[Skipped] = set()

    def read(self) -> tuple[tuple[ModelPrices, ...], tuple[Skipped, ...]]:
        pages: list[ModelPrices] = []
        for rank, provider in enumerate(self._providers):
            own: list[ModelPrices] = []
            for model in provider.models:
                reason = self._belongs_elsewhere(model.id, rank) or _unfit(model)
                if reason is None:
                    own.append(self._page(model, provider, rank))
                else:
                    self._skipped.add(Skipped(provider.id, model.id, reason))
            pages += _labelled(own)
        return tuple(pages), tuple(sorted(self._skipped))

    def _belongs_elsewhere(self, name: str, rank: int) -> str | None:
        for provider in self._providers[:rank]:
            if provider.find_model(name) is not None:
                return f"the name belongs to {provider.id}, whose price counts"
        return None

    def _page(self, model: ModelInfo, provider: Provider, rank: int) -> ModelPrices:
        name = _title(model, provider)
        names = [name]
        for candidate in (model.id.rstrip("-"), *_literals(model.match)):
            spelled = candidate.lower()
            if spelled in names or split_provider(spelled) or self._belongs_elsewhere(spelled, rank):
                continue
            if provider.find_model(spelled) is not model:
                continue
            if spelled.startswith("ft:") and not model.id.startswith("ft:"):
                continue  # a fine-tuned model at the base model's price is a guess of the source
            reason = _unfit_name(spelled)
            if reason:
                self._skipped.add(Skipped(provider.id, spelled, reason))
                continue
            names.append(spelled)
        return ModelPrices(
            name=name,
            provider=provider.id,
            prices=_prices(model),
            aliases=tuple(sorted(names[1:])),
            snapshots=tuple(sorted(_snapshots(names, model, provider))),
            note=_note(model),
        )


def _unfit(model: ModelInfo) -> str | None:
    """Why the model's text cannot be priced by the token alone."""
    lists = [prices for _, prices in _standard(model)]
    keys = {key for prices in lists for key, value in prices.__dict__.items() if value is not None}
    comment = model.price_comments or ""
    if not keys:
        return "no price"
    others = keys - set(_TOKEN_KEYS) - _TOOL_FEES - _MEDIA_OUTPUT - set(_MEDIA_INPUT)
    units = sorted(key for key in others if not key.endswith("_mtok"))
    if units:
        return f"not priced by the token alone ({', '.join(units)})"
    if keys & _MEDIA_OUTPUT:
        return "what it puts out is not text only"
    reason = _unfit_name(model.id)
    if reason:
        return reason
    if _RESELLER.search(comment) and not _CONFIRMED.search(comment):
        return "only a reseller's price is known"
    if any(hasattr(constraint, "start_time") for constraint, _ in _standard(model)):
        return "the price depends on the time of day"
    if "output_mtok" not in keys and "embed" not in model.id:
        return "no price for output"
    return None


def _unfit_name(name: str) -> str | None:
    media = _MEDIA_NAME.search(name)
    if media:
        return f"not a text model ({media[1]})"
    if _SEARCH_NAME.search(name):
        return "each call also has a search fee"
    return "a pattern, not a name" if name.endswith(".ft-") else None


def _title(model: ModelInfo, provider: Provider) -> str:
    """The name that labels have: the model's, not that of one of its snapshots, where the source knows it."""
    stem = model.id.removesuffix("-latest")
    dated = re.fullmatch(r"(.+)-\d{4}", model.id)
    for candidate in (stem, dated[1] if dated else stem):
        if candidate != model.id and provider.find_model(candidate) is model:
            return candidate
    return model.id.rstrip("-")


def _labelled(pages: Sequence[ModelPrices]) -> Iterator[ModelPrices]:
    """Snapshots with a price of their own get the label of their model."""
    owners = {name: page for page in pages for name in (page.name, *page.aliases)}
    for page in pages:
        owner = next(
            (
                owners[stem]
                for name in (page.name, *page.aliases)
                for stem in _stems(name, page.provider)
                if owners.get(stem, page) is not page
            ),
            None,
        )
        yield page if owner is None else replace(page, label=owner.name)


def _stems(name: str, provider: str) -> Iterator[str]:
    split = split_snapshot(name)
    if split and split[1] in ("-YYYY-MM-DD", "-YYYYMMDD", "@YYYYMMDD"):
        yield split[0]
    # OpenAI's first snapshots were named by month and day; elsewhere four digits mean another generation.
    if provider == "openai" and (dated := re.fullmatch(r"(.+)-(?:0[1-9]|1[0-2])[0-3]\d", name)):
        yield dated[1]


def _literals(match: MatchLogic) -> Iterator[str]:
    """The names that a pattern spells out; the source compares beginnings too, we take them as whole names only."""
    for clause in (*getattr(match, "or_", ()), *getattr(match, "and_", ())):
        yield from _literals(clause)
    exact = getattr(match, "equals", None)
    if exact:
        yield exact
    for field in ("starts_with", "ends_with", "contains"):
        stem = getattr(match, field, None)
        # What stops in the middle of a date or at a separator is no whole name.
        if stem and not _PARTIAL.search(stem) and not (field == "contains" and stem.endswith("-0")):
            yield stem


def _snapshots(names: Sequence[str], model: ModelInfo, provider: Provider) -> Iterator[str]:
    """Names with a date behind them that the source takes for this model whatever the date is."""
    for name in names:
        if split_snapshot(name) or ":" in name or re.search(r"-(?:latest|\d{4})\Z", name):
            continue
        for form in _FORMS_OF.get(provider.id, ()):
            # Anthropic's own dated names have no dots; Google numbers what is released and dates what is not.
            if provider.id == "anthropic" and "." in name:
                continue
            if provider.id == "google" and (form == "-NNN") == bool(_UNRELEASED.search(name)):
                continue
            if provider.find_model(name + FORMS[form]) is model:
                yield name + form


def _note(model: ModelInfo) -> str:
    keys = {key for _, prices in _standard(model) for key, value in prices.__dict__.items() if value is not None}
    media = [medium for key, medium in _MEDIA_INPUT.items() if key in keys]
    return f"text rates; {' and '.join(media)} input has its own" if media else ""


def _standard(model: ModelInfo) -> list[tuple[object, ModelPrice]]:
    if isinstance(model.prices, list):
        return [(conditional.constraint, conditional.prices) for conditional in model.prices]
    return [(None, model.prices)]


def _prices(model: ModelInfo) -> tuple[Price, ...]:
    """All tiers through time: rates are complete in each line, whatever the source leaves to be looked up."""
    prices: list[Price] = []
    turns: set[date | None] = {None, *(_start(constraint) for constraint, _ in _standard(model))}
    prices += _timeline(model, "standard", turns)
    for tier, context in CONTEXTS.items():
        variants = [v for v in model.price_variants or () if v.when.items() <= context.items()]
        first = [_start(variant.constraint) for variant in variants]
        if not first:
            continue
        began = None if None in first else min(day for day in first if day)
        later = {day for day in {*turns, *first} if day and (began is None or day >= began)}
        prices += _timeline(model, tier, {began, *later})
    return tuple(prices)


def _timeline(model: ModelInfo, tier: str, turns: set[date | None]) -> Iterator[Price]:
    last: Rates | None = None
    for day in sorted(turns, key=lambda turn: turn or date.min):
        moment = datetime.combine(day or _BEGINNING, time(), UTC)
        rates = _rates(model.get_prices(moment, CONTEXTS.get(tier)))
        if rates != last:
            yield Price(day, tier, rates)
        last = rates


def _start(constraint: object) -> date | None:
    start = getattr(constraint, "start_date", None)
    return start if isinstance(start, date) else None


def _rates(prices: ModelPrice) -> Rates:
    thresholds = sorted({tier.start for key in _TOKEN_KEYS for tier in getattr(getattr(prices, key), "tiers", ())})

    def above(tokens: int) -> Rates:
        figures = [_figure(getattr(prices, key), tokens) for key in _TOKEN_KEYS]
        pico = [None if figure is None else usd_per_million_to_pico(figure) for figure in figures]
        return Rates(pico[0] or 0, pico[3] or 0, pico[1], pico[2])  # embeddings put out nothing, and charge nothing

    base = above(-1)
    higher = tuple((threshold, above(threshold)) for threshold in thresholds)
    return Rates(base.input, base.output, base.cached_input, base.cache_write, higher)


def _figure(price: object, threshold: int) -> Decimal | None:
    """USD per million tokens in a call that is just above a threshold."""
    if price is None or isinstance(price, Decimal):
        return price
    figure: Decimal = price.base  # type: ignore[attr-defined]
    for tier in price.tiers:  # type: ignore[attr-defined]
        if tier.start <= threshold:
            figure = tier.price
    return figure
