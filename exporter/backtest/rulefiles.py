"""Rules to evaluate: read from files or from the bundle, reduced to what alerts need."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

import yaml

from exporter.errors import UserError

# Strings and comments hold no names of series; what stands in by(…) and the like is kept, which does no harm.
_NOISE = re.compile(r'"(?:\\.|[^"\\])*"|\'(?:\\.|[^\'\\])*\'|`[^`]*`|#[^\n]*')
_NAME = re.compile(r"[a-zA-Z_:][a-zA-Z0-9_:]*")
_WEEK_FUNCTIONS = frozenset({"day_of_week"})
_DAY_FUNCTIONS = frozenset({"hour", "minute"})
_FIRST_RULE = {"alert", "record"}


@dataclass(frozen=True, slots=True)
class RuleSet:
    """Groups of rules as plain data, in the order of evaluation; without annotations, which change no alert."""

    groups: tuple[dict[str, Any], ...]

    @classmethod
    def parse(cls, files: Mapping[str, bytes]) -> RuleSet:
        """Rule files: name -> content.

        Raises:
            UserError: a file is no rule file, or holds no alert.
        """
        groups: list[dict[str, Any]] = []
        for name, content in files.items():
            groups += _groups(name, content)
        rules = cls(tuple(groups))
        if not any("alert" in rule for rule in rules.rules()):
            raise UserError(f"{', '.join(files)}: there are no alerts in these rules")
        return rules

    def rules(self) -> Iterable[dict[str, Any]]:
        """All rules."""
        for group in self.groups:
            yield from group["rules"]

    @property
    def recorded(self) -> frozenset[str]:
        """Names that the rules record."""
        return frozenset(str(rule["record"]) for rule in self.rules() if "record" in rule)

    @property
    def read(self) -> frozenset[str]:
        """Names that the rules read and do not record: what a history has to have."""
        words = {word for rule in self.rules() for word in words_of(str(rule["expr"]))}
        return frozenset(words - self.recorded)

    @property
    def alignment(self) -> float:
        """Seconds of which a shift in time must be a multiple, for what rules read of the clock."""
        words = {word for rule in self.rules() for word in words_of(str(rule["expr"]))}
        if words & _WEEK_FUNCTIONS:
            return 604800.0
        return 86400.0 if words & _DAY_FUNCTIONS else 0.0

    def needed(self) -> RuleSet:
        """Without recording rules that no alert reads, however indirectly."""
        wanted = {word for rule in self.rules() if "alert" in rule for word in words_of(str(rule["expr"]))}
        records: dict[str, set[str]] = {}
        for rule in self.rules():
            if "record" in rule:
                records.setdefault(str(rule["record"]), set()).update(words_of(str(rule["expr"])))
        pending = list(wanted & records.keys())
        while pending:
            found = records[pending.pop()] - wanted
            wanted |= found
            pending += found & records.keys()
        groups = []
        for group in self.groups:
            kept = [rule for rule in group["rules"] if "alert" in rule or rule["record"] in wanted]
            if kept:
                groups.append({**group, "rules": kept})
        return RuleSet(tuple(groups))

    def document(self) -> dict[str, Any]:
        """One rule file."""
        return {"groups": list(self.groups)}


def words_of(expression: str) -> set[str]:
    """Everything in an expression that could name a series."""
    return set(_NAME.findall(_NOISE.sub(" ", expression)))


def _groups(name: str, content: bytes) -> list[dict[str, Any]]:
    try:
        document = yaml.load(content, Loader=getattr(yaml, "CSafeLoader", yaml.SafeLoader))  # noqa: S506 - safe ones
    except yaml.YAMLError as error:
        raise UserError(f"{name}: not YAML: {error}") from error
    groups = document.get("groups") if isinstance(document, dict) else None
    if not isinstance(groups, list):
        raise UserError(f"{name}: no rule file; it needs `groups`, as `llm-migration-exporter generate` writes them")
    for group in groups:
        rules = group.get("rules") if isinstance(group, dict) else None
        if not isinstance(rules, list) or not isinstance(group.get("name"), str):
            raise UserError(f"{name}: each group needs a name and a list of rules")
        for rule in rules:
            if not isinstance(rule, dict) or "expr" not in rule or not _FIRST_RULE & rule.keys():
                raise UserError(f"{name}: group {group['name']}: each rule needs `expr` and `alert` or `record`")
            rule.pop("annotations", None)
    return groups
