"""Thresholds: what is in force, and changes to it."""

from __future__ import annotations

from typing import Any

from aiohttp import web

from exporter import thresholds
from exporter.errors import RequestError
from exporter.web.bodies import answer, read_struct
from exporter.web.services import ACTOR, migration_of, moment, services

_MAX_REASON = 1000


async def get_thresholds(request: web.Request) -> web.Response:
    """`GET /api/v1/{migration}/thresholds`."""
    service = services(request)
    migration = migration_of(request)
    return answer(
        {
            "thresholds": thresholds.in_force(service.control, migration),
            "timestamp": moment(service.clock.now()),
        }
    )


async def set_thresholds(request: web.Request) -> web.Response:
    """`POST /api/v1/{migration}/thresholds`: members by any of their names, and a `reason`."""
    service = services(request)
    migration = migration_of(request)
    wanted: dict[str, Any] = await read_struct(request, dict[str, Any])
    reason = wanted.pop("reason", "")
    if not isinstance(reason, str) or len(reason) > _MAX_REASON:
        raise RequestError(422, f"reason is a text of up to {_MAX_REASON} characters")
    author = service.changes.author(request[ACTOR], "api", reason)
    made = await service.changes.make(lambda control: thresholds.change(control, migration, wanted, author))
    return answer(
        {
            "status": "updated" if made else "unchanged",
            "thresholds": thresholds.in_force(service.control, migration),
            "updated_by": author.name,
            "timestamp": moment(author.at_us / 1_000_000),
        }
    )
