"""The configuration of a running exporter: read, checked and prepared beside it, then taken over in one step."""

from __future__ import annotations

import asyncio
import dataclasses
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import structlog

from exporter import systemd
from exporter.clock import Clock
from exporter.control import Change, Control
from exporter.errors import ExporterError, UserError
from exporter.ingest.changes import Changes
from exporter.ingest.pipeline import Ingest
from exporter.metrics.page import Exposition
from exporter.metrics.selfmetrics import SelfMetrics
from exporter.plan.load import load
from exporter.plan.model import SHARD, Plan
from exporter.pricing.book import PriceBook
from exporter.settings import Settings, check_exposure
from exporter.upkeep import Upkeep
from exporter.web.auth import Guard
from exporter.web.door import Door
from exporter.web.limits import ClientLimits
from exporter.web.services import Configuration, Services
from exporter.web.tls import LiveContext, UnusableFile
from exporter.web.webconfig import WebConfig
from exporter.web.webconfig import load as load_web

log = structlog.get_logger("configuration")


@dataclass(frozen=True, slots=True)
class Read:
    """What the files say."""

    plan: Plan
    web: WebConfig


def read_web(settings: Settings) -> WebConfig:
    """The web configuration; an empty one where no file is named.

    Raises:
        ConfigError: the file cannot be used.
    """
    return WebConfig() if settings.web_config is None else load_web(settings.web_config)


def with_flags(plan: Plan, settings: Settings) -> Plan:
    """The plan, where a flag wins over the file."""
    if not settings.external_url:
        return plan
    return dataclasses.replace(plan, urls=dataclasses.replace(plan.urls, external=settings.external_url))


def changes_of(plan: Plan, settings: Settings, at: float) -> Callable[[Control], Sequence[Change]]:
    """What the file changes in the state, decided when it is asked, at the Unix time `at`.

    Nothing on a shard: limits, thresholds and phases are the control's, and a log that says when they came into force
    where they never do would not be true. Nor can a phase that the file lost keep a shard from starting.
    """
    if settings.mode == SHARD:
        return lambda control: ()
    return lambda control: control.from_file(plan, round(at * 1_000_000))


def configuration(
    read: Read, settings: Settings, metrics: SelfMetrics, clock: Clock, last: Configuration | None = None
) -> Configuration:
    """What the files mean for the web. What did not change is kept from the last one, with all that it remembers."""
    plan, web = read.plan, read.web
    guarded = bool(plan.tokens) or settings.allow_unauthenticated or web.guarded
    limits = ClientLimits(plan.limits, clock)
    return Configuration(
        plan=plan,
        guard=Guard(plan.tokens, metrics.auth_failure, loopback_only=not guarded),
        door=last.door if last and last.door.config == web else Door(web, metrics.auth_failure, clock),
        limits=last.limits if last and last.limits.same(limits) else limits,
    )


class Reloader:
    """Takes the files into use again. One reload at a time; a failed one changes nothing."""

    def __init__(
        self,
        settings: Settings,
        services: Services,
        ingest: Ingest,
        exposition: Exposition,
        changes: Changes,
        metrics: SelfMetrics,
        clock: Clock,
        tls: LiveContext | None,
        upkeep: Upkeep,
    ) -> None:
        self._settings = settings
        self._services = services
        self._ingest = ingest
        self._exposition = exposition
        self._changes = changes
        self._metrics = metrics
        self._clock = clock
        self._tls = tls
        self._upkeep = upkeep
        self._reloading = asyncio.Lock()

    async def reload(self, by: str) -> int:
        """Read the files for somebody; how many values of the plan changed.

        Raises:
            UserError: the files cannot be used, or not without a restart (ConfigError: all problems at once).
            LedgerError: what changed could not be recorded.
        """
        async with self._reloading:
            systemd.notify("RELOADING=1")
            try:
                changed = await self._reload()
            except ExporterError as error:
                self._metrics.not_configured()
                log.error("configuration not taken over, the last one stays in use", by=by, error=str(error))
                raise
            except Exception:
                self._metrics.not_configured()
                raise
            finally:
                systemd.notify("READY=1")
            log.info("configuration taken over", by=by, path=str(self._services.plan.path), changed=changed)
            return changed

    async def _reload(self) -> int:
        settings, last = self._settings, self._services.configuration
        read = await asyncio.to_thread(self._read)
        check_exposure(read.plan, settings, read.web)
        if (read.web.tls is None) != (self._tls is None):
            raise UserError("tls_server_config can be changed at run time, but added or removed only by a restart")
        book = await asyncio.to_thread(lambda: PriceBook.load().with_overrides(read.plan.prices))
        adopt_encryption = self._prepare_encryption(read.web)
        adopt_in_ingest = self._ingest.prepare(read.plan, book)
        adopt_on_page = self._exposition.prepare(read.plan)
        new = configuration(read, settings, self._metrics, self._clock, last)
        now = self._clock.now()

        def take_over() -> None:
            adopt_encryption()
            adopt_in_ingest()
            adopt_on_page()
            self._upkeep.adopt(read.plan)
            self._services.configuration = new
            self._metrics.configured(
                now=now,
                series_limit=read.plan.limits.series_per_metric,
                price_version=book.version,
                price_verified=book.verified,
            )

        # Recording what changed is the last thing that may fail. The rest happens in the same step of the event loop
        # as the changes come into force, so that nobody ever sees a part of the old plan with a part of the new one.
        return len(await self._changes.make(changes_of(read.plan, settings, now), take_over))

    def _read(self) -> Read:
        plan = with_flags(load(self._services.plan.path), self._settings)
        return Read(plan, read_web(self._settings))

    def _prepare_encryption(self, web: WebConfig) -> Callable[[], None]:
        if self._tls is None or web.tls is None:
            return _nothing
        try:
            return self._tls.prepare(web.tls)
        except UnusableFile as error:  # it was usable a moment ago
            raise UserError(error.message) from None


def _nothing() -> None:
    pass
