"""Reading nodes as values: single values, lists and mappings, each with its place, every mistake reported.

A reading either gives a value or reports why not and raises `Unreadable`; collections catch it, keep what is usable,
and say by `complete` whether all was.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Generic, Protocol, TypeVar

from exporter.errors import Problem
from exporter.plan import nodes
from exporter.plan.nodes import Kind, Mark, Node, Scalar, shown
from exporter.plan.values import ScalarType, WrongValue

T = TypeVar("T")
T_co = TypeVar("T_co", covariant=True)


class Unreadable(Exception):
    """A value that could not be read and is already reported."""


@dataclass(frozen=True, slots=True)
class Place:
    """Where something stands: its key path and its position."""

    key: str
    mark: Mark


@dataclass(slots=True)
class Report:
    """Collects the problems of one file. Nodes in `silenced` are already reported and must not be shown."""

    file: str
    problems: list[Problem] = field(default_factory=list)
    silenced: set[int] = field(default_factory=set)

    def add(self, place: Place, message: str, remedy: str = "") -> None:
        """Note one problem."""
        self.problems.append(Problem(self.file, place.mark.line, place.mark.column, place.key, message, remedy))


@dataclass(frozen=True, slots=True)
class Item(Generic[T_co]):
    """A value with its place."""

    value: T_co
    place: Place


class Reading(Protocol[T_co]):
    """How a node of the file becomes a value."""

    @property
    def name(self) -> str:
        """What the reference calls the type."""

    def read(self, node: Node, key: str, report: Report) -> T_co:
        """The value; raises `Unreadable` after reporting why not."""

    def keys(self, path: str) -> Iterator[Row]:
        """Rows of the reference for the keys inside."""


@dataclass(frozen=True, slots=True)
class Row:
    """One row of the reference."""

    path: str
    type: str
    default: str
    meaning: str


def refusal(node: Node, key: str, report: Report, wanted: str, remedy: str) -> Unreadable:
    """Report a node of the wrong kind, unless it was reported before."""
    place = Place(key, node.mark)
    if id(node) in report.silenced:
        return Unreadable()
    match node:
        case Scalar(kind=Kind.REFUSED):
            pass
        case Scalar(kind=Kind.NULL, commented=True):
            report.add(place, "nothing stands here but a comment", "quote text that begins with #")
        case Scalar(kind=Kind.NULL):
            report.add(place, "nothing stands here", f"{remedy}, or delete the key")
        case Scalar():
            report.add(place, f"{wanted} is expected here, not `{shown(node.text)}`", remedy)
        case nodes.Sequence():
            report.add(place, f"{wanted} is expected here, not a list", remedy)
        case nodes.Mapping():
            report.add(place, f"{wanted} is expected here, not a mapping", remedy)
    return Unreadable()


@dataclass(frozen=True)
class One(Generic[T]):
    """A single value."""

    type: ScalarType[T]

    @property
    def name(self) -> str:
        """The name of the value's type."""
        return self.type.name

    def read(self, node: Node, key: str, report: Report) -> T:
        """The value."""
        usable = isinstance(node, Scalar) and node.kind not in (Kind.NULL, Kind.REFUSED)
        if not isinstance(node, Scalar) or not usable or id(node) in report.silenced:
            raise refusal(node, key, report, "a single value", f"write a value ({self.name})")
        try:
            return self.type.parse(node)
        except WrongValue as wrong:
            report.add(Place(key, node.mark), wrong.message, wrong.remedy)
            raise Unreadable from None

    def keys(self, path: str) -> Iterator[Row]:
        """A single value has no keys inside."""
        return iter(())


@dataclass(frozen=True, slots=True)
class Items(Generic[T_co]):
    """A list that was read: the usable items; `complete` is false when others were refused."""

    place: Place
    items: tuple[Item[T_co], ...]
    complete: bool

    def __iter__(self) -> Iterator[Item[T_co]]:
        return iter(self.items)

    @property
    def values(self) -> tuple[T_co, ...]:
        """The values without their places."""
        return tuple(item.value for item in self.items)


@dataclass(frozen=True)
class ListOf(Generic[T]):
    """A list; with `bare`, a single item may be written without the list around it."""

    of: Reading[T]
    least: int = 0
    bare: bool = False

    @property
    def name(self) -> str:
        """The name of the list's type."""
        return f"list of {_plural(self.of.name)}" + (", or one" if self.bare else "")

    def read(self, node: Node, key: str, report: Report) -> Items[T]:
        """The items."""
        if self.bare and not isinstance(node, nodes.Sequence) and not _is_nothing(node):
            return Items(Place(key, node.mark), (Item(self.of.read(node, key, report), Place(key, node.mark)),), True)
        if not isinstance(node, nodes.Sequence):
            raise refusal(node, key, report, "a list", "write a list: [a, b], or one item a line after `- `")
        items: list[Item[T]] = []
        for index, item in enumerate(node.items):
            place = Place(nodes.item(key, index), item.mark)
            try:
                items.append(Item(self.of.read(item, place.key, report), place))
            except Unreadable:
                continue
        if len(node.items) < self.least:
            report.add(Place(key, node.mark), "the list is empty", "write at least one")
        return Items(Place(key, node.mark), tuple(items), len(items) == len(node.items))

    def keys(self, path: str) -> Iterator[Row]:
        """The keys of an item."""
        return self.of.keys(f"{path}[]")


@dataclass(frozen=True, slots=True)
class Entries(Generic[T_co]):
    """A mapping with names of the user's own: usable entries, each with the place of its key, and all names written."""

    place: Place
    entries: Mapping[str, Item[T_co]]
    names: frozenset[str]
    complete: bool

    def items(self) -> Iterator[tuple[str, Item[T_co]]]:
        """Names with values, in the order of the file."""
        return iter(self.entries.items())

    @property
    def values(self) -> dict[str, T_co]:
        """The values without their places."""
        return {name: item.value for name, item in self.entries.items()}


@dataclass(frozen=True)
class MapOf(Generic[T]):
    """A mapping from names of the user's own to values; `names` is the type of a name."""

    names: ScalarType[str]
    of: Reading[T]
    least: int = 0

    @property
    def name(self) -> str:
        """The name of the mapping's type."""
        return f"{self.names.name} → {self.of.name}"

    def read(self, node: Node, key: str, report: Report) -> Entries[T]:
        """The entries."""
        if not isinstance(node, nodes.Mapping):
            raise refusal(node, key, report, "a mapping", "write `name: value` lines, indented")
        entries: dict[str, Item[T]] = {}
        complete = node.complete
        for name, entry in node.entries.items():
            place = Place(nodes.child(key, name), entry.mark)
            try:
                self.names.parse(Scalar(entry.mark, Kind.TEXT, name))
            except WrongValue as wrong:
                report.add(place, wrong.message, wrong.remedy)
                complete = False
            try:
                entries[name] = Item(self.of.read(entry.value, place.key, report), place)
            except Unreadable:
                complete = False
        if complete and len(entries) < self.least:
            report.add(Place(key, node.mark), "the mapping is empty", f"write at least one {self.names.name}")
        return Entries(Place(key, node.mark), entries, frozenset(node.entries), complete)

    def keys(self, path: str) -> Iterator[Row]:
        """The keys of a value."""
        return self.of.keys(f"{path}.<name>")


def _plural(name: str) -> str:
    if name.endswith("ss"):
        return f"{name}es"
    return name if name.endswith(("s", "`", "1")) else f"{name}s"


def _is_nothing(node: Node) -> bool:
    return isinstance(node, Scalar) and node.kind in (Kind.NULL, Kind.REFUSED)
