"""A small language for the shape of a file: keys with type, default and meaning, declared once.

A `Record` subclass declares its keys with `required`, `key` and `optional`. Reading one gives an object whose
attributes are the values, together with their places; every mistake on the way is reported, none stops the reading.
A key that is absent takes its default, itself written as YAML, so that the reference shows exactly what is in force.
A key whose value cannot be used leaves its attribute unset: `record.ok("start", "deadline")` tells whether to look.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, ClassVar, Generic, Self, TypeVar, cast

from exporter.plan import nodes
from exporter.plan.nodes import Entry, Node
from exporter.plan.reading import Place, Reading, Report, Row, Unreadable, refusal
from exporter.plan.strictyaml import compose_value
from exporter.plan.values import did_you_mean

T = TypeVar("T")
R = TypeVar("R", bound="Record")


@dataclass(frozen=True)
class Key(Generic[T]):
    """One key of a record. `default` is YAML text, None for a key that may be left out without a value."""

    of: Reading[T]
    meaning: str
    name: str
    required: bool
    default: str | None
    shown_default: str

    @property
    def invitation(self) -> str:
        """The remedy where the key is missing."""
        return f"add `{self.name}`: {self.meaning[0].lower()}{self.meaning[1:].rstrip('.')}"

    def absent(self, record: Place, report: Report) -> T | None:
        """The value when the key is not written; every place inside is the record's."""
        if self.default is None:
            return None
        node = compose_value(self.default, record.mark)
        return self.of.read(node, nodes.child(record.key, self.name), report)


def required(of: Reading[T], meaning: str, *, name: str = "") -> T:
    """Declare a key that must be written."""
    declared: Any = Key(of, meaning, name, True, None, "required")
    return cast("T", declared)


def key(of: Reading[T], meaning: str, *, default: str, name: str = "") -> T:
    """Declare a key with a default, written as YAML."""
    declared: Any = Key(of, meaning, name, False, default, f"`{default}`")
    return cast("T", declared)


def optional(of: Reading[T], meaning: str, *, absent: str = "none", name: str = "") -> T | None:
    """Declare a key that is None when it is not written; `absent` says what that means."""
    declared: Any = Key(of, meaning, name, False, None, absent)
    return cast("T | None", declared)


class Record:
    """A mapping with known keys. Subclasses declare them; see the module's text."""

    KEYS: ClassVar[Mapping[str, Key[Any]]] = {}  # attribute -> key
    TITLE: ClassVar[str] = "mapping"
    ELSEWHERE: ClassVar[Mapping[str, str]] = {}  # keys that people write here, and where they belong

    place: Place
    places: Mapping[str, Place]  # attribute -> place of the value, for keys that are written

    def __init_subclass__(cls) -> None:
        super().__init_subclass__()
        declared = dict(cls.KEYS)
        for attribute, value in list(vars(cls).items()):
            if isinstance(value, Key):
                name = value.name or attribute
                declared[attribute] = Key(
                    value.of, value.meaning, name, value.required, value.default, value.shown_default
                )
                delattr(cls, attribute)  # so that an attribute without a usable value is absent, not a Key
        cls.KEYS = declared

    def ok(self, *attributes: str) -> bool:
        """Whether these attributes have usable values."""
        return all(attribute in self.__dict__ for attribute in attributes)

    def wrote(self, attribute: str) -> bool:
        """Whether the key is written in the file."""
        return attribute in self.places

    def at(self, attribute: str) -> Place:
        """The place of a value; the record's own position when the key is not written."""
        if attribute in self.places:
            return self.places[attribute]
        return Place(nodes.child(self.place.key, self.KEYS[attribute].name), self.place.mark)

    @classmethod
    def read(cls, node: nodes.Mapping, path: str, report: Report) -> Self:
        """Read all keys, and report unknown and missing ones."""
        record = cls()
        record.place = Place(path, node.mark)
        places: dict[str, Place] = {}
        record.places = places
        known = {declared.name: attribute for attribute, declared in cls.KEYS.items()}
        for name, entry in node.entries.items():
            if name not in known and id(entry.value) not in report.silenced:
                report.add(Place(nodes.child(path, name), entry.mark), "unknown key", cls._unknown(name, [*known]))
        for attribute, declared in cls.KEYS.items():
            written: Entry | None = node.entries.get(declared.name)
            inner = nodes.child(path, declared.name)
            try:
                if written is not None:
                    places[attribute] = Place(inner, written.value.mark)
                    setattr(record, attribute, declared.of.read(written.value, inner, report))
                elif not declared.required:
                    setattr(record, attribute, declared.absent(record.place, report))
                elif node.complete and declared.name.removesuffix("_file") not in node.entries:
                    report.add(Place(inner, node.mark), "the key is missing", declared.invitation)
            except Unreadable:
                continue
        return record

    @classmethod
    def _unknown(cls, name: str, known: Sequence[str]) -> str:
        """What to do about an unknown key."""
        if f"{name}_file" in known:
            return f"secrets are never written here: put it into a file, and write `{name}_file: <path>`"
        here, elsewhere = did_you_mean(name, known), did_you_mean(name, list(cls.ELSEWHERE))
        if here.startswith("did") or not elsewhere.startswith("did"):
            return here
        right = elsewhere.split("`")[1]
        return f"did you mean `{right}`, {cls.ELSEWHERE[right]}?"


@dataclass(frozen=True)
class Nested(Generic[R]):
    """A record inside another."""

    record: type[R]

    @property
    def name(self) -> str:
        """The record's title."""
        return self.record.TITLE

    def read(self, node: Node, key: str, report: Report) -> R:
        """The record."""
        if not isinstance(node, nodes.Mapping):
            raise refusal(node, key, report, f"a mapping ({self.name})", "write its keys, indented")
        return self.record.read(node, key, report)

    def keys(self, path: str) -> Iterator[Row]:
        """The record's keys."""
        return rows(self.record, path)


def rows(record: type[Record], path: str = "") -> Iterator[Row]:
    """The reference of a record: each key, followed by the keys inside it."""
    for declared in record.KEYS.values():
        inner = f"{path}.{declared.name}" if path else declared.name
        yield Row(inner, declared.of.name, declared.shown_default, declared.meaning)
        yield from declared.of.keys(inner)
