"""What goes wrong between the client and the exporter, and in the process around the client."""

from __future__ import annotations

import json
import multiprocessing
import os
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager

import pytest

import exporter.client
from exporter.client import Client
from tests.processes import wait_for


def track(client: Client) -> str:
    return client.track_api_request("gpt-4", 1, 1, 0.1, True)


@contextmanager
def server(port: int, serve: Callable[[socket.socket], None]) -> Iterator[list[int]]:
    """Calls `serve` for each connection; yields what grows by one with each."""
    seen: list[int] = []
    listening = socket.create_server(("127.0.0.1", port))

    def accept() -> None:
        while True:
            try:
                connection, _ = listening.accept()
            except OSError:
                return
            seen.append(1)
            serve(connection)

    thread = threading.Thread(target=accept)
    thread.start()
    try:
        yield seen
    finally:
        listening.shutdown(socket.SHUT_RDWR)
        listening.close()
        thread.join()


def test_an_exporter_that_takes_connections_and_says_nothing_holds_nobody_up(new_sink, unused_port):
    held: list[socket.socket] = []
    client = Client(f"http://127.0.0.1:{unused_port}", timeout=0.3, flush_interval=0.01)
    with server(unused_port, held.append) as seen:
        begun = time.monotonic()
        identity = track(client)
        assert time.monotonic() - begun < 0.2
        wait_for(lambda: len(seen) >= 2, "it is tried again on a new connection")
        assert "timed out" in client.stats().last_error
    for connection in held:
        connection.close()
    with new_sink().running(unused_port) as sink:
        assert client.flush(10)
        assert set(sink.events) == {identity}
    client.close()


def test_a_refusal_that_comes_before_the_body_was_read_is_understood(unused_port):
    """As some proxies do: the answer is sent and the connection closed while the client still writes."""
    answer = b"HTTP/1.1 413 Content Too Large\r\nContent-Length: 0\r\nConnection: close\r\n\r\n"
    sizes = []

    def refuse(connection: socket.socket) -> None:
        with connection:
            head = b""
            while b"\r\n\r\n" not in head:
                head += connection.recv(1)
            sizes.append(int(head.lower().split(b"content-length:")[1].split()[0]))
            connection.sendall(answer)

    client = Client(f"http://127.0.0.1:{unused_port}", flush_interval=60, timeout=5)
    with server(unused_port, refuse):
        for _ in range(4):  # of what does not compress, more than the buffers of a connection hold
            client.track_api_request("gpt-4", 1, 1, 0.1, True, prompt_hash=os.urandom(2_000_000).hex())
        assert client.flush(20)
    assert client.stats().rejected == 4  # each alone is too large in the end
    assert len(sizes) == 4 + 2 + 1
    client.close()


def test_only_an_idle_connection_is_tried_again_at_once(sink):
    client = Client(sink.url, flush_interval=0.01)
    track(client)
    assert client.flush(10)
    sink.scripted = ["cut before"] * 3
    track(client)
    assert client.flush(10)
    assert len(sink.events) == 2
    assert client.stats().retries == 2
    client.close()


def test_a_server_that_closes_in_the_middle_of_a_body_is_tried_again(new_sink, unused_port):
    client = Client(f"http://127.0.0.1:{unused_port}", flush_interval=0.01, timeout=5)
    with server(unused_port, lambda connection: connection.close()) as seen:
        ids = [client.track_api_request("gpt-4", 1, 1, 0.1, True, prompt_hash=os.urandom(200).hex()) for _ in range(99)]
        wait_for(lambda: len(seen) >= 2, "it is tried again")
    with new_sink().running(unused_port) as sink:
        assert client.flush(10)
        assert list(sink.events) == ids
    client.close()


@pytest.mark.parametrize(
    "body",
    [
        b"<html>welcome to the hotel</html>",
        b'{"rejected": [], "accepted": "many", "duplicates": 0}',
        b"[" * 100_000,
        b"\xff",
    ],
)
def test_an_answer_of_somebody_else_counts_nothing_and_the_events_wait(new_sink, unused_port, body):
    def answer(connection: socket.socket) -> None:
        with connection:
            connection.recv(65536)
            connection.sendall(b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\nConnection: close\r\n\r\n" % len(body) + body)

    client = Client(f"http://127.0.0.1:{unused_port}", flush_interval=0.01, timeout=5)
    with server(unused_port, answer):
        identity = track(client)
        wait_for(lambda: "check the address" in client.stats().last_error, "the answer is judged")
    with new_sink().running(unused_port) as sink:
        assert client.flush(10)
        assert set(sink.events) == {identity}
    client.close()


@pytest.mark.parametrize("wish", ["inf", "1e300", "86400"])
def test_no_wish_of_a_server_keeps_the_client_away_for_ever(sink, monkeypatch, wish):
    monkeypatch.setattr(exporter.client, "RETRY_AFTER_LAST_SECONDS", 0.5)
    sink.scripted = [(429, {"Retry-After": wish})]
    client = Client(sink.url, flush_interval=0.01)
    track(client)
    wait_for(lambda: sink.events, "the event is sent", seconds=10)
    client.close()


def test_the_sender_outlives_an_error_that_nobody_foresaw(sink, monkeypatch, caplog):
    real, failures = exporter.client._Connection.post, [MemoryError("no room"), ValueError("odd")]

    def post(connection: exporter.client._Connection, body: bytes) -> object:
        if failures:
            raise failures.pop()
        return real(connection, body)

    monkeypatch.setattr(exporter.client._Connection, "post", post)
    monkeypatch.setattr(exporter.client, "BACKOFF_LAST_SECONDS", 0.05)
    client = Client(sink.url, flush_interval=0.01)
    ids = [track(client) for _ in range(3)]
    assert client.flush(10)
    assert list(sink.events) == ids
    assert client.stats().retries == 2
    assert "nobody foresaw" in caplog.text
    client.close()


START = threading.Thread.start


def no_sender(thread: threading.Thread) -> None:
    """As `start` behaves where there is no room for a thread, or the interpreter ends."""
    if thread.name == "llm-migration-client":
        raise RuntimeError("can't start new thread")
    START(thread)


def test_without_a_thread_events_are_kept_and_sent_by_whoever_flushes(sink, monkeypatch, caplog):
    client = Client(sink.url, queue=10)
    with monkeypatch.context() as patched:
        patched.setattr(threading.Thread, "start", no_sender)
        ids = [track(client) for _ in range(25)]
        assert client.stats().dropped == 15
        assert "can't start new thread" in caplog.text
        assert client.flush(5)
        assert list(sink.events) == ids[-10:]
        ids = [track(client)]
        assert client.close(5)
    assert ids[0] in sink.events
    client._no_sender_before = 0.0
    track(client)
    wait_for(lambda: len(sink.events) == 12, "a thread can be had again")
    client.close()


def test_without_a_thread_and_an_exporter_nothing_waits_long(unused_port, monkeypatch, tmp_path):
    monkeypatch.setattr(threading.Thread, "start", no_sender)
    client = Client(f"http://127.0.0.1:{unused_port}", batch=5, spool=tmp_path)
    for _ in range(12):
        track(client)
    begun = time.monotonic()
    assert not client.close(5)
    assert time.monotonic() - begun < 4
    assert client.stats().spooled == 12


WORKERS = """
import multiprocessing, sys
from concurrent.futures import ProcessPoolExecutor
from exporter.client import Client

client = Client(sys.argv[1], flush_interval=60)

def work(model):
    client.track_api_request(model, 1, 1, 0.1, True)

if __name__ == "__main__":
    multiprocessing.set_start_method(sys.argv[2])
    work("parent")
    process = multiprocessing.Process(target=work, args=("process",))
    process.start()
    process.join()
    with ProcessPoolExecutor(1) as pool:
        pool.submit(work, "pool").result()
"""


@pytest.mark.parametrize("method", multiprocessing.get_all_start_methods())
def test_workers_of_multiprocessing_flush_at_their_end(sink, tmp_path, method):
    script = tmp_path / "workers.py"
    script.write_text(WORKERS)
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)}
    subprocess.run([sys.executable, "-W", "ignore", script, sink.url, method], check=True, timeout=60, env=environment)
    assert sorted(event["model"] for event in sink.events.values()) == ["parent", "pool", "process"]


def test_what_could_not_be_sent_before_the_end_is_said(unused_port):
    script = (
        "import exporter.client as c\n"
        "c.EXIT_FLUSH_SECONDS = 0.2\n"
        f"client = c.Client('http://127.0.0.1:{unused_port}')\n"
        "for n in range(12): client.track_api_request('gpt-4', n, 1, 0.1, True)\n"
    )
    ended = subprocess.run([sys.executable, "-c", script], check=True, timeout=30, capture_output=True, text=True)
    assert "12 events are lost" in ended.stderr
    assert "Traceback" not in ended.stderr


def test_a_burst_of_refusals_is_not_a_burst_of_log_lines(sink, caplog):
    client = Client(sink.url, batch=1, flush_interval=0.01)
    for _ in range(20):
        client.track_api_request("gpt-4", -1, 1, 0.1, True)
    assert client.flush(10)
    assert client.stats().rejected == 20
    assert len([record for record in caplog.records if record.levelname == "WARNING"]) == 1
    client.close()


FORKS = """
import json, os, sys, threading
from exporter.client import Client

client = Client(sys.argv[1], flush_interval=0.01)
stop = threading.Event()

def work():
    while not stop.is_set():
        client.track_api_request("parent", 1, 1, 0.1, True)
        stop.wait(0.0005)

threads = [threading.Thread(target=work) for _ in range(3)]
for thread in threads:
    thread.start()
children = []
for number in range(12):
    child = os.fork()
    if child == 0:
        ids = [client.track_api_request(f"child-{number}", 1, 1, 0.1, True) for _ in range(10)]
        ok = client.close(20) and client.stats().sent == 10
        os._exit(0 if ok else 1)
    children.append(child)
codes = [os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) for child in children]
stop.set()
for thread in threads:
    thread.join()
assert client.close(20)
print(json.dumps({"codes": codes, "sent": client.stats().sent, "duplicates": client.stats().duplicates}))
"""


@pytest.mark.skipif(not hasattr(os, "fork"), reason="needs fork()")
def test_forks_while_threads_track_neither_lose_nor_repeat_nor_hang(sink):
    command = [sys.executable, "-W", "ignore", "-c", FORKS, sink.url]
    ended = subprocess.run(command, check=True, timeout=60, capture_output=True, text=True)
    report = json.loads(ended.stdout)
    models = [event["model"] for event in sink.events.values()]
    assert report["codes"] == [0] * 12
    assert [models.count(f"child-{number}") for number in range(12)] == [10] * 12
    assert report["sent"] == models.count("parent") > 20
    assert report["duplicates"] == 0
