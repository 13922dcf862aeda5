"""What can happen to a ledger: a full disk, a missing or foreign file, a lock, damage. A real process, a real file.

Whatever happens, nothing that was acknowledged is missing, writers are told to come again, `/-/healthy` says what is
wrong, and no traceback is written.
"""

from __future__ import annotations

import contextlib
import json
import os
import random
import resource
import shutil
import signal
import sqlite3
import subprocess
import sys
import urllib.error
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from pathlib import Path

import pytest

from tests.configs import SHIPPED
from tests.processes import ExporterProcess, exporter, free_port, get, post, wait_for
from tests.proofs import rounds, seed
from tests.senders import check_totals, cost, sending

EVENT = {"model": "gpt-4.1", "input_tokens": 10, "output_tokens": 5, "latency": 0.5, "success": True}
PAGE = 4096
Fault = Callable[[ExporterProcess], AbstractContextManager[None]]


@pytest.fixture
def running(tmp_path: Path) -> Iterator[ExporterProcess]:
    with exporter(tmp_path, SHIPPED) as process:
        yield process
    check_log(process)


def check_log(running: ExporterProcess) -> None:
    assert running.process is not None
    assert "Traceback" not in running.process.log.read_text()


def pid(running: ExporterProcess) -> int:
    assert running.process is not None
    return running.process.popen.pid


def ledger(running: ExporterProcess) -> Path:
    return running.folder / "data" / "ledger.sqlite"


def push(running: ExporterProcess, count: int = 1, **fields: object) -> int:
    """Send events; the status of the answer."""
    return post(f"{running.url}/api/v1/events", [{**EVENT, **fields}] * count)[0]


def health(running: ExporterProcess) -> tuple[int, str]:
    try:
        return 200, get(f"{running.url}/-/healthy").decode()
    except urllib.error.HTTPError as error:
        return error.code, error.read().decode()


def serve(folder: Path, *, wrapper: tuple[str, ...] = ()) -> tuple[int, str]:
    """Exit code and output of an exporter that should not start."""
    command = [*wrapper, sys.executable, "-m", "exporter", "serve", "--config.file", str(SHIPPED)]
    command += ["--storage.path", str(folder), "--web.listen-address", f"127.0.0.1:{free_port()}"]
    ended = subprocess.run(command, capture_output=True, text=True, timeout=60, check=False)
    return ended.returncode, ended.stdout + ended.stderr


def stored(running: ExporterProcess) -> tuple[int, int]:
    """Calls and nano-dollars that the ledger holds, by the command that exports it."""
    command = [sys.executable, "-m", "exporter", "export", "--storage.path", str(running.folder / "data")]
    exported = subprocess.run(command, capture_output=True, timeout=60, check=True)
    prices = [json.loads(line)["priced_nanousd"] for line in exported.stdout.splitlines()]
    return len(prices), sum(prices)


def check_refusal(code: int, output: str, *words: str) -> None:
    """An exporter that refused to start said why in its last line, and exits as for any other setting that is wrong."""
    assert "Traceback" not in output
    last = output.splitlines()[-1]
    assert last.startswith("error: "), output
    assert all(word in last for word in words), last
    assert code == 2


# Two exporters


def test_a_second_exporter_names_the_first_and_ends(running: ExporterProcess, tmp_path: Path) -> None:
    (tmp_path / "other-name").symlink_to(tmp_path / "data")

    for folder in (tmp_path / "data", tmp_path / "other-name"):
        check_refusal(*serve(folder), str(pid(running)), "--storage.path")
    assert push(running) == 200

    running.end(signal.SIGKILL)  # the lock goes with its process
    running.start()
    assert running.total("llm_requests_total") == 1


# A full disk


@contextmanager
def small_disk(running: ExporterProcess) -> Iterator[None]:
    """Fill the file system that the ledger is on; the fixture made it small."""
    ballast = running.folder / "data" / "ballast"
    with ballast.open("wb", buffering=0) as file:
        for size in (1 << 20, PAGE, 1):
            with contextlib.suppress(OSError):
                while True:
                    file.write(b"x" * size)
        with pytest.raises(OSError, match="No space left"):
            file.write(b"x")
    try:
        yield
    finally:
        ballast.unlink()


@contextmanager
def no_file_may_grow(running: ExporterProcess) -> Iterator[None]:
    """Let every write of the exporter fail, as on a disk that is full; it works without root."""
    before = resource.prlimit(pid(running), resource.RLIMIT_FSIZE)
    resource.prlimit(pid(running), resource.RLIMIT_FSIZE, (0, before[1]))
    try:
        yield
    finally:
        resource.prlimit(pid(running), resource.RLIMIT_FSIZE, before)


@pytest.fixture(params=[small_disk, no_file_may_grow], ids=lambda fault: fault.__name__)
def full(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Fault]:
    """How the disk gets full; for one of the ways the folder of the ledger is a disk of its own."""
    if request.param is not small_disk:
        yield request.param
        return
    (tmp_path / "data").mkdir()
    mount = ["mount", "-t", "tmpfs", "-o", "size=40m", "tmpfs", str(tmp_path / "data")]
    if os.geteuid() != 0 or subprocess.run(mount, capture_output=True, check=False).returncode:
        pytest.skip("a small disk cannot be mounted here: it takes root, and a container that allows it")
    yield request.param
    subprocess.run(["umount", str(tmp_path / "data")], check=True)


def test_a_full_disk_is_told_to_writers_loses_nothing_and_is_over_by_itself(full: Fault, tmp_path: Path) -> None:
    running = ExporterProcess(tmp_path, SHIPPED)
    running.start()
    try:
        with sending(running.port) as senders:
            wait_for(lambda: all(sender.acknowledged for sender in senders), "events are accepted")
            with full(running):
                wait_for(lambda: all(sender.statuses[503] > 2 for sender in senders), "writers are told")
                code, text = health(running)
                assert code == 503
                assert str(ledger(running)) in text
                assert any(words in text for words in ("full", "I/O", "space")), text
                assert running.total("llm_exporter_events_rejected_total", reason="unavailable") > 0
                refused = post(f"{running.url}/api/v1/gpt4-migration/cost/budget", {"period": "daily", "limit": 7})
                assert refused[0] == 503
                assert running.total("llm_budget_limit_usd", period="daily") == 100
                done = [len(sender.acknowledged) for sender in senders]
            wait_for(lambda: health(running)[0] == 200, "the exporter is well again, although nobody helped")
            wait_for(
                lambda: all(len(sender.acknowledged) > before for sender, before in zip(senders, done, strict=True)),
                "events are accepted again",
            )
        events = check_totals(running, senders)
        running.end()
        assert stored(running) == (len(events), sum(map(cost, events)))
        running.start()  # and the ledger is whole
        check_totals(running, senders)
    finally:
        running.end()
    check_log(running)


def test_a_disk_that_is_full_before_the_first_start_is_one_clear_message(tmp_path: Path) -> None:
    limit = shutil.which("prlimit")
    if limit is None:
        pytest.skip("prlimit is not installed: apt-get install util-linux")

    check_refusal(*serve(tmp_path / "data", wrapper=(limit, "--fsize=10000:10000")), "ledger")


# A ledger that cannot be written, or is not there any more


def without_privileges() -> tuple[str, ...]:
    """A command before a command, so that permissions hold for it also when the tests run as root."""
    if os.geteuid() != 0:
        return ()
    setpriv = shutil.which("setpriv")
    if setpriv is None:
        pytest.skip("setpriv is not installed: apt-get install util-linux")
    return (setpriv, "--bounding-set=-dac_override,-dac_read_search", "--inh-caps=-all")


@pytest.mark.parametrize("part", ["folder", "ledger"])
def test_a_ledger_that_may_only_be_read_is_one_clear_message(
    running: ExporterProcess, tmp_path: Path, part: str
) -> None:
    assert push(running) == 200
    running.end()
    kept = ledger(running).read_bytes()
    (tmp_path / "data" / "ledger.sqlite.lock").unlink()
    locked = tmp_path / "data" if part == "folder" else ledger(running)
    locked.chmod(0o500 if part == "folder" else 0o400)
    try:
        check_refusal(*serve(tmp_path / "data", wrapper=without_privileges()), str(tmp_path / "data" / "ledger.sqlite"))
    finally:
        locked.chmod(0o700)
    assert ledger(running).read_bytes() == kept


def removed(running: ExporterProcess) -> None:
    shutil.rmtree(running.folder / "data")


def moved(running: ExporterProcess) -> None:
    (running.folder / "data").rename(running.folder / "elsewhere")


def replaced(running: ExporterProcess) -> None:
    """As by somebody who restores a backup under a running exporter."""
    shutil.copy(ledger(running), running.folder / "copy")
    os.replace(running.folder / "copy", ledger(running))


@pytest.mark.parametrize("lose", [removed, moved, replaced])
def test_nothing_is_acknowledged_into_a_ledger_that_is_not_there_any_more(
    running: ExporterProcess, lose: Callable[[ExporterProcess], None]
) -> None:
    assert push(running, 3) == 200
    lose(running)

    assert push(running) == 503
    code, text = health(running)
    assert code == 503
    assert str(ledger(running)) in text
    assert running.total("llm_requests_total") == 3
    if lose is moved:
        (running.folder / "elsewhere").rename(running.folder / "data")
        wait_for(lambda: health(running)[0] == 200, "it is back, and the exporter is well")
        assert push(running) == 200
        running.end()
        running.start()
        assert running.total("llm_requests_total") == 4


# A ledger that somebody else holds


def test_a_lock_of_another_process_is_waited_for_told_and_over_with_the_lock(running: ExporterProcess) -> None:
    assert push(running) == 200
    other = sqlite3.connect(ledger(running), isolation_level=None)
    other.execute("BEGIN IMMEDIATE")

    assert push(running) == 503
    code, text = health(running)
    assert code == 503
    assert "locked" in text
    assert running.total("llm_requests_total") == 1
    other.execute("ROLLBACK")
    other.close()
    wait_for(lambda: health(running)[0] == 200, "the exporter is well again")
    assert push(running) == 200
    assert running.total("llm_requests_total") == 2


def test_a_lock_at_the_start_is_one_clear_message(running: ExporterProcess, tmp_path: Path) -> None:
    running.end()
    other = sqlite3.connect(ledger(running), isolation_level=None)
    other.execute("BEGIN IMMEDIATE")

    check_refusal(*serve(tmp_path / "data"), "locked")
    other.close()


# Damage


def damage(path: Path, chance: random.Random, pages: int) -> None:
    """Overwrite pages of a file in place, with anything or with nothing."""
    size = path.stat().st_size // PAGE
    with path.open("r+b") as file:
        for _ in range(pages):
            file.seek(chance.randrange(size) * PAGE)
            file.write(chance.choice((chance.randbytes(PAGE), bytes(PAGE), chance.randbytes(64))))


@pytest.mark.proof
def test_damaged_pages_end_the_start_in_words_or_change_no_total(running: ExporterProcess, tmp_path: Path) -> None:
    assert push(running, 2000) == 200
    for number in range(30):
        assert push(running, id=f"id-{number}", application=f"app-{number}") == 200
    running.end()
    good = tmp_path / "good"
    shutil.copytree(tmp_path / "data", good)
    chance = random.Random(seed())
    refused = 0
    for number in rounds(10, 60):
        shutil.rmtree(tmp_path / "data")
        shutil.copytree(good, tmp_path / "data")
        damage(ledger(running), chance, chance.choice((1, 3, 10)))
        running.process = None
        try:
            running.start()
        except AssertionError:
            refused += 1
            ended = running.process
            assert ended is not None
            output = ended.log.read_text()
            check_refusal(ended.popen.returncode, output, str(ledger(running)))
            ended.log.write_text("")
            continue
        assert running.total("llm_requests_total") == 2030
        assert push(running, id=f"new-{number}") in (200, 503)
        running.end()
        assert running.process is not None
        assert running.process.popen.returncode == 0
        check_log(running)
    print(f"{number + 1} damaged ledgers, {refused} refused")
    assert refused


@pytest.mark.proof
def test_damage_under_a_running_exporter_is_told_and_ends_nothing(running: ExporterProcess) -> None:
    chance = random.Random(seed())
    accepted = 0
    assert push(running, 2000) == 200
    for number in rounds(10, 30):
        if ledger(running).stat().st_size:
            damage(ledger(running), chance, 3)
        status = push(running, 10, application=f"app-{number}")
        assert status in (200, 503)
        accepted += 10 * (status == 200)
        assert push(running, id=f"id-{number}") in (200, 503)
        assert post(f"{running.url}/api/v1/gpt4-migration/tasks", {"task": "x", "done": True})[0] in (404, 422, 503)
        assert health(running)[0] in (200, 503)
        assert running.total("llm_requests_total") >= 2000 + accepted
    running.end()
    assert running.process is not None
    assert running.process.popen.returncode == 0
