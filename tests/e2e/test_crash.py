"""The exporter killed at random moments under load, with clients that retry: no call is lost, none counts twice.

Ten kills in the ordinary run; `make prove` does two hundred.
"""

from __future__ import annotations

import os
import random
import signal
import sqlite3
import time
from pathlib import Path

import pytest

from tests.configs import SHIPPED
from tests.processes import ExporterProcess
from tests.proofs import FULL
from tests.senders import check_totals, cost, sending

KILLS = 200 if FULL else 10


@pytest.mark.slow
@pytest.mark.proof
def test_no_call_is_lost_and_none_counts_twice_through_crashes(tmp_path: Path) -> None:
    seed = int(os.environ.get("LLM_MIGRATION_SEED") or time.time_ns())
    print(f"LLM_MIGRATION_SEED={seed} repeats this")
    chance = random.Random(seed)
    running = ExporterProcess(tmp_path, SHIPPED)
    running.start()
    with sending(running.port, seed) as senders:
        for _ in range(KILLS):
            time.sleep(chance.uniform(0.0, 0.8))
            running.end(signal.SIGKILL)
            running.start()

    events = check_totals(running, senders)
    assert len(events) > 100 * KILLS
    running.end()

    # To the nano-dollar, past the floats of the page: what the ledger holds, by SQL alone.
    with sqlite3.connect(tmp_path / "data" / "ledger.sqlite") as ledger:
        for level in ("hour", "day"):
            query = "SELECT sum(requests), sum(cost_nanousd) FROM usage WHERE level = ?"
            assert ledger.execute(query, (level,)).fetchone() == (len(events), sum(map(cost, events)))
        assert ledger.execute("SELECT sum(seq - first + 1) FROM chunks").fetchone() == (len(events),)
    print(f"{KILLS} kills, {len(events):,} calls, {sum(map(cost, events)):,} nano-dollars: exact")
