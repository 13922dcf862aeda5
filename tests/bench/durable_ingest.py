"""Durable ingest over HTTP: batches of 1,000 into a ledger that is not empty, against one commit per event."""

from __future__ import annotations

import statistics
from pathlib import Path

from tests.bench import ledgers, load, machine, servers
from tests.bench.results import Result, UnmeasurableError, paired
from tests.bench.traffic import Batches, Traffic

SECONDS = "events/s"


def measure(*, quick: bool) -> list[Result]:
    """The ratio, and the rate."""
    stored = 50_000 if quick else 1_000_000
    rounds = 4 if quick else 7
    batches = 24 if quick else 60
    singles = 300 if quick else 1000
    ours_core, load_core = machine.cores()
    traffic = Traffic()
    bodies = Batches(traffic)
    ours: list[float] = []
    cpu: list[float] = []
    loads: list[float] = []
    single: list[float] = []
    batched: list[float] = []
    aside = 0
    with machine.folder() as folder, machine.on_core(load_core):
        ledgers.fill(folder / "data", stored)
        database = folder / "naive.sqlite"
        _fill_naive(database, stored, traffic)
        with (
            machine.running(machine.exporter(folder / "data", ours_core)) as exporter,
            machine.running(machine.baseline("naive", ours_core, folder / "naive.log", str(database))) as naive,
        ):
            accepted = 0
            for number in range(2 * rounds + 1):  # the first one warms up
                prepared = [_ndjson(body) for body in bodies.take(batches)]
                before = exporter.cpu()
                watch = machine.Neighbours(exporter, ours_core)
                report = load.run(exporter.port, prepared, connections=4)
                others = watch.share()
                used = exporter.cpu() - before
                _expect_all(report)
                accepted += report.total("accepted")
                ones = [load.post("/api/v1/events", line, "application/json") for line in traffic.lines(singles)]
                watch = machine.Neighbours(naive, ours_core)
                ones_report = load.run(naive.port, ones, connections=32)
                _expect_all(ones_report)
                batch_report = load.run(naive.port, [_ndjson(b"\n".join(traffic.lines(singles)))], connections=1)
                _expect_all(batch_report)
                others = max(others, watch.share())
                if number and others > machine.Neighbours.LIMIT:
                    aside += 1
                elif number:
                    ours.append(batches * 1000 / report.seconds)
                    cpu.append(used / batches / 1000 * 1e6)
                    loads.append(report.cpu)
                    single.append(singles / ones_report.seconds)
                    batched.append(singles / batch_report.seconds)
                if len(ours) == rounds:
                    break
        if accepted != bodies.unique:
            raise AssertionError(f"{bodies.unique} events were sent, {accepted} were counted")
    if not ours:
        raise UnmeasurableError("others used the server's core in every round")
    rate = statistics.median(ours)
    spread = f"rounds {min(ours):,.0f}..{max(ours):,.0f}"
    note = f"{stored:,} events stored, {statistics.median(cpu):.1f} µs of server CPU an event, {spread}, "
    note += f"load generator {statistics.median(loads):.0%} busy; {len(ours)} rounds, {aside} set aside (core shared)"
    against = "baseline: one event a request over 32 connections; fed the same batches it takes "
    against += f"{statistics.median(batched):,.0f}/s (ratio {paired(ours, batched):.0f})"
    ratio = paired(ours, single)
    base = statistics.median(single)
    return [
        Result("durable ingest, batches of 1,000", rate, SECONDS, base, ratio, 50, 100, against),
        Result("the same, as a rate", rate, SECONDS, floor=45_000, goal=100_000, note=note, judged="value"),
    ]


def _ndjson(body: bytes) -> bytes:
    return load.post("/api/v1/events", body, "application/x-ndjson")


def _expect_all(report: load.Report) -> None:
    if set(report.statuses) != {200}:
        raise AssertionError(f"not all requests were taken: {report.statuses}, {report.answers[-1]!r}")


def _fill_naive(path: Path, count: int, traffic: Traffic) -> None:
    columns = ("timestamp", "model", "application", "category", "endpoint", "input_tokens", "output_tokens")
    rows = [
        (*(event[name] for name in columns), 0, event["latency"], event["success"], None, 0.01)
        for event in (traffic.event() for _ in range(min(count, 5000)))
    ]
    connection = servers.open_naive(path)
    ids = traffic.ids(count)
    for start in range(0, count, 100_000):
        part = sorted(ids[start : start + 100_000])
        connection.execute("BEGIN")
        connection.executemany(servers.INSERT, ((key, *rows[i % len(rows)]) for i, key in enumerate(part)))
        connection.execute("COMMIT")
    connection.close()
