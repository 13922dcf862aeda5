"""What a YAML file is made of, with places: the nodes that the strict reader gives and the schema reads."""

from __future__ import annotations

import re
from collections.abc import Mapping as Table
from dataclasses import dataclass, field
from enum import StrEnum

_MAX_SHOWN = 48
_PLAIN_KEY = re.compile(r"[A-Za-z0-9_-]+\Z")


@dataclass(frozen=True, slots=True, order=True)
class Mark:
    """A place in the file; both count from 1."""

    line: int
    column: int


class Kind(StrEnum):
    """What YAML takes a scalar for; the values complete the sentence "is read as …"."""

    TEXT = "text"
    BOOLEAN = "a boolean"
    INTEGER = "a whole number"
    FLOAT = "a number"
    DATE = "a date"
    TIMESTAMP = "a point in time"
    NULL = "nothing"
    REFUSED = "refused"  # already reported: whoever reads it stays silent


@dataclass(frozen=True, slots=True)
class Scalar:
    """One value as it was written, without quotation marks."""

    mark: Mark
    kind: Kind
    text: str
    quoted: bool = False
    commented: bool = False  # nothing but a comment follows the key: probably text that begins with #


@dataclass(frozen=True, slots=True)
class Entry:
    """One entry of a mapping: where its key stands, and its value."""

    mark: Mark
    value: Node


@dataclass(frozen=True, slots=True)
class Sequence:
    """A list."""

    mark: Mark
    items: tuple[Node, ...]


@dataclass(frozen=True, slots=True)
class Mapping:
    """A mapping in the order of the file; `complete` is false when an entry was refused and left out."""

    mark: Mark
    entries: Table[str, Entry] = field(default_factory=dict)
    complete: bool = True


Node = Scalar | Sequence | Mapping


def child(path: str, key: str) -> str:
    """The key path of an entry: `limits.hold`, or `models["gpt-4.1"]` where a dot would mislead."""
    if not _PLAIN_KEY.match(key):
        return f'{path}["{shown(key)}"]'
    return f"{path}.{key}" if path else key


def item(path: str, index: int) -> str:
    """The key path of a list's item: `phases[2]`."""
    return f"{path}[{index}]"


def shown(text: str) -> str:
    """Text of the file as a message shows it: one line, not too long."""
    line = " ".join(text.split())
    return line if len(line) <= _MAX_SHOWN else line[: _MAX_SHOWN - 1] + "…"
