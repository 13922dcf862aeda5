"""Errors of handlers, as aiohttp's answers."""

from __future__ import annotations

from collections.abc import Mapping

from aiohttp import web

from exporter.web.replies import problem_reply, refusal

_DETAILS = {
    404: "nothing is at this path; events go to POST /api/v1/events, and GET / says what else there is",
    417: "of all that the header Expect may ask for, 100-continue is known here",
    405: "this path does not take this method; the header Allow names those that it takes",
}


def problem(status: int, detail: str, *, headers: Mapping[str, str] | None = None, **members: object) -> web.Response:
    """An error answer; `members` extend the object."""
    return problem_reply(status, detail, headers=headers, **members).response()


def refused(error: Exception, path: str) -> web.Response:
    """What became of a request that a handler, or aiohttp before it, did not answer. Never raises."""
    if isinstance(error, web.HTTPRequestEntityTooLarge):
        return problem(413, "the body is larger than limits.body_bytes; send smaller batches", reason="too_large")
    if isinstance(error, web.HTTPException):
        headers = {"Allow": error.headers["Allow"]} if "Allow" in error.headers else {}
        return problem(error.status, _DETAILS.get(error.status, error.reason), headers=headers)
    return refusal(error, path).response()
