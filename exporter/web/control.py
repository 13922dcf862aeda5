"""Changes to a migration at run time: budgets and phases."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Annotated, Literal

import msgspec
from aiohttp import web

from exporter import baselines
from exporter.baselines import Counted, Taking
from exporter.control import Change, Control
from exporter.money import nano_to_usd, usd_to_nano
from exporter.web.baselines import outcome
from exporter.web.bodies import answer, read_struct
from exporter.web.services import ACTOR, migration_of, services
from exporter.web.shards import counted, refuse_wrong_names


class BudgetChange(msgspec.Struct, forbid_unknown_fields=True):
    """`POST /cost/budget`: a limit in USD, and from which used share on people are told."""

    period: Literal["daily", "weekly", "monthly"]
    limit: Annotated[float, msgspec.Meta(ge=0.01, le=1_000_000_000)]
    alert_threshold: Annotated[float, msgspec.Meta(ge=0.001, le=1)] | None = None
    reason: Annotated[str, msgspec.Meta(max_length=1000)] = ""


class PhaseChange(msgspec.Struct, forbid_unknown_fields=True):
    """`POST /advance-phase`: a step, with a reason when it is out of order.

    A step out of the first phase takes baselines; `without` names shards that are to be left out of them.
    """

    new_phase: str
    reason: Annotated[str, msgspec.Meta(max_length=1000)] = ""
    without: list[str] = []


async def set_budget(request: web.Request) -> web.Response:
    """`POST /api/v1/{migration}/cost/budget`."""
    service = services(request)
    migration = migration_of(request)
    wanted = await read_struct(request, BudgetChange)
    author = service.changes.author(request[ACTOR], "api", wanted.reason)
    name, period = migration.name, wanted.period

    def decide(control: Control) -> list[Change]:
        changes = [control.change("budget_limit", name, period, usd_to_nano(wanted.limit), author)]
        if wanted.alert_threshold is not None:
            changes.append(control.change("budget_alert_threshold", name, period, wanted.alert_threshold, author))
        return changes

    await service.changes.make(decide)
    return answer(
        {
            "status": "updated",
            "period": period,
            "limit": nano_to_usd(service.control.budget_limit(name, period) or 0),
            "alert_threshold": service.control.budget_alert_threshold(name, period),
            "updated_by": author.name,
            "timestamp": datetime.fromtimestamp(author.at_us / 1_000_000, UTC),
        }
    )


async def advance_phase(request: web.Request) -> web.Response:
    """`POST /api/v1/{migration}/advance-phase`."""
    service = services(request)
    migration = migration_of(request)
    wanted = await read_struct(request, PhaseChange)
    takings: list[Taking] = []
    async with service.baselining:
        author = service.changes.author(request[ACTOR], "api", wanted.reason)
        service.control.advance(migration, wanted.new_phase, author)  # refused before the shards are asked
        refuse_wrong_names(service.plan, (), wanted.without)
        others: Counted = {}
        if baselines.in_first_phase(service.control, migration):
            others = await counted(service.plan, migration, {}, wanted.without)

        def decide(control: Control) -> list[Change]:
            changes, taking = baselines.advance(
                control, service.totals, migration, wanted.new_phase, author, others, wanted.without
            )
            takings.extend([taking] if taking else [])
            return changes

        change, *_ = await service.changes.make(decide)
    now = service.clock.now()
    return answer(
        {
            "status": "advanced",
            "phase_transition": {"from": change.before, "to": change.after},
            "migration_phase": change.after,
            "deadline_info": {
                "migration_deadline": datetime.fromtimestamp(migration.deadline, UTC),
                "days_remaining": round((migration.deadline - now) / 86400, 3),
            },
            "baselines": outcome(takings[0]) if takings else None,
            "timestamp": datetime.fromtimestamp(author.at_us / 1_000_000, UTC),
        }
    )
