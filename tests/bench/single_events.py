"""One event a request, acknowledged when durable, against a bare aiohttp handler that answers 204."""

from __future__ import annotations

import statistics

from tests.bench import ledgers, load, machine
from tests.bench.results import Result, UnmeasurableError, paired
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
    bare_cpu: list[float] = []
    aside = 0
    with machine.folder() as folder, machine.on_core(load_core):
        ledgers.fill(folder / "data", stored)
        with (
            machine.running(machine.exporter(folder / "data", ours_core)) as exporter,
            machine.running(machine.baseline("bare", ours_core, folder / "bare.log")) as baseline,
        ):
            for number in range(2 * rounds + 1):  # the first one warms up
                requests = [load.post("/api/v1/events", line, "application/json") for line in traffic.lines(count)]
                before = exporter.cpu()
                watch = machine.Neighbours(exporter, ours_core)
                report = load.run(exporter.port, requests, connections=32)
                others = watch.share()
                used = exporter.cpu() - before
                before = baseline.cpu()
                watch = machine.Neighbours(baseline, ours_core)
                empty = load.run(baseline.port, requests, connections=32)
                others = max(others, watch.share())
                bare_used = baseline.cpu() - before
                # A saturated server that did not have its core was not alone on it, whoever else was there.
                others = max(others, 1 - bare_used / empty.seconds)
                if report.total("accepted") != count or empty.statuses != {204: count}:
                    raise AssertionError(f"not all requests were taken: {report.statuses}, {empty.statuses}")
                if number and others > machine.Neighbours.LIMIT:
                    aside += 1
                elif number:
                    ours.append(count / report.seconds)
                    bare.append(count / empty.seconds)
                    cpu.append(used / count * 1e6)
                    loads.append(empty.cpu)
                    bare_cpu.append(bare_used / count * 1e6)
                if len(ours) == rounds:
                    break
    if not ours:
        raise UnmeasurableError("others used the server's core in every round")
    note = f"{statistics.median(cpu):.0f} µs of server CPU an event; the load generator was "
    note += f"{statistics.median(loads):.0%} busy with the baseline; "
    note += f"by CPU per request {paired(bare_cpu, cpu):.2f} x; {len(ours)} rounds, {aside} set aside (core shared)"
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
