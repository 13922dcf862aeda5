"""Responses as the providers document them, and what an event must say of them."""

from __future__ import annotations

import json
from types import SimpleNamespace
from typing import Any

import pytest

from exporter.client import Client, usage_of

CHAT = {
    "id": "chatcmpl-B9MHDbslfkBeAs8l4bebGdFOJ6PeG",
    "object": "chat.completion",
    "model": "gpt-4.1-2025-04-14",
    "choices": [{"index": 0, "message": {"role": "assistant", "content": "Hello!"}, "finish_reason": "stop"}],
    "usage": {
        "prompt_tokens": 2006,
        "completion_tokens": 300,
        "total_tokens": 2306,
        "prompt_tokens_details": {"cached_tokens": 1920, "audio_tokens": 0},
        "completion_tokens_details": {"reasoning_tokens": 128, "audio_tokens": 0, "accepted_prediction_tokens": 0},
    },
    "service_tier": "default",
}
RESPONSES = {
    "id": "resp_67ccd2bed1ec8190b14f964abc054267",
    "object": "response",
    "status": "completed",
    "model": "o4-mini-2025-04-16",
    "output": [{"type": "message", "role": "assistant", "content": []}],
    "service_tier": "flex",
    "usage": {
        "input_tokens": 328,
        "input_tokens_details": {"cached_tokens": 256},
        "output_tokens": 352,
        "output_tokens_details": {"reasoning_tokens": 64},
        "total_tokens": 680,
    },
}
ANTHROPIC = {
    "id": "msg_013Zva2CMHLNnjNjJKqJ2EF",
    "type": "message",
    "role": "assistant",
    "model": "claude-sonnet-4-20250514",
    "content": [{"type": "text", "text": "Hi!"}],
    "stop_reason": "end_turn",
    "usage": {
        "input_tokens": 21,
        "cache_creation_input_tokens": 188086,
        "cache_read_input_tokens": 1200,
        "cache_creation": {"ephemeral_5m_input_tokens": 188086, "ephemeral_1h_input_tokens": 0},
        "output_tokens": 393,
        "service_tier": "standard",
    },
}
GEMINI = {
    "candidates": [{"content": {"parts": [{"text": "Hi!"}], "role": "model"}, "finishReason": "STOP"}],
    "usageMetadata": {
        "promptTokenCount": 4000,
        "cachedContentTokenCount": 3000,
        "candidatesTokenCount": 133,
        "thoughtsTokenCount": 3343,
        "toolUsePromptTokenCount": 50,
        "totalTokenCount": 7526,
    },
    "modelVersion": "gemini-2.5-flash",
}
GEMINI_PYTHON = {
    "usage_metadata": {
        "prompt_token_count": 444,
        "cached_content_token_count": None,
        "candidates_token_count": None,
        "thoughts_token_count": 17,
        "total_token_count": 461,
    },
}
CASES = [
    (
        "chat completion",
        CHAT,
        {"input_tokens": 2006, "output_tokens": 300, "cached_input_tokens": 1920, "reasoning_tokens": 128},
    ),
    (
        "chat completion of an older server",
        {"usage": {"prompt_tokens": 9, "completion_tokens": 12, "total_tokens": 21}},
        {"input_tokens": 9, "output_tokens": 12},
    ),
    (
        "chat completion without details",
        {"usage": {"prompt_tokens": 9, "completion_tokens": 12, "prompt_tokens_details": None}},
        {"input_tokens": 9, "output_tokens": 12},
    ),
    (
        "chat completion of a gateway that adds Anthropic's names",
        {
            "usage": {
                "prompt_tokens": 1000,
                "completion_tokens": 5,
                "prompt_tokens_details": {"cached_tokens": 900},
                "cache_read_input_tokens": 900,
                "cache_creation_input_tokens": 0,
            }
        },
        {"input_tokens": 1000, "output_tokens": 5, "cached_input_tokens": 900},
    ),
    (
        "response",
        RESPONSES,
        {
            "input_tokens": 328,
            "output_tokens": 352,
            "cached_input_tokens": 256,
            "reasoning_tokens": 64,
            "tier": "flex",
        },
    ),
    (
        "response that wrote a cache",
        {
            "usage": {
                "input_tokens": 5000,
                "input_tokens_details": {"cached_tokens": 1000, "cache_write_tokens": 3000},
                "output_tokens": 10,
                "output_tokens_details": {"reasoning_tokens": 0},
            },
            "service_tier": "priority",
        },
        {
            "input_tokens": 5000,
            "output_tokens": 10,
            "cached_input_tokens": 1000,
            "cache_write_tokens": 3000,
            "tier": "priority",
        },
    ),
    (
        "response with more cached than there was, as has been seen",
        {"usage": {"input_tokens": 5136, "input_tokens_details": {"cached_tokens": 10192}, "output_tokens": 201}},
        {"input_tokens": 5136, "output_tokens": 201, "cached_input_tokens": 5136},
    ),
    (
        "message",
        ANTHROPIC,
        {
            "input_tokens": 21 + 188086 + 1200,
            "output_tokens": 393,
            "cached_input_tokens": 1200,
            "cache_write_tokens": 188086,
        },
    ),
    (
        "message without a cache, from a batch, with thoughts",
        {
            "usage": {
                "input_tokens": 2095,
                "cache_creation_input_tokens": None,
                "cache_read_input_tokens": None,
                "output_tokens": 503,
                "output_tokens_details": {"thinking_tokens": 200},
                "service_tier": "batch",
            }
        },
        {"input_tokens": 2095, "output_tokens": 503, "reasoning_tokens": 200, "tier": "batch"},
    ),
    (
        "generated content",
        GEMINI,
        {
            "input_tokens": 4050,
            "output_tokens": 133 + 3343,
            "cached_input_tokens": 3000,
            "reasoning_tokens": 3343,
        },
    ),
    (
        "generated content that is thought only",
        GEMINI_PYTHON,
        {"input_tokens": 444, "output_tokens": 17, "reasoning_tokens": 17},
    ),
    ("usage alone", ANTHROPIC["usage"], {"input_tokens": 189307, "output_tokens": 393, "cached_input_tokens": 1200}),
]


def as_object(value: Any) -> Any:
    """As an SDK gives it: attributes all the way down."""
    return json.loads(json.dumps(value), object_hook=lambda found: SimpleNamespace(**found))


@pytest.mark.parametrize(("response", "fields"), [case[1:] for case in CASES], ids=[case[0] for case in CASES])
def test_usage_is_read_from_dicts_and_from_objects(response: dict[str, Any], fields: dict[str, Any]) -> None:
    if response is ANTHROPIC["usage"]:
        fields = {**fields, "cache_write_tokens": 188086}

    assert usage_of(response) == fields
    assert usage_of(as_object(response)) == fields


@pytest.mark.parametrize("case", CASES, ids=[case[0] for case in CASES])
def test_parts_are_never_more_than_the_whole(case: tuple[str, dict[str, Any], dict[str, Any]]) -> None:
    usage = usage_of(case[1])

    assert usage.get("cached_input_tokens", 0) + usage.get("cache_write_tokens", 0) <= usage["input_tokens"]
    assert usage.get("reasoning_tokens", 0) <= usage["output_tokens"]


def test_geminis_total_is_the_sum_of_both_sides() -> None:
    usage = usage_of(GEMINI)

    assert usage["input_tokens"] + usage["output_tokens"] == GEMINI["usageMetadata"]["totalTokenCount"]


@pytest.mark.parametrize("response", [None, {}, {"usage": None}, object(), "text", {"usage": {"input_tokens": "7"}}])
def test_a_response_without_usage_is_reported_and_disturbs_nobody(
    response: object, caplog: pytest.LogCaptureFixture
) -> None:
    assert usage_of(response) == {"input_tokens": 0, "output_tokens": 0}
    assert "nothing of its usage" in caplog.text


def test_a_call_takes_the_usage_of_a_response(sink) -> None:
    with Client(sink.url) as client, client.call(model="o4-mini") as call:
        call.usage(**usage_of(RESPONSES))

    assert sink.events[call.id]["tier"] == "flex"
    assert sink.events[call.id]["cached_input_tokens"] == 256
