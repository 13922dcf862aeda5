"""`backup`, `check`, `export` and `repair`, as people run them, beside a running exporter."""

from __future__ import annotations

import csv
import json
import os
import signal
import sqlite3
import subprocess
import sys
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.configs import SHIPPED
from tests.processes import ExporterProcess, post

NANO_EACH = 6_000_000  # 1,000 tokens at 2 and 500 at 8 dollars a million


def run(*arguments: str | Path) -> tuple[int, str, str]:
    ended = subprocess.run(
        [sys.executable, "-m", "exporter", *map(str, arguments)],
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert "Traceback" not in ended.stderr
    return ended.returncode, ended.stdout, ended.stderr


def call(**fields: Any) -> dict[str, Any]:
    return {
        "model": "gpt-4.1", "input_tokens": 1000, "output_tokens": 500, "latency": 1.5, "success": True,
        "category": "analysis", "application": "web", **fields,
    }  # fmt: skip


@pytest.fixture
def exporter(tmp_path: Path) -> Iterator[ExporterProcess]:
    running = ExporterProcess(tmp_path, SHIPPED)
    running.start()
    yield running
    running.end()


def ledger(running: ExporterProcess) -> Path:
    return running.folder / "data" / "ledger.sqlite"


def push(running: ExporterProcess, *events: dict[str, Any]) -> dict[str, Any]:
    status, answer = post(f"{running.url}/api/v1/events", list(events))
    assert status == 200
    return dict(answer)


def test_a_backup_under_load_is_whole_and_begins_a_new_epoch(exporter: ExporterProcess, tmp_path: Path) -> None:
    push(exporter, *[call(id=f"before-{number}") for number in range(500)])
    stop = threading.Event()
    sent = []

    def load() -> None:
        while not stop.is_set():
            sent.append(push(exporter, *[call() for _ in range(50)])["accepted"])

    sender = threading.Thread(target=load)
    sender.start()
    code, output, _ = run("backup", tmp_path / "copy.sqlite", "--storage.path", exporter.folder / "data")
    stop.set()
    sender.join()
    assert code == 0
    assert "bytes in" in output
    assert (tmp_path / "copy.sqlite").stat().st_mode & 0o077 == 0
    assert exporter.total("llm_requests_total") == 500 + sum(sent)
    assert run("check", tmp_path / "copy.sqlite")[0] == 0

    assert "in use" in restore(exporter, tmp_path / "copy.sqlite")[1]
    exporter.end(signal.SIGKILL)  # leaves a write-ahead log behind, which must not touch the copy
    assert restore(exporter, tmp_path / "copy.sqlite")[0] == 0
    exporter.start()
    assert exporter.total("llm_requests_total") == 0
    answer = push(exporter, call(id="before-7"), call(id="after"))
    assert (answer["accepted"], answer["duplicates"]) == (1, 1)


def restore(running: ExporterProcess, copy: Path) -> tuple[int, str]:
    code, output, message = run("restore", copy, "--storage.path", running.folder / "data")
    return code, output + message


def test_a_restore_changes_nothing_when_the_copy_is_no_ledger(exporter: ExporterProcess, tmp_path: Path) -> None:
    push(exporter, call())
    exporter.end()
    (tmp_path / "text").write_text("no ledger" * 1000)
    before = ledger(exporter).read_bytes()

    assert restore(exporter, tmp_path / "text")[0] == 2
    assert restore(exporter, tmp_path / "nowhere")[0] == 2
    assert ledger(exporter).read_bytes() == before
    assert sorted(path.name for path in ledger(exporter).parent.iterdir()) == [
        "ledger.sqlite", "ledger.sqlite.lock", "ledger.sqlite.seen",
    ]  # fmt: skip


def test_a_backup_overwrites_nothing_and_needs_a_ledger(exporter: ExporterProcess, tmp_path: Path) -> None:
    (tmp_path / "there").write_text("precious")

    code, _, message = run("backup", tmp_path / "there", "--storage.path", exporter.folder / "data")
    assert (code, "exists" in message) == (2, True)
    assert (tmp_path / "there").read_text() == "precious"
    code, _, message = run("backup", tmp_path / "new", "--storage.path", tmp_path / "nowhere")
    assert (code, "there is no ledger" in message) == (2, True)
    code, _, message = run("backup", tmp_path / "no" / "folder", "--storage.path", exporter.folder / "data")
    assert (code, "cannot write" in message) == (2, True)
    assert sorted(path.name for path in tmp_path.iterdir()) == ["data", "exporter.log", "there"]


def test_check_says_that_a_ledger_in_use_is_whole(exporter: ExporterProcess) -> None:
    push(exporter, *[call(id=str(number)) for number in range(20)])
    code, output, _ = run("check", ledger(exporter))

    assert code == 0
    assert "20 events, the oldest at place 1, epoch 1" in output
    assert "problem" not in output


@pytest.mark.parametrize(
    ("damage", "message"),
    [
        ("UPDATE checkpoint SET value = '[9,9,9,9,9,9]' WHERE kind = 'cell'", "its events add up to"),
        ("DELETE FROM chunks WHERE seq = 2", "events 2 to 2 are missing"),
        ("UPDATE chunks SET events = x'00' WHERE seq = 2", "events 2 to 2: a chunk of events cannot be read"),
        ("UPDATE meta SET value = 3 WHERE key = 'merged_ids'", "3 ids are missing from the index"),
        (
            "INSERT INTO chunks SELECT 4, 4, first_us, last_us, events FROM chunks WHERE seq = 3",
            "1 ids are stored more",
        ),
        (
            "DROP TRIGGER changes_are_not_updated; UPDATE changes SET change = replace(change, '100000000000', '1')",
            "audit log is broken",
        ),
    ],
)
def test_check_finds_damage(exporter: ExporterProcess, damage: str, message: str) -> None:
    for number in range(3):
        push(exporter, call(id=str(number)))
    exporter.end()
    with sqlite3.connect(ledger(exporter)) as connection:
        connection.executescript(damage)
    code, output, _ = run("check", ledger(exporter))

    assert code == 1
    assert message in output


def test_an_export_has_what_was_sent_in_every_format(exporter: ExporterProcess, tmp_path: Path) -> None:
    sent = [
        call(id="a", timestamp="2020-01-01T00:00:00Z"),
        call(id="b", timestamp="2026-01-01T12:00:00.25Z"),
    ]
    now = [call(id="c", model="mystery", application="=cmd()", prompt_hash="p,q", latency=0.125, success=False,
                error_type="timeout", cached_input_tokens=10, reasoning_tokens=20, cost_usd=0.5, quality_score=0.75,
                evaluator="judge", endpoint="/chat", tier="batch", trace_id="abc")]  # fmt: skip
    push(exporter, *now, call(id="d"))
    data = exporter.folder / "data"
    code, output, _ = run("export", "--storage.path", data)
    first, second = map(json.loads, output.splitlines())

    assert code == 0
    assert sent  # older events come by `import`
    for name in ("model", "application", "prompt_hash", "latency", "success", "error_type", "cached_input_tokens",
                 "reasoning_tokens", "cost_usd", "quality_score", "evaluator", "endpoint", "tier", "trace_id",
                 "input_tokens", "output_tokens", "category"):  # fmt: skip
        assert first[name] == now[0][name], name
    assert (first["priced_usd"], first["priced_nanousd"]) == (None, None)
    assert second["priced_nanousd"] == NANO_EACH
    assert (second["role"], second["migration"], second["model_label"]) == ("target", "gpt4-migration", "gpt-4.1")
    assert len(second["id_hash"]) == 32

    assert [row["seq"] for row in json.loads(run("export", "--format", "json", "--storage.path", data)[1])] == [1, 2]
    assert run("export", "--format", "csv", "--out", tmp_path / "x.csv", "--storage.path", data)[0] == 0
    with (tmp_path / "x.csv").open(newline="") as file:
        rows = list(csv.DictReader(file))
    assert [row["model"] for row in rows] == ["mystery", "gpt-4.1"]
    assert rows[0]["application"] == "'=cmd()"  # a spreadsheet must not run it
    assert rows[0]["prompt_hash"] == "p,q"
    assert json.loads(run("export", "--format", "json", "--to", "2020-01-01", "--storage.path", data)[1]) == []


def test_sums_and_changes_are_exported(exporter: ExporterProcess) -> None:
    push(exporter, *[call() for _ in range(5)], call(success=False, error_type="timeout"))
    exporter.end()  # with a checkpoint, at which sums are stored
    data = exporter.folder / "data"
    for kind in ("hourly", "daily"):
        (row,) = map(json.loads, run("export", "--kind", kind, "--storage.path", data)[1].splitlines())
        assert (row["requests"], row["errors"], row["cost_nanousd"]) == (6, 1, 6 * NANO_EACH)
        (row,) = map(json.loads, run("export", "--kind", f"{kind}-tokens", "--storage.path", data)[1].splitlines())
        assert (row["input_tokens"], row["output_tokens"], row["timeout_errors"]) == (6000, 3000, 1)
        assert (row["duration_le_2"], row["duration_seconds"]) == (6, 9.0)
    changes = [json.loads(line) for line in run("export", "--kind", "changes", "--storage.path", data)[1].splitlines()]
    assert changes[-1]["seq"] == 1
    assert {"phase", "budget_limit"} <= {change["kind"] for change in changes}


def test_repair_saves_what_can_be_read(exporter: ExporterProcess, tmp_path: Path) -> None:
    for number in range(40):
        push(exporter, *[call(id=f"{number}-{n}") for n in range(100)])
    exporter.end(signal.SIGKILL)
    exporter.start()
    exporter.end()
    path = ledger(exporter)
    with sqlite3.connect(path) as connection:
        connection.execute("UPDATE chunks SET events = x'9301' WHERE seq = 1200")
    pages = path.stat().st_size // 4096
    with path.open("r+b") as file:  # a page in the middle, wherever that is
        file.seek(4096 * (pages * 2 // 3))
        file.write(os.urandom(4096))

    code, output, _ = run("repair", path, tmp_path / "saved.sqlite")
    assert code == 0
    saved = int(output.split(" events")[0].rpartition(" ")[2].replace(",", ""))
    assert 2000 <= saved < 4000
    code, output, _ = run("check", tmp_path / "saved.sqlite")
    assert code == 0, output
    assert f"{saved:,} events, the oldest at place 1" in output

    assert restore(exporter, tmp_path / "saved.sqlite")[0] == 0
    exporter.start()
    assert exporter.total("llm_requests_total") == 0
    answer = push(exporter, *[call(id=f"{number}-{n}") for number in range(40) for n in range(100)])
    assert answer["duplicates"] >= saved
    exporter.end()
    assert run("check", path)[0] == 0


def test_repair_leaves_a_ledger_in_use_alone(exporter: ExporterProcess, tmp_path: Path) -> None:
    code, _, message = run("repair", ledger(exporter), tmp_path / "saved.sqlite")

    assert code == 2
    assert "in use by process" in message
    assert not (tmp_path / "saved.sqlite").exists()
