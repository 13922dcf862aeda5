"""The exporter with a heart that beats on its event loop: `python -m tests.bench.heartbeat PORT STORAGE`.

Each line on standard input is answered with the longest time, in milliseconds, by which the loop was late since the
line before.
"""

from __future__ import annotations

import asyncio
import signal
import sys
import time
from pathlib import Path

from aiohttp import web

from exporter import log
from exporter.plan.load import load
from exporter.runtime import Exporter
from exporter.settings import Settings
from exporter.web.app import create_app
from tests.bench.machine import CONFIG

_BEAT = 0.001


class Heart:
    """Sleeps a millisecond again and again, and keeps the longest delay."""

    def __init__(self) -> None:
        self.longest = 0.0

    async def beat(self) -> None:
        while True:
            before = time.perf_counter()
            await asyncio.sleep(_BEAT)
            self.longest = max(self.longest, time.perf_counter() - before - _BEAT)

    def tell(self) -> None:
        """Answer a line."""
        if sys.stdin.readline():
            print(f"{self.longest * 1000:.3f}", flush=True)
            self.longest = 0.0


async def main() -> None:
    """Serve until SIGTERM."""
    port, storage = sys.argv[1:]
    exporter = Exporter(load(CONFIG), Settings(Path(storage), ()))
    runner = web.AppRunner(create_app(await exporter.start()), access_log=None)
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", int(port)).start()
    heart = Heart()
    beating = asyncio.create_task(heart.beat())
    loop = asyncio.get_running_loop()
    loop.add_reader(sys.stdin.fileno(), heart.tell)
    stopped = asyncio.Event()
    loop.add_signal_handler(signal.SIGTERM, stopped.set)
    await stopped.wait()
    beating.cancel()
    await runner.cleanup()
    await exporter.stop()


if __name__ == "__main__":
    log.configure("warning", "logfmt")
    asyncio.run(main())
