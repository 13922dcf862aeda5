"""What the rows of a trace become: the labels, latency and id of their events."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping as Map
from dataclasses import asdict, dataclass, field
from typing import Any

from exporter.errors import UserError
from exporter.replay.formats import Row, Trace

# The names that BurstGPT uses, and the models that they stand for.
TRACE_MODELS: Map[str, str] = {"ChatGPT": "gpt-3.5-turbo", "GPT-4": "gpt-4"}
_MICROSECONDS = 6


@dataclass(frozen=True, slots=True)
class LatencyFormula:
    """latency = (base + per_input_token * input + per_output_token * output) * spread, in seconds.

    `spread` lies between 1 - jitter and 1 + jitter and is drawn from the row, so that a second replay draws the same.
    """

    base: float = 0.4
    per_input_token: float = 0.0001
    per_output_token: float = 0.015
    jitter: float = 0.25

    def __post_init__(self) -> None:
        """Refuse what could give a negative latency."""
        if min(self.base, self.per_input_token, self.per_output_token) < 0 or not 0 <= self.jitter <= 1:
            raise UserError("latency: base and seconds per token must be at least 0, jitter between 0 and 1")

    def __call__(self, input_tokens: int, output_tokens: int, draw: float) -> float:
        """Seconds for a call; `draw` is in [0, 1)."""
        mean = self.base + self.per_input_token * input_tokens + self.per_output_token * output_tokens
        return mean * (1 + self.jitter * (2 * draw - 1))


@dataclass(frozen=True, slots=True)
class Mapping:
    """How rows become events. None and empty leave what the trace says."""

    model: str | None = None
    models: Map[str, str] = field(default_factory=dict)  # a name in the trace -> the model it becomes
    category: str | None = None
    application: str | None = None
    endpoint: str | None = None
    migration: str | None = None
    shadow: bool = False
    latency: float | LatencyFormula | None = None  # seconds; None: the trace's own, else the default formula

    def __post_init__(self) -> None:
        """Refuse a latency that no call can have."""
        if isinstance(self.latency, int | float) and self.latency < 0:
            raise UserError(f"latency must be at least 0 seconds, not {self.latency:g}")

    def check(self, trace: Trace) -> None:
        """See that every row gets a model.

        Raises:
            UserError: the trace names no models, and the mapping neither.
        """
        if self.model is None and None in trace.models:
            raise UserError(f"{trace.path}: this trace does not say which model was called; say it with --model")

    def fingerprint(self, trace: Trace) -> str:
        """Names trace and mapping together, 20 hex digits: the same for the same content, different for any other.

        The times to which a replay is shifted are no part of it: a later run of the same replay is a repetition.
        """
        said = {name: value for name, value in asdict(self).items() if value not in (None, {}, False)}
        text = json.dumps([trace.sha256, trace.format, said], sort_keys=True)
        return hashlib.sha256(text.encode()).hexdigest()[:20]


class EventMaker:
    """Makes the events of one replay."""

    def __init__(self, trace: Trace, mapping: Mapping) -> None:
        mapping.check(trace)
        self._mapping = mapping
        self._models = {**TRACE_MODELS, **mapping.models} if trace.format == "burstgpt" else mapping.models
        self._prefix = f"replay-{mapping.fingerprint(trace)}-"
        self._formula = mapping.latency if isinstance(mapping.latency, LatencyFormula) else LatencyFormula()
        self._fixed = mapping.latency if isinstance(mapping.latency, int | float) else None
        labels = {
            "category": mapping.category,
            "application": mapping.application,
            "endpoint": mapping.endpoint,
            "migration": mapping.migration,
            "shadow": mapping.shadow or None,
        }
        self._labels = {name: value for name, value in labels.items() if value is not None}

    def __call__(self, row: Row, timestamp: float) -> dict[str, Any]:
        """The event of a row that is to have ended at `timestamp`, in Unix seconds."""
        return {
            "id": f"{self._prefix}{row.number}",
            "timestamp": round(timestamp, _MICROSECONDS),
            "model": self._mapping.model or self._models.get(row.model or "", row.model),
            "input_tokens": row.input_tokens,
            "output_tokens": row.output_tokens,
            "latency": round(self._latency(row), _MICROSECONDS),
            "success": row.success,
            **row.fields,
            **self._labels,
        }

    def _latency(self, row: Row) -> float:
        if self._fixed is not None:
            return self._fixed
        if self._mapping.latency is None and row.latency is not None:
            return row.latency
        # By the row alone: the same call under two models has the same luck, so that they can be compared.
        digest = hashlib.blake2b(b"%d" % row.number, digest_size=8).digest()
        return self._formula(row.input_tokens, row.output_tokens, int.from_bytes(digest) / 2**64)
