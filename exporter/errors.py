"""The exception tree.

ExporterError
├── UserError              expected: the CLI prints `error: …` and exits with `exit_code`
│   ├── ConfigError        every problem of a configuration at once
│   ├── GenerationDrift    a generated file differs from what the plan gives
│   └── LedgerLocked       another process has the ledger
├── Overloaded             the queue is full: retry later
├── LedgerError            the ledger cannot be written or read
├── TooSlow                a question to the ledger took longer than it may
└── RequestError           a change that the API refuses
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass


class ExporterError(Exception):
    """Root of all errors that this package raises on purpose."""


class UserError(ExporterError):
    """An expected failure: shown as one message, never as a traceback."""

    exit_code = 2


@dataclass(frozen=True, slots=True, order=True)
class Problem:
    """One mistake in a configuration: where it is, what is wrong, what to write instead.

    `line` and `column` count from 1; 0 means that the place is not known.
    """

    file: str
    line: int
    column: int
    key: str
    message: str
    remedy: str = ""

    def __str__(self) -> str:
        where = f"{self.file}:{self.line}:{self.column}" if self.line else self.file
        key = f" {self.key}:" if self.key else ""
        remedy = f"; {self.remedy}" if self.remedy else ""
        return f"{where}:{key} {self.message}{remedy}"


class ConfigError(UserError):
    """A configuration that cannot be used, with all its problems in file order."""

    def __init__(self, problems: Sequence[Problem]) -> None:
        self.problems = tuple(sorted(problems))
        super().__init__("\n".join(str(problem) for problem in self.problems))


class GenerationDrift(UserError):
    """Committed files differ from what the plan generates; `diff` is a unified diff."""

    exit_code = 1

    def __init__(self, diff: str) -> None:
        self.diff = diff
        super().__init__("generated files differ: run `llm-migration-exporter generate`")


class LedgerLocked(UserError):
    """Another exporter has this ledger open."""


class Overloaded(ExporterError):
    """The write queue is full; nothing of the request was stored."""

    def __init__(self, retry_after: float) -> None:
        self.retry_after = retry_after
        super().__init__(f"the write queue is full, retry in {retry_after:g} s")


class LedgerError(ExporterError):
    """The ledger refused a read or a write; nothing was acknowledged."""


class TooSlow(ExporterError):
    """A question to the ledger took longer than it may."""

    def __init__(self) -> None:
        super().__init__("the answer took too long; ask for a shorter time, or again when less is going on")


class RequestError(ExporterError):
    """A change or a question that cannot be granted: `status` and `headers` are those of the HTTP answer."""

    def __init__(
        self, status: int, message: str, *, reason: str = "", headers: Mapping[str, str] | None = None
    ) -> None:
        self.status = status
        self.reason = reason
        self.headers = dict(headers or {})
        super().__init__(message)
