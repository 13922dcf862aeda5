"""The types of single values in `migration.yaml`: each reads one scalar and says in its own words what it wants.

A type has a name for the reference table and turns a scalar's text into a value or raises `WrongValue` with a remedy.
"""

from __future__ import annotations

import difflib
import re
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date, datetime
from decimal import Decimal, InvalidOperation
from typing import Generic, Protocol, TypeVar
from urllib.parse import urlsplit

from exporter.plan.nodes import Kind, Scalar, shown

T = TypeVar("T")
T_co = TypeVar("T_co", covariant=True)

NUMBERS = (Kind.INTEGER, Kind.FLOAT)
MAX_TEXT = 1000
FIRST_YEAR, LAST_YEAR = 2000, 2199  # what is outside is a slip of the pen

_SECONDS = {"ms": 0.001, "s": 1, "m": 60, "h": 3600, "d": 86400, "w": 7 * 86400, "y": 365 * 86400}
_DURATION = re.compile(r"(?:\d{1,9}(?:y|w|d|h|ms|m|s))+\Z", re.ASCII)
_DURATION_PART = re.compile(r"(\d+)(ms|[ywdhms])")
_BYTES = {
    "B": 1,
    "kB": 10**3,
    "MB": 10**6,
    "GB": 10**9,
    "TB": 10**12,
    "KiB": 2**10,
    "MiB": 2**20,
    "GiB": 2**30,
    "TiB": 2**40,
}
_SIZE = re.compile(r"(\d{1,15})([A-Za-z]+)\Z", re.ASCII)
_DATE = re.compile(r"\d{4}-\d\d-\d\d\Z", re.ASCII)
_TIMESTAMP = re.compile(r"\d{4}-\d\d-\d\d[Tt ]\d\d:\d\d:\d\d(\.\d{1,6})?([Zz]|[+-]\d\d:\d\d)\Z", re.ASCII)


class WrongValue(ValueError):
    """A value that its key cannot have: what is wrong, and what to write instead."""

    def __init__(self, message: str, remedy: str = "") -> None:
        super().__init__(message)
        self.message = message
        self.remedy = remedy


class ScalarType(Protocol[T_co]):
    """How one kind of value is read."""

    @property
    def name(self) -> str:
        """What the reference calls it."""

    def parse(self, scalar: Scalar) -> T_co:
        """The value; raises `WrongValue`."""


def did_you_mean(word: str, known: Sequence[str]) -> str:
    """A remedy for a misspelt word: the nearest known one, or all of them."""
    near = difflib.get_close_matches(word.lower(), known, n=1, cutoff=0.6)
    if near:
        return f"did you mean `{near[0]}`?"
    return "write one of: " + ", ".join(known) if known else ""


@dataclass(frozen=True)
class Text:
    """Text; with a pattern, `rule` says in words what the pattern wants."""

    name: str = "text"
    pattern: str = ""
    rule: str = ""
    max_length: int = MAX_TEXT
    allow_empty: bool = False

    def parse(self, scalar: Scalar) -> str:
        """The text without surrounding white space."""
        if scalar.kind is not Kind.TEXT:
            remedy = f"quote it: '{scalar.text}'"
            raise WrongValue(f"`{shown(scalar.text)}` is read as {scalar.kind}, not as text", remedy)
        text = scalar.text.strip()
        if not text and not self.allow_empty:
            raise WrongValue("the text is empty", "write something, or delete the key")
        if len(text) > self.max_length:
            raise WrongValue(f"the text has {len(text)} characters, {self.max_length} are allowed", "shorten it")
        if text and self.pattern and not re.fullmatch(self.pattern, text, re.ASCII):
            raise WrongValue(f"`{shown(text)}` is not {_article(self.name)}", self.rule)
        return text


@dataclass(frozen=True)
class Choice:
    """One of a few words."""

    words: tuple[str, ...]

    @property
    def name(self) -> str:
        """The words."""
        return " or ".join(f"`{word}`" for word in self.words)

    def parse(self, scalar: Scalar) -> str:
        """The word."""
        if scalar.kind is Kind.TEXT and scalar.text in self.words:
            return scalar.text
        raise WrongValue(f"`{shown(scalar.text)}` is not known here", did_you_mean(scalar.text, self.words))


@dataclass(frozen=True)
class Boolean:
    """True or false."""

    name: str = "`true` or `false`"

    def parse(self, scalar: Scalar) -> bool:
        """The value."""
        if scalar.kind is not Kind.BOOLEAN:
            raise WrongValue(f"`{shown(scalar.text)}` is neither true nor false", "write true or false, without quotes")
        return scalar.text == "true"


@dataclass(frozen=True)
class Number(Generic[T]):
    """A number between bounds; `convert` gives it its Python type."""

    convert: type[T]
    name: str = "number"
    least: Decimal = Decimal(0)
    most: Decimal = Decimal(10**12)
    above_least: bool = False  # the lower bound itself is not allowed
    decimals: int | None = None
    hint: str = ""  # what people who miss the bounds mostly meant

    def parse(self, scalar: Scalar) -> T:
        """The number, exact in decimal until it is converted."""
        if scalar.kind not in NUMBERS:
            raise WrongValue(*self._not_a_number(scalar))
        value = Decimal(scalar.text)
        if not self._fits(value):
            lower = f"more than {self.least}" if self.above_least else f"at least {self.least}"
            raise WrongValue(f"{scalar.text} is out of range", self.hint or f"write {lower} and at most {self.most}")
        if self.decimals == 0 and scalar.kind is Kind.FLOAT:
            raise WrongValue(f"{scalar.text} is not a whole number", f"write {round(value)}")
        if self.decimals is not None and value != round(value, self.decimals):
            raise WrongValue(f"{scalar.text} has more than {self.decimals} decimals", f"write at most {self.decimals}")
        return self.convert(value)  # type: ignore[call-arg]

    def _fits(self, value: Decimal) -> bool:
        return self.least <= value <= self.most and not (self.above_least and value == self.least)

    def _not_a_number(self, scalar: Scalar) -> tuple[str, str]:
        message = f"`{shown(scalar.text)}` is not a number"
        bare = scalar.text.strip().lstrip("$€").removesuffix("USD").removesuffix("%").strip().replace(",", "")
        try:
            value = Decimal(bare)
        except InvalidOperation:
            return message, f"write {_article(self.name)}"
        if not value.is_finite() or abs(value.adjusted()) > 30:
            return message, f"write {_article(self.name)}"
        if scalar.text.strip().endswith("%"):
            value /= 100
        if not self._fits(value):
            return message, self.hint or f"write {_article(self.name)}"
        return message, f"write {value:f}, without quotes, signs or units"


def integer(name: str, least: int, most: int = 10**9) -> Number[int]:
    """A whole number between bounds."""
    return Number(int, name, Decimal(least), Decimal(most), decimals=0)


@dataclass(frozen=True)
class Duration:
    """A length of time as Prometheus writes it, in seconds."""

    name: str = "duration"
    least: float = 0.0
    most: float = 100 * 365 * 86400.0
    rule: str = ""

    def parse(self, scalar: Scalar) -> float:
        """Seconds."""
        if scalar.kind in NUMBERS:
            raise WrongValue(f"{scalar.text} is a duration without a unit", f"write {scalar.text}s, or use m, h, d")
        if scalar.kind is not Kind.TEXT or not _DURATION.match(scalar.text):
            message = f"`{shown(scalar.text)}` is not a duration"
            raise WrongValue(message, "write a whole number and a unit, such as 150s, 15m, 1h30m, 35d or 3y")
        seconds = sum(int(count) * _SECONDS[unit] for count, unit in _DURATION_PART.findall(scalar.text))
        if not self.least <= seconds <= self.most:
            raise WrongValue(f"`{scalar.text}` is out of range", self.rule or "write a shorter time")
        return float(seconds)


@dataclass(frozen=True)
class Size:
    """An amount of memory or disk, in bytes."""

    name: str = "size"

    def parse(self, scalar: Scalar) -> int:
        """Bytes."""
        match = _SIZE.match(scalar.text) if scalar.kind is Kind.TEXT else None
        if scalar.kind in NUMBERS:
            raise WrongValue(f"{scalar.text} is a size without a unit", "write a unit, such as 8MiB or 20GiB")
        if match is None or match[2] not in _BYTES:
            raise WrongValue(f"`{shown(scalar.text)}` is not a size", "write a whole number and KiB, MiB, GiB or TiB")
        size = int(match[1]) * _BYTES[match[2]]
        if not 1 <= size <= 2**60:
            raise WrongValue(f"`{scalar.text}` is out of range", "write a size such as 8MiB or 20GiB")
        return size


@dataclass(frozen=True)
class Day:
    """A calendar day."""

    name: str = "date"

    def parse(self, scalar: Scalar) -> date:
        """The day."""
        if scalar.kind is Kind.TIMESTAMP:
            raise WrongValue(f"`{shown(scalar.text)}` has a time of day", f"write the day alone: {scalar.text[:10]}")
        return _day(scalar.text)


@dataclass(frozen=True)
class Moment:
    """A calendar day or a point in time."""

    name: str = "date or timestamp"

    def parse(self, scalar: Scalar) -> date | datetime:
        """The day, or the point in time with its zone."""
        text = scalar.text
        if len(text) <= len("2025-02-28"):
            return _day(text)
        if not _TIMESTAMP.match(text):
            message = f"`{shown(text)}` is not a date and not a timestamp with its zone"
            raise WrongValue(message, "write 2025-07-14, or 2025-07-14T23:59:59Z, or 2025-07-14T23:59:59+02:00")
        try:
            moment = datetime.fromisoformat(text.upper())
        except ValueError as error:
            raise WrongValue(f"`{text}` does not exist: {error}", "correct it") from None
        _check_year(moment, text)
        return moment


@dataclass(frozen=True)
class Url:
    """The address of an HTTP service; nothing when empty."""

    name: str = "URL"
    allow_empty: bool = True

    def parse(self, scalar: Scalar) -> str:
        """The address without a slash at the end."""
        text = scalar.text
        if scalar.kind is Kind.TEXT and not text and self.allow_empty:
            return ""
        try:
            parts = urlsplit(text)
            sound = (
                parts.scheme in ("http", "https") and bool(parts.hostname) and (parts.port is None or parts.port > 0)
            )
        except ValueError:
            sound = False
        if scalar.kind is not Kind.TEXT or not sound or not text.isprintable() or " " in text:
            raise WrongValue(f"`{shown(text)}` is not a URL", "write http://host:port or https://host, path optional")
        return text.rstrip("/")


def _article(name: str) -> str:
    """`a size`, `an amount`."""
    return f"an {name}" if name[0] in "aeio" else f"a {name}"


def _day(text: str) -> date:
    if not _DATE.match(text):
        raise WrongValue(f"`{shown(text)}` is not a date", "write year-month-day, such as 2025-02-28")
    try:
        day = date.fromisoformat(text)
    except ValueError:
        raise WrongValue(f"there is no day {text}", "write a day of the calendar") from None
    _check_year(day, text)
    return day


def _check_year(day: date, text: str) -> None:
    if not FIRST_YEAR <= day.year <= LAST_YEAR:
        raise WrongValue(f"`{text}` lies in the year {day.year}", f"write a year from {FIRST_YEAR} to {LAST_YEAR}")
