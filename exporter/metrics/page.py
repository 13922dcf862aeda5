"""`/metrics`: a snapshot taken on the event loop, turned into text on another thread."""

from __future__ import annotations

import asyncio
import zlib
from collections.abc import Callable, Collection, Mapping
from dataclasses import dataclass
from functools import partial
from itertools import chain
from typing import TypeVar

from exporter import catalog
from exporter.clock import Clock
from exporter.control import Control
from exporter.metrics.families import (
    Family,
    Usage,
    plan_families,
    series_family,
    spending_families,
    usage_families,
)
from exporter.metrics.hold import Hold
from exporter.metrics.planned import planned_groups
from exporter.metrics.render import OPENMETRICS, Renderer, negotiate
from exporter.metrics.selfmetrics import SelfMetrics
from exporter.plan.model import Plan
from exporter.totals import Cell, Counts, Group, GroupKey, Observed, Totals, View

_GZIP = 31  # zlib's way to say: 32 KB of window, in gzip's format
_GZIP_LEVEL = 1
_SLICE = 1000  # label sets copied before the event loop may do something else
K = TypeVar("K", int, str, GroupKey, tuple[str, ...])
T = TypeVar("T", Cell, Counts, Group, Observed)


@dataclass(frozen=True, slots=True)
class Page:
    """An answer to a scrape."""

    body: bytes
    content_type: str
    encoding: str | None


class Exposition:
    """The page's state: which label sets were shown to scrapers, and the texts of all of them."""

    def __init__(self, plan: Plan, control: Control | None, totals: Totals, metrics: SelfMetrics, clock: Clock) -> None:
        """Call when the totals hold what the ledger held at start: all of that is shown as it is.

        Without a `control` the page has no facts of the plan, as a shard's.
        """
        self._plan = plan
        self._control = control
        self._totals = totals
        self._metrics = metrics
        self._clock = clock
        self._renderer = Renderer()
        self._rendering = asyncio.Lock()
        limits = plan.limits
        found_cells = [name for name, cell in totals.cells.items() if cell.values[0]]
        found_groups = {totals.cells[name].group.key for name in found_cells}
        found_routes = [name for name, counts in totals.routes.items() if counts.values[0]]
        found_unpriced = [name for name, counts in totals.unpriced.items() if counts.values[0]]
        options = {"hold": limits.hold, "idle": limits.expire_idle}
        self._cells: Hold[int, Cell] = Hold(found_cells, lambda cell: Cell(cell.key, cell.group), **options)
        self._groups: Hold[GroupKey, Group] = Hold(found_groups, lambda group: Group(group.key), **options)
        self._routes: Hold[int, Counts] = Hold(found_routes, _no_counts, **options)
        self._unpriced: Hold[int, Counts] = Hold(found_unpriced, _no_counts, **options)
        self._first_token: Hold[tuple[str, ...], Observed] = Hold(totals.first_token, _nothing_observed, **options)
        self._quality: Hold[tuple[str, ...], Observed] = Hold(totals.quality, _nothing_observed, **options)
        self._applications: Hold[tuple[str, ...], Observed] = Hold(totals.by_application, _nothing_observed, **options)
        pairs = totals.pairs
        found_pairs = [name for name, counts in pairs.outcomes.items() if any(counts.values)]
        self._ratios: Hold[tuple[str, ...], Observed] = Hold(pairs.ratios, _nothing_observed, **options)
        self._pairs: Hold[str, Counts] = Hold(found_pairs, _no_counts, **options)
        self._holds = (
            self._cells,
            self._groups,
            self._routes,
            self._unpriced,
            self._first_token,
            self._quality,
            self._applications,
            self._ratios,
            self._pairs,
        )
        self._next: dict[tuple[str, bool, bool], asyncio.Task[Page]] = {}
        self.prepare(plan)()

    def prepare(self, plan: Plan) -> Callable[[], None]:
        """The step after which this plan is shown; it cannot fail.

        Label sets that are new appear at zero; those of an earlier plan stay as they are.
        """
        return partial(self._adopt, plan, dict.fromkeys(planned_groups(plan)))

    def _adopt(self, plan: Plan, planned: Mapping[GroupKey, None]) -> None:
        self._plan = plan
        self._planned = planned
        for hold in self._holds:
            hold.configure(hold=plan.limits.hold, idle=plan.limits.expire_idle)
        for key in planned:
            self._totals.groups.setdefault(key, Group(key))
        self._migrations = [migration.name for migration in plan.migrations]
        for name in self._migrations:
            self._totals.pairs.of(name)

    async def usage(self, *, scraper: bool) -> Usage:
        """The totals at one moment, as this reader is shown them: Prometheus with births held back, others as they are.

        They are copied in pieces, between which others run.
        """
        totals = self._totals
        with totals.view() as view:
            show = partial(self._show, view, self._clock.monotonic() if scraper else None)
            return Usage(
                cells=await show(totals.cells, self._cells),
                groups=await show(totals.groups, self._groups, self._planned),
                routes=await show(totals.routes, self._routes),
                unpriced=await show(totals.unpriced, self._unpriced),
                first_token=await show(totals.first_token, self._first_token),
                quality=await show(totals.quality, self._quality),
                by_application=(
                    await show(totals.by_application, self._applications) if self._plan.labels.histogram_extra else None
                ),
                pair_ratios=await show(totals.pairs.ratios, self._ratios),
                pairs=await show(totals.pairs.outcomes, self._pairs, self._migrations),
            )

    @staticmethod
    async def _show(
        view: View, now: float | None, items: Mapping[K, T], hold: Hold[K, T], permanent: Collection[K] = ()
    ) -> list[T]:
        """Copies of one kind of label sets; `now` is the monotonic time of an exposure to a scraper."""
        pairs = list(items.items())
        shown: list[T] = []
        for start in range(0, len(pairs), _SLICE):
            if start:
                await asyncio.sleep(0)
            part = pairs[start : start + _SLICE]
            if now is None:
                shown += [view.of(item) for _, item in part]
            else:
                shown += hold.expose(part, now, view.of, permanent)
        return shown

    def facts(self) -> list[Family]:
        """What is planned and decided, what was spent, and who sent events when."""
        now = self._clock.now()
        last_event = Family(catalog.EXPORTER_LAST_EVENT)
        last_event.rows += [((name,), at / 1_000_000) for name, at in self._totals.last_event_us.items()]
        planned = [] if self._control is None else plan_families(self._plan, self._control, now)
        return [*planned, *spending_families(self._plan, self._totals, now), last_event]

    async def page(self, *, accept: str, scraper: bool, compress: bool) -> Page:
        """The page in the format that the Accept header asks for.

        Requests that come while a page is being made share the next one: each of them sees what was counted before it
        came, and any number of them costs one page more, not one each.
        """
        kind = (negotiate(accept), scraper, compress)
        task = self._next.get(kind)
        if task is None:
            task = self._next[kind] = asyncio.create_task(self._page(*kind))
        return await asyncio.shield(task)

    async def _page(self, content_type: str, scraper: bool, compress: bool) -> Page:
        async with self._rendering:  # the renderer's kept texts belong to one thread at a time
            del self._next[content_type, scraper, compress]  # who comes now might miss something
            facts = self.facts()
            usage = await self.usage(scraper=scraper)
            body = await asyncio.to_thread(self._encode, usage, facts, content_type == OPENMETRICS, compress)
        return Page(body, content_type, "gzip" if compress else None)

    def _encode(self, usage: Usage, facts: list[Family], openmetrics: bool, compress: bool) -> bytes:
        """On another thread, from copies alone."""
        families = [*usage_families(usage), *facts]
        families.append(series_family(families))
        texts = chain(
            self._renderer.render(families, openmetrics=openmetrics), (self._metrics.text(openmetrics=openmetrics),)
        )
        if not compress:
            return b"".join([text.encode() for text in texts])
        packer = zlib.compressobj(_GZIP_LEVEL, wbits=_GZIP)  # piece by piece: the page in full takes much memory
        pieces = [packer.compress(text.encode()) for text in texts]
        return b"".join([*pieces, packer.flush()])


def _no_counts(counts: Counts) -> Counts:
    return Counts(counts.key, len(counts.values))


def _nothing_observed(observed: Observed) -> Observed:
    return Observed(observed.key, len(observed.histogram.counts) - 1)
