"""What a PromQL expression names: read from its syntax tree."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field

import promql_parser as promql

# What Prometheus itself adds or publishes.
FROM_PROMETHEUS = {"up": frozenset({"job", "instance"})}


@dataclass
class Names:
    """Names in one expression."""

    series: list[tuple[str, frozenset[str]]] = field(default_factory=list)  # name, labels of its matchers
    grouping: list[str] = field(default_factory=list)  # in by, on, group_left …
    without: list[str] = field(default_factory=list)  # in without
    made: list[str] = field(default_factory=list)  # labels that the expression makes
    functions: list[promql.Function] = field(default_factory=list)
    regexes: list[str] = field(default_factory=list)


def names(expr: str) -> Names:
    """All names in an expression.

    Raises:
        ValueError: it is no PromQL.
    """
    found = Names()

    def visit(node: promql.Expr) -> bool:
        match node:
            case promql.VectorSelector():
                matchers = node.matchers.matchers
                found.series.append((node.name, frozenset(matcher.name for matcher in matchers)))
                found.regexes += [m.value for m in matchers if m.op in (promql.MatchOp.Re, promql.MatchOp.NotRe)]
            case promql.AggregateExpr():
                if node.modifier is not None:
                    by = node.modifier.type == promql.AggModifierType.By
                    (found.grouping if by else found.without).extend(node.modifier.labels)
                if str(node.op) == "count_values":
                    found.made.append(node.param.val)
            case promql.BinaryExpr():
                if node.modifier is not None:
                    if node.modifier.matching is not None:
                        found.grouping += node.modifier.matching.labels
                    found.grouping += _group_labels(node.modifier)
            case promql.Call():
                found.functions.append(node.func)
                if node.func.name == "label_replace":
                    found.made.append(node.args[1].val)
        return True

    promql.walk(promql.parse(expr), pre_visit=visit)
    return found


def _group_labels(modifier: promql.BinModifier) -> Iterator[str]:
    labels = modifier.group_labels
    yield from labels if labels is not None else ()
