"""What kind of failure a provider's response or a library's exception is."""

from __future__ import annotations

import json
import urllib.error
from email.message import Message
from types import SimpleNamespace
from typing import Any

import pytest

from exporter.catalog.values import ERROR_TYPES
from exporter.client import _STATUS_ERRORS, _WORDS, error_type_of, failure_of


def as_object(value: Any) -> Any:
    return json.loads(json.dumps(value), object_hook=lambda found: SimpleNamespace(**found))


def chat(reason: str | None) -> dict[str, Any]:
    return {"object": "chat.completion", "choices": [{"index": 0, "finish_reason": reason}]}


def gemini(reason: str) -> dict[str, Any]:
    return {"candidates": [{"finishReason": reason}], "usageMetadata": {"promptTokenCount": 3}}


def failed(code: str) -> dict[str, Any]:
    error = {"code": code, "message": "The model failed to generate a response."}
    return {"object": "response", "status": "failed", "error": error, "incomplete_details": None, "usage": None}


RESPONSES = [
    *((chat(reason), None) for reason in ("stop", "length", "tool_calls", "function_call", None)),
    (chat("content_filter"), "content_filter"),
    ({"choices": [{"finish_reason": "content_filter"}, {"finish_reason": "stop"}]}, None),  # one of two will do
    ({"object": "response", "status": "completed", "error": None, "incomplete_details": None}, None),
    ({"object": "response", "status": "incomplete", "incomplete_details": {"reason": "max_output_tokens"}}, None),
    (
        {"object": "response", "status": "incomplete", "incomplete_details": {"reason": "content_filter"}},
        "content_filter",
    ),
    (failed("server_error"), "server_error"),
    (failed("rate_limit_exceeded"), "rate_limit"),
    (failed("invalid_prompt"), "invalid_request"),
    (failed("bio_policy"), "content_filter"),
    (failed("image_content_policy_violation"), "content_filter"),
    (failed("vector_store_timeout"), "timeout"),
    (failed("image_too_large"), "invalid_request"),
    (failed("something_new"), "other"),
    ({"type": "response.failed", "response": failed("server_error")}, "server_error"),
    ({"type": "error", "code": "server_error", "message": "…", "param": None, "sequence_number": 3}, "server_error"),
    *(
        ({"type": "message", "stop_reason": reason, "usage": {}}, None)
        for reason in ("end_turn", "max_tokens", "stop_sequence", "tool_use", "pause_turn")
    ),
    ({"type": "message", "stop_reason": "refusal", "stop_details": {"type": "refusal"}}, "content_filter"),
    ({"type": "message_delta", "delta": {"stop_reason": "refusal"}, "usage": {"output_tokens": 2}}, "content_filter"),
    ({"type": "message_delta", "delta": {"stop_reason": "end_turn"}, "usage": {"output_tokens": 2}}, None),
    ({"type": "error", "error": {"type": "overloaded_error", "message": "Overloaded"}}, "server_error"),
    ({"type": "error", "error": {"type": "rate_limit_error", "message": "…"}}, "rate_limit"),
    ({"type": "error", "error": {"type": "api_error", "message": "…"}}, "server_error"),
    *((gemini(reason), None) for reason in ("STOP", "MAX_TOKENS", "FINISH_REASON_UNSPECIFIED")),
    *((gemini(reason), "content_filter") for reason in ("SAFETY", "RECITATION", "PROHIBITED_CONTENT", "SPII")),
    (gemini("MALFORMED_FUNCTION_CALL"), "other"),
    ({"promptFeedback": {"blockReason": "SAFETY"}, "usageMetadata": {"promptTokenCount": 4}}, "content_filter"),
    ({"error": {"code": 429, "message": "…", "status": "RESOURCE_EXHAUSTED"}}, "rate_limit"),
    ({"status": "failed", "usage": {"total_input_tokens": 7}}, "other"),
]


@pytest.mark.parametrize(("response", "kind"), RESPONSES, ids=str)
def test_a_response_tells_whether_it_failed(response: dict[str, Any], kind: str | None) -> None:
    assert failure_of(response) == kind
    assert failure_of(as_object(response)) == kind


def test_a_stream_failed_when_one_of_its_events_says_so() -> None:
    assert failure_of(chat(None), chat("content_filter"), {"choices": [], "usage": {}}) == "content_filter"
    assert failure_of(chat(None), chat("stop")) is None


class _Exception(Exception):
    """Carries what the providers' libraries let their exceptions carry."""

    def __init__(self, **attributes: object) -> None:
        self.__dict__.update(attributes)
        super().__init__("…")


class ReadTimeout(_Exception):
    """As of HTTPX."""


class APIConnectionError(_Exception):
    """As of OpenAI and Anthropic."""


class APITimeoutError(APIConnectionError):
    """As of OpenAI and Anthropic."""


class ContentFilterFinishReasonError(_Exception):
    """As of OpenAI."""


class _Awkward(Exception):
    @property
    def response(self) -> object:
        raise RuntimeError("the request was never sent")


@pytest.mark.parametrize(
    ("exception", "kind"),
    [
        (_Exception(status_code=429), "rate_limit"),
        (_Exception(status_code=404), "model_not_found"),
        (_Exception(status_code=401), "authentication"),
        (_Exception(status_code=403), "authentication"),
        (_Exception(status_code=400), "invalid_request"),
        (_Exception(status_code=503), "server_error"),
        (_Exception(status_code=529), "server_error"),  # Anthropic is overloaded
        (_Exception(status_code=504), "timeout"),
        (_Exception(status_code=400, code="content_filter"), "content_filter"),
        (_Exception(status_code=400, code="context_length_exceeded"), "invalid_request"),
        (_Exception(status=502), "server_error"),  # aiohttp
        (_Exception(code=429, status="RESOURCE_EXHAUSTED"), "rate_limit"),  # Gemini
        (_Exception(response=SimpleNamespace(status_code=408)), "timeout"),  # HTTPX, requests
        (urllib.error.HTTPError("http://a", 500, "…", Message(), None), "server_error"),
        (_Exception(code="rate_limit_exceeded"), "rate_limit"),  # within a stream
        (ReadTimeout(), "timeout"),
        (APIConnectionError(), "server_error"),
        (APITimeoutError(), "timeout"),
        (ContentFilterFinishReasonError(), "content_filter"),
        (TimeoutError(), "timeout"),
        (ConnectionResetError(), "server_error"),
        (ValueError(), "other"),
        (PermissionError(13, "a file of the application's own"), "other"),
        (KeyboardInterrupt(), "other"),
        (_Awkward(), "other"),
    ],
    ids=repr,
)
def test_exceptions_become_error_types(exception: BaseException, kind: str) -> None:
    assert error_type_of(exception) == kind


def test_there_are_no_other_kinds_than_the_exporter_counts() -> None:
    assert {*_WORDS.values(), *_STATUS_ERRORS.values(), "other"} == set(ERROR_TYPES)
