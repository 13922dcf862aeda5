"""The exporter in this process, on real sockets and a real ledger, with a clock that the test moves."""

from __future__ import annotations

import dataclasses
from collections.abc import AsyncIterator, Callable
from pathlib import Path
from typing import Any

import pytest

from exporter.clock import ManualClock
from exporter.plan.load import load
from exporter.plan.model import Plan
from exporter.runtime import Exporter, Settings
from tests.configs import SHIPPED
from tests.plans import at
from tests.processes import parse_page
from tests.serving import serve

NOW = at("2025-05-20T10:00:00")
SCRAPER = {"X-Prometheus-Scrape-Timeout-Seconds": "10"}


class Running:
    """One exporter over one ledger folder; `restart` opens the same ledger again."""

    def __init__(self, folder: Path, plan: Plan) -> None:
        self.folder = folder
        self.plan = plan
        self.clock = ManualClock(NOW)
        self.api = f"/api/v1/{plan.migrations[0].name}"

    async def start(self) -> None:
        self.exporter = Exporter(self.plan, Settings(self.folder, ()), self.clock)
        self.services = await self.exporter.start()
        self.client = await serve(self.services)

    async def stop(self) -> None:
        await self.client.close()
        await self.exporter.stop()

    async def restart(self, plan: Plan | None = None) -> None:
        await self.stop()
        self.plan = plan or self.plan
        await self.start()

    async def push(self, *events: dict[str, Any], status: int = 200) -> dict[str, Any]:
        """Send events as an array."""
        async with self.client.post("/api/v1/events", json=list(events)) as answer:
            body = await answer.json()
            assert answer.status == status, body
            return dict(body)

    async def page(self, *, scraper: bool = False) -> dict[str, dict[frozenset[tuple[str, str]], float]]:
        """The page: sample name -> labels -> value."""
        async with self.client.get("/metrics", headers=SCRAPER if scraper else {}) as answer:
            assert answer.status == 200
            return parse_page(await answer.text())

    async def total(self, name: str, *, scraper: bool = False, **labels: str) -> float:
        """The sum of a metric over all label sets that have these labels."""
        page = await self.page(scraper=scraper)
        wanted = set(labels.items())
        return sum(value for key, value in page.get(name, {}).items() if wanted <= key)


@pytest.fixture
def plan() -> Plan:
    """The shipped plan."""
    return load(SHIPPED)


@pytest.fixture
async def running(tmp_path: Path, plan: Plan) -> AsyncIterator[Running]:
    """A started exporter."""
    exporter = Running(tmp_path, plan)
    await exporter.start()
    yield exporter
    await exporter.stop()


@pytest.fixture
def with_limits(plan: Plan) -> Callable[..., Plan]:
    """The shipped plan with other limits."""
    return lambda **limits: dataclasses.replace(plan, limits=dataclasses.replace(plan.limits, **limits))


def event(**changes: Any) -> dict[str, Any]:
    """A call that is right in every way."""
    return {
        "model": "gpt-4.1",
        "input_tokens": 1000,
        "output_tokens": 500,
        "latency": 1.5,
        "success": True,
        "category": "analysis",
        "application": "web",
        **changes,
    }
