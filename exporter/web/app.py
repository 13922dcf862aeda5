"""The table of routes: method, path, role, handler."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable

from aiohttp import web
from aiohttp.typedefs import Handler

from exporter.errors import RequestError
from exporter.plan.model import CONTROL
from exporter.web import audit, baselines, control, events, lifecycle, pages, scrape, shards, tasks, thresholds
from exporter.web.auth import USER, client_name
from exporter.web.bodies import expect
from exporter.web.limits import PATIENCE, Patience
from exporter.web.problems import refused
from exporter.web.services import ACTOR, CLIENT, SERVICES, Services
from exporter.web.underway import UNDER_WAY, UnderWay

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


def create_app(services: Services, *, telemetry_path: str = "/metrics") -> web.Application:
    """The application, ready to be served."""
    app = web.Application(middlewares=[_entrance], client_max_size=services.plan.limits.body_bytes)
    app[SERVICES] = services
    app[UNDER_WAY] = UnderWay()
    app[PATIENCE] = Patience(services.clock)
    for method, path, role, handler in API:
        here = services.mode == CONTROL or handler in ON_SHARDS
        guarded = _guarded(handler if here else shards.elsewhere, role)
        app.router.add_route(method, path, guarded, expect_handler=expect)
    app.router.add_get(telemetry_path, _open(scrape.metrics), name="metrics")
    app.router.add_get("/", _open(pages.landing))
    app.router.add_get("/-/healthy", pages.healthy)
    app.router.add_get("/-/ready", pages.ready)
    app.on_response_prepare.append(_set_headers)
    return app


def _open(handler: _Handler) -> Handler:
    async def opened(request: web.Request) -> web.StreamResponse:
        request.app[SERVICES].guard.admit_anybody(request.headers)
        return await handler(request)

    return opened


def _guarded(handler: _Handler, role: str) -> Handler:
    async def guarded(request: web.Request) -> web.StreamResponse:
        configuration = request.app[SERVICES].configuration
        actor = configuration.guard.admit(request.method, request.headers, role, user=request.get(USER))
        client = client_name(actor, request.remote)
        request[ACTOR] = actor
        request[CLIENT] = client
        if role != "ingest":  # whose limit counts events
            configuration.limits.request(client)
        return await handler(request)

    return guarded


@web.middleware
async def _entrance(request: web.Request, handler: Handler) -> web.StreamResponse:
    """Before and after every handler: the door, and problem objects for whatever fails."""
    configuration = request.app[SERVICES].configuration
    under_way = request.app[UNDER_WAY]
    under_way.begin()
    try:
        if request.host != request.headers.get("Host"):
            _refuse_two_hosts(request)
        user = await configuration.door.admit(request.headers, configuration.guard)
        if user is not None:
            request[USER] = user
        return await handler(request)
    except Exception as error:
        if isinstance(error, web.HTTPException) and error.status < 400:
            raise
        late = request.app[PATIENCE].seconds(error)
        if late and not under_way.ending:
            await asyncio.sleep(late)
        return refused(error, request.path)
    finally:
        under_way.end()


def _refuse_two_hosts(request: web.Request) -> None:
    """The guard judges by the header: a target that names another host would pass under its name."""
    named = request.headers.get("Host")
    if named is not None and request.url.raw_authority.lower() != named.lower():
        raise RequestError(400, "the request's target and its header Host name different hosts", reason="malformed")


async def _set_headers(request: web.Request, response: web.StreamResponse) -> None:
    if request.app[UNDER_WAY].ending:
        response.force_close()
        response.headers["Connection"] = "close"
    request.app[SERVICES].configuration.door.headers.dress(response.headers)
