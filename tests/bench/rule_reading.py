"""What rules read, by the tree of their expressions: selectors, and how far each looks back."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import timedelta

import promql_parser as promql

LOOKBACK = 300.0


@dataclass(frozen=True, slots=True)
class Read:
    """One selector of an expression: its text without range and offset, and seconds that it looks back."""

    name: str
    selector: str
    seconds: float


def reads(expression: str) -> list[Read]:
    """Every selector of an expression."""
    found: list[Read] = []
    ranges: list[float] = []  # of what the walk is within

    def enter(node: promql.Expr) -> bool:
        if isinstance(node, promql.MatrixSelector):
            ranges.append(node.range.total_seconds() - LOOKBACK)
        elif isinstance(node, promql.SubqueryExpr):
            ranges.append(node.range.total_seconds() + _offset(node))
        elif isinstance(node, promql.VectorSelector):
            matchers = ",".join(_matcher(one) for one in node.matchers.matchers)
            name = node.name or ""
            found.append(Read(name, f"{name}{{{matchers}}}", LOOKBACK + _offset(node) + sum(ranges)))
        return True

    def leave(node: promql.Expr) -> bool:
        if isinstance(node, promql.MatrixSelector | promql.SubqueryExpr):
            ranges.pop()
        return True

    promql.walk(promql.parse(expression), pre_visit=enter, post_visit=leave)
    return found


def longest(expressions: list[str]) -> dict[str, float]:
    """Name of a series -> the farthest that any of the expressions looks back, seconds."""
    found: dict[str, float] = {}
    for expression in expressions:
        for read in reads(expression):
            found[read.name] = max(found.get(read.name, 0.0), read.seconds)
    return found


def _matcher(matcher: promql.Matcher) -> str:
    operators = {"Equal": "=", "NotEqual": "!=", "Re": "=~", "NotRe": "!~"}
    return f'{matcher.name}{operators[str(matcher.op).rpartition(".")[2]]}"{matcher.value}"'


def _offset(node: object) -> float:
    offset = getattr(node, "offset", None)
    return offset.total_seconds() if isinstance(offset, timedelta) else 0.0
