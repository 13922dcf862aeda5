"""The slowest commit while two reports look at every event of a large ledger and events keep coming."""

from __future__ import annotations

import threading
import time

from tests.bench import ledgers, load, machine
from tests.bench.results import Result
from tests.bench.traffic import Traffic

_BATCH = 1000
_PAUSE = 0.1


def measure(*, quick: bool) -> list[Result]:
    """Milliseconds; 10,000 events a second, or as many as are taken."""
    stored = 200_000 if quick else 5_000_000
    ours_core, load_core = machine.cores()
    traffic = Traffic()
    requests = [
        load.post("/api/v1/events", b"\n".join(traffic.lines(_BATCH)), "application/x-ndjson") for _ in range(200)
    ]
    with machine.folder() as folder, machine.on_core(load_core):
        ledgers.fill(folder / "data", stored, chunk=500_000)
        port = machine.free_port()
        child = machine.Server(
            ["tests.bench.heartbeat", str(port), str(folder / "data")], port, folder / "heart.log", ours_core
        )
        with machine.running(child) as exporter:
            exporter.ask("commit")
            for request in requests[:20]:
                load.run(port, [request], connections=1)
                time.sleep(_PAUSE)
            alone = float(exporter.ask("commit"))
            took: list[float] = []
            asking = threading.Thread(target=lambda: took.append(float(exporter.ask("reports"))))
            asking.start()
            sent = 0
            while asking.is_alive():
                load.run(port, [requests[20 + sent % 180]], connections=1)
                sent += 1
                time.sleep(_PAUSE)
            asking.join()
            slowest = float(exporter.ask("commit"))
    note = f"{stored:,} events, reports {took[0]:.1f} s, {sent} batches of {_BATCH:,} meanwhile; "
    note += f"{alone:.0f} ms without reports"
    return [
        Result("slowest commit during two reports", slowest, "ms", floor=50, note=note, better="lower", judged="value")
    ]
