"""The table of routes: method, path, role, handler."""

from __future__ import annotations

from collections.abc import Awaitable, Callable

from aiohttp import web
from aiohttp.typedefs import Handler

from exporter import __version__
from exporter.plan.model import CONTROL
from exporter.web import audit, baselines, control, events, lifecycle, pages, scrape, shards, tasks, thresholds
from exporter.web.auth import ANONYMOUS
from exporter.web.draining import UNDER_WAY, UnderWay
from exporter.web.problems import problems
from exporter.web.services import ACTOR, CLIENT, SERVICES, Services

_Handler = Callable[[web.Request], Awaitable[web.StreamResponse]]
_MIGRATION = "/api/v1/{migration}"

API: tuple[tuple[str, str, str, _Handler], ...] = (
    ("POST", "/api/v1/events", "ingest", events.post_events),
    ("POST", f"{_MIGRATION}/track-request", "ingest", events.track_request),
    ("POST", f"{_MIGRATION}/cost/budget", "admin", control.set_budget),
    ("POST", f"{_MIGRATION}/initialize", "operator", baselines.initialize),
    ("POST", f"{_MIGRATION}/advance-phase", "operator", control.advance_phase),
    ("GET", f"{_MIGRATION}/tasks", "viewer", tasks.get_tasks),
    ("POST", f"{_MIGRATION}/tasks", "operator", tasks.set_task),
    ("POST", f"{_MIGRATION}/hold", "operator", tasks.set_hold),
    ("GET", f"{_MIGRATION}/baselines", "viewer", baselines.get_baselines),
    ("POST", f"{_MIGRATION}/baselines", "operator", baselines.take_baselines),
    ("GET", f"{_MIGRATION}/thresholds", "viewer", thresholds.get_thresholds),
    ("POST", f"{_MIGRATION}/thresholds", "admin", thresholds.set_thresholds),
    ("GET", f"{_MIGRATION}/audit", "admin", audit.get_audit),
    ("GET", "/config", "viewer", lifecycle.config),
    ("POST", "/-/reload", "admin", lifecycle.reload),
    ("PUT", "/-/reload", "admin", lifecycle.reload),
)
# What a shard answers itself; everything else is the control's.
ON_SHARDS = frozenset(
    {events.post_events, events.track_request, baselines.get_baselines, lifecycle.config, lifecycle.reload}
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
    app = web.Application(middlewares=[problems, _door], client_max_size=services.plan.limits.body_bytes)
    app[SERVICES] = services
    app[UNDER_WAY] = UnderWay()
    for method, path, role, handler in API:
        here = services.mode == CONTROL or handler in ON_SHARDS
        app.router.add_route(method, path, _guarded(handler if here else shards.elsewhere, role))
    app.router.add_get(telemetry_path, _open(scrape.metrics), name="metrics")
    app.router.add_get("/", _open(pages.landing))
    app.router.add_get("/-/healthy", pages.healthy)
    app.router.add_get("/-/ready", pages.ready)
    app.on_response_prepare.append(_set_headers)
    return app


def _open(handler: _Handler) -> Handler:
    async def opened(request: web.Request) -> web.StreamResponse:
        request.app[SERVICES].guard.admit_anybody(request)
        return await handler(request)

    return opened


def _guarded(handler: _Handler, role: str) -> Handler:
    async def guarded(request: web.Request) -> web.StreamResponse:
        configuration = request.app[SERVICES].configuration
        actor = request[ACTOR] = configuration.guard.admit(request, role)
        client = request[CLIENT] = actor if actor != ANONYMOUS else f"address {request.remote}"
        if role != "ingest":  # whose limit counts events
            configuration.limits.request(client)
        return await handler(request)

    return guarded


@web.middleware
async def _door(request: web.Request, handler: Handler) -> web.StreamResponse:
    configuration = request.app[SERVICES].configuration
    under_way = request.app[UNDER_WAY]
    under_way.begin()
    try:
        await configuration.door.admit(request, configuration.guard)
        return await handler(request)
    finally:
        under_way.end()


async def _set_headers(request: web.Request, response: web.StreamResponse) -> None:
    if request.app[UNDER_WAY].ending:
        response.force_close()
        response.headers["Connection"] = "close"
    configured = request.app[SERVICES].configuration.door.headers
    for name, value in configured.items():
        if value:
            response.headers[name] = value
    for name, value in _HEADERS.items():
        if name not in configured:
            response.headers.setdefault(name, value)
    response.headers["Server"] = _HEADERS["Server"]
