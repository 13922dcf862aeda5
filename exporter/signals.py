"""What signals ask of a running exporter: to end, to end without waiting for anybody, to read its files again."""

from __future__ import annotations

import asyncio
import signal
from collections.abc import Awaitable, Callable

import structlog

from exporter.errors import ExporterError

log = structlog.get_logger("signals")


class Signals:
    """SIGTERM and SIGINT end the process, once more ends it at once; SIGHUP reloads. Owned by the event loop."""

    def __init__(self) -> None:
        self.ended = asyncio.Event()
        self.hurried = asyncio.Event()
        self._reload = asyncio.Event()
        loop = asyncio.get_running_loop()
        for signum in (signal.SIGINT, signal.SIGTERM):
            loop.add_signal_handler(signum, self._end)
        loop.add_signal_handler(signal.SIGHUP, self._reload.set)

    def _end(self) -> None:
        if self.ended.is_set():
            self.hurried.set()
        self.ended.set()

    async def reload_when_asked(self, reload: Callable[[str], Awaitable[int]]) -> None:
        """Reload at each SIGHUP, also one that came before; those that come meanwhile are one more."""
        while True:
            await self._reload.wait()
            self._reload.clear()
            try:
                await reload("SIGHUP")
            except ExporterError:
                continue  # logged where it happened
            except Exception:
                log.exception("the reload failed")

    async def unless_hurried(self, work: Awaitable[None]) -> None:
        """Wait for some work of the end, unless somebody does not want to wait."""
        task = asyncio.ensure_future(work)
        hurry = asyncio.create_task(self.hurried.wait())
        await asyncio.wait((task, hurry), return_when=asyncio.FIRST_COMPLETED)
        hurry.cancel()
        if task.done():
            task.result()
        else:
            log.warning("not waiting for requests under way")
            task.cancel()
            await asyncio.wait((task,))
