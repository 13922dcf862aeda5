"""PromQL as tokens with their places, so that one of them can be changed and all else stay as written."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass

_TOKEN = re.compile(
    r"""
    (?P<space>\s+|\#[^\n]*)
  | (?P<string>"(?:\\.|[^"\\])*"|'(?:\\.|[^'\\])*'|`[^`]*`)
  | (?P<duration>(?:\d+(?:ms|[smhdwy]))+)(?![\w.])
  | (?P<number>(?:0[xX][0-9a-fA-F]+|(?:\d+\.?\d*|\.\d+)(?:[eE][+-]?\d+)?))
  | (?P<word>[a-zA-Z_:][a-zA-Z0-9_:]*)
  | (?P<comparison>==|!=|>=|<=|>|<)
  | (?P<matcher>=~|!~|=)
  | (?P<mark>[-+*/%^(),{}\[\]:@])
    """,
    re.VERBOSE,
)


@dataclass(frozen=True, slots=True)
class Token:
    """A piece of an expression. `depth` tells whether it stands within `{…}` or `[…]`."""

    kind: str
    text: str
    start: int
    within: str  # "", "{" or "["

    @property
    def end(self) -> int:
        """The place after it."""
        return self.start + len(self.text)


def tokens(expression: str) -> list[Token]:
    """All tokens but white space and comments.

    Raises:
        ValueError: something is no PromQL.
    """
    return list(_tokens(expression))


def _tokens(expression: str) -> Iterator[Token]:
    position = 0
    within = ""
    while position < len(expression):
        found = _TOKEN.match(expression, position)
        if found is None or found.lastgroup is None:
            raise ValueError(f"no PromQL at {position}: {expression[position : position + 30]!r}")
        text = found.group()
        if text in ("}", "]"):
            within = ""
        if found.lastgroup != "space":
            # within a range a colon and a duration may be read as one word: `[1h:30s]` is not, `[1h:]` neither
            yield Token(found.lastgroup, text, position, within)
        if text in ("{", "["):
            within = text
        position = found.end()
