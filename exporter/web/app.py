"""The table of routes: method, path, role, handler."""

from __future__ import annotations

from collections.abc import Awaitable, Callable

from aiohttp import web
from aiohttp.typedefs import Handler

from exporter import __version__
from exporter.web import control, events, pages, scrape
from exporter.web.problems import problems
from exporter.web.services import ACTOR, SERVICES, Services

_Handler = Callable[[web.Request], Awaitable[web.StreamResponse]]
_MIGRATION = "/api/v1/{migration}"

OPEN = ""  # no token needed: what every exporter shows to whoever reaches it
API: tuple[tuple[str, str, str, _Handler], ...] = (
    ("POST", "/api/v1/events", "ingest", events.post_events),
    ("POST", f"{_MIGRATION}/track-request", "ingest", events.track_request),
    ("POST", f"{_MIGRATION}/cost/budget", "admin", control.set_budget),
    ("POST", f"{_MIGRATION}/advance-phase", "operator", control.advance_phase),
)
_HEADERS = {
    "Server": f"llm-migration-exporter/{__version__}",
    "X-Content-Type-Options": "nosniff",
    "X-Frame-Options": "DENY",
    "Referrer-Policy": "no-referrer",
    "Content-Security-Policy": "default-src 'none'; style-src 'unsafe-inline'; frame-ancestors 'none'",
}


def create_app(services: Services, *, telemetry_path: str = "/metrics") -> web.Application:
    """The application, ready to be served."""
    app = web.Application(middlewares=[problems], client_max_size=services.plan.limits.body_bytes)
    app[SERVICES] = services
    for method, path, role, handler in API:
        app.router.add_route(method, path, _guarded(handler, role))
    app.router.add_get(telemetry_path, scrape.metrics, name="metrics")
    app.router.add_get("/", pages.landing)
    app.router.add_get("/-/healthy", pages.healthy)
    app.router.add_get("/-/ready", pages.ready)
    app.on_response_prepare.append(_set_headers)
    return app


def _guarded(handler: _Handler, role: str) -> Handler:
    async def guarded(request: web.Request) -> web.StreamResponse:
        request[ACTOR] = request.app[SERVICES].guard.admit(request, role)
        return await handler(request)

    return guarded


async def _set_headers(_: web.Request, response: web.StreamResponse) -> None:
    for name, value in _HEADERS.items():
        response.headers.setdefault(name, value)
    response.headers["Server"] = _HEADERS["Server"]
