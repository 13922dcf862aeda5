from __future__ import annotations

import json
import os
import random
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from exporter.client import Client, _Spool


def line(number: int) -> bytes:
    return json.dumps(
        {"id": f"id-{number}", "model": "m", "input_tokens": number, "output_tokens": 1, "latency": 1, "success": True}
    ).encode()


def files(folder: Path) -> list[Path]:
    return sorted(folder.glob("*.ndjson"))


def wait_for(condition) -> None:
    deadline = time.monotonic() + 10
    while not condition():
        assert time.monotonic() < deadline
        time.sleep(0.01)


def test_what_is_left_at_exit_is_sent_at_the_next_start_under_the_same_ids(new_sink, unused_port, tmp_path):
    script = (
        "import exporter.client as c\n"
        "c.EXIT_FLUSH_SECONDS = 0.3\n"
        f"client = c.Client('http://127.0.0.1:{unused_port}', spool={str(tmp_path / 'spool')!r}, batch=5)\n"
        "for n in range(12): print(client.track_api_request('gpt-4', n, 1, 0.1, True))\n"
    )
    left = subprocess.run([sys.executable, "-c", script], check=True, timeout=30, capture_output=True, text=True)
    ids = set(left.stdout.split())
    assert len(ids) == 12
    assert sum(int(file.stem.rpartition("-")[2]) for file in files(tmp_path / "spool")) == 12

    with new_sink().running(unused_port) as sink:
        client = Client(sink.url, spool=tmp_path / "spool", flush_interval=0.01)  # nothing is tracked
        wait_for(lambda: not files(tmp_path / "spool"))
        assert set(sink.events) == ids
        assert {event["input_tokens"] for event in sink.events.values()} == set(range(12))
        assert client.stats().sent == 12
        client.close()


def test_a_full_queue_goes_to_the_spool_and_nothing_is_lost(new_sink, unused_port, tmp_path):
    client = Client(
        f"http://127.0.0.1:{unused_port}", spool=tmp_path, queue=200, batch=10, flush_interval=0.01, timeout=1
    )
    ids = set()
    for _ in range(500):
        ids.add(client.track_api_request("gpt-4", 1, 1, 0.1, True))
        time.sleep(0.002)  # no faster than the sender looks at the queue, a few times a second
    wait_for(lambda: client.stats().spooled >= 200)
    assert client.stats().dropped == 0
    with new_sink().running(unused_port) as sink:
        client.flush(10)  # False where a last part went to the spool too
        wait_for(lambda: not files(tmp_path))
        assert set(sink.events) == ids
        stats = client.stats()
        assert stats.sent + stats.duplicates == 500
        assert stats.queued == 0
        client.close()


def test_events_that_come_faster_than_the_disk_takes_them_are_dropped_and_counted(unused_port, tmp_path):
    client = Client(f"http://127.0.0.1:{unused_port}", spool=tmp_path, queue=50, batch=10, flush_interval=60)
    client.close()
    client._start = lambda: None  # a disk that takes nothing
    for _ in range(120):
        client.track_api_request("gpt-4", 1, 1, 0.1, True)

    assert client.stats().dropped + client.stats().queued == 120
    assert client.stats().dropped > 0


def test_close_says_that_events_were_left_and_they_are_on_disk(unused_port, tmp_path):
    client = Client(f"http://127.0.0.1:{unused_port}", spool=tmp_path)
    identity = client.track_api_request("gpt-4", 1, 1, 0.1, True)

    assert not client.close(0.3)
    [file] = files(tmp_path)
    assert json.loads(file.read_bytes())["id"] == identity
    assert client.stats().spooled == 1
    assert client.stats().queued == 0
    assert file.stat().st_mode & 0o077 == 0


def test_the_spool_is_bounded_and_loses_its_oldest_first(tmp_path):
    spool = _Spool(tmp_path, 5 * len(line(1)))
    results = [spool.write([line(n), line(n + 100)]) for n in range(1, 6)]

    assert [result["dropped"] for result in results] == [0, 0, 2, 2, 2]
    assert [json.loads(file.read_bytes().split(b"\n")[0])["id"] for file in files(tmp_path)] == ["id-4", "id-5"]


def test_half_written_files_are_neither_sent_nor_kept_for_ever(sink, tmp_path):
    (tmp_path / "1-a-1.part").write_bytes(line(1)[:20])
    (tmp_path / "2-b-1.part").write_bytes(line(2)[:20])
    os.utime(tmp_path / "1-a-1.part", (1, 1))
    client = Client(sink.url, spool=tmp_path, flush_interval=0.01)
    client.track_api_request("gpt-4", 1, 1, 0.1, True)
    client.close()

    assert len(sink.events) == 1
    assert [file.name for file in tmp_path.iterdir()] == ["2-b-1.part"]


def test_a_killed_process_leaves_whole_files_only(tmp_path):
    script = (
        "import sys; from pathlib import Path; from exporter.client import _Spool\n"
        "spool = _Spool(Path(sys.argv[1]), 2**30)\n"
        "print('ready', flush=True)\n"
        "while True: spool.write([b'x' * 1000] * 200)\n"
    )
    for _ in range(5):
        with subprocess.Popen([sys.executable, "-c", script, str(tmp_path)], stdout=subprocess.PIPE) as writer:
            assert writer.stdout is not None
            writer.stdout.readline()
            time.sleep(random.uniform(0.01, 0.1))
            writer.send_signal(signal.SIGKILL)

    assert files(tmp_path)
    assert {file.read_bytes() for file in files(tmp_path)} == {b"\n".join([b"x" * 1000] * 200)}


def test_a_spool_that_cannot_be_written_is_a_loss_that_is_counted(unused_port, tmp_path):
    folder = tmp_path / "spool"
    client = Client(f"http://127.0.0.1:{unused_port}", spool=folder)
    folder.rmdir()
    client.track_api_request("gpt-4", 1, 1, 0.1, True)

    assert not client.close(0.2)
    assert client.stats().dropped == 1
    assert "cannot write" in client.stats().last_error


FULL = """
import json, resource, sys
from exporter.client import Client

client = Client(sys.argv[1], spool=sys.argv[2], batch=10, queue=40, flush_interval=0.01)
resource.setrlimit(resource.RLIMIT_FSIZE, (100, 100))  # as a disk that has no room for a batch
ids = [client.track_api_request("gpt-4", n, 1, 0.1, True) for n in range(30)]
while "cannot write" not in client.stats().last_error:
    assert not client.flush(0.1)
before = client.stats()
if sys.argv[3] == "exporter":
    print(json.dumps([ids, before.queued, before.dropped]), flush=True)
    sys.stdin.readline()  # until it runs
    client.flush(20)
else:
    client.close(0.2)
    print(json.dumps([ids, before.queued, before.dropped]))
print(json.dumps([client.stats().queued, client.stats().dropped, client.stats().spooled]))
"""


@pytest.mark.skipif(sys.platform == "win32", reason="needs limits of resources")
@pytest.mark.parametrize("comes_back", [True, False])
def test_a_disk_that_is_full_costs_no_event_that_memory_can_hold(new_sink, unused_port, tmp_path, comes_back):
    command = [sys.executable, "-c", FULL, f"http://127.0.0.1:{unused_port}", str(tmp_path)]
    command += ["exporter" if comes_back else "end"]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as application:
        assert application.stdout is not None
        ids, queued, dropped = json.loads(application.stdout.readline())
        assert (queued, dropped) == (30, 0)
        if comes_back:
            with new_sink().running(unused_port) as sink:
                application.communicate("go\n", timeout=30)
                assert list(sink.events) == ids
        else:
            assert json.loads(application.stdout.readline()) == [0, 30, 0]
    assert application.returncode == 0
    assert not list(tmp_path.iterdir())  # nothing half-written stays


def test_a_foreign_name_does_not_stop_the_spool_from_making_room(tmp_path):
    (tmp_path / "0-foreign.ndjson").write_bytes(line(1) * 5)
    spool = _Spool(tmp_path, 2 * len(line(1)))

    assert [spool.write([line(n)])["dropped"] for n in (1, 2, 3)] == [0, 0, 1]
    assert [json.loads(file.read_bytes())["id"] for file in files(tmp_path)] == ["id-2", "id-3"]


def test_processes_that_share_a_spool_count_nothing_twice(sink, tmp_path):
    _Spool(tmp_path, 2**20).write([line(n) for n in range(50)])
    clients = [Client(sink.url, spool=tmp_path, flush_interval=0.01) for _ in range(3)]
    wait_for(lambda: not files(tmp_path))
    for client in clients:
        client.close()

    assert len(sink.events) == 50
    assert sum(client.stats().sent for client in clients) == 50


@pytest.mark.parametrize("scripted", [[(413, {}), (503, {})], [(503, {}), (413, {}), "cut before"], ["cut after"]])
def test_a_spooled_batch_survives_what_a_fresh_one_survives(sink, tmp_path, scripted):
    _Spool(tmp_path, 2**20).write([line(n) for n in range(8)])
    sink.scripted = scripted
    client = Client(sink.url, spool=tmp_path, flush_interval=0.01)
    wait_for(lambda: not files(tmp_path))
    client.close()

    assert set(sink.events) == {f"id-{n}" for n in range(8)}


def test_a_foreign_file_is_rejected_and_does_not_block_the_others(sink, tmp_path):
    (tmp_path / "0.ndjson").write_bytes(b'{"model": "m"}')
    _Spool(tmp_path, 2**20).write([line(1)])
    client = Client(sink.url, spool=tmp_path, flush_interval=0.01)
    wait_for(lambda: not files(tmp_path))
    client.close()

    assert set(sink.events) == {"id-1"}
    assert client.stats().rejected == 1


@pytest.mark.parametrize("operation", ["unlink", "read_bytes"])
def test_a_file_that_cannot_be_read_or_removed_is_passed_over(sink, tmp_path, monkeypatch, operation):
    _Spool(tmp_path, 2**20).write([line(1)])
    [stuck] = files(tmp_path)
    _Spool(tmp_path, 2**20).write([line(2)])
    real = getattr(Path, operation)

    def refuse(self: Path, **options: object) -> object:
        if self == stuck:
            raise PermissionError(13, "Permission denied")
        return real(self, **options)

    monkeypatch.setattr(Path, operation, refuse)
    client = Client(sink.url, spool=tmp_path, flush_interval=0.01)
    wait_for(lambda: files(tmp_path) == [stuck])
    time.sleep(0.1)
    client.close()

    assert set(sink.events) == ({"id-2"} if operation == "read_bytes" else {"id-1", "id-2"})
    assert len(sink.requests) == len(sink.events)


def test_a_flush_that_ended_in_the_spool_says_so(unused_port, tmp_path):
    client = Client(f"http://127.0.0.1:{unused_port}", spool=tmp_path, queue=1, flush_interval=60)
    client.track_api_request("gpt-4", 1, 1, 0.1, True)

    assert not client.flush(10)
    wait_for(lambda: client.stats().spooled + client.stats().queued == 1)
    client.close(0.1)
    assert client.stats().spooled == 1
