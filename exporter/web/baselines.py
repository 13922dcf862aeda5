"""Baselines, and the beginning of a migration."""

from __future__ import annotations

from typing import Annotated

import msgspec
from aiohttp import web

from exporter import baselines
from exporter.baselines import SAMPLES, TIMESTAMP, Counted, Sums, Taking
from exporter.control import Author, Change, Control
from exporter.errors import RequestError
from exporter.plan.model import CONTROL, PERIODS, Migration
from exporter.web.bodies import answer, read_struct
from exporter.web.services import ACTOR, Services, migration_of, moment, services
from exporter.web.shards import counted, refuse_wrong_names

_Name = Annotated[str, msgspec.Meta(min_length=1, max_length=200)]


class BaselineRequest(msgspec.Struct, forbid_unknown_fields=True):
    """`POST /baselines`.

    The shards of the plan are asked for what they counted. `exporters` has what further exporters counted, or shards
    that cannot be asked, each as the `totals` of its own GET; `without` names shards that are to be left out.
    """

    reason: Annotated[str, msgspec.Meta(max_length=1000)] = ""
    exporters: dict[_Name, dict[str, Sums]] = {}
    without: list[_Name] = []


async def get_baselines(request: web.Request) -> web.Response:
    """`GET /api/v1/{migration}/baselines`: those in force, and what this exporter counted so far.

    A shard has no baselines; the control asks it for its `totals`, and takes from them what came since the last time.
    """
    service = services(request)
    migration = migration_of(request)
    return answer(
        {
            "mode": service.mode,
            "baselines": _in_force(service.control, migration) if service.mode == CONTROL else None,
            "totals": baselines.measure(service.totals, migration),
            "timestamp": moment(service.clock.now()),
        }
    )


async def take_baselines(request: web.Request) -> web.Response:
    """`POST /api/v1/{migration}/baselines`: take them now, from the calls since they were last taken."""
    service = services(request)
    migration = migration_of(request)
    wanted = await read_struct(request, BaselineRequest) if request.body_exists else BaselineRequest()
    takings: list[Taking] = []
    async with service.baselining:
        others = await counted(service.plan, migration, wanted.exporters, wanted.without)
        author = service.changes.author(request[ACTOR], "api", wanted.reason)

        def decide(control: Control) -> tuple[Change, ...]:
            takings.append(baselines.take(control, service.totals, migration, author, others, wanted.without))
            return takings[-1].changes

        await service.changes.make(decide)
    (taking,) = takings
    return answer(
        {
            "status": "taken" if taking.taken else "not_taken",
            **outcome(taking),
            "exporters": sorted(others),
            "without": wanted.without,
            "baselines": _in_force(service.control, migration),
            "updated_by": author.name,
            "timestamp": moment(author.at_us / 1_000_000),
        }
    )


async def initialize(request: web.Request) -> web.Response:
    """`POST /api/v1/{migration}/initialize?phase=`: begin, in a later phase where the work has begun already.

    `without=`, once for each, names shards that are to be left out of the first baselines.
    """
    service = services(request)
    migration = migration_of(request)
    phase = request.query.get("phase", migration.phases[0].name)
    without = request.query.getall("without", [])
    takings: list[Taking] = []
    async with service.baselining:
        author = service.changes.author(request[ACTOR], "api", f"initialized in {phase}")
        _begin(service.control, migration, phase, author)  # what is refused is refused before the shards are asked
        refuse_wrong_names(service.plan, (), without)
        others: Counted = {}
        if not _in_force(service.control, migration):
            others = await counted(service.plan, migration, {}, without)

        def decide(control: Control) -> list[Change]:
            changes = _begin(control, migration, phase, author)
            if not _in_force(control, migration):
                takings.append(baselines.take(control, service.totals, migration, author, others, without))
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
