"""What handlers work with."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from datetime import UTC, datetime

from aiohttp import web

from exporter.clock import Clock
from exporter.control import Control
from exporter.errors import RequestError
from exporter.ingest.changes import Changes
from exporter.ingest.pipeline import Ingest
from exporter.ledger.reader import Reader
from exporter.metrics.page import Exposition
from exporter.metrics.selfmetrics import SelfMetrics
from exporter.plan.model import CONTROL, Migration, Plan
from exporter.totals import Totals
from exporter.web.auth import Guard
from exporter.web.door import Door
from exporter.web.limits import ClientLimits


@dataclass(frozen=True, slots=True)
class Configuration:
    """All that the configuration files decide for the web; a reload replaces it as a whole."""

    plan: Plan
    guard: Guard
    door: Door
    limits: ClientLimits


@dataclass(slots=True)
class Services:
    """The running exporter, as the web sees it. Only `configuration` is ever replaced."""

    configuration: Configuration
    control: Control
    totals: Totals
    ingest: Ingest
    changes: Changes
    reader: Reader
    exposition: Exposition
    metrics: SelfMetrics
    clock: Clock
    health: Callable[[], str | None]  # what is wrong, None when all is well
    queued: Callable[[], int]
    reload: Callable[[str], Awaitable[int]]  # reads the files again for somebody; how many values of the plan changed
    mode: str = CONTROL  # or shard
    lifecycle: bool = False  # whether a reload may be asked for over HTTP
    scrapes: asyncio.Semaphore | None = None  # bounds scrapes at the same time
    # Held from asking the shards until the baselines are in force: an answer must not be older than the last taking.
    baselining: asyncio.Lock = field(default_factory=asyncio.Lock)

    @property
    def plan(self) -> Plan:
        """The plan in force."""
        return self.configuration.plan

    @property
    def guard(self) -> Guard:
        """Who may do what."""
        return self.configuration.guard


SERVICES = web.AppKey("services", Services)
CLIENT = web.RequestKey("client", str)  # whose limits a request counts against
ACTOR = web.RequestKey("actor", str)  # the name of the token that a request came with


def services(request: web.Request) -> Services:
    """The running exporter behind a request."""
    return request.app[SERVICES]


def moment(at: float) -> datetime:
    """A Unix time as answers have it: RFC 3339, UTC."""
    return datetime.fromtimestamp(at, UTC)


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
