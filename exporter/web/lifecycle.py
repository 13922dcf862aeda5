"""The configuration of a running exporter: to see it, and to read it again."""

from __future__ import annotations

from datetime import UTC, datetime

from aiohttp import web

from exporter.errors import ConfigError, RequestError, UserError
from exporter.plan.redact import redacted
from exporter.web.bodies import answer
from exporter.web.problems import problem
from exporter.web.services import ACTOR, services


async def config(request: web.Request) -> web.Response:
    """`GET /config`: the plan in force as its file says it, without secrets; a comment says the mode."""
    service = services(request)
    text = f"# --mode={service.mode}\n{redacted(service.plan.text)}"
    return web.Response(text=text, content_type="application/yaml", charset="utf-8")


async def reload(request: web.Request) -> web.Response:
    """`POST /-/reload` and `PUT /-/reload`: read the files again; when they cannot be used, all stays as it is."""
    service = services(request)
    if not service.lifecycle:
        raise RequestError(403, "reloads over HTTP are not enabled; start with --web.enable-lifecycle, or send SIGHUP")
    try:
        changed = await service.reload(request[ACTOR])
    except ConfigError as error:
        return problem(422, f"the last configuration stays in use\n{error}", problems=list(error.problems))
    except UserError as error:
        return problem(422, f"the last configuration stays in use: {error}")
    now = datetime.fromtimestamp(service.clock.now(), UTC)
    return answer({"status": "reloaded", "changed": changed, "timestamp": now})
