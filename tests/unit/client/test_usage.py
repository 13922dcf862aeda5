"""Responses as the providers document them, and what an event must say of them."""

from __future__ import annotations

import json
from enum import StrEnum
from types import SimpleNamespace
from typing import Any

import pytest

from exporter.client import Client, failure_of, usage_of
from exporter.events import check, decode

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
    (
        "chat completion that wrote a cache, in fast mode",
        {
            "object": "chat.completion",
            "usage": {
                "prompt_tokens": 5000,
                "completion_tokens": 20,
                "total_tokens": 5020,
                "prompt_tokens_details": {"cached_tokens": 1024, "cache_write_tokens": 3072, "audio_tokens": 0},
                "completion_tokens_details": {"reasoning_tokens": 0, "rejected_prediction_tokens": 4},
            },
            "service_tier": "priority",
        },
        {
            "input_tokens": 5000,
            "output_tokens": 20,
            "cached_input_tokens": 1024,
            "cache_write_tokens": 3072,
            "tier": "priority",
        },
    ),
    (
        "chat completion with tool calls",
        {
            "object": "chat.completion",
            "choices": [
                {
                    "index": 0,
                    "message": {
                        "role": "assistant",
                        "content": None,
                        "tool_calls": [
                            {"id": "call_1", "type": "function", "function": {"name": "weather", "arguments": "{}"}}
                        ],
                    },
                    "finish_reason": "tool_calls",
                }
            ],
            "usage": {"prompt_tokens": 82, "completion_tokens": 17, "total_tokens": 99},
            "service_tier": "default",
        },
        {"input_tokens": 82, "output_tokens": 17},
    ),
    (
        "message with caches of both lifetimes, told only in parts, and a server tool",
        {
            "type": "message",
            "stop_reason": "tool_use",
            "usage": {
                "input_tokens": 105,
                "cache_creation_input_tokens": None,
                "cache_read_input_tokens": 6039,
                "cache_creation": {"ephemeral_5m_input_tokens": 148, "ephemeral_1h_input_tokens": 100},
                "output_tokens": 503,
                "output_tokens_details": {"thinking_tokens": 120},
                "server_tool_use": {"web_search_requests": 1, "web_fetch_requests": 0},
                "service_tier": "priority",
            },
        },
        {
            "input_tokens": 105 + 6039 + 148 + 100,
            "output_tokens": 503,
            "cached_input_tokens": 6039,
            "cache_write_tokens": 248,
            "reasoning_tokens": 120,
            "tier": "priority",
        },
    ),
    (
        "message that compacted its context, which the sums leave out, and asked another model, which is another's",
        {
            "type": "message",
            "usage": {
                "input_tokens": 23_000,
                "output_tokens": 1000,
                "cache_read_input_tokens": 0,
                "cache_creation_input_tokens": 0,
                "iterations": [
                    {
                        "type": "compaction",
                        "input_tokens": 180_000,
                        "output_tokens": 3500,
                        "cache_read_input_tokens": 500,
                        "cache_creation_input_tokens": 0,
                    },
                    {"type": "advisor_message", "model": "claude-opus-4-6", "input_tokens": 800, "output_tokens": 90},
                    {"type": "message", "input_tokens": 23_000, "output_tokens": 1000},
                ],
            },
        },
        {"input_tokens": 23_000 + 180_000 + 500, "output_tokens": 4500, "cached_input_tokens": 500},
    ),
    (
        "generated content of Vertex, at its tier",
        {
            "usageMetadata": {
                "promptTokenCount": 45,
                "candidatesTokenCount": 49,
                "totalTokenCount": 205,
                "trafficType": "ON_DEMAND_FLEX",
                "promptTokensDetails": [{"modality": "TEXT", "tokenCount": 45}],
                "thoughtsTokenCount": 111,
            }
        },
        {"input_tokens": 45, "output_tokens": 160, "reasoning_tokens": 111, "tier": "flex"},
    ),
    (
        "generated content whose candidates include the thoughts, as the total says",
        {
            "usageMetadata": {
                "promptTokenCount": 10,
                "candidatesTokenCount": 100,
                "thoughtsTokenCount": 60,
                "totalTokenCount": 110,
            }
        },
        {"input_tokens": 10, "output_tokens": 100, "reasoning_tokens": 60},
    ),
    (
        "generated content that was blocked before it began",
        {
            "promptFeedback": {"blockReason": "PROHIBITED_CONTENT"},
            "usageMetadata": {"promptTokenCount": 12, "totalTokenCount": 12, "serviceTier": "priority"},
        },
        {"input_tokens": 12, "output_tokens": 0, "tier": "priority"},
    ),
    (
        "interaction",
        {
            "status": "completed",
            "usage": {
                "total_input_tokens": 500,
                "total_cached_tokens": 300,
                "total_output_tokens": 120,
                "total_thought_tokens": 10,
                "total_tool_use_tokens": 300,
                "total_tokens": 930,
            },
        },
        {"input_tokens": 800, "output_tokens": 130, "cached_input_tokens": 300, "reasoning_tokens": 10},
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


# Events of streams, shortened where they say nothing of usage.
CHAT_STREAM = [
    {"object": "chat.completion.chunk", "choices": [{"index": 0, "delta": {"content": "Hi"}}], "usage": None},
    {"object": "chat.completion.chunk", "choices": [{"index": 0, "delta": {}, "finish_reason": "stop"}], "usage": None},
    {
        "object": "chat.completion.chunk",
        "choices": [],
        "service_tier": "flex",
        "usage": {
            "prompt_tokens": 19,
            "completion_tokens": 10,
            "total_tokens": 29,
            "prompt_tokens_details": {"cached_tokens": 16},
            "completion_tokens_details": {"reasoning_tokens": 4},
        },
    },
]
RESPONSES_STREAM = [
    {"type": "response.created", "response": {"status": "in_progress", "service_tier": "auto", "usage": None}},
    {"type": "response.output_text.delta", "delta": "Hi"},
    {"type": "response.completed", "response": RESPONSES},
]
ANTHROPIC_STREAM = [
    {
        "type": "message_start",
        "message": {
            "type": "message",
            "model": "claude-sonnet-4-20250514",
            "content": [],
            "stop_reason": None,
            "usage": {
                "input_tokens": 317,
                "cache_creation_input_tokens": 4425,
                "cache_read_input_tokens": 1000,
                "cache_creation": {"ephemeral_5m_input_tokens": 4425, "ephemeral_1h_input_tokens": 0},
                "output_tokens": 1,
                "service_tier": "batch",
            },
        },
    },
    {"type": "content_block_delta", "index": 0, "delta": {"type": "text_delta", "text": "Hi"}},
    {"type": "message_delta", "delta": {"stop_reason": "end_turn"}, "usage": {"output_tokens": 60}},
    {
        "type": "message_delta",
        "delta": {"stop_reason": "end_turn"},
        "usage": {
            "input_tokens": 400,  # totals: a tool of the server's has added to them
            "cache_creation_input_tokens": 4425,
            "cache_read_input_tokens": 2000,
            "output_tokens": 89,
            "output_tokens_details": {"thinking_tokens": 30},
        },
    },
    {"type": "message_stop"},
]
GEMINI_STREAM = [
    {"candidates": [{"content": {}}], "usageMetadata": {"promptTokenCount": 11, "totalTokenCount": 11}},
    {
        "candidates": [{"content": {}}],
        "usageMetadata": {
            "promptTokenCount": 11,
            "candidatesTokenCount": 3,
            "thoughtsTokenCount": 20,
            "totalTokenCount": 34,
        },
    },
    {
        "candidates": [{"finishReason": "STOP"}],
        "usageMetadata": {
            "promptTokenCount": 11,
            "candidatesTokenCount": 40,
            "thoughtsTokenCount": 20,
            "totalTokenCount": 71,
        },
    },
]
STREAMS = {
    "chat": (
        CHAT_STREAM,
        {"input_tokens": 19, "output_tokens": 10, "cached_input_tokens": 16, "reasoning_tokens": 4, "tier": "flex"},
    ),
    "responses": (RESPONSES_STREAM, CASES[4][2]),
    "anthropic": (
        ANTHROPIC_STREAM,
        {
            "input_tokens": 400 + 4425 + 2000,
            "output_tokens": 89,
            "cached_input_tokens": 2000,
            "cache_write_tokens": 4425,
            "reasoning_tokens": 30,
            "tier": "batch",
        },
    ),
    "anthropic, as it was": (
        ANTHROPIC_STREAM[:3],
        {
            "input_tokens": 317 + 4425 + 1000,
            "output_tokens": 60,
            "cached_input_tokens": 1000,
            "cache_write_tokens": 4425,
            "tier": "batch",
        },
    ),
    "gemini": (GEMINI_STREAM, {"input_tokens": 11, "output_tokens": 60, "reasoning_tokens": 20}),
}


@pytest.mark.parametrize("provider", STREAMS)
def test_usage_is_read_from_the_events_of_a_stream(provider: str) -> None:
    events, fields = STREAMS[provider]

    assert usage_of(*events) == fields
    assert usage_of(*map(as_object, events)) == fields


@pytest.mark.parametrize(
    ("event", "provider"),
    [(CHAT_STREAM[-1], "chat"), (RESPONSES_STREAM[-1], "responses"), (GEMINI_STREAM[-1], "gemini")],
)
def test_the_last_event_of_a_stream_says_it_all(event: dict[str, Any], provider: str) -> None:
    assert usage_of(event) == STREAMS[provider][1]


def test_the_tier_is_the_one_that_served_not_the_one_that_was_asked_for() -> None:
    asked = {"type": "response.created", "response": {"service_tier": "flex", "usage": None}}
    served = {"type": "response.completed", "response": {**RESPONSES, "service_tier": "default"}}

    assert "tier" not in usage_of(asked, served)
    assert usage_of(served, asked)["tier"] == "flex"


def test_a_tier_may_be_a_member_of_an_enumeration() -> None:
    class Tier(StrEnum):
        FLEX = "ON_DEMAND_FLEX"

    usage = SimpleNamespace(prompt_token_count=1, candidates_token_count=1, traffic_type=Tier.FLEX)

    assert usage_of(SimpleNamespace(usage_metadata=usage)) == {"input_tokens": 1, "output_tokens": 1, "tier": "flex"}


def test_the_exporter_takes_what_was_read_of_every_response() -> None:
    readings = [usage_of(case[1]) for case in CASES] + [usage_of(*events) for events, _ in STREAMS.values()]
    events = [{"model": "m", "latency": 1, "success": True, **reading} for reading in readings]

    decoded = decode(json.dumps(events).encode(), ndjson=False, max_events=100)

    assert not decoded.rejected
    assert [check(event) for event in decoded.events] == [None] * len(readings)


class _Odd:
    @property
    def usage(self) -> object:
        raise RuntimeError("not loaded")


@pytest.mark.parametrize(
    "response", [None, {}, {"usage": None}, object(), "text", {"usage": {"input_tokens": "7"}}, _Odd(), 7, [], b""]
)
def test_a_response_without_usage_is_reported_and_disturbs_nobody(
    response: object, caplog: pytest.LogCaptureFixture
) -> None:
    assert usage_of(response) == {"input_tokens": 0, "output_tokens": 0}
    assert failure_of(response) is None
    assert "nothing of its usage" in caplog.text


def test_a_call_takes_what_a_response_says(sink) -> None:
    filtered = {**CHAT, "choices": [{"finish_reason": "content_filter"}]}
    with Client(sink.url) as client:
        with client.call(model="o4-mini") as call:
            call.usage(**usage_of(RESPONSES))
        with client.call(model="gpt-4.1") as streamed:
            streamed.response(*CHAT_STREAM)
        with client.call(model="gpt-4.1") as failed:
            failed.response(filtered)

    assert sink.events[call.id]["tier"] == "flex"
    assert sink.events[call.id]["cached_input_tokens"] == 256
    assert sink.events[streamed.id]["success"] is True
    assert sink.events[streamed.id]["input_tokens"] == 19
    assert sink.events[failed.id]["success"] is False
    assert sink.events[failed.id]["error_type"] == "content_filter"
    assert sink.events[failed.id]["input_tokens"] == 2006
