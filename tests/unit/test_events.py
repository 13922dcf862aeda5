from __future__ import annotations

import json
from datetime import UTC, datetime

import pytest

from exporter.errors import RequestError
from exporter.events import Event, Rejection, check, decode, decode_one

GOOD = {"model": "gpt-4.1", "input_tokens": 10, "output_tokens": 5, "latency": 0.5, "success": True}


def body(*items: object) -> bytes:
    return json.dumps(items[0] if len(items) == 1 else list(items)).encode()


def reason(**changes: object) -> tuple[str, str]:
    decoded = decode(body({**GOOD, **changes}), ndjson=False, max_events=10)
    (rejection,) = decoded.rejected
    return rejection.field, rejection.reason


def test_one_object_an_array_and_lines_give_the_same_events() -> None:
    single = decode(body(GOOD), ndjson=False, max_events=10)
    array = decode(json.dumps([GOOD]).encode(), ndjson=False, max_events=10)
    lines = decode(body(GOOD) + b"\n", ndjson=True, max_events=10)

    assert single.events[0] == array.events[0] == lines.events[0]


def test_a_bad_item_leaves_the_others_standing_at_their_places() -> None:
    decoded = decode(body(GOOD, {"model": 3}, GOOD), ndjson=False, max_events=10)

    assert list(decoded.indices) == [0, 2]
    assert [(r.index, r.field, r.reason) for r in decoded.rejected] == [(1, "model", "wrong_type")]


def test_a_broken_line_leaves_the_others_standing() -> None:
    decoded = decode(body(GOOD) + b'\n{"model":\n\n' + body(GOOD), ndjson=True, max_events=10)

    assert len(decoded.events) == 2
    assert [(r.index, r.reason) for r in decoded.rejected] == [(1, "malformed")]


@pytest.mark.parametrize(
    ("changes", "expected"),
    [
        ({"input_tokens": -1}, ("input_tokens", "out_of_range")),
        ({"input_tokens": 2**53}, ("input_tokens", "out_of_range")),
        ({"input_tokens": 10**23}, ("input_tokens", "out_of_range")),
        ({"input_tokens": 1.5}, ("input_tokens", "wrong_type")),
        ({"input_tokens": "7"}, ("input_tokens", "wrong_type")),
        ({"output_tokens": None}, ("output_tokens", "wrong_type")),
        ({"latency": -0.1}, ("latency", "out_of_range")),
        ({"success": 1}, ("success", "wrong_type")),
        ({"model": ""}, ("model", "out_of_range")),
        ({"id": "x" * 129}, ("id", "out_of_range")),
        ({"prompt_hash": "x" * 65}, ("prompt_hash", "out_of_range")),
        ({"trace_id": "xyz"}, ("trace_id", "out_of_range")),
        ({"quality_score": 1.01}, ("quality_score", "out_of_range")),
        ({"tier": "express"}, ("tier", "out_of_range")),
        ({"timestamp": "yesterday"}, ("timestamp", "wrong_type")),
        ({"timestamp": "2025-06-01T10:00:00"}, ("timestamp", "wrong_type")),
        ({"cached_tokens": 4}, ("cached_tokens", "unknown_field")),
    ],
)
def test_each_kind_of_mistake_names_its_field_and_reason(changes: dict[str, object], expected: tuple[str, str]) -> None:
    assert reason(**changes) == expected


def test_a_missing_field_is_named() -> None:
    event = {key: value for key, value in GOOD.items() if key != "latency"}
    (rejection,) = decode(body(event), ndjson=False, max_events=10).rejected

    assert (rejection.field, rejection.reason) == ("latency", "missing_field")


@pytest.mark.parametrize("raw", [b"", b"[", b"{", b"nul", b"\xff\xfe", b"[" * 100_000, b'{"model":"\\ud800"}'])
def test_what_is_not_json_is_a_400(raw: bytes) -> None:
    with pytest.raises(RequestError) as caught:
        decode(raw, ndjson=False, max_events=10)

    assert caught.value.status == 400


def test_more_events_than_allowed_is_a_413_in_every_form() -> None:
    for raw, ndjson in ((body(GOOD, GOOD, GOOD), False), (b"\n".join([body(GOOD)] * 3), True)):
        with pytest.raises(RequestError) as caught:
            decode(raw, ndjson=ndjson, max_events=2)

        assert caught.value.status == 413


def test_timestamps_are_rfc_3339_or_unix_seconds() -> None:
    text = decode_one(body({**GOOD, "timestamp": "2025-06-01T12:00:00+02:00"}))
    number = decode_one(body({**GOOD, "timestamp": 1748772000}))

    assert isinstance(text, Event)
    assert isinstance(number, Event)
    assert text.timestamp == datetime(2025, 6, 1, 10, tzinfo=UTC)
    assert number.timestamp == 1748772000.0


def test_a_single_call_is_one_object_only() -> None:
    with pytest.raises(RequestError):
        decode_one(b"[]")
    assert isinstance(decode_one(b"{}"), Rejection)


@pytest.mark.parametrize(
    ("changes", "field"),
    [
        ({"cached_input_tokens": 11}, "cached_input_tokens"),
        ({"cached_input_tokens": 6, "cache_write_tokens": 6}, "cached_input_tokens"),
        ({"cache_write_tokens": 11}, "cache_write_tokens"),
        ({"reasoning_tokens": 6}, "reasoning_tokens"),
        ({"error_type": "timeout"}, "error_type"),
        ({"evaluator": "judge"}, "evaluator"),
    ],
)
def test_parts_larger_than_their_whole_and_other_contradictions_are_found(
    changes: dict[str, object], field: str
) -> None:
    event = decode_one(body({**GOOD, **changes}))

    assert isinstance(event, Event)
    contradiction = check(event)
    assert contradiction is not None
    assert contradiction[0] == field


def test_a_misspelt_field_is_told_the_right_name() -> None:
    (rejection,) = decode(body({**GOOD, "sucess": True}), ndjson=False, max_events=10).rejected

    assert rejection.message.endswith("did you mean `success`?")
