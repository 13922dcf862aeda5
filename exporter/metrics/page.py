"""`/metrics`: a snapshot taken on the event loop, turned into text on another thread."""

from __future__ import annotations

import asyncio
import gzip
from dataclasses import dataclass

from exporter import catalog
from exporter.clock import Clock
from exporter.control import Control
from exporter.metrics.families import Family, Usage, plan_families, series_family, usage_families
from exporter.metrics.hold import Hold
from exporter.metrics.planned import planned_groups
from exporter.metrics.render import OPENMETRICS, Renderer, negotiate
from exporter.metrics.selfmetrics import SelfMetrics
from exporter.plan.model import Plan
from exporter.totals import Cell, Counts, Group, GroupKey, Observed, Totals


@dataclass(frozen=True, slots=True)
class Page:
    """An answer to a scrape."""

    body: bytes
    content_type: str
    encoding: str | None


class Exposition:
    """The page's state: which label sets were shown to scrapers, and the texts of all of them."""

    def __init__(self, plan: Plan, control: Control, totals: Totals, metrics: SelfMetrics, clock: Clock) -> None:
        """Call when the totals hold what the ledger held at start: all of that is shown as it is."""
        self._plan = plan
        self._control = control
        self._totals = totals
        self._metrics = metrics
        self._clock = clock
        self._renderer = Renderer()
        self._rendering = asyncio.Lock()
        limits = plan.limits
        found_groups = {cell.group.key for cell in totals.cells.values()}
        options = {"hold": limits.hold, "idle": limits.expire_idle}
        self._cells: Hold[int, Cell] = Hold(totals.cells, lambda cell: Cell(cell.key, cell.group), **options)
        self._groups: Hold[GroupKey, Group] = Hold(found_groups, lambda group: Group(group.key), **options)
        self._routes: Hold[int, Counts] = Hold(totals.routes, _no_counts, **options)
        self._unpriced: Hold[int, Counts] = Hold(totals.unpriced, _no_counts, **options)
        self._first_token: Hold[tuple[str, ...], Observed] = Hold(totals.first_token, _nothing_observed, **options)
        self._quality: Hold[tuple[str, ...], Observed] = Hold(totals.quality, _nothing_observed, **options)
        self._planned = dict.fromkeys(planned_groups(plan))
        for key in self._planned:
            totals.groups.setdefault(key, Group(key))

    def usage(self, *, scraper: bool) -> Usage:
        """The totals as this reader is shown them: Prometheus with births held back, others as they are."""
        totals = self._totals
        if not scraper:
            return Usage(
                cells=[cell.copy() for cell in totals.cells.values()],
                groups=[group.copy() for group in totals.groups.values()],
                routes=[counts.copy() for counts in totals.routes.values()],
                unpriced=[counts.copy() for counts in totals.unpriced.values()],
                first_token=[observed.copy() for observed in totals.first_token.values()],
                quality=[observed.copy() for observed in totals.quality.values()],
            )
        now = self._clock.monotonic()
        return Usage(
            cells=self._cells.expose(totals.cells, now),
            groups=self._groups.expose(totals.groups, now, permanent=self._planned),
            routes=self._routes.expose(totals.routes, now),
            unpriced=self._unpriced.expose(totals.unpriced, now),
            first_token=self._first_token.expose(totals.first_token, now),
            quality=self._quality.expose(totals.quality, now),
        )

    def families(self, *, scraper: bool) -> list[Family]:
        """Everything on the page except the exporter's own counters."""
        families = usage_families(self.usage(scraper=scraper))
        families += plan_families(self._plan, self._control, self._totals, self._clock.now())
        last_event = Family(catalog.EXPORTER_LAST_EVENT)
        last_event.rows += [((name,), at / 1_000_000) for name, at in self._totals.last_event_us.items()]
        families.append(last_event)
        families.append(series_family(families))
        return families

    async def page(self, *, accept: str, scraper: bool, compress: bool) -> Page:
        """The page in the format that the Accept header asks for."""
        content_type = negotiate(accept)
        async with self._rendering:  # the renderer's kept texts belong to one thread at a time
            families = self.families(scraper=scraper)
            body = await asyncio.to_thread(self._encode, families, content_type == OPENMETRICS, compress)
        return Page(body, content_type, "gzip" if compress else None)

    def _encode(self, families: list[Family], openmetrics: bool, compress: bool) -> bytes:
        text = self._renderer.render(families, openmetrics=openmetrics)
        body = (text + self._metrics.text(openmetrics=openmetrics)).encode()
        return gzip.compress(body, compresslevel=1, mtime=0) if compress else body


def _no_counts(counts: Counts) -> Counts:
    return Counts(counts.key)


def _nothing_observed(observed: Observed) -> Observed:
    return Observed(observed.key, len(observed.histogram.counts) - 1)
