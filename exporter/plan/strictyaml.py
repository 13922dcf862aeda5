"""YAML read strictly: nodes keep their place, and what YAML 1.1 would silently turn into something else is refused.

PyYAML reads `on` as true, `12:30` as 750, `017` as 15, `1_000` as 1000, and keeps the last of two equal keys. Here each
of these is a problem with a remedy. Scalars are only classified, never converted: the schema knows what a value is
meant to be, and needs its text as written (`0.10` must not pass through a binary float on its way to money).
"""

from __future__ import annotations

import re
from collections.abc import Mapping as Table
from typing import Any

import yaml
from yaml.events import AliasEvent, MappingEndEvent, ScalarEvent, SequenceEndEvent, SequenceStartEvent

from exporter.errors import Problem
from exporter.plan.nodes import Entry, Kind, Mapping, Mark, Node, Scalar, Sequence, child, item, shown

MAX_DEPTH = 20  # deeper than any plan; bounds recursion whatever the file says

_MAX_NUMBER = 48
_TAG = "tag:yaml.org,2002:"
_INTEGER = re.compile(r"[-+]?(0|[1-9][0-9]*)\Z")
_FLOAT = re.compile(r"[-+]?([0-9]+\.[0-9]*|\.[0-9]+)([eE][-+][0-9]+)?\Z")
_DATE = re.compile(r"[0-9]{4}-[0-9]{2}-[0-9]{2}\Z")
_OCTAL = re.compile(r"[-+]?0o[0-7]+\Z")
_CONTROL = re.compile(r"[\x00-\x08\x0b-\x1f\x7f-\x84\x86-\x9f\ud800-\udfff\ufffe\uffff]")
# PyYAML's words for frequent slips, and what helps.
_SYNTAX_REMEDIES: Table[str, str] = {
    r"'\t'": "indent with spaces, tabs are not allowed in YAML",
    "mapping values are not allowed": "quote a value that contains `: `, and check the indentation of the line",
    "could not find expected ':'": "write `key: value`, with a space after the colon",
    "found unexpected end of stream": "close the quotation mark or bracket that is still open",
    "expected ',' or": "close the bracket, and put a comma between entries",
    "cannot start any token": "quote text that begins with a special character",
    "expected <block end>": "give entries of one list or mapping the same indentation",
}


def compose(text: str, file: str) -> tuple[Node | None, list[Problem]]:
    """Read one document.

    Returns:
        The root, or None when the text is not YAML or holds nothing, and all problems found.
    """
    problems: list[Problem] = []
    try:
        loader = _StrictLoader(text, file, problems)
    except yaml.reader.ReaderError as error:
        return None, [_unreadable_character(error, text, file)]
    try:
        return loader.document(), problems
    except yaml.reader.ReaderError as error:
        problems.append(_unreadable_character(error, text, file))
    except yaml.MarkedYAMLError as error:
        problems.append(_syntax_error(error, file))
    except _TooDeep:
        pass  # reported; reading on would take PyYAML time that grows with the square of the depth
    except (ValueError, OverflowError):
        # PyYAML lets these escape for \U escapes beyond Unicode.
        mark = loader.position()
        message = "an escape in quotation marks is not a character"
        problems.append(Problem(file, mark.line, mark.column, "", message, "write the character itself"))
    finally:
        loader.dispose()
    return None, problems


def compose_value(text: str, mark: Mark) -> Node:
    """Read a value that the program itself supplies, such as a default; every node is placed at `mark`."""
    problems: list[Problem] = []
    loader = _StrictLoader(text, "", problems, fixed=mark)
    node = loader.document()
    if node is None or problems:
        raise AssertionError(f"a built-in value is not plain YAML: {text!r}")
    return node


class _StrictLoader(yaml.SafeLoader):
    """PyYAML's scanner and parser, with a composer of our own on top of their events."""

    def __init__(self, text: str, file: str, problems: list[Problem], fixed: Mark | None = None) -> None:
        super().__init__(text)
        self._file = file
        self._problems = problems
        self._fixed = fixed
        self._lines = text.splitlines()

    def document(self) -> Node | None:
        """The one document of the stream."""
        self._next()
        if self.check_event(yaml.StreamEndEvent):
            self._report(Mark(1, 1), "", "the file is empty", "start from the shipped migration.yaml")
            return None
        self._next()
        root = self._node("", 0)
        self._next()
        if not self.check_event(yaml.StreamEndEvent):
            mark = self._mark(self._peek())
            self._report(mark, "", "a second document begins here", "delete the `---` line: one file is one plan")
        return root

    def position(self) -> Mark:
        """Where the scanner stands."""
        return Mark(self.line + 1, self.column + 1)

    def _next(self) -> Any:
        return self.get_event()  # type: ignore[no-untyped-call]

    def _peek(self) -> Any:
        return self.peek_event()  # type: ignore[no-untyped-call]

    def _report(self, mark: Mark, path: str, message: str, remedy: str) -> None:
        self._problems.append(Problem(self._file, mark.line, mark.column, path, message, remedy))

    def _mark(self, event: Any) -> Mark:
        return self._fixed or Mark(event.start_mark.line + 1, event.start_mark.column + 1)

    def _node(self, path: str, depth: int) -> Node:
        event = self._next()
        mark = self._mark(event)
        if isinstance(event, AliasEvent):
            self._report(mark, path, f"`*{event.anchor}` repeats another part of the file", "write the value out here")
            return Scalar(mark, Kind.REFUSED, "")
        if event.anchor is not None:
            self._report(mark, path, f"`&{event.anchor}` is an anchor, which is not allowed", "delete it")
        if event.tag is not None:
            tag = shown(event.tag.replace(_TAG, "!!"))
            self._report(mark, path, f"`{tag}` is a tag, which is not allowed", "write the value alone, text in quotes")
        if isinstance(event, ScalarEvent):
            return self._scalar(event, mark, path)
        if depth == MAX_DEPTH:
            self._report(mark, path, f"nested more than {MAX_DEPTH} levels deep", "no key of a plan is that deep")
            raise _TooDeep
        if isinstance(event, SequenceStartEvent):
            return self._sequence(mark, path, depth)
        return self._mapping(mark, path, depth)

    def _sequence(self, mark: Mark, path: str, depth: int) -> Sequence:
        items: list[Node] = []
        while not self.check_event(SequenceEndEvent):
            items.append(self._node(item(path, len(items)), depth + 1))
        self._next()
        return Sequence(mark, tuple(items))

    def _mapping(self, mark: Mark, path: str, depth: int) -> Mapping:
        entries: dict[str, Entry] = {}
        complete = True
        while not self.check_event(MappingEndEvent):
            key_mark = self._mark(self._peek())
            key = self._key(path, depth)
            value = self._node(path if key is None else child(path, key), depth + 1)
            if key is None:
                complete = False
            elif key in entries:
                first = entries[key].mark.line
                message = f"the key is written twice, first on line {first}"
                self._report(key_mark, child(path, key), message, "keep one of the two")
            else:
                entries[key] = Entry(key_mark, value)
        self._next()
        return Mapping(mark, entries, complete)

    def _key(self, path: str, depth: int) -> str | None:
        """The text of a key, or None when it was refused."""
        event = self._peek()
        if isinstance(event, ScalarEvent) and event.implicit[0] and event.value == "<<":
            self._next()
            self._report(self._mark(event), path, "`<<` merges another mapping in", "write the keys out here")
            return None
        before = len(self._problems)
        node = self._node(path, depth + 1)
        if len(self._problems) > before:
            return None
        if not isinstance(node, Scalar):
            self._report(node.mark, path, "a list or mapping stands where a key should", "write `key: value`")
            return None
        if node.kind is Kind.NULL:
            self._report(node.mark, path, "a key is missing before the colon", "write `key: value`")
            return None
        if node.kind is not Kind.TEXT:
            message = f"the key `{shown(node.text)}` is read as {node.kind}"
            self._report(node.mark, path, message, f"quote it: '{shown(node.text)}'")
            return None
        return node.text

    def _scalar(self, event: Any, mark: Mark, path: str) -> Scalar:
        text: str = event.value
        if _CONTROL.search(text):
            self._report(mark, path, "the text holds a control character", "delete the escape or the character")
            return Scalar(mark, Kind.REFUSED, "")
        if event.tag is not None:
            return Scalar(mark, Kind.REFUSED, text)
        if not event.implicit[0]:
            return Scalar(mark, Kind.TEXT, text, quoted=True)
        try:
            kind = self._plain_kind(text)
        except _Surprise as surprise:
            self._report(mark, path, surprise.message, surprise.remedy)
            return Scalar(mark, Kind.REFUSED, text)
        return Scalar(mark, kind, text, commented=kind is Kind.NULL and self._comment_follows(event))

    def _plain_kind(self, text: str) -> Kind:
        """What an unquoted scalar is; raises `_Surprise` where YAML readers differ."""
        tag = self.resolve(yaml.ScalarNode, text, (True, False)).removeprefix(_TAG)  # type: ignore[no-untyped-call]
        if tag in ("int", "float") or _OCTAL.match(text):
            return _number(text)
        if tag == "bool" or text in ("y", "Y", "n", "N"):
            return _boolean(text)
        if tag == "value":
            raise _Surprise("`=` has a meaning of its own in YAML", "quote it: '='")
        if tag == "timestamp":
            return Kind.DATE if _DATE.match(text) else Kind.TIMESTAMP
        return Kind.NULL if tag == "null" else Kind.TEXT

    def _comment_follows(self, event: Any) -> bool:
        line: int = event.start_mark.line
        rest = self._lines[line][event.start_mark.column :] if line < len(self._lines) else ""
        return event.value == "" and rest.lstrip(" :").startswith("#")


class _TooDeep(Exception):
    """Brackets within brackets without end."""


class _Surprise(Exception):
    """An unquoted scalar that YAML readers do not agree on."""

    def __init__(self, message: str, remedy: str) -> None:
        super().__init__(message)
        self.message = message
        self.remedy = remedy


def _boolean(text: str) -> Kind:
    """`true` and `false`; every other spelling is a surprise."""
    if text in ("true", "false"):
        return Kind.BOOLEAN
    meant = "true" if text.lower() in ("y", "yes", "on", "true") else "false"
    message = f"`{text}` is a boolean to some YAML readers and text to others"
    raise _Surprise(message, f"write {meant}, or quote it: '{text}'")


def _number(text: str) -> Kind:
    """A number that every reader reads alike; every other spelling is a surprise."""
    if len(text) > _MAX_NUMBER:
        raise _Surprise("a number of this length is a mistake", "write fewer digits, or quote it if it is text")
    if _INTEGER.match(text):
        return Kind.INTEGER
    if _FLOAT.match(text):
        return Kind.FLOAT
    bare, quote = text.replace("_", ""), f"quote it: '{text}'"
    if "nan" in text.lower() or "inf" in text.lower():
        raise _Surprise(f"`{text}` is not a number to count with", "write a finite number")
    if ":" in text:
        raise _Surprise(f"`{text}` is a number in base 60 to some YAML readers", quote)
    if _OCTAL.match(text) or re.fullmatch(r"[-+]?0[xb][0-9a-f]+", bare, re.IGNORECASE):
        raise _Surprise(f"`{text}` is not written in decimal", f"write {int(bare, 0)}, or {quote}")
    if _INTEGER.match(bare) or _FLOAT.match(bare):
        raise _Surprise(f"`{text}` is a number to some YAML readers and text to others", f"write {bare}, or {quote}")
    message = f"`{text}` is an octal number to some YAML readers"
    raise _Surprise(message, f"write it without leading zeros, or {quote}")


def _unreadable_character(error: yaml.reader.ReaderError, text: str, file: str) -> Problem:
    before = text[: error.position]
    line = before.count("\n") + 1
    column = len(before) - (before.rfind("\n") + 1) + 1
    message = f"the character U+{ord(text[error.position]):04X} is not allowed in YAML"
    return Problem(file, line, column, "", message, "delete it")


def _syntax_error(error: yaml.MarkedYAMLError, file: str) -> Problem:
    mark = error.problem_mark or error.context_mark
    line, column = (mark.line + 1, mark.column + 1) if mark else (1, 1)
    words = ", ".join(part for part in (error.context, error.problem) if part)
    remedy = next(
        (remedy for part, remedy in _SYNTAX_REMEDIES.items() if part in words),
        "check the indentation, the quotation marks and the brackets of the lines above",
    )
    return Problem(file, line, column, "", f"this is not YAML: {words}", remedy)
