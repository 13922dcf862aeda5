"""The wire format: what an application sends for one model call, and how a body becomes events.

Pure: no clock, no configuration. Shapes and bounds are checked here, meaning (which migration, too old) at ingest.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from datetime import datetime
from difflib import get_close_matches
from itertools import islice
from typing import Annotated, Literal, NamedTuple

import msgspec

from exporter.errors import RequestError

MAX_COUNT = 2**53 - 1  # what JSON numbers and SQLite integers both hold exactly

Count = Annotated[int, msgspec.Meta(ge=0, le=MAX_COUNT)]
Seconds = Annotated[float, msgspec.Meta(ge=0, le=10_000_000)]
Name = Annotated[str, msgspec.Meta(max_length=200)]
Tier = Literal["standard", "batch", "flex", "priority"]
TIERS: tuple[Tier, ...] = ("standard", "batch", "flex", "priority")


class Event(msgspec.Struct, frozen=True, forbid_unknown_fields=True, gc=False):
    """One model call. Token counts are the provider's: input includes cached, output includes reasoning."""

    model: Annotated[str, msgspec.Meta(min_length=1, max_length=200)]
    input_tokens: Count
    output_tokens: Count
    latency: Seconds
    success: bool
    id: Annotated[str, msgspec.Meta(min_length=1, max_length=128)] | None = None
    timestamp: Annotated[datetime, msgspec.Meta(tz=True)] | float | None = None
    cached_input_tokens: Count = 0
    cache_write_tokens: Count = 0
    reasoning_tokens: Count = 0
    time_to_first_token: Seconds | None = None
    error_type: Name | None = None
    category: Name = "other"
    endpoint: Name = ""
    application: Name = ""
    migration: Name | None = None
    replaces: Name | None = None
    shadow: bool = False
    pair_id: Annotated[str, msgspec.Meta(min_length=1, max_length=128)] | None = None
    quality_score: Annotated[float, msgspec.Meta(ge=0, le=1)] | None = None
    evaluator: Name | None = None
    tier: Tier = "standard"
    cost_usd: Annotated[float, msgspec.Meta(ge=0, le=1_000_000_000)] | None = None
    prompt_hash: Annotated[str, msgspec.Meta(max_length=64)] | None = None
    trace_id: Annotated[str, msgspec.Meta(pattern=r"^[0-9a-fA-F]{1,32}$")] | None = None


class Rejection(msgspec.Struct, frozen=True):
    """Why one event of a request was refused: the answer's `rejected[]`."""

    index: int
    field: str
    reason: str
    message: str


class Decoded(NamedTuple):
    """The events of a body with their places in it, and what could not be read."""

    events: Sequence[Event]
    indices: Sequence[int]
    rejected: Sequence[Rejection]


_EVENT = msgspec.json.Decoder(Event)
_EVENTS = msgspec.json.Decoder(list[Event])
_RAW_ITEMS = msgspec.json.Decoder(list[msgspec.Raw])
_PATH = re.compile(r" - at `\$(?:\[(?:\d+|\.\.\.)\])?\.?([^`]*)`\Z")
_LINE = re.compile(rb"[^\n]*[^\s][^\n]*")
_COMMAS = 64  # more than twice the commas of the largest event
_SUGGESTIONS = 20  # rejections of a request that are worth the search for a near name
_SHOWN = 200  # characters of a message: it may repeat a name that the body made up
_QUOTED = re.compile(r"field `([^`]*)`")
_UNREADABLE = (msgspec.DecodeError, UnicodeDecodeError, RecursionError)


def decode(body: bytes, *, ndjson: bool, max_events: int) -> Decoded:
    """Read one object, an array of objects, or NDJSON.

    Items that do not fit are rejected one by one; the others stand.

    Raises:
        RequestError: 400 when the body as a whole cannot be read, 413 when it holds more than `max_events`.
    """
    if ndjson:
        return _decode_lines(body, max_events)
    if body.lstrip()[:1] != b"[":
        return _decode_object(body)
    try:
        events = _EVENTS.decode(body)
    except msgspec.ValidationError:
        return _decode_items(_raw_items(body, max_events))
    except _UNREADABLE as error:
        raise _malformed(error) from None
    _check_size(len(events), max_events)
    return Decoded(events, range(len(events)), ())


def decode_one(body: bytes) -> Event | Rejection:
    """Read exactly one object.

    Raises:
        RequestError: 400 when the body is not one JSON object.
    """
    if body.lstrip()[:1] != b"{":
        raise RequestError(400, "the body must be one JSON object", reason="malformed")
    decoded = _decode_object(body)
    return decoded.events[0] if decoded.events else decoded.rejected[0]


def check(event: Event) -> tuple[str, str] | None:
    """What contradicts itself within one event: (field, message), or None."""
    if event.cached_input_tokens + event.cache_write_tokens > event.input_tokens:
        field = "cached_input_tokens" if event.cached_input_tokens else "cache_write_tokens"
        return field, "cached and cache-write tokens are part of input_tokens and cannot be more than it"
    if event.reasoning_tokens > event.output_tokens:
        return "reasoning_tokens", "reasoning tokens are part of output_tokens and cannot be more than it"
    if event.success and event.error_type is not None:
        return "error_type", "error_type goes only with success false"
    if event.evaluator is not None and event.quality_score is None:
        return "evaluator", "evaluator goes only with quality_score"
    return None


def _decode_object(body: bytes) -> Decoded:
    try:
        return Decoded((_EVENT.decode(body),), (0,), ())
    except msgspec.ValidationError as error:
        return Decoded((), (), (_rejection(0, error),))
    except _UNREADABLE as error:
        raise _malformed(error) from None


def _decode_items(items: Sequence[bytes | msgspec.Raw]) -> Decoded:
    events: list[Event] = []
    indices: list[int] = []
    rejected: list[Rejection] = []
    for index, item in enumerate(items):
        try:
            events.append(_EVENT.decode(item))
        except msgspec.ValidationError as error:
            rejected.append(_rejection(index, error, suggest=len(rejected) < _SUGGESTIONS))
        except _UNREADABLE as error:
            rejected.append(Rejection(index, "", "malformed", _sentence(error)))
        else:
            indices.append(index)
    return Decoded(events, indices, rejected)


def _decode_lines(body: bytes, max_events: int) -> Decoded:
    try:
        events = _EVENT.decode_lines(body)
    except (msgspec.ValidationError, *_UNREADABLE):
        lines = [match[0] for match in islice(_LINE.finditer(body), max_events + 1)]
        _check_size(len(lines), max_events)
        return _decode_items(lines)
    _check_size(len(events), max_events)
    return Decoded(events, range(len(events)), ())


def _raw_items(body: bytes, max_events: int) -> list[msgspec.Raw]:
    if body.count(b",") > max_events * _COMMAS:  # small items by the million would each become an object
        raise RequestError(413, f"far more items than the {max_events} events of one request", reason="too_large")
    try:
        items = _RAW_ITEMS.decode(body)
    except _UNREADABLE as error:
        raise _malformed(error) from None
    _check_size(len(items), max_events)
    return items


def _check_size(count: int, max_events: int) -> None:
    if count > max_events:
        raise RequestError(413, f"{count} events in one request; at most {max_events}", reason="too_large")


def _malformed(error: Exception) -> RequestError:
    return RequestError(400, f"the body is not JSON: {_sentence(error)}", reason="malformed")


def _sentence(error: Exception) -> str:
    return "nested too deeply" if isinstance(error, RecursionError) else str(error)[:_SHOWN]


def _rejection(index: int, error: msgspec.ValidationError, *, suggest: bool = True) -> Rejection:
    text = str(error)
    path = _PATH.search(text)
    field = path[1] if path else ""
    message = _PATH.sub("", text)
    reason = "wrong_type"
    if "missing required field" in message:
        reason = "missing_field"
    elif "unknown field" in message:
        reason = "unknown_field"
    elif (
        any(sign in message for sign in (">=", "<=", "of length", "matching regex", "out of range"))
        or "enum value" in message
    ):
        reason = "out_of_range"
    named = _QUOTED.search(message)
    if named and reason in ("missing_field", "unknown_field"):
        field = named[1]
        if reason == "unknown_field" and suggest:
            for near in get_close_matches(field[:_SHOWN], Event.__struct_fields__, n=1):
                message = f"{message}; did you mean `{near}`?"
    return Rejection(index, field[:_SHOWN], reason, message[:_SHOWN])
