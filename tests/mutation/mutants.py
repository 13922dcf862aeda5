"""Every small change of a rule."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

import promql_parser

from tests.mutation.lexing import Token, tokens

Rule = Mapping[str, Any]
_NEGATED = {">": "<=", "<": ">=", ">=": "<", "<=": ">", "==": "!=", "!=": "=="}
_SET = {"and": "unless", "or": "unless", "unless": "and"}
_LISTS = frozenset({"on", "by", "ignoring", "without", "group_left", "group_right"})
_DURATION = re.compile(r"(\d+)(ms|[smhdwy])")
_MILLISECONDS = {
    "ms": 1,
    "s": 1000,
    "m": 60_000,
    "h": 3_600_000,
    "d": 86_400_000,
    "w": 604_800_000,
    "y": 31_536_000_000,
}


@dataclass(frozen=True, slots=True)
class Mutant:
    """One changed rule. `place` is the line with the change in « », which with the rule's name identifies it."""

    rule: str
    operator: str  # comparison, threshold, set, label, range, for
    place: str
    change: str
    document: Rule

    @property
    def name(self) -> str:
        """How reports and `equivalent.yml` call it."""
        return f"{self.rule}: {self.operator}: {self.place} -> {self.change or 'nothing'}"


def name_of(rule: Rule) -> str:
    """The recorded series, or the alert with the labels that tell it from others of its name."""
    if "record" in rule:
        return str(rule["record"])
    labels = rule.get("labels", {})
    marks = [str(labels[key]) for key in ("severity", "urgency", "threshold", "quantity", "period") if key in labels]
    return f"{rule['alert']}[{','.join(marks)}]" if marks else str(rule["alert"])


def mutants(rule: Rule) -> list[Mutant]:
    """All changes of a rule that are still PromQL, in the order of the text; the same change twice only once."""
    found: dict[str, Mutant] = {}
    expression = str(rule["expr"])
    for operator, start, end, change in _changes(tokens(expression)):
        text = expression[:start] + change + expression[end:]
        if _parses(text):
            mutant = Mutant(name_of(rule), operator, _place(expression, start, end), change, {**rule, "expr": text})
            number = 2
            name = mutant.name
            while name in found:  # the same line twice in one rule
                mutant = Mutant(
                    mutant.rule, operator, f"{_place(expression, start, end)} ({number})", change, mutant.document
                )
                name = mutant.name
                number += 1
            found[name] = mutant
    for mutant in _of_durations(rule):
        found[mutant.name] = mutant
    return list(found.values())


def _of_durations(rule: Rule) -> Iterator[Mutant]:
    """`for` twice as long and none at all; `keep_firing_for` none at all."""
    for key, longer in (("for", True), ("keep_firing_for", False)):
        if key in rule:
            place = f"{key}: «{rule[key]}»"
            if longer:
                twice = _scaled(str(rule[key]), 2)
                yield Mutant(name_of(rule), "for", place, twice, {**rule, key: twice})
            yield Mutant(name_of(rule), "for", place, "0s", {**rule, key: "0s"})


def _changes(found: list[Token]) -> Iterator[tuple[str, int, int, str]]:
    """(operator, start, end, replacement) of each change."""
    for index, token in enumerate(found):
        if token.within == "{":
            continue
        following = found[index + 1] if index + 1 < len(found) else None
        if token.kind == "comparison":
            yield "comparison", token.start, token.end, _NEGATED[token.text]
        elif token.kind == "word" and token.text in _SET:
            yield "set", token.start, token.end, _SET[token.text]
        elif token.kind == "number" and token.within == "":
            yield "threshold", token.start, token.end, _moved(token.text)
        elif token.kind == "duration" and (index == 0 or found[index - 1].text in ("[", "offset")):
            yield "range", token.start, token.end, _scaled(token.text, 2)
        elif token.kind == "word" and token.text in _LISTS and following is not None and following.text == "(":
            yield from _labels(found, index + 2)


def _labels(found: list[Token], index: int) -> Iterator[tuple[str, int, int, str]]:
    """Each label of a list left out, with the comma that goes with it."""
    first = True
    while found[index].text != ")":
        token = found[index]
        if token.kind == "word":
            if not first:
                yield "label", found[index - 1].start, token.end, ""
            elif found[index + 1].text == ",":
                yield "label", token.start, found[index + 2].start, ""
            else:
                yield "label", token.start, token.end, ""
            first = False
        index += 1


def _moved(number: str) -> str:
    """Half as large again; 0 becomes 1, and what lies within 0 and 1 stays within."""
    value = float(number)
    if value == 0:
        return "1"
    return f"{value / 1.5 if value <= 1 else value * 1.5:.6g}"


def _scaled(duration: str, factor: int) -> str:
    total = sum(int(count) * _MILLISECONDS[unit] for count, unit in _DURATION.findall(duration)) * factor
    return f"{total // 1000}s" if total % 1000 == 0 else f"{total}ms"


def _place(expression: str, start: int, end: int) -> str:
    before = expression[:start].rpartition("\n")[2].lstrip()
    after = expression[end:].partition("\n")[0].rstrip()
    return f"{before}«{expression[start:end]}»{after}"


def _parses(expression: str) -> bool:
    try:
        promql_parser.parse(expression)
    except ValueError:
        return False
    return True
