"""The composition root: builds the exporter, opens its ledger, serves, and shuts down in the right order."""

from __future__ import annotations

import asyncio
import contextlib
import dataclasses
import gc
import socket
import sys
from collections.abc import Iterable, Sequence

import structlog

from exporter import systemd
from exporter.clock import Clock, SystemClock
from exporter.control import Control
from exporter.errors import ConfigError, LedgerError, Problem, UserError
from exporter.ingest.changes import Changes
from exporter.ingest.names import Names
from exporter.ingest.pipeline import Ingest
from exporter.ledger.lock import LedgerLock
from exporter.ledger.reader import Reader
from exporter.ledger.store import SQLITE_VERSION, Name, Store
from exporter.ledger.writer import Writer
from exporter.metrics.page import Exposition
from exporter.metrics.selfmetrics import SelfMetrics
from exporter.plan.model import SHARD, Plan
from exporter.pricing.book import PriceBook
from exporter.reloading import Read, Reloader, changes_of, configuration, read_web, with_flags
from exporter.settings import Settings, check_exposure
from exporter.signals import Signals
from exporter.totals import Row, Totals
from exporter.upkeep import Upkeep, read
from exporter.web.server import Server
from exporter.web.services import Services
from exporter.web.tls import LiveContext, UnusableFile

log = structlog.get_logger("runtime")

LEDGER_FILE = "ledger.sqlite"
SWITCH_SECONDS = 0.001  # a thread that computes makes others wait at most so long at a time
SHUTDOWN_SECONDS = 5.0  # for requests under way; whoever stops us usually waits ten


class Exporter:
    """One running exporter over one ledger."""

    def __init__(self, plan: Plan, settings: Settings, clock: Clock | None = None) -> None:
        """Check that the plan and the settings fit.

        Raises:
            UserError: the web configuration cannot be used, or an address would show too much.
        """
        self._plan = with_flags(plan, settings)
        self._settings = settings
        self._web = read_web(settings)
        check_exposure(plan, settings, self._web)
        self._clock = clock or SystemClock()
        self.metrics = SelfMetrics(sqlite_version=SQLITE_VERSION, mode=settings.mode)
        self.tls = self._encryption()
        self.totals = Totals()
        self.control = Control()
        self.folded_seq = 0  # the ledger's place up to which the totals count
        self._tasks: list[asyncio.Task[None]] = []

    async def start(self) -> Services:
        """Open the ledger, bring totals and state up to it, begin to write.

        Raises:
            UserError: the ledger is in use, or does not fit the plan.
            LedgerError: the ledger cannot be opened or read.
        """
        path = self._settings.storage_path
        try:
            path.mkdir(parents=True, exist_ok=True)
        except OSError as error:
            raise UserError(
                f"cannot create the storage folder {path}: {error.strerror}; --storage.path must be a folder that "
                "can be written"
            ) from error
        self._lock = LedgerLock(path / LEDGER_FILE)
        try:
            return await self._open(Store(path / LEDGER_FILE))
        except BaseException:
            self._lock.release()
            raise

    async def _open(self, store: Store) -> Services:
        book = PriceBook.load().with_overrides(self._plan.prices)
        names = Names(self._on_new_name)
        opened = read(store, names, self.control, self._clock, self._plan)
        self.totals = opened.totals
        checkpoint_seq = store.checkpoint_seq()
        self.folded_seq = store.last_seq()
        self.writer = Writer(store, self._clock, self._fold, on_group=self.metrics.committed)
        self.writer.start()
        self.changes = Changes(self.control, self.writer, self._clock)
        await self.changes.make(changes_of(self._plan, self._settings, self._clock.now()))
        self.ingest = Ingest(self._plan, book, names, self.writer, self._clock, self.metrics)
        self.upkeep = Upkeep(
            self.writer,
            self.totals,
            self._clock,
            lambda: self.folded_seq,
            store.path,
            self._plan,
        )
        await self.upkeep.begin(opened, checkpoint_seq)
        published = None if self._settings.mode == SHARD else self.control
        self.exposition = Exposition(self._plan, published, self.totals, self.metrics, self._clock)
        self.metrics.configured(
            now=self._clock.now(),
            series_limit=self._plan.limits.series_per_metric,
            price_version=book.version,
            price_verified=book.verified,
        )
        self._tasks.append(asyncio.create_task(self.upkeep.run()))
        self._reader = Reader(store.path)
        mode = self._settings.mode
        events, replayed = self.totals.events, opened.replayed
        log.info("ledger open", mode=mode, path=str(store.path), events=events, replayed=replayed)
        scrapes = self._settings.max_requests
        self.services = Services(
            configuration=configuration(Read(self._plan, self._web), self._settings, self.metrics, self._clock),
            control=self.control,
            totals=self.totals,
            ingest=self.ingest,
            changes=self.changes,
            reader=self._reader,
            exposition=self.exposition,
            metrics=self.metrics,
            clock=self._clock,
            health=self._health,
            queued=lambda: self.writer.waiting,
            reload=self.reload,
            mode=mode,
            lifecycle=self._settings.lifecycle,
            scrapes=asyncio.Semaphore(scrapes) if scrapes else None,
        )
        self._reloader = Reloader(
            self._settings,
            self.services,
            self.ingest,
            self.exposition,
            self.changes,
            self.metrics,
            self._clock,
            self.tls,
            self.upkeep,
        )
        return self.services

    def _encryption(self) -> LiveContext | None:
        if self._web.tls is None:
            return None
        try:
            return LiveContext(self._web.tls, lambda: self.metrics.auth_failure("certificate"))
        except UnusableFile as error:  # the file was checked a moment ago
            raise ConfigError(
                [Problem(str(self._settings.web_config), 0, 0, error.key, error.message, error.remedy)]
            ) from None

    async def reload(self, by: str) -> int:
        """Read the plan and the web configuration again for somebody; how many values of the plan changed.

        Raises:
            UserError: they cannot be used; what was in force stays.
            LedgerError: what changed could not be recorded; what was in force stays.
        """
        return await self._reloader.reload(by)

    def _fold(self, rows: Sequence[Row], last_seq: int) -> None:
        self.totals.apply(rows, self._clock.monotonic())
        self.folded_seq = last_seq

    def _on_new_name(self, name: Name) -> None:
        self.totals.add_name(name.id, name.kind, name.value)
        self.writer.add_name(name)

    def _health(self) -> str | None:
        return str(self.writer.error) if self.writer.error else None

    async def stop(self) -> None:
        """Commit what waits, store a checkpoint, close the ledger, give the lock back."""
        for task in self._tasks:
            task.cancel()
            with contextlib.suppress(asyncio.CancelledError):
                await task
        try:
            await self.upkeep.checkpoint()
        except LedgerError as error:
            log.error("no checkpoint: the next start replays more events", error=str(error))
        finally:
            self._reader.close()
            await self.writer.stop()
            self._lock.release()
        log.info("ledger closed", events=self.totals.events)


def collect_rarely() -> None:
    """A request of a thousand events, or a ledger that is read, makes very many objects, none of them in a cycle."""
    gc.set_threshold(50_000, 20, 20)


def settle_garbage() -> None:
    """What lives as long as the process need not be walked through by the garbage collector again and again."""
    gc.collect()
    gc.freeze()


async def serve(plan: Plan, settings: Settings) -> None:
    """Run until SIGINT or SIGTERM; SIGHUP reloads.

    Raises:
        UserError: the configuration and the settings do not fit, the ledger is in use, an address is taken.
        LedgerError: the ledger cannot be used.
    """
    collect_rarely()
    signals = Signals()
    sockets = systemd.sockets() if settings.systemd_socket else list(_bind(settings.listen))
    if settings.systemd_socket:
        addresses = [listener.getsockname() for listener in sockets if listener.family != socket.AF_UNIX]
        settings = dataclasses.replace(settings, listen=tuple((host, port) for host, port, *_ in addresses))
    exporter = Exporter(plan, settings)
    services = await exporter.start()
    settle_garbage()
    sys.setswitchinterval(SWITCH_SECONDS)
    reloading = asyncio.create_task(signals.reload_when_asked(exporter.reload))
    server = Server(services, telemetry_path=settings.telemetry_path)
    try:
        await server.start(sockets, exporter.tls)
        for listener in sockets:
            log.info("listening", mode=settings.mode, url=_url(listener, encrypted=exporter.tls is not None))
        if services.guard.open and not services.configuration.door.config.guarded:
            log.warning("no tokens are configured: whoever reaches the address may push, read and change")
        if settings.mode == SHARD and plan.targets.control is None:
            log.warning("targets.exporters names no control: whoever asks for a change learns only that it is not here")
        systemd.notify("READY=1")
        await signals.ended.wait()
        log.info("stopping")
        systemd.notify("STOPPING=1")
    finally:
        reloading.cancel()
        await asyncio.wait((reloading,))
        await signals.unless_hurried(server.drain(SHUTDOWN_SECONDS))
        await exporter.stop()


def _url(listener: socket.socket, *, encrypted: bool) -> str:
    name = listener.getsockname()
    if listener.family == socket.AF_UNIX:
        return f"unix:{name}"
    host, port = name[:2]
    return f"{'https' if encrypted else 'http'}://{f'[{host}]' if ':' in host else host}:{port}"


def _bind(addresses: Iterable[tuple[str, int]]) -> Iterable[socket.socket]:
    for host, port in addresses:
        family = socket.AF_INET6 if ":" in host else socket.AF_INET
        bound = socket.socket(family)
        bound.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            bound.bind((host, port))  # taken at once; it listens when the ledger is replayed
            yield bound
        except OSError as error:
            raise UserError(
                f"cannot listen on {host}:{port}: {error.strerror}; choose another with --web.listen-address"
            ) from error
