"""What handlers work with."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from aiohttp import web

from exporter.clock import Clock
from exporter.control import Control
from exporter.errors import RequestError
from exporter.ingest.changes import Changes
from exporter.ingest.pipeline import Ingest
from exporter.metrics.page import Exposition
from exporter.metrics.selfmetrics import SelfMetrics
from exporter.plan.model import Migration, Plan
from exporter.totals import Totals
from exporter.web.auth import Guard


@dataclass(frozen=True, slots=True)
class Services:
    """The running exporter, as the web sees it."""

    plan: Plan
    control: Control
    totals: Totals
    ingest: Ingest
    changes: Changes
    exposition: Exposition
    metrics: SelfMetrics
    guard: Guard
    clock: Clock
    health: Callable[[], str | None]  # what is wrong, None when all is well
    queued: Callable[[], int]


SERVICES = web.AppKey("services", Services)
ACTOR = web.RequestKey("actor", str)  # the name of the token that a request came with


def services(request: web.Request) -> Services:
    """The running exporter behind a request."""
    return request.app[SERVICES]


def migration_of(request: web.Request) -> Migration:
    """The migration that the path names.

    Raises:
        RequestError: 404 when there is none of that name.
    """
    plan = services(request).plan
    name = request.match_info["migration"]
    migration = plan.migration(name)
    if migration is None:
        known = ", ".join(m.name for m in plan.migrations)
        raise RequestError(404, f"no migration {name}; there is {known}")
    return migration
