"""A connection that aiohttp speaks with, made to answer as the rest of the exporter does where it answers by itself."""

from __future__ import annotations

import asyncio

import structlog
from aiohttp import web
from aiohttp.http import HttpProcessingError

from exporter.web.problems import problem, refused
from exporter.web.services import Services

log = structlog.get_logger("web")

LINGER_SECONDS = 2.0  # to let a client read an answer that came before the end of what it sends
MOST_HEADERS = 64  # of at most 8 KiB each
_SHOWN = 200  # characters of what was wrong: it repeats what came


class Ordinary(web.RequestHandler):
    """aiohttp's connection; `handle_error` and `finish_response` are where it makes answers of its own."""

    __slots__ = ("_services",)

    def __init__(self, manager: web.Server, services: Services, idle: float) -> None:
        """`idle` is for how many seconds a connection is kept that asks nothing, or does not finish its headers."""
        super().__init__(
            manager,
            loop=asyncio.get_running_loop(),
            access_log=None,  # type: ignore[arg-type]  # no line for each request, as `AppRunner` documents it
            auto_decompress=False,  # see exporter.web.bodies
            keepalive_timeout=idle,
            lingering_time=LINGER_SECONDS,
            max_headers=MOST_HEADERS,
        )
        self._services = services

    def handle_error(
        self,
        request: web.BaseRequest,
        status: int = 500,
        exc: BaseException | None = None,
        message: str | None = None,
    ) -> web.StreamResponse:
        """The answer to what is not HTTP, or could not be handled; the connection ends with it."""
        if request.writer.output_size > 0:
            raise ConnectionError("half an answer was sent, and nothing can be put right")
        if isinstance(exc, HttpProcessingError):
            said = (message or "").partition("\n")[0].rstrip(":")[:_SHOWN]
            log.debug("not HTTP", client=request.remote, said=said)
            response = problem(status, f"this is not a request: {said}", reason="malformed")
        elif isinstance(exc, UnicodeError) and "Expect" in request.headers:  # aiohttp repeats it, and it was no text
            response = refused(web.HTTPExpectationFailed(), request.path)
        else:
            response = refused(exc if isinstance(exc, Exception) else RuntimeError(message), request.path)
        self._services.configuration.door.headers.dress(response.headers)
        response.force_close()
        return response

    async def finish_response(
        self, request: web.BaseRequest, resp: web.StreamResponse, start_time: float | None
    ) -> tuple[web.StreamResponse, bool]:
        """Send an answer; a refusal that aiohttp made becomes a problem object."""
        if isinstance(resp, web.HTTPException) and resp.status >= 400:
            resp = refused(resp, request.path)
        return await super().finish_response(request, resp, start_time)
