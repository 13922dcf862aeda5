"""Baselines, and the beginning of a migration."""

from __future__ import annotations

from typing import Annotated

import msgspec
from aiohttp import web

from exporter import baselines
from exporter.baselines import SAMPLES, TIMESTAMP, Sums, Taking
from exporter.control import Author, Change, Control
from exporter.errors import RequestError
from exporter.plan.model import PERIODS, Migration
from exporter.web.bodies import answer, read_struct
from exporter.web.services import ACTOR, Services, migration_of, moment, services

_Name = Annotated[str, msgspec.Meta(min_length=1, max_length=200)]


class BaselineRequest(msgspec.Struct, forbid_unknown_fields=True):
    """`POST /baselines`: `exporters` has what further exporters counted, each as the `totals` of its own GET."""

    reason: Annotated[str, msgspec.Meta(max_length=1000)] = ""
    exporters: dict[_Name, dict[str, Sums]] = {}


async def get_baselines(request: web.Request) -> web.Response:
    """`GET /api/v1/{migration}/baselines`: those in force, and what this exporter counted so far."""
    service = services(request)
    migration = migration_of(request)
    return answer(
        {
            "baselines": _in_force(service.control, migration),
            "totals": baselines.measure(service.totals, migration),
            "timestamp": moment(service.clock.now()),
        }
    )


async def take_baselines(request: web.Request) -> web.Response:
    """`POST /api/v1/{migration}/baselines`: take them now, from the calls since they were last taken."""
    service = services(request)
    migration = migration_of(request)
    wanted = await read_struct(request, BaselineRequest) if request.body_exists else BaselineRequest()
    author = service.changes.author(request[ACTOR], "api", wanted.reason)
    takings: list[Taking] = []

    def decide(control: Control) -> tuple[Change, ...]:
        takings.append(baselines.take(control, service.totals, migration, author, wanted.exporters))
        return takings[-1].changes

    await service.changes.make(decide)
    (taking,) = takings
    return answer(
        {
            "status": "taken" if taking.taken else "not_taken",
            **outcome(taking),
            "baselines": _in_force(service.control, migration),
            "updated_by": author.name,
            "timestamp": moment(author.at_us / 1_000_000),
        }
    )


async def initialize(request: web.Request) -> web.Response:
    """`POST /api/v1/{migration}/initialize?phase=`: begin, in a later phase where the work has begun already."""
    service = services(request)
    migration = migration_of(request)
    phase = request.query.get("phase", migration.phases[0].name)
    author = service.changes.author(request[ACTOR], "api", f"initialized in {phase}")
    takings: list[Taking] = []

    def decide(control: Control) -> list[Change]:
        changes = _begin(control, migration, phase, author)
        if not _in_force(control, migration):
            takings.append(baselines.take(control, service.totals, migration, author))
            changes += takings[-1].changes
        return changes

    await service.changes.make(decide)
    return answer(_initialized(service, migration, author, takings))


def outcome(taking: Taking) -> dict[str, object]:
    """What became of a taking: the models that have a new baseline, and what is missing, with the reason."""
    return {"taken": list(taking.taken), "missing": dict(taking.missing)}


def _begin(control: Control, migration: Migration, phase: str, by: Author) -> list[Change]:
    current = control.phase(migration)
    if phase == current:
        return []
    left = [name for owner, name in control.entered if owner == migration.name]
    if migration.phase(phase) is not None and (current != migration.phases[0].name or len(left) > 1):
        raise RequestError(409, f"{migration.name} has begun and is in phase {current}; advance-phase moves it")
    return [control.advance(migration, phase, by)]


def _initialized(service: Services, migration: Migration, author: Author, takings: list[Taking]) -> dict[str, object]:
    established = _in_force(service.control, migration)
    return {
        "status": "initialized",
        "migration_phase": service.control.phase(migration),
        "baselines_established": all(model in established for model in migration.sources),
        "baselines": outcome(takings[0]) if takings else {"taken": [], "missing": {}},
        "budgets_configured": any(service.control.budget_limit(migration.name, period) for period in PERIODS),
        "alerts_tested": None,
        "alerts_tested_reason": "this exporter sends no test alert",
        "updated_by": author.name,
        "timestamp": moment(author.at_us / 1_000_000),
    }


def _in_force(control: Control, migration: Migration) -> dict[str, dict[str, object]]:
    found: dict[str, dict[str, object]] = {}
    known = baselines.models_of(migration)
    for model, name, value in control.baselines(migration.name):
        if model in known:
            figures = found.setdefault(model, {})
            if name == TIMESTAMP:
                figures["timestamp"] = moment(value)
            else:
                figures[name] = int(value) if name == SAMPLES else value
    return found
