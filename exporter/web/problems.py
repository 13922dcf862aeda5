"""Every error has one shape: a problem object as RFC 9457 describes it."""

from __future__ import annotations

import json
from collections.abc import Mapping
from http import HTTPStatus
from typing import Any

import msgspec
import structlog
from aiohttp import web
from aiohttp.typedefs import Handler

from exporter.errors import LedgerError, Overloaded, RequestError

log = structlog.get_logger("web")

PROBLEM = "application/problem+json"
_DETAILS = {
    404: "nothing is at this path; events go to POST /api/v1/events, and GET / says what else there is",
    405: "this path does not take this method; the header Allow names those that it takes",
}


def problem(status: int, detail: str, *, headers: Mapping[str, str] | None = None, **members: object) -> web.Response:
    """An error answer; `members` extend the object."""
    body = {"type": "about:blank", "title": HTTPStatus(status).phrase, "status": status, "detail": detail, **members}
    try:
        encoded = msgspec.json.encode(body)
    except UnicodeEncodeError:  # a detail that repeats bytes of the request that are no text
        encoded = json.dumps(body).encode()
    return web.Response(status=status, body=encoded, content_type=PROBLEM, headers=dict(headers or {}))


@web.middleware
async def problems(request: web.Request, handler: Handler) -> web.StreamResponse:
    """Turn every failure of a handler into a problem object; nothing else reaches the caller."""
    try:
        return await handler(request)
    except RequestError as error:
        extra: dict[str, Any] = {"reason": error.reason} if error.reason else {}
        headers = {"WWW-Authenticate": 'Bearer realm="llm-migration-exporter"'} if error.status == 401 else {}
        return problem(error.status, str(error), headers=headers | error.headers, **extra)
    except Overloaded as error:
        return problem(429, str(error), headers={"Retry-After": f"{error.retry_after:.0f}"}, reason="queue_full")
    except LedgerError as error:
        log.error("ledger failed", error=str(error))
        return problem(503, "the ledger cannot be written; nothing was stored, try again", headers={"Retry-After": "5"})
    except web.HTTPRequestEntityTooLarge:
        return problem(413, "the body is larger than limits.body_bytes; send smaller batches", reason="too_large")
    except web.HTTPException as error:
        if error.status < 400:
            raise
        headers = {"Allow": error.headers["Allow"]} if "Allow" in error.headers else {}
        detail = _DETAILS.get(error.status, error.reason)
        return problem(error.status, detail, headers=headers)
    except Exception:
        log.exception("internal error", path=request.path)
        return problem(500, "internal error; the exporter's log has the details")
