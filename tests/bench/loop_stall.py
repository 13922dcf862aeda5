"""How long the event loop stands still at most, while a large page is scraped and events arrive."""

from __future__ import annotations

import statistics
import threading
import time

from tests.bench import load, machine, population
from tests.bench.results import Result
from tests.bench.scrape import scrape, series
from tests.bench.traffic import Traffic

_BATCH = 500
_PAUSE = 0.05


def measure(*, quick: bool) -> list[Result]:
    """Milliseconds; the exporter on one core, scrapes back to back, 10,000 events per second or as many as it takes."""
    wanted = 20_000 if quick else 100_000
    rounds = 3 if quick else 8
    seconds = 1.5 if quick else 3.0
    ours_core, load_core = machine.cores()
    with machine.folder() as folder, machine.on_core(load_core):
        population.fill(folder / "data", wanted)
        port = machine.free_port()
        child = machine.Server(
            ["tests.bench.heartbeat", str(port), str(folder / "data")], port, folder / "heart.log", ours_core
        )
        with machine.running(child) as exporter:
            count = series(scrape(port)[1])
            time.sleep(0.5)
            idle: list[float] = []
            stalls: list[float] = []
            scrapes: list[float] = []
            for _ in range(rounds):
                exporter.ask("")
                time.sleep(seconds / 3)
                idle.append(float(exporter.ask("")))
                scrapes += _busy(port, seconds)
                stalls.append(float(exporter.ask("")))
    note = f"{count:,} series, scrape {statistics.median(scrapes) * 1000:.0f} ms; median round "
    note += f"{statistics.median(stalls):.0f} ms; without load {max(idle):.0f} ms"
    return [
        Result(
            "longest stall of the event loop",
            max(stalls),
            "ms",
            floor=50,
            goal=20,
            note=note,
            better="lower",
            judged="value",
        )
    ]


def _busy(port: int, seconds: float) -> list[float]:
    """Scrapes and events for so long; seconds of each scrape."""
    traffic = Traffic()
    end = time.perf_counter() + seconds
    requests = [
        load.post("/api/v1/events", b"\n".join(traffic.lines(_BATCH)), "application/x-ndjson")
        for _ in range(round(seconds / _PAUSE))
    ]
    scrapes: list[float] = []

    def scraping() -> None:
        while time.perf_counter() < end:
            scrapes.append(scrape(port)[0])

    scraper = threading.Thread(target=scraping)
    scraper.start()
    for request in requests:
        if time.perf_counter() > end:
            break
        load.run(port, [request], connections=1)
        time.sleep(_PAUSE)
    scraper.join()
    return scrapes
