"""Mutants against tests: killed or survived, with results kept so that a run goes on where the last one ended."""

from __future__ import annotations

import hashlib
import json
import os
import subprocess
import tempfile
import time
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml

from tests.mutation.mutants import Mutant, mutants
from tests.mutation.suite import Suite

TIMEOUT = 120.0


class BrokenSuiteError(Exception):
    """A test fails on the rules as they are: nothing can be said about mutants."""


@dataclass(frozen=True, slots=True)
class Outcome:
    """What became of a mutant: the test that noticed it, or none."""

    mutant: Mutant
    killed_by: str | None
    tests: int  # that concern the rule


class Runner:
    """Runs mutants of a suite; results are kept in a file under a key of all that they depend on."""

    def __init__(self, promtool: str, suite: Suite, state: Path | None = None) -> None:
        self._promtool = promtool
        self._suite = suite
        self._state = state
        self._known: dict[str, str | None] = {}
        self._seconds: dict[int, float] = {}  # by test, on the rules as they are
        self._killers: dict[int, list[int]] = {}  # by rule: tests that noticed other mutants of it, latest first
        if state is not None and state.is_file():
            for line in state.read_text(encoding="utf-8").splitlines():
                entry = json.loads(line)
                self._known[entry["key"]] = entry["killed_by"]

    def all_mutants(self) -> list[tuple[int, Mutant]]:
        """(number of the rule, mutant) of every rule."""
        return [(number, mutant) for number, rule in enumerate(self._suite.rules) for mutant in mutants(rule.document)]

    def run(self, chosen: Sequence[tuple[int, Mutant]], minutes: float = float("inf")) -> Iterator[Outcome]:
        """Outcomes one by one; ends early when the time is over.

        Raises:
            BrokenSuiteError: a test fails on the rules as they are.
        """
        end = time.monotonic() + minutes * 60
        for number, mutant in chosen:
            concerning = self._suite.concerning(number)
            key = self._key(number, mutant, concerning)
            if key not in self._known:
                if time.monotonic() > end:
                    return
                self._known[key] = self._killer(number, mutant, concerning)
                self._keep(key, mutant)
            yield Outcome(mutant, self._known[key], len(concerning))

    def _killer(self, number: int, mutant: Mutant, concerning: Iterable[int]) -> str | None:
        """The first test that fails: those that noticed other mutants of the rule first, then quick ones."""
        before = self._killers.setdefault(number, [])
        order = sorted(
            concerning, key=lambda test: (before.index(test) if test in before else len(before), self._baseline(test))
        )
        for test in order:
            passed, _ = self._passes(test, number, mutant.document)
            if not passed:
                if test in before:
                    before.remove(test)
                before.insert(0, test)
                return self._suite.tests[test].name
        return None

    def _baseline(self, test: int) -> float:
        """Seconds that a test takes on the rules as they are, which it must pass."""
        if test not in self._seconds:
            begun = time.monotonic()
            passed, output = self._passes(test)
            if not passed:
                raise BrokenSuiteError(f"{self._suite.tests[test].name} fails on the rules as they are:\n{output}")
            self._seconds[test] = time.monotonic() - begun
        return self._seconds[test]

    def _passes(self, test: int, changed: int | None = None, rule: Mapping[str, Any] | None = None) -> tuple[bool, str]:
        rules, tests = self._suite.documents(test, changed, rule)
        with tempfile.TemporaryDirectory(prefix="mutant-") as name:
            folder = Path(name)
            (folder / "rules.yml").write_text(rules, encoding="utf-8")
            (folder / "test.yml").write_text(tests, encoding="utf-8")
            try:
                ended = subprocess.run(
                    [self._promtool, "test", "rules", "test.yml"],
                    cwd=folder,
                    capture_output=True,
                    text=True,
                    check=False,
                    timeout=TIMEOUT,
                    env={**os.environ, "GOGC": "400"},
                )
            except subprocess.TimeoutExpired:
                return False, "it took too long"
        return ended.returncode == 0, ended.stdout + ended.stderr

    def _key(self, number: int, mutant: Mutant, concerning: Iterable[int]) -> str:
        digest = hashlib.sha256(mutant.name.encode())
        for test in concerning:
            for document in self._suite.documents(test, number, mutant.document):
                digest.update(document.encode())
        return digest.hexdigest()[:24]

    def _keep(self, key: str, mutant: Mutant) -> None:
        if self._state is None:
            return
        self._state.parent.mkdir(parents=True, exist_ok=True)
        with self._state.open("a", encoding="utf-8") as file:
            file.write(json.dumps({"key": key, "killed_by": self._known[key], "mutant": mutant.name}) + "\n")


def reasons(path: Path) -> dict[str, str]:
    """Why mutants that survive change nothing that matters: name -> reason."""
    entries = yaml.safe_load(path.read_text(encoding="utf-8")) or []
    return {str(entry["mutant"]): str(entry["reason"]) for entry in entries}


def report(outcomes: Sequence[Outcome], known: Mapping[str, str]) -> str:
    """Markdown: killed by rule and by operator, then the survivors with their reasons."""
    lines = []
    for title, key in (("rule", _rule), ("operator", _operator)):
        lines += [f"| {title} | mutants | killed | killed |", "|---|---:|---:|---:|"]
        for name in dict.fromkeys(key(outcome) for outcome in outcomes):
            own = [outcome for outcome in outcomes if key(outcome) == name]
            killed = sum(outcome.killed_by is not None for outcome in own)
            lines.append(f"| {name} | {len(own)} | {killed} | {killed / len(own):.0%} |")
        lines.append("")
    survivors = [outcome for outcome in outcomes if outcome.killed_by is None]
    lines.append(f"{len(outcomes) - len(survivors)} of {len(outcomes)} killed, {killed_share(outcomes):.1%}.")
    for outcome in survivors:
        lines.append(f"- {outcome.mutant.name} ({outcome.tests} tests)")
        lines.append(f"  {known.get(outcome.mutant.name, 'NO REASON GIVEN')}")
    return "\n".join(lines)


def killed_share(outcomes: Sequence[Outcome]) -> float:
    """Killed part of all mutants, equivalent ones included; 1 without any."""
    return sum(outcome.killed_by is not None for outcome in outcomes) / len(outcomes) if outcomes else 1.0


def _rule(outcome: Outcome) -> str:
    return outcome.mutant.rule


def _operator(outcome: Outcome) -> str:
    return outcome.mutant.operator
