"""Resident memory of an exporter whose page has 100,000 series, after scrapes and events."""

from __future__ import annotations

from tests.bench import load, machine, population
from tests.bench.results import Result
from tests.bench.scrape import scrape, series
from tests.bench.traffic import Traffic


def measure(*, quick: bool) -> list[Result]:
    """Megabytes (10^6 bytes)."""
    with machine.folder() as folder:
        population.fill(folder / "data", 20_000 if quick else 100_000)
        with machine.running(machine.exporter(folder / "data", machine.cores()[0])) as exporter:
            started = exporter.memory()
            traffic = Traffic()
            count = 0
            for _ in range(5):
                body = b"\n".join(traffic.lines(1000))
                load.run(exporter.port, [load.post("/api/v1/events", body, "application/x-ndjson")], connections=1)
                count = series(scrape(exporter.port)[1])
            resident, highest = exporter.memory(), exporter.memory("VmHWM")
    note = f"{count:,} series; {started:.0f} MB after start, {highest:.0f} MB at most"
    return [Result("resident memory", resident, "MB", floor=300, goal=150, note=note, better="lower", judged="value")]
