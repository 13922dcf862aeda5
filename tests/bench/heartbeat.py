"""The exporter with a heart that beats on its event loop: `python -m tests.bench.heartbeat PORT STORAGE`.

Each line on standard input is answered: an empty one with the longest time, in milliseconds, by which the loop was
late since the line before; `commit` with the slowest commit, in milliseconds, since it was last asked for; `reports`
with the seconds that two reports over all events took, once both are there.
"""

from __future__ import annotations

import asyncio
import signal
import socket
import sys
import time
from collections.abc import Callable
from pathlib import Path

from exporter import log
from exporter.analysis.percentiles import exact
from exporter.ledger.reader import Reader, View
from exporter.plan.load import load
from exporter.runtime import SWITCH_SECONDS, Exporter, collect_rarely, settle_garbage
from exporter.settings import Settings
from exporter.web.server import Server
from tests.bench.machine import CONFIG

_BEAT = 0.001


class Commits:
    """Keeps the slowest commit."""

    def __init__(self, count: Callable[[float], None]) -> None:
        self.slowest = 0.0
        self._count = count

    def note(self, seconds: float) -> None:
        """One commit."""
        self.slowest = max(self.slowest, seconds)
        self._count(seconds)


class Heart:
    """Sleeps a millisecond again and again, and keeps the longest delay."""

    def __init__(self, reader: Reader, commits: Commits) -> None:
        self.longest = 0.0
        self.reader = reader
        self.commits = commits

    async def beat(self) -> None:
        while True:
            before = time.perf_counter()
            await asyncio.sleep(_BEAT)
            self.longest = max(self.longest, time.perf_counter() - before - _BEAT)

    def tell(self) -> None:
        """Answer a line."""
        match sys.stdin.readline().strip():
            case "commit":
                _say(self.commits.slowest * 1000)
                self.commits.slowest = 0.0
            case "reports":
                self.asked = asyncio.create_task(self.report())
            case _:
                _say(self.longest * 1000)
                self.longest = 0.0

    async def report(self) -> None:
        """Two questions that look at every event: exact percentiles, and spending by day and model."""
        begun = time.perf_counter()
        await asyncio.gather(self.reader.ask(_percentiles), self.reader.ask(_spending))
        _say(time.perf_counter() - begun)


def _percentiles(view: View) -> object:
    return exact(view, view.names("cell").keys(), (0.5, 0.95, 0.99))


def _spending(view: View) -> object:
    models = {number: key[2] for number, key in view.names("cell").items()}
    spent: dict[tuple[int, str], int] = {}
    for times, cells, costs in view.columns(("at_us", "cell", "cost")):
        for at, cell, cost in zip(times, cells, costs, strict=True):
            key = (at // 86_400_000_000, models[cell])
            spent[key] = spent.get(key, 0) + (cost or 0)
    return spent


def _say(number: float) -> None:
    print(f"{number:.3f}", flush=True)


async def main() -> None:
    """Serve until SIGTERM."""
    port, storage = sys.argv[1:]
    sys.setswitchinterval(SWITCH_SECONDS)
    collect_rarely()
    exporter = Exporter(load(CONFIG), Settings(Path(storage), ()))
    commits = Commits(exporter.metrics.committed)
    exporter.metrics.committed = commits.note  # type: ignore[method-assign]
    services = await exporter.start()
    settle_garbage()
    server = Server(services)
    await server.start([socket.create_server(("127.0.0.1", int(port)))])
    heart = Heart(services.reader, commits)
    beating = asyncio.create_task(heart.beat())
    loop = asyncio.get_running_loop()
    loop.add_reader(sys.stdin.fileno(), heart.tell)
    stopped = asyncio.Event()
    loop.add_signal_handler(signal.SIGTERM, stopped.set)
    await stopped.wait()
    beating.cancel()
    await server.drain(1)
    await exporter.stop()


if __name__ == "__main__":
    log.configure("warning", "logfmt")
    asyncio.run(main())
