"""The composition root: builds the exporter, opens its ledger, serves, and shuts down in the right order."""

from __future__ import annotations

import asyncio
import contextlib
import ipaddress
import signal
import socket
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

import structlog
from aiohttp import web

from exporter.clock import Clock, SystemClock
from exporter.control import Control
from exporter.errors import LedgerError, UserError
from exporter.ingest.changes import Changes
from exporter.ingest.names import Names
from exporter.ingest.pipeline import Ingest
from exporter.ledger.lock import LedgerLock
from exporter.ledger.store import SQLITE_VERSION, Name, Store
from exporter.ledger.writer import Writer
from exporter.metrics.page import Exposition
from exporter.metrics.selfmetrics import SelfMetrics
from exporter.plan.model import Plan
from exporter.pricing.book import PriceBook
from exporter.totals import Totals
from exporter.web.app import create_app
from exporter.web.auth import Guard
from exporter.web.services import Services

log = structlog.get_logger("runtime")

LEDGER_FILE = "ledger.sqlite"
CHECKPOINT_SECONDS = 30.0
CHECKPOINT_EVENTS = 50_000  # a start replays at most about this many events


@dataclass(frozen=True, slots=True)
class Settings:
    """How this process runs, as opposed to what the plan says."""

    storage_path: Path
    listen: tuple[tuple[str, int], ...]
    telemetry_path: str = "/metrics"
    allow_unauthenticated: bool = False


def check_exposure(plan: Plan, settings: Settings) -> None:
    """Refuse to show a company's spending to a network without tokens.

    Raises:
        UserError: an address that others can reach, and no tokens.
    """
    if plan.tokens or settings.allow_unauthenticated:
        return
    for host, _ in settings.listen:
        if not _is_loopback(host):
            raise UserError(
                f"without tokens the exporter listens on loopback only, not on {host}; declare `tokens` in "
                f"{plan.path.name}, or pass --web.allow-unauthenticated where something else guards the port"
            )


def _is_loopback(host: str) -> bool:
    if host == "localhost":
        return True
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False


class Exporter:
    """One running exporter over one ledger."""

    def __init__(self, plan: Plan, settings: Settings, clock: Clock | None = None) -> None:
        self._plan = plan
        self._settings = settings
        self._clock = clock or SystemClock()
        self.metrics = SelfMetrics(sqlite_version=SQLITE_VERSION)
        self.totals = Totals()
        self.control = Control()
        self._checkpoint_seq = 0
        self._checkpointing = asyncio.Lock()
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
            raise UserError(f"cannot create the storage folder {path}: {error.strerror}") from error
        self._lock = LedgerLock(path / LEDGER_FILE)
        store = Store(path / LEDGER_FILE)
        book = PriceBook.load().with_overrides(self._plan.prices)
        self.writer = Writer(store, self._clock, on_group=self.metrics.committed)
        names = Names(self._on_new_name)
        replayed = self._restore(store, names)
        self.writer.start()
        self.changes = Changes(self.control, self.writer, self._clock)
        at_us = round(self._clock.now() * 1_000_000)
        await self.changes.make(lambda control: control.from_file(self._plan, at_us))
        self.ingest = Ingest(self._plan, book, names, self.writer, self.totals, self._clock, self.metrics)
        self.ingest.folded_seq = store.last_seq()
        self.exposition = Exposition(self._plan, self.control, self.totals, self.metrics, self._clock)
        self.metrics.configured(
            now=self._clock.now(),
            series_limit=self._plan.limits.series_per_metric,
            price_version=book.version,
            price_verified=book.verified,
        )
        self._tasks.append(asyncio.create_task(self._checkpoint_regularly()))
        log.info("ledger open", path=str(store.path), events=self.totals.events, replayed=replayed)
        return Services(
            plan=self._plan,
            control=self.control,
            totals=self.totals,
            ingest=self.ingest,
            changes=self.changes,
            exposition=self.exposition,
            metrics=self.metrics,
            guard=Guard(self._plan.tokens, self.metrics.auth_failure),
            clock=self._clock,
            health=self._health,
            queued=lambda: self.writer.waiting,
        )

    def _restore(self, store: Store, names: Names) -> int:
        known = list(store.names())
        names.restore(known)
        for name in known:
            self.totals.add_name(name.id, name.kind, name.value)
        for kind, key, packed in store.checkpoint():
            self.totals.restore(kind, key, packed)
        self._checkpoint_seq = store.checkpoint_seq()
        before = self.totals.events
        now = self._clock.monotonic()
        rows = store.rows_after(self._checkpoint_seq)
        self.totals.apply(rows, now)
        self.totals.touch_all(now)
        for change in store.changes():
            self.control.apply(change)
        return self.totals.events - before

    def _on_new_name(self, name: Name) -> None:
        self.totals.add_name(name.id, name.kind, name.value)
        self.writer.add_name(name)

    def _health(self) -> str | None:
        return str(self.writer.error) if self.writer.error else None

    async def checkpoint(self) -> None:
        """Store the totals, so that a start need not replay what they count."""
        async with self._checkpointing:
            if self.ingest.folded_seq == self._checkpoint_seq:
                return
            seq = self.ingest.folded_seq
            cells, rows = self.totals.changed()
            try:
                await self.writer.checkpoint(rows, seq)
            except LedgerError as error:
                self.totals.mark(cells)
                log.error("checkpoint failed", error=str(error))
                return
            self._checkpoint_seq = seq

    async def _checkpoint_regularly(self) -> None:
        last = self._clock.monotonic()
        while True:
            await asyncio.sleep(1)
            due = self._clock.monotonic() - last >= CHECKPOINT_SECONDS
            if due or self.ingest.folded_seq - self._checkpoint_seq >= CHECKPOINT_EVENTS:
                await self.checkpoint()
                last = self._clock.monotonic()

    async def stop(self) -> None:
        """Commit what waits, store a checkpoint, close the ledger, give the lock back."""
        for task in self._tasks:
            task.cancel()
            with contextlib.suppress(asyncio.CancelledError):
                await task
        await self.checkpoint()
        await self.writer.stop()
        self._lock.release()
        log.info("ledger closed", events=self.totals.events)


async def serve(plan: Plan, settings: Settings) -> None:
    """Run until SIGINT or SIGTERM.

    Raises:
        UserError: the configuration and the settings do not fit, the ledger is in use, an address is taken.
        LedgerError: the ledger cannot be used.
    """
    check_exposure(plan, settings)
    sockets = list(_bind(settings.listen))
    exporter = Exporter(plan, settings)
    stopped = asyncio.Event()
    loop = asyncio.get_running_loop()
    for signum in (signal.SIGINT, signal.SIGTERM):
        loop.add_signal_handler(signum, stopped.set)
    services = await exporter.start()
    runner = web.AppRunner(
        create_app(services, telemetry_path=settings.telemetry_path), access_log=None, shutdown_timeout=10
    )
    try:
        await runner.setup()
        for listener in sockets:
            await web.SockSite(runner, listener).start()
            host, port = listener.getsockname()[:2]
            log.info("listening", url=f"http://{f'[{host}]' if ':' in host else host}:{port}")
        if not plan.tokens:
            log.warning("no tokens are configured: whoever reaches the address may push, read and change")
        await stopped.wait()
        log.info("stopping")
    finally:
        await runner.cleanup()
        await exporter.stop()


def _bind(addresses: Iterable[tuple[str, int]]) -> Iterable[socket.socket]:
    for host, port in addresses:
        family = socket.AF_INET6 if ":" in host else socket.AF_INET
        try:
            yield socket.create_server((host, port), family=family, backlog=1024)
        except OSError as error:
            raise UserError(f"cannot listen on {host}:{port}: {error.strerror}") from error
