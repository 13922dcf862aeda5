"""What can go wrong when the exporter starts, and how it says so."""

from __future__ import annotations

import socket
import sqlite3
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.configs import SHIPPED
from tests.processes import ExporterProcess, free_port, post


def serve(*arguments: str) -> tuple[int, str]:
    command = [sys.executable, "-m", "exporter", "serve", "--config.file", str(SHIPPED), *arguments]
    ended = subprocess.run(command, capture_output=True, text=True, timeout=30, check=False)
    return ended.returncode, ended.stdout + ended.stderr


def a_file(folder: Path) -> None:
    folder.write_text("not a folder")


def a_lock_that_is_a_folder(folder: Path) -> None:
    (folder / "ledger.sqlite.lock").mkdir(parents=True)


def no_database(folder: Path) -> None:
    folder.mkdir()
    (folder / "ledger.sqlite").write_bytes(b"this is no database, whatever its name says" * 100)


def somebody_elses_database(folder: Path) -> None:
    folder.mkdir()
    connection = sqlite3.connect(folder / "ledger.sqlite")
    connection.executescript("CREATE TABLE t (x); PRAGMA user_version = 1;")
    connection.close()


def a_ledger_of_a_later_release(folder: Path) -> None:
    ledger(folder, "PRAGMA user_version = 999")


def a_checkpoint_that_was_cut(folder: Path) -> None:
    ledger(folder, "UPDATE checkpoint SET value = substr(value, 1, 3) WHERE kind = 'group'")


def a_checkpoint_that_is_gone(folder: Path) -> None:
    ledger(folder, "DELETE FROM checkpoint")


def an_audit_log_that_was_edited(folder: Path) -> None:
    ledger(
        folder,
        "DROP TRIGGER changes_are_not_updated; UPDATE changes SET change = replace(change, '100000000000', '1')",
    )


def ledger(folder: Path, damage: str) -> None:
    """A real ledger with one event in its checkpoint, then damaged."""
    running = ExporterProcess(folder.parent, SHIPPED)
    running.start()
    event = {"model": "gpt-4.1", "input_tokens": 1, "output_tokens": 1, "latency": 1, "success": True}
    assert post(f"{running.url}/api/v1/events", event)[0] == 200
    running.end()
    connection = sqlite3.connect(folder / "ledger.sqlite")
    connection.executescript(damage)
    connection.close()


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (a_file, "must be a folder"),
        (a_lock_that_is_a_folder, "must be writable"),
        (no_database, "not a database"),
        (somebody_elses_database, "another program"),
        (a_ledger_of_a_later_release, "newer release"),
        (an_audit_log_that_was_edited, "audit log is broken"),
    ],
)
def test_a_ledger_that_cannot_be_used_is_one_clear_message(
    tmp_path: Path, make: Callable[[Path], None], message: str
) -> None:
    make(tmp_path / "data")
    code, output = serve("--storage.path", str(tmp_path / "data"), "--web.listen-address", f"127.0.0.1:{free_port()}")

    assert code == 2
    assert message in output
    assert "Traceback" not in output


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (("--web.listen-address", "127.0.0.1"), "is not host:port"),
        (("--web.listen-address", "127.0.0.1:²"), "is not host:port"),
        (("--web.listen-address", "127.0.0.1:99999"), "is not host:port"),
        (("--web.telemetry-path", "/{"), "no path of its own"),
        (("--web.telemetry-path", "/"), "no path of its own"),
        (("--web.telemetry-path", "/-/healthy"), "no path of its own"),
        (("--web.listen-address", "0.0.0.0:0"), "loopback only"),
        (("--config.file", "nowhere.yaml"), "cannot be read"),
    ],
)
def test_flags_that_make_no_sense_are_one_clear_message(
    tmp_path: Path, arguments: tuple[str, ...], message: str
) -> None:
    code, output = serve("--storage.path", str(tmp_path / "data"), *arguments)

    assert code == 2
    assert message in output
    assert "Traceback" not in output


def test_a_port_that_is_taken_is_one_clear_message(tmp_path: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        code, output = serve("--storage.path", str(tmp_path), "--web.listen-address", f"127.0.0.1:{port}")

    assert code == 2
    assert f"cannot listen on 127.0.0.1:{port}" in output


def test_a_folder_that_cannot_be_written_is_one_clear_message(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    command = [sys.executable, "-m", "exporter", "generate", "--config.file", str(SHIPPED)]
    command += ["--out", str(tmp_path / "file" / "below")]
    ended = subprocess.run(command, capture_output=True, text=True, timeout=30, check=False)

    assert ended.returncode == 1
    assert ended.stderr.startswith("error: ")
    assert "Traceback" not in ended.stderr
