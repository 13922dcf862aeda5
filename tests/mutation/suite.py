"""Rules and promtool tests as data, and which test concerns which rule."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml

_NOISE = re.compile(r'"(?:\\.|[^"\\])*"|\'(?:\\.|[^\'\\])*\'|`[^`]*`|#[^\n]*')
_WORD = re.compile(r"[a-zA-Z_:][a-zA-Z0-9_:]*")
_ALERTS = re.compile(r"\bALERTS(?:_FOR_STATE)?\b(?:\{[^}]*\})?")
_NAMED = re.compile(r"""alertname\s*=\s*["']([^"']*)["']""")
_LOADER = getattr(yaml, "CSafeLoader", yaml.SafeLoader)


@dataclass(frozen=True, slots=True)
class PlacedRule:
    """A rule, its group and its place in it."""

    group: str
    index: int
    document: Mapping[str, Any]

    @property
    def name(self) -> str:
        """The series or the alert that it makes."""
        return str(self.document.get("record") or self.document["alert"])

    @property
    def is_alert(self) -> bool:
        """Whether it is an alert."""
        return "alert" in self.document

    def reads(self) -> set[str]:
        """Names of what it reads, `alert:NAME` for alerts; more than there is does no harm."""
        found = names_in(str(self.document["expr"]))
        for text in self.document.get("annotations", {}).values():
            found |= set(_WORD.findall(str(text)))  # templates may query
        return found


@dataclass(frozen=True, slots=True)
class PromtoolTest:
    """One test of a test file, with what the file says for all its tests."""

    file: str
    head: Mapping[str, Any]
    document: Mapping[str, Any]

    @property
    def name(self) -> str:
        """File and name."""
        return f"{self.file}: {self.document.get('name', '')}"

    def reads(self) -> set[str]:
        """Names of what it looks at."""
        found = {f"alert:{case['alertname']}" for case in self.document.get("alert_rule_test", ())}
        for case in self.document.get("promql_expr_test", ()):
            found |= names_in(str(case["expr"]))
        return found


class Suite:
    """All rules with all their tests."""

    def __init__(self, groups: Sequence[Mapping[str, Any]], tests: Sequence[PromtoolTest]) -> None:
        self.groups = list(groups)
        self.tests = list(tests)
        self.rules = [
            PlacedRule(str(group["name"]), index, rule) for group in groups for index, rule in enumerate(group["rules"])
        ]
        self._made: dict[str, list[int]] = {}
        for number, rule in enumerate(self.rules):
            self._made.setdefault(f"alert:{rule.name}" if rule.is_alert else rule.name, []).append(number)
        self._alerts = {key for key in self._made if key.startswith("alert:")}
        self._needs = [self.closure(test.reads()) for test in self.tests]

    @classmethod
    def read(cls, rule_files: Iterable[Path], test_files: Iterable[Path]) -> Suite:
        """From files."""
        groups = [group for path in rule_files for group in yaml.load(path.read_bytes(), Loader=_LOADER)["groups"]]
        tests = []
        for path in sorted(test_files):
            head = yaml.load(path.read_bytes(), Loader=_LOADER)
            tests += [PromtoolTest(path.name, head, test) for test in head.pop("tests")]
        return cls(groups, tests)

    def closure(self, names: set[str]) -> frozenset[int]:
        """Numbers of the rules that make these names, and of all that those read."""
        pending = list(names)
        seen: set[str] = set()
        rules: set[int] = set()
        while pending:
            name = pending.pop()
            if name in seen:
                continue
            seen.add(name)
            if name == "alert:*":
                pending += self._alerts
            for number in self._made.get(name, ()):
                rules.add(number)
                pending += self.rules[number].reads()
        return frozenset(rules)

    def needs(self, test: int) -> frozenset[int]:
        """Numbers of the rules that a test looks at."""
        return self._needs[test]

    def concerning(self, rule: int) -> list[int]:
        """Numbers of the tests that look at a rule."""
        return [number for number, needs in enumerate(self._needs) if rule in needs]

    def documents(
        self, test: int, changed: int | None = None, rule: Mapping[str, Any] | None = None
    ) -> tuple[str, str]:
        """Rule file and test file of one test, with one rule changed: only the rules that it needs."""
        needed = self.needs(test)
        groups: dict[str, list[Mapping[str, Any]]] = {}
        for number, placed in enumerate(self.rules):
            if number in needed:
                document = rule if number == changed and rule is not None else placed.document
                groups.setdefault(placed.group, []).append(document)
        listed = [{**group, "rules": groups[group["name"]]} for group in self.groups if group["name"] in groups]
        head = self.tests[test].head
        order = [name for name in head.get("group_eval_order", ()) if name in groups]
        order += [name for name in groups if name not in order]
        tests = {**head, "rule_files": ["rules.yml"], "group_eval_order": order, "tests": [self.tests[test].document]}
        return _dump({"groups": listed}), _dump(tests)


def names_in(expression: str) -> set[str]:
    """Names that an expression reads; `alert:NAME` for alerts by name, `alert:*` for any alert."""
    found = set(_WORD.findall(_NOISE.sub(" ", expression)))
    for selector in _ALERTS.findall(expression):
        named = _NAMED.findall(selector)
        found |= {f"alert:{name}" for name in named} if named else {"alert:*"}
    return found


def _dump(document: object) -> str:
    return str(
        yaml.dump(document, Dumper=getattr(yaml, "CSafeDumper", yaml.SafeDumper), sort_keys=False, width=1_000_000)
    )
