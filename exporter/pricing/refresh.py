"""`prices refresh`: brings the packaged price book up to date with its source. For maintainers, not at run time.

The book only grows: a model that its source no longer has keeps its last price for ever, since calls to it are still
in ledgers, and savings are counted against it.
"""

from __future__ import annotations

import os
import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, date, datetime
from pathlib import Path

from exporter.clock import Clock, SystemClock
from exporter.errors import UserError
from exporter.pricing.overlay import Overlay, read_overlay
from exporter.pricing.pages import Book, ModelPrices, format_price, read, write
from exporter.pricing.source import PROVIDERS, Skipped, read_source

HEADING = """\
The price book: USD per million tokens. Written by `llm-migration-exporter prices refresh`: do not edit by hand; what
the source does not know goes into exporter/pricing/overlay.yaml, what only you pay into `prices:` of migration.yaml.

How to read it
- A price holds from 00:00 UTC of `from` until the next one of its tier begins; without `from`, from ever.
- `tier` is standard where none is given. A tier without a price at a time has no known price then: such calls are
  counted as unpriced, never guessed.
- `input` and `output` include what is cached and reasoned: reasoning is billed as output. Tokens without a rate of
  their own (`cached_input`, `cache_write`) are billed as input. `cache_write` is the provider's shortest retention.
- `above: {N: rates}`: a call with more than N input tokens, cached ones included, costs these rates as a whole.
- `aliases` are exact names at the same price. `snapshots` are names with any date of that form behind them.
- `label` is the model whose name the series of a snapshot with a price of its own have.
- A bare name belongs to one provider, the first of: @PROVIDERS@.
- `retired_from_source`: the source has dropped the model; its last price is kept for ever.

Most prices are from genai-prices, https://github.com/pydantic/genai-prices, under this licence:

The MIT License (MIT)

Copyright (c) Pydantic Services Inc. 2025 to present

Permission is hereby granted, free of charge, to any person obtaining a copy of this software and associated
documentation files (the "Software"), to deal in the Software without restriction, including without limitation the
rights to use, copy, modify, merge, publish, distribute, sublicense, and/or sell copies of the Software, and to permit
persons to whom the Software is furnished to do so, subject to the following conditions:

The above copyright notice and this permission notice shall be included in all copies or substantial portions of the
Software.

THE SOFTWARE IS PROVIDED "AS IS", WITHOUT WARRANTY OF ANY KIND, EXPRESS OR IMPLIED, INCLUDING BUT NOT LIMITED TO THE
WARRANTIES OF MERCHANTABILITY, FITNESS FOR A PARTICULAR PURPOSE AND NONINFRINGEMENT. IN NO EVENT SHALL THE AUTHORS OR
COPYRIGHT HOLDERS BE LIABLE FOR ANY CLAIM, DAMAGES OR OTHER LIABILITY, WHETHER IN AN ACTION OF CONTRACT, TORT OR
OTHERWISE, ARISING FROM, OUT OF OR IN CONNECTION WITH THE SOFTWARE OR THE USE OR OTHER DEALINGS IN THE SOFTWARE.
""".replace("@PROVIDERS@", ", ".join(PROVIDERS))


@dataclass(frozen=True, slots=True)
class Change:
    """One thing about a model that is not what it was; lines as the file has them."""

    model: str
    old: tuple[str, ...]
    new: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class RefreshReport:
    """What a refresh did; `str()` is for people."""

    version: str
    written: bool
    added: tuple[str, ...]
    changed: tuple[Change, ...]
    retired: tuple[str, ...]
    skipped: tuple[Skipped, ...]
    models: int

    def __str__(self) -> str:
        lines = []
        for title, names in (("added", self.added), ("retired by the source, kept", self.retired)):
            if names:
                lines += [f"{title} ({len(names)}):", *(f"  {name}" for name in names)]
        if self.changed:
            lines.append(f"changed ({len(self.changed)}):")
            for change in self.changed:
                lines.append(f"  {change.model}")
                lines += [f"    - {line}" for line in change.old]
                lines += [f"    + {line}" for line in change.new]
        if self.skipped:
            lines.append(f"left out ({len(self.skipped)}):")
            for reason in sorted({skipped.reason for skipped in self.skipped}):
                names = tuple(f"{s.name} ({s.provider})" for s in self.skipped if s.reason == reason)
                lines.append(f"  {reason}: {', '.join(names)}")
        state = "written" if self.written else "unchanged"
        lines.append(f"price book {self.version}: {self.models} models, {state}")
        return "\n".join(lines)


def refresh(current: Path, *, clock: Clock | None = None) -> RefreshReport:
    """Bring a price book up to date in its place; without a file there, begin one.

    A book that already says the same is left alone, to the byte.

    Raises:
        UserError: genai-prices is not installed, or a file cannot be read or written.
    """
    today = datetime.fromtimestamp((clock or SystemClock()).now(), UTC).date()
    old = read(current) if current.exists() else Book("", "", {}, ())
    source, overlay = read_source(), read_overlay()
    new = merge(old, source.models, overlay, _sources(source.version, overlay), today)
    text = write(new, HEADING)
    written = not current.exists() or current.read_text(encoding="utf-8") != text
    if written:
        _replace(current, text)
    return _report(old, new, source.skipped, written)


def merge(
    old: Book, fresh: Sequence[ModelPrices], overlay: Overlay, sources: Mapping[str, Mapping[str, str]], today: date
) -> Book:
    """The book that has all of the source, what the overlay adds, and what only the old book still knows."""
    taken = {name for model in fresh for name in (model.name, *model.aliases)}
    pages = [_with_names(model, _page(old, model.name), taken) for model in fresh]
    for model in old.models:
        if model.name not in taken:
            gone = replace(model, retired_from_source=model.retired_from_source or today)
            kept = tuple(alias for alias in model.aliases if alias not in taken)
            pages.append(replace(gone, aliases=kept))
    models = tuple(sorted(overlay.apply(pages), key=_order))
    if models == old.models and sources == old.sources:
        return old
    version = old.version if models == old.models else _next_version(old.version, today)
    return Book(version, today.isoformat(), sources, models)


def _page(book: Book, name: str) -> ModelPrices | None:
    return next((model for model in book.models if model.name == name), None)


def _with_names(model: ModelPrices, old: ModelPrices | None, taken: set[str]) -> ModelPrices:
    """Names that the source has dropped still mean this model, unless another has them now."""
    if old is None:
        return model
    aliases = {*model.aliases, *(alias for alias in old.aliases if alias not in taken)}
    return replace(
        model,
        aliases=tuple(sorted(aliases)),
        snapshots=tuple(sorted({*model.snapshots, *old.snapshots})),
    )


def _sources(version: str, overlay: Overlay) -> dict[str, Mapping[str, str]]:
    main = {"version": version, "license": "MIT", "url": "https://github.com/pydantic/genai-prices"}
    return {"genai-prices": main, **overlay.sources}


def _order(model: ModelPrices) -> tuple[int, list[tuple[int, int, str]]]:
    """Providers as we rank them, names as people sort them: gpt-4 before gpt-10."""
    rank = PROVIDERS.index(model.provider) if model.provider in PROVIDERS else len(PROVIDERS)
    return rank, [(int(part), 0, "") if part.isdigit() else (-1, 0, part) for part in re.split(r"(\d+)", model.name)]


def _next_version(version: str, today: date) -> str:
    """The day; with a number behind it when the book changes more than once on it."""
    day, _, number = version.partition(".")
    return f"{today}.{int(number or 1) + 1}" if day == today.isoformat() else today.isoformat()


def _report(old: Book, new: Book, skipped: tuple[Skipped, ...], written: bool) -> RefreshReport:
    before = {model.name: model for model in old.models}
    changes = []
    for model in new.models:
        was = before.get(model.name)
        if was is not None:
            lines, past = _lines(model), _lines(was)
            if lines != past:
                gone = tuple(line for line in past if line not in lines)
                changes.append(Change(model.name, gone, tuple(line for line in lines if line not in past)))
    return RefreshReport(
        version=new.version,
        written=written,
        added=tuple(model.name for model in new.models if model.name not in before),
        changed=tuple(changes),
        retired=tuple(
            model.name
            for model in new.models
            if model.retired_from_source and model.name in before and not before[model.name].retired_from_source
        ),
        skipped=skipped,
        models=len(new.models),
    )


def _lines(model: ModelPrices) -> tuple[str, ...]:
    names: Iterable[str] = (f"alias {name}" for name in (*model.aliases, *model.snapshots))
    label = (f"label {model.label}",) if model.label else ()
    return (*(format_price(price) for price in model.prices), *names, *label)


def _replace(path: Path, text: str) -> None:
    temporary = path.with_name(path.name + ".new")
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        temporary.write_text(text, encoding="utf-8")
        os.replace(temporary, path)
    except OSError as error:
        raise UserError(f"{path}: cannot write the price book: {error.strerror}") from None
