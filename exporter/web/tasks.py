"""Tasks of phases, and the hold that stops a migration."""

from __future__ import annotations

from typing import Annotated

import msgspec
from aiohttp import web

from exporter.control import Change, Control
from exporter.errors import RequestError
from exporter.plan.model import Migration
from exporter.plan.values import did_you_mean
from exporter.web.bodies import answer, read_struct
from exporter.web.services import ACTOR, migration_of, moment, services


class TaskChange(msgspec.Struct, forbid_unknown_fields=True):
    """`POST /tasks`: tick a task, or take the tick away; without a phase, a task of the present one."""

    task: str
    done: bool = True
    phase: str | None = None
    reason: Annotated[str, msgspec.Meta(max_length=1000)] = ""


class HoldChange(msgspec.Struct, forbid_unknown_fields=True):
    """`POST /hold`: stop all steps of a migration, or let it go on."""

    hold: bool
    reason: Annotated[str, msgspec.Meta(max_length=1000)] = ""


async def get_tasks(request: web.Request) -> web.Response:
    """`GET /api/v1/{migration}/tasks`."""
    service = services(request)
    migration = migration_of(request)
    return answer({**_tasks(service.control, migration), "timestamp": moment(service.clock.now())})


async def set_task(request: web.Request) -> web.Response:
    """`POST /api/v1/{migration}/tasks`."""
    service = services(request)
    migration = migration_of(request)
    wanted = await read_struct(request, TaskChange)
    author = service.changes.author(request[ACTOR], "api", wanted.reason)

    def decide(control: Control) -> list[Change]:
        phase = control.phase(migration) if wanted.phase is None else wanted.phase
        _refuse_unknown(migration, phase, wanted.task)
        if control.task_done(migration.name, phase, wanted.task) == wanted.done:
            return []
        return [control.change("task", migration.name, f"{phase}/{wanted.task}", wanted.done, author)]

    made = await service.changes.make(decide)
    return answer(
        {
            "status": "updated" if made else "unchanged",
            **_tasks(service.control, migration),
            "updated_by": author.name,
            "timestamp": moment(author.at_us / 1_000_000),
        }
    )


async def set_hold(request: web.Request) -> web.Response:
    """`POST /api/v1/{migration}/hold`."""
    service = services(request)
    migration = migration_of(request)
    wanted = await read_struct(request, HoldChange)
    author = service.changes.author(request[ACTOR], "api", wanted.reason)

    def decide(control: Control) -> list[Change]:
        if control.held(migration.name) == wanted.hold:
            return []
        return [control.change("hold", migration.name, "", wanted.hold, author)]

    made = await service.changes.make(decide)
    return answer(
        {
            "status": ("held" if wanted.hold else "released") if made else "unchanged",
            "hold": service.control.held(migration.name),
            "reason": wanted.reason,
            "migration_phase": service.control.phase(migration),
            "updated_by": author.name,
            "timestamp": moment(author.at_us / 1_000_000),
        }
    )


def _refuse_unknown(migration: Migration, phase_name: str, task: str) -> None:
    phase = migration.phase(phase_name)
    if phase is None:
        hint = did_you_mean(phase_name, [known.name for known in migration.phases])
        raise RequestError(422, f"{migration.name} has no phase {phase_name}; {hint}")
    if task not in phase.tasks:
        folded = {known.lower(): known for known in phase.tasks}
        elsewhere = [other.name for other in migration.phases if task in other.tasks]
        if elsewhere:
            hint = f"it is a task of {' and '.join(elsewhere)}"
        elif not folded:
            hint = "the phase has no tasks"
        elif task.lower() in folded:
            hint = f"did you mean `{folded[task.lower()]}`?"
        else:
            hint = f"its tasks are {', '.join(phase.tasks)}"
        raise RequestError(422, f"phase {phase_name} has no task {task}; {hint}")


def _tasks(control: Control, migration: Migration) -> dict[str, object]:
    phases = [
        {
            "phase": phase.name,
            "tasks": (
                tasks := [
                    {"task": task, "done": control.task_done(migration.name, phase.name, task)} for task in phase.tasks
                ]
            ),
            "done": sum(bool(task["done"]) for task in tasks),
            "total": len(tasks),
        }
        for phase in migration.phases
    ]
    return {"migration_phase": control.phase(migration), "phases": phases}
