"""Answers as values: the express lane writes them itself, aiohttp for everybody else.

Every error has one shape: a problem object as RFC 9457 describes it.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from http import HTTPStatus
from types import MappingProxyType
from typing import Any, NamedTuple

import msgspec
import structlog
from aiohttp import web

from exporter.errors import LedgerError, Overloaded, RequestError

log = structlog.get_logger("web")

JSON = "application/json"
PROBLEM = "application/problem+json"
_NONE: Mapping[str, str] = MappingProxyType({})


class Reply(NamedTuple):
    """One answer; `headers` are those that it has beside its type, its length and what every answer has."""

    status: int
    body: bytes
    content_type: str = JSON
    headers: Mapping[str, str] = _NONE

    def response(self) -> web.Response:
        """The same for aiohttp."""
        headers = dict(self.headers) if self.headers else None
        return web.Response(status=self.status, body=self.body, content_type=self.content_type, headers=headers)


def problem_reply(status: int, detail: str, *, headers: Mapping[str, str] | None = None, **members: object) -> Reply:
    """An error; `members` extend the object."""
    body = {"type": "about:blank", "title": HTTPStatus(status).phrase, "status": status, "detail": detail, **members}
    try:
        encoded = msgspec.json.encode(body)
    except UnicodeEncodeError:  # a detail that repeats bytes of the request that are no text
        encoded = json.dumps(body).encode()
    return Reply(status, encoded, PROBLEM, headers or _NONE)


def refusal(error: Exception, path: str) -> Reply:
    """What whoever asked is told of a failure; one that nobody expected is logged, and not shown."""
    if isinstance(error, RequestError):
        extra: dict[str, Any] = {"reason": error.reason} if error.reason else {}
        headers = {"WWW-Authenticate": 'Bearer realm="llm-migration-exporter"'} if error.status == 401 else {}
        return problem_reply(error.status, str(error), headers=headers | error.headers, **extra)
    if isinstance(error, Overloaded):
        headers = {"Retry-After": f"{error.retry_after:.0f}"}
        return problem_reply(429, str(error), headers=headers, reason="queue_full")
    if isinstance(error, LedgerError):
        log.error("ledger failed", error=str(error))
        detail = "the ledger cannot be written; nothing was stored, try again"
        return problem_reply(503, detail, headers={"Retry-After": "5"})
    log.error("internal error", path=path, exc_info=error)
    return problem_reply(500, "internal error; the exporter's log has the details")
