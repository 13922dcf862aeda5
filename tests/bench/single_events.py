"""One event a request, acknowledged when durable, against a bare aiohttp handler that answers 204."""

from __future__ import annotations

import statistics

from tests.bench import ledgers, load, machine
from tests.bench.results import Result, paired
from tests.bench.traffic import Traffic


def measure(*, quick: bool) -> list[Result]:
    """Requests per second over 32 connections, both servers on the same core."""
    stored = 20_000 if quick else 200_000
    rounds = 4 if quick else 9
    count = 1500 if quick else 5000
    ours_core, load_core = machine.cores()
    traffic = Traffic()
    ours: list[float] = []
    bare: list[float] = []
    cpu: list[float] = []
    loads: list[float] = []
    with machine.folder() as folder, machine.on_core(load_core):
        ledgers.fill(folder / "data", stored)
        port = machine.free_port()
        bare_server = machine.Server(["tests.bench.servers", "bare", str(port)], port, folder / "bare.log", ours_core)
        with (
            machine.running(machine.exporter(folder / "data", ours_core)) as exporter,
            machine.running(bare_server) as baseline,
        ):
            for number in range(rounds + 1):  # the first one warms up
                requests = [load.post("/api/v1/events", line, "application/json") for line in traffic.lines(count)]
                before = exporter.cpu()
                report = load.run(exporter.port, requests, connections=32)
                used = exporter.cpu() - before
                empty = load.run(baseline.port, requests, connections=32)
                if report.total("accepted") != count or empty.statuses != {204: count}:
                    raise AssertionError(f"not all requests were taken: {report.statuses}, {empty.statuses}")
                if number:
                    ours.append(count / report.seconds)
                    bare.append(count / empty.seconds)
                    cpu.append(used / count * 1e6)
                    loads.append(empty.cpu)
    note = f"{statistics.median(cpu):.0f} µs of server CPU an event; the load generator was "
    note += f"{statistics.median(loads):.0%} busy with the baseline"
    return [
        Result(
            "single events, 32 connections",
            statistics.median(ours),
            "events/s",
            statistics.median(bare),
            paired(ours, bare),
            0.55,
            0.8,
            note,
        )
    ]
