"""SIGTERM in the middle of the work, again and again: it ends in time, and nothing that was acknowledged is missing."""

from __future__ import annotations

import random
import signal
import time
from pathlib import Path

import pytest

from tests.configs import SHIPPED
from tests.processes import ExporterProcess, wait_for
from tests.proofs import rounds, seed
from tests.senders import check_totals, sending

SECONDS = 10.0  # that Docker gives a container before it kills it


@pytest.mark.slow
@pytest.mark.proof
def test_sigterm_under_load_ends_in_time_and_loses_nothing(tmp_path: Path) -> None:
    number = seed()
    chance = random.Random(number)
    running = ExporterProcess(tmp_path, SHIPPED)
    running.start()
    slowest = 0.0
    ends = 0
    with sending(running.port, number, count=4) as senders:
        for _ in rounds(4, 60):
            before = [len(sender.acknowledged) for sender in senders]
            wait_for(
                lambda before=before: all(
                    len(sender.acknowledged) > count for sender, count in zip(senders, before, strict=True)
                ),
                "all clients are at work",
            )
            time.sleep(chance.uniform(0, 0.5))
            known = [len(sender.acknowledged) for sender in senders]
            assert running.process is not None
            running.process.popen.send_signal(signal.SIGTERM)
            begun = time.monotonic()
            assert running.process.popen.wait(SECONDS) == 0
            slowest = max(slowest, time.monotonic() - begun)
            ends += 1
            running.start()
            assert running.total("llm_requests_total") >= sum(known)

    events = check_totals(running, senders)
    running.end()
    text = running.process.log.read_text()
    assert "Traceback" not in text
    assert "level=error" not in text
    print(f"{ends} ends under load, the slowest in {slowest:.2f} s, {len(events):,} calls: exact")
