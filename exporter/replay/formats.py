"""Trace files: which format one has, and its rows in their order.

azure     CSV of the Azure LLM inference traces: TIMESTAMP, ContextTokens, GeneratedTokens
burstgpt  CSV of BurstGPT: Timestamp (seconds since the trace's start), Model, Request tokens, Response tokens,
          Total tokens, Log Type, and in newer files Session ID and Elapsed time; no response tokens mean a failed call
events    NDJSON, one event a line, as applications send them

Columns are found by their names in the header line; others are ignored.
"""

from __future__ import annotations

import csv
import hashlib
import io
import json
import math
from collections.abc import Iterator
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, NamedTuple

from exporter.errors import UserError

FORMATS = ("azure", "burstgpt", "events")
_AZURE = ("TIMESTAMP", "ContextTokens", "GeneratedTokens")
_BURSTGPT = ("Timestamp", "Model", "Request tokens", "Response tokens")
_SNIFF_BYTES = 64 * 1024


class Row(NamedTuple):
    """One call of a trace. `time` is in seconds on the trace's own clock; None is what the trace does not say."""

    number: int  # from 0, header and empty lines not counted: part of the event's id
    line: int  # from 1, for messages
    time: float
    model: str | None
    input_tokens: int
    output_tokens: int
    success: bool
    latency: float | None
    fields: dict[str, Any]  # other fields of an event


@dataclass(frozen=True, slots=True)
class Trace:
    """A trace that was read once through: every row has been parsed. Times are in seconds on the trace's own clock."""

    path: Path
    format: str
    sha256: str
    rows: int
    first: float
    last: float
    input_tokens: int
    output_tokens: int
    models: frozenset[str | None] = field(default_factory=frozenset)


def scan(path: Path, format_: str | None = None, limit: int | None = None) -> Trace:
    """Read a trace through, so that a bad row is told before anything was sent.

    Raises:
        UserError: the file cannot be read, its format is not known, or a row is not as the format says.
    """
    kind = format_ or sniff(path)
    rows = input_tokens = output_tokens = 0
    first, last = math.inf, -math.inf
    models: set[str | None] = set()
    for row in read(path, kind, limit):
        rows += 1
        input_tokens += row.input_tokens
        output_tokens += row.output_tokens
        first = min(first, row.time)
        last = max(last, row.time)
        models.add(row.model)
    if not rows:
        raise UserError(f"{path}: there is no call in this trace")
    with _open(path) as file:
        digest = hashlib.file_digest(file, "sha256").hexdigest()
    return Trace(path, kind, digest, rows, first, last, input_tokens, output_tokens, frozenset(models))


def sniff(path: Path) -> str:
    """The format of a file, from its first line.

    Raises:
        UserError: it is none that we know.
    """
    with _open(path) as file:
        start = file.read(_SNIFF_BYTES).decode("utf-8-sig", "replace").lstrip()
    line = start.partition("\n")[0].strip()
    if line.startswith("{"):
        return "events"
    columns = {column.strip() for column in line.split(",")}
    for name, needed in (("azure", _AZURE), ("burstgpt", _BURSTGPT)):
        if columns.issuperset(needed):
            return name
    raise UserError(
        f"{path}: this is no trace that replay knows. It reads CSV with the columns {', '.join(_AZURE)} (Azure) or "
        f"{', '.join(_BURSTGPT)} (BurstGPT), and events as one JSON object a line; the first line is {line[:80]!r}"
    )


def read(path: Path, format_: str, limit: int | None = None) -> Iterator[Row]:
    """The rows of a trace, `limit` at most, one at a time.

    Raises:
        UserError: the file cannot be read, or a row is not as the format says.
    """
    rows = {"azure": _azure, "burstgpt": _burstgpt, "events": _events}[format_](path)
    for row in rows:
        if limit is not None and row.number >= limit:
            return
        yield row


def _azure(path: Path) -> Iterator[Row]:
    clock = _AzureClock()
    for number, line, (when, context, generated) in _columns(path, _AZURE, ()):
        with _At(path, line):
            yield Row(number, line, clock(when), None, _count(context), _count(generated), True, None, {})


def _burstgpt(path: Path) -> Iterator[Row]:
    for number, line, values in _columns(path, _BURSTGPT, ("Elapsed time",)):
        when, model, request, response, elapsed = values
        with _At(path, line):
            output_tokens = _count(response)
            failed = output_tokens == 0
            fields = {"error_type": "other"} if failed else {}
            latency = _number(elapsed) if elapsed else None
            yield Row(number, line, _number(when), model, _count(request), output_tokens, not failed, latency, fields)


def _events(path: Path) -> Iterator[Row]:
    number = 0
    with _open(path) as file:
        for line, text in enumerate(file, 1):
            if not text.strip():
                continue
            with _At(path, line):
                yield _event(number, line, text)
            number += 1


def _event(number: int, line: int, text: bytes) -> Row:
    event = json.loads(text.decode("utf-8-sig"))
    if not isinstance(event, dict):
        raise ValueError("an event is a JSON object")
    try:
        when, model = event.pop("timestamp"), event.pop("model")
        counts = event.pop("input_tokens"), event.pop("output_tokens")
        success, latency = event.pop("success"), event.pop("latency", None)
    except KeyError as missing:
        raise ValueError(f"the event has no {missing.args[0]}") from None
    for count in counts:
        if not isinstance(count, int) or isinstance(count, bool) or count < 0:
            raise ValueError(f"{count!r} is no number of tokens")
    if not isinstance(success, bool):
        raise ValueError("success is true or false")
    if not isinstance(model, str) or not model:
        raise ValueError("model is a name")
    event.pop("id", None)  # a replay has ids of its own
    seconds = _rfc3339(when) if isinstance(when, str) else _number(when)
    return Row(number, line, seconds, model, *counts, success, None if latency is None else _number(latency), event)


def _columns(
    path: Path, needed: tuple[str, ...], optional: tuple[str, ...]
) -> Iterator[tuple[int, int, tuple[str, ...]]]:
    """Number, line and the asked-for columns of each row, text stripped; an absent optional column reads as empty."""
    with _open(path) as file:
        reader = csv.reader(io.TextIOWrapper(file, encoding="utf-8-sig", errors="replace", newline=""))
        header = [name.strip() for name in next(reader, [])]
        missing = [name for name in needed if name not in header]
        if missing:
            raise UserError(f"{path}:1: the header has no column {' and no '.join(map(repr, missing))}")
        width = max(header.index(name) for name in needed) + 1
        places = [header.index(name) if name in header else None for name in (*needed, *optional)]
        number = 0
        for cells in reader:
            if not any(cells):
                continue
            if len(cells) < width:
                raise UserError(
                    f"{path}:{reader.line_num}: {len(cells)} columns, but the header has {len(header)}: was the "
                    "file cut off? Repair or remove this line"
                )
            values = tuple("" if place is None or place >= len(cells) else cells[place].strip() for place in places)
            yield number, reader.line_num, values
            number += 1


class _AzureClock:
    """Reads `2023-11-16 18:15:46.6805900` (seven decimals) and `2024-05-12 00:00:00.001163+00:00`; UTC unless said.

    Remembers the last whole second, because parsing dates is most of the work of reading a trace.
    """

    def __init__(self) -> None:
        self._text = ""
        self._seconds = 0.0

    def __call__(self, text: str) -> float:
        whole, point, rest = text.partition(".")
        digits = rest.rstrip("Z")
        zone = ""
        for sign in "+-":
            digits, found, offset = digits.partition(sign)
            zone = found + offset if found else zone
        if whole + zone != self._text:
            self._seconds = _rfc3339(whole + zone)
            self._text = whole + zone
        if not point:
            return self._seconds
        if not digits.isdecimal():
            raise ValueError(f"{text!r} is no time")
        return self._seconds + float(f"0.{digits}")


def _rfc3339(text: str) -> float:
    try:
        when = datetime.fromisoformat(text)
    except ValueError:
        raise ValueError(f"{text!r} is no time; write it like 2023-11-16T18:15:46Z") from None
    return (when if when.tzinfo else when.replace(tzinfo=UTC)).timestamp()


def _count(text: str) -> int:
    if not (text.isascii() and text.isdecimal()):
        raise ValueError(f"{text!r} is no number of tokens")
    return int(text)


def _number(value: object) -> float:
    number = math.nan
    if isinstance(value, str | int | float) and not isinstance(value, bool):
        try:
            number = float(value)
        except (ValueError, OverflowError):
            number = math.nan
    if not (math.isfinite(number) and number >= 0):
        raise ValueError(f"{value!r} is no number of seconds")
    return number


class _At:
    """Turns a ValueError within a row into a message that says where."""

    def __init__(self, path: Path, line: int) -> None:
        self._where = f"{path}:{line}"

    def __enter__(self) -> None:
        return None

    def __exit__(self, kind: object, error: BaseException | None, traceback: object) -> None:
        if isinstance(error, ValueError):
            raise UserError(f"{self._where}: {error}") from error


def _open(path: Path) -> io.BufferedReader:
    try:
        return path.open("rb")
    except OSError as error:
        raise UserError(f"{path}: cannot be read: {error.strerror}") from error
