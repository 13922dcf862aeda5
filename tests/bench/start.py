"""From the start of the process until it is ready, over a large ledger: as it was left, and after a crash."""

from __future__ import annotations

import os
import statistics
import subprocess
import sys
from pathlib import Path

from exporter.ledger.store import Store
from exporter.runtime import LEDGER_FILE
from exporter.upkeep import CHECKPOINT_EVENTS
from tests.bench import ledgers, machine
from tests.bench.results import Result

# Events that a crash can leave behind the checkpoint: it begins when CHECKPOINT_EVENTS are there, looked at once a
# second, and until it is stored as many again arrive at full load.
TAIL = 2 * CHECKPOINT_EVENTS
_left_open: list[Store] = []  # to the end of a process that ends without closing


def measure(*, quick: bool) -> list[Result]:
    """Seconds."""
    stored = 200_000 if quick else 5_000_000
    tries = 3
    core = machine.cores()[0]
    with machine.folder() as folder:
        data = folder / "data"
        ledgers.fill(data, stored, tail=TAIL, chunk=500_000)
        kept = _checkpoint(data)
        crashed = []
        for _ in range(tries):
            _crash(data)
            exporter = machine.exporter(data, core)
            crashed.append(exporter.wait("/-/ready"))
            exporter.kill()
            _restore(data, kept)
        with machine.running(machine.exporter(data, core)):
            pass  # ends with a checkpoint
        clean = []
        for _ in range(tries):
            exporter = machine.exporter(data, core)
            clean.append(exporter.wait("/-/ready"))
            exporter.end()
        size = (data / LEDGER_FILE).stat().st_size / 1e6
    worst = statistics.median(crashed)
    note = f"{stored:,} events, {size:,.0f} MB; after a crash with {TAIL:,} events behind the checkpoint; "
    note += f"{statistics.median(clean):.2f} s after an orderly stop"
    return [Result("start until ready", worst, "s", floor=5, goal=1, note=note, better="lower", judged="value")]


def _checkpoint(data: Path) -> tuple[list[tuple[str, str, bytes]], int]:
    store = Store(data / LEDGER_FILE)
    kept = list(store.checkpoint()), store.checkpoint_seq()
    store.close()
    return kept


def _restore(data: Path, kept: tuple[list[tuple[str, str, bytes]], int]) -> None:
    """Set the checkpoint back, so that the next start has the same tail to count."""
    store = Store(data / LEDGER_FILE)
    with store.transaction():
        rows, seq = kept
        store.save_checkpoint(rows, {}, seq)
    store.close()


def _crash(data: Path) -> None:
    """Leave a write-ahead log behind: a process that changes the ledger and ends without closing it."""
    script = (
        "import os, sys; from pathlib import Path; from tests.bench import start; start.leave_log(Path(sys.argv[1])); "
        "os._exit(0)"
    )
    subprocess.run([sys.executable, "-c", script, str(data)], cwd=machine.ROOT, check=True)


def leave_log(data: Path) -> None:
    """Add 3,000 idempotency keys, which touches a page each, and leave their write-ahead log for the next start."""
    store = Store(data / LEDGER_FILE)
    with store.transaction():
        store.connection.executemany("INSERT INTO ids VALUES (?, 0)", [(os.urandom(16),) for _ in range(3000)])
    _left_open.append(store)
