"""A real trace through a real exporter, counted exactly whatever happens on the way."""

from __future__ import annotations

import csv
import os
import random
import signal
import subprocess
import sys
import time
from decimal import Decimal
from pathlib import Path

import pytest

from tests.configs import SHIPPED
from tests.processes import ExporterProcess, exporter, wait_for
from tests.testdata import dataset

TRACE = "azure-llm-inference-2023-conv.csv"
# List prices in USD per million tokens, as published: input, output.
PRICES = {"gpt-4": ("30", "60"), "gpt-4.1": ("2", "8"), "gpt-4.5-preview": ("75", "150")}


def replay(running: ExporterProcess, trace: Path, model: str, batch: int = 1000) -> subprocess.Popen[str]:
    command = [sys.executable, "-m", "exporter", "replay", str(trace), "--url", running.url, "--model", model]
    command += ["--batch", str(batch)]
    return subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)


def finish(process: subprocess.Popen[str]) -> str:
    output, _ = process.communicate(timeout=120)
    assert process.returncode == 0, output
    return output


def truth(trace: Path) -> tuple[int, int, int]:
    """Rows, input and output tokens, by the csv module alone."""
    with trace.open(newline="") as file:
        rows = [(int(row["ContextTokens"]), int(row["GeneratedTokens"])) for row in csv.DictReader(file)]
    return len(rows), sum(row[0] for row in rows), sum(row[1] for row in rows)


def counted(running: ExporterProcess, model: str) -> tuple[float, float, float, float]:
    return (
        running.total("llm_requests_total", model=model),
        running.total("llm_tokens_total", model=model, type="input"),
        running.total("llm_tokens_total", model=model, type="output"),
        running.total("llm_cost_usd_total", model=model),
    )


def expected(trace: Path, model: str) -> tuple[float, float, float, float]:
    rows, tokens_in, tokens_out = truth(trace)
    price_in, price_out = map(Decimal, PRICES[model])
    return rows, tokens_in, tokens_out, float((tokens_in * price_in + tokens_out * price_out) / 10**6)


@pytest.mark.slow
def test_a_trace_is_counted_to_the_token_and_the_nano_dollar(tmp_path: Path) -> None:
    trace = dataset(TRACE)
    assert expected(trace, "gpt-4") == (19_366, 22_361_870, 4_088_665, 916.176)
    with exporter(tmp_path, SHIPPED) as running:
        for model, cost in (("gpt-4", 916.176), ("gpt-4.1", 77.43306), ("gpt-4.5-preview", 2290.44)):
            for _ in range(2):  # the second time nothing changes
                finish(replay(running, trace, model))
                assert counted(running, model) == expected(trace, model) == (19_366, 22_361_870, 4_088_665, cost)


@pytest.mark.slow
def test_killing_the_exporter_at_random_moments_changes_no_total(tmp_path: Path) -> None:
    trace = dataset(TRACE)
    seed = int(os.environ.get("LLM_MIGRATION_SEED") or time.time_ns())
    print(f"LLM_MIGRATION_SEED={seed} repeats this")
    chance = random.Random(seed)
    running = ExporterProcess(tmp_path, SHIPPED)
    running.start()
    sending = replay(running, trace, "gpt-4", batch=20)  # slow enough to be hit in the middle
    for moment in sorted(chance.sample(range(500, 17_000), 3)):
        # Killed in the middle of the trace: so many of its calls have been counted, and not all of them.
        wait_for(
            lambda moment=moment: running.total("llm_requests_total", model="gpt-4") >= moment, "calls are counted"
        )
        running.end(signal.SIGKILL)
        assert sending.poll() is None
        running.start()
        assert running.total("llm_requests_total", model="gpt-4") < 19_366
    finish(sending)
    finish(replay(running, trace, "gpt-4"))

    assert counted(running, "gpt-4") == expected(trace, "gpt-4")
    running.end()
