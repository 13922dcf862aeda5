"""Run-time state as a fold of changes: phases, tasks, holds, budgets, thresholds, baselines.

Every change is one row of an append-only table with who, when, through what, before and after, each row sealed with
a hash over itself and its predecessor. What the file configures enters the same table as changes from `file`, so that
the rule «a change at run time wins until that key changes in the file» is a comparison with the last file value.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterator
from dataclasses import dataclass, field

import msgspec

from exporter.errors import LedgerError, RequestError, UserError
from exporter.plan.model import PERIODS, Migration, Plan

Value = int | float | str | bool | None
GENESIS = "0" * 64
DEFAULT_ALERT_THRESHOLD = 0.8  # for periods of migrations that the file no longer has


class Change(msgspec.Struct, frozen=True):
    """One change. `key` names the thing within its kind: a period, a threshold, a phase and task, a figure."""

    at_us: int
    actor: str  # a token's name, or `file`
    source: str  # file, api
    kind: str  # budget_limit, budget_alert_threshold, threshold, phase, task, hold, baseline
    migration: str
    key: str
    before: Value
    after: Value
    reason: str = ""


class SealedChange(msgspec.Struct, frozen=True):
    """A change as stored: its place, its text, and the chain that makes a later edit visible.

    The seal is over the text and not over what a release reads in it, so that a later release may know more fields.
    """

    seq: int
    text: str
    previous: str
    seal: str

    @property
    def change(self) -> Change:
        """What the text says."""
        return msgspec.json.decode(self.text, type=Change)


def seal(seq: int, text: str, previous: str) -> SealedChange:
    """Chain a change to the one before it: SHA-256 over the predecessor's seal, the place and the text."""
    return SealedChange(seq, text, previous, hashlib.sha256(f"{previous}\n{seq}\n{text}".encode()).hexdigest())


@dataclass(slots=True)
class Control:
    """The state after all changes so far."""

    values: dict[tuple[str, str, str], Value] = field(default_factory=dict)  # (kind, migration, key) -> value
    file_values: dict[tuple[str, str, str], Value] = field(default_factory=dict)
    entered: dict[tuple[str, str], int] = field(default_factory=dict)  # (migration, phase) -> Unix microseconds
    last_seq: int = 0
    last_seal: str = GENESIS

    def apply(self, sealed: SealedChange) -> None:
        """Fold one more change.

        Raises:
            LedgerError: the chain is broken: a row was changed, removed or inserted by other hands.
        """
        expected = seal(self.last_seq + 1, sealed.text, self.last_seal)
        if expected != sealed:
            raise LedgerError(
                f"the audit log is broken at change {sealed.seq}: it is not the one that was written; restore a backup"
            )
        change = sealed.change
        key = (change.kind, change.migration, change.key)
        self.values[key] = change.after
        if change.source == "file":
            self.file_values[key] = change.after
        if change.kind == "phase":
            self.entered[change.migration, str(change.after)] = change.at_us
        self.last_seq = sealed.seq
        self.last_seal = sealed.seal

    def next(self, changes: list[Change]) -> list[SealedChange]:
        """Seal changes to come after the present state, without folding them yet."""
        sealed: list[SealedChange] = []
        previous = self.last_seal
        for offset, change in enumerate(changes, start=1):
            sealed.append(seal(self.last_seq + offset, msgspec.json.encode(change).decode(), previous))
            previous = sealed[-1].seal
        return sealed

    # What is in force

    def phase(self, migration: Migration) -> str:
        """The phase that a migration is in."""
        phase = self.values.get(("phase", migration.name, ""))
        return str(phase) if phase is not None else migration.phases[0].name

    def budget_limit(self, migration: str, period: str) -> int | None:
        """Nano-dollars, or None where there is no budget."""
        limit = self.values.get(("budget_limit", migration, period))
        return int(limit) if limit is not None else None

    def budget_alert_threshold(self, migration: str, period: str) -> float:
        """The used share from which on people are told."""
        return float(self.values.get(("budget_alert_threshold", migration, period)) or DEFAULT_ALERT_THRESHOLD)

    def thresholds(self, migration: str) -> Iterator[tuple[str, str, float]]:
        """(name, severity, value) of all thresholds in force."""
        for (kind, owner, key), value in self.values.items():
            if kind == "threshold" and owner == migration and value is not None:
                name, _, severity = key.partition("/")
                yield name, severity, float(value)

    def baselines(self, migration: str) -> Iterator[tuple[str, str, float]]:
        """(model, name, value) of all figures that baselines consist of, their samples and times among them."""
        for (kind, owner, key), value in self.values.items():
            if kind == "baseline" and owner == migration and isinstance(value, int | float):
                model, _, name = key.rpartition("/")
                yield model, name, value

    def task_done(self, migration: str, phase: str, task: str) -> bool:
        """Whether a task is ticked."""
        return bool(self.values.get(("task", migration, f"{phase}/{task}")))

    def held(self, migration: str) -> bool:
        """Whether a migration is on hold."""
        return bool(self.values.get(("hold", migration, "")))

    # What may be changed

    def from_file(self, plan: Plan, at_us: int) -> list[Change]:
        """What the file says differently than it said when it was last read.

        Raises:
            UserError: the phase that a migration is in is no longer in the file.
        """
        wanted = dict(_file_values(plan))
        for migration in plan.migrations:
            current = self.values.get(("phase", migration.name, ""))
            if current is None:
                wanted["phase", migration.name, ""] = migration.phases[0].name
            elif migration.phase(str(current)) is None:
                raise UserError(
                    f"migration {migration.name} is in phase {current}, which {plan.path.name} no longer has; "
                    "keep the phase, or advance the migration before removing it"
                )
        for key in self.file_values:
            if key not in wanted and key[0] != "phase" and self.values.get(key) is not None:
                wanted[key] = None
        return [
            Change(at_us, "file", "file", kind, migration, key, self.values.get((kind, migration, key)), value)
            for (kind, migration, key), value in wanted.items()
            if self.file_values.get((kind, migration, key), _NEVER) != value
        ]

    def change(self, kind: str, migration: str, key: str, after: Value, by: Author) -> Change:
        """A change from the present value to another."""
        before = self.values.get((kind, migration, key))
        return Change(by.at_us, by.name, by.source, kind, migration, key, before, after, by.reason)

    def advance(self, migration: Migration, to: str, by: Author) -> Change:
        """The step into another phase.

        Raises:
            RequestError: 422 for a phase that the plan does not have, 409 for the phase that it is in already, for a
                step out of order without a reason, or while the migration is on hold.
        """
        names = [phase.name for phase in migration.phases]
        if to not in names:
            raise RequestError(422, f"unknown phase {to}; {migration.name} has {', '.join(names)}")
        current = self.phase(migration)
        if to == current:
            raise RequestError(409, f"{migration.name} is in phase {to} already")
        if self.held(migration.name):
            raise RequestError(409, f"{migration.name} is on hold; release the hold first")
        if names.index(to) != names.index(current) + 1 and not by.reason:
            following = names[names.index(current) + 1] if current != names[-1] else None
            expected = f"after {current} comes {following}" if following else f"{current} is the last phase"
            raise RequestError(409, f"{expected}; a step to {to} needs a reason")
        return self.change("phase", migration.name, "", to, by)


@dataclass(frozen=True, slots=True)
class Author:
    """Who makes a change, when, through what, and why."""

    name: str
    source: str
    at_us: int
    reason: str = ""


_NEVER = object()


def _file_values(plan: Plan) -> Iterator[tuple[tuple[str, str, str], Value]]:
    for migration in plan.migrations:
        for period in PERIODS:
            if period in migration.budgets.limits:
                yield ("budget_limit", migration.name, period), migration.budgets.limits[period]
            yield ("budget_alert_threshold", migration.name, period), migration.budgets.alert_threshold
        for threshold in migration.thresholds:
            yield ("threshold", migration.name, f"{threshold.name}/{threshold.severity}"), threshold.value
