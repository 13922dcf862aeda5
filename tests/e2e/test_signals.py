"""A real process and the signals that operators, systemd and Kubernetes send it."""

from __future__ import annotations

import http.client
import json
import os
import shlex
import signal
import socket
import ssl
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.certificates import certificates
from tests.configs import variant
from tests.processes import ExporterProcess, Process, exporter, free_port, get, is_up, post, wait_for

EVENT = {"model": "gpt-4.1", "input_tokens": 10, "output_tokens": 5, "latency": 0.5, "success": True}
HEAD = (
    b"POST /api/v1/events HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/json\r\nContent-Length: %d\r\n\r\n"
)


@pytest.fixture
def running(tmp_path: Path) -> Iterator[ExporterProcess]:
    with exporter(tmp_path, variant(tmp_path)) as process:
        yield process


def pid(running: ExporterProcess) -> int:
    assert running.process is not None
    return running.process.popen.pid


def logged(running: ExporterProcess, text: str) -> bool:
    assert running.process is not None
    return text in running.process.log.read_text()


def test_sighup_takes_a_changed_file_over_and_a_broken_one_not(running: ExporterProcess, tmp_path: Path) -> None:
    variant(tmp_path, lambda document: document["migrations"][0]["budgets"].update(daily=77))
    os.kill(pid(running), signal.SIGHUP)
    wait_for(lambda: running.total("llm_budget_limit_usd", period="daily") == 77, "the new budget is in force")
    assert running.total("llm_exporter_config_last_reload_successful") == 1
    first = running.total("llm_exporter_config_last_reload_success_timestamp_seconds")

    variant(tmp_path, lambda document: document["migrations"][0]["budgets"].update(daily="lots"))
    os.kill(pid(running), signal.SIGHUP)
    wait_for(lambda: running.total("llm_exporter_config_last_reload_successful") == 0, "the failure is shown")
    assert logged(running, "migrations[0].budgets.daily")
    assert running.total("llm_budget_limit_usd", period="daily") == 77
    assert running.total("llm_exporter_config_last_reload_success_timestamp_seconds") == first

    variant(tmp_path, lambda document: document["migrations"][0]["budgets"].update(daily=78))
    for _ in range(20):  # a storm of signals is no harm
        os.kill(pid(running), signal.SIGHUP)
    wait_for(lambda: running.total("llm_budget_limit_usd", period="daily") == 78, "the last budget is in force")
    assert running.total("llm_exporter_config_last_reload_successful") == 1


def test_no_event_is_lost_or_counted_twice_while_the_file_is_read_again_and_again(
    running: ExporterProcess, tmp_path: Path
) -> None:
    def reload_often() -> None:
        for number in range(10):
            variant(tmp_path, lambda document, n=number: document["migrations"][0]["budgets"].update(daily=50 + n))
            os.kill(pid(running), signal.SIGHUP)
            time.sleep(0.1)

    thread = threading.Thread(target=reload_often)
    thread.start()
    sent = 0
    while thread.is_alive():
        status, _ = post(f"{running.url}/api/v1/events", [EVENT] * 50)
        assert status == 200
        sent += 50
    thread.join()

    assert running.total("llm_requests_total") == sent
    wait_for(lambda: running.total("llm_budget_limit_usd", period="daily") == 59, "the last file is in force")


def test_sigterm_answers_what_is_under_way_and_does_not_wait_for_idle_connections(running: ExporterProcess) -> None:
    idle = [http.client.HTTPConnection("127.0.0.1", running.port) for _ in range(20)]
    for connection in idle:
        connection.request("GET", "/-/ready")
        connection.getresponse().read()
    silent = socket.create_connection(("127.0.0.1", running.port))
    body = json.dumps([EVENT] * 3).encode()
    busy = socket.create_connection(("127.0.0.1", running.port))
    busy.sendall(HEAD % len(body) + body[:10])
    time.sleep(0.3)

    os.kill(pid(running), signal.SIGTERM)
    time.sleep(0.3)
    busy.sendall(body[10:])
    answer = busy.recv(4096)
    begin = time.monotonic()
    assert running.process is not None
    assert running.process.popen.wait(10) == 0
    assert time.monotonic() - begin < 2
    assert answer.startswith(b"HTTP/1.1 200 ")
    assert b'"accepted":3' in answer
    for connection in (*idle, silent, busy):
        connection.close()
    running.start()
    assert running.total("llm_requests_total") == 3


def test_a_second_sigterm_does_not_wait_for_anybody_and_loses_nothing(running: ExporterProcess) -> None:
    assert post(f"{running.url}/api/v1/events", [EVENT] * 5)[0] == 200
    stuck = socket.create_connection(("127.0.0.1", running.port))
    stuck.sendall(HEAD % 1000)
    time.sleep(0.3)

    os.kill(pid(running), signal.SIGTERM)
    time.sleep(0.3)
    begin = time.monotonic()
    for signum in (signal.SIGTERM, signal.SIGINT, signal.SIGTERM):
        os.kill(pid(running), signum)
    assert running.process is not None
    assert running.process.popen.wait(10) == 0
    assert time.monotonic() - begin < 2
    assert logged(running, "not waiting for requests under way")
    assert "Traceback" not in running.process.log.read_text()
    stuck.close()
    running.start()
    assert running.total("llm_requests_total") == 5


def serve(tmp_path: Path, port: int, *flags: str) -> list[str]:
    return [
        *(sys.executable, "-m", "exporter", "serve"),
        *("--config.file", str(variant(tmp_path)), "--storage.path", str(tmp_path / "data")),
        *("--web.listen-address", f"127.0.0.1:{port}", *flags),
    ]


def test_systemd_is_told_of_readiness_reloads_and_the_end(tmp_path: Path) -> None:
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as listener:
        listener.bind(str(tmp_path / "notify"))
        listener.settimeout(20)
        environment = {"NOTIFY_SOCKET": str(tmp_path / "notify")}
        process = Process(serve(tmp_path, 0), tmp_path / "log", environment)
        try:
            assert listener.recv(200) == b"READY=1"
            process.popen.send_signal(signal.SIGHUP)
            assert listener.recv(200).startswith(b"RELOADING=1\nMONOTONIC_USEC=")
            assert listener.recv(200) == b"READY=1"
            process.popen.send_signal(signal.SIGTERM)
            assert listener.recv(200) == b"STOPPING=1"
        finally:
            assert process.end() == 0


def test_a_socket_that_systemd_opened_is_served(tmp_path: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        port = listener.getsockname()[1]
        command = shlex.join(serve(tmp_path, 1, "--web.systemd-socket"))
        number = listener.fileno()
        os.set_inheritable(number, True)
        script = f"exec 3<&{number}; LISTEN_PID=$$ LISTEN_FDS=1 exec {command}"
        log = tmp_path / "log"
        with log.open("wb") as output:
            started = subprocess.Popen(
                ["bash", "-c", script], pass_fds=(number,), stdout=output, stderr=subprocess.STDOUT
            )
        try:
            wait_for(lambda: is_up(f"http://127.0.0.1:{port}/-/ready"), f"the socket is served: {log.read_text()}")
            assert b"llm_requests_total" in get(f"http://127.0.0.1:{port}/metrics")
        finally:
            started.terminate()
            assert started.wait(20) == 0


def test_encrypted_connections_do_not_delay_the_end_and_a_renewed_certificate_is_shown(tmp_path: Path) -> None:
    made = certificates(tmp_path)
    (tmp_path / "web.yml").write_text("tls_server_config: {cert_file: server.pem, key_file: server.key}\n")
    port = free_port()
    process = Process(serve(tmp_path, port, "--web.config.file", str(tmp_path / "web.yml")), tmp_path / "log")
    context = made.client()

    def connect() -> ssl.SSLSocket:
        return context.wrap_socket(socket.create_connection(("127.0.0.1", port)), server_hostname="localhost")

    try:
        wait_for(lambda: "https://127.0.0.1" in (tmp_path / "log").read_text(), "the exporter listens")
        idle = [connect() for _ in range(5)]
        for connection in idle:
            connection.sendall(b"GET /-/ready HTTP/1.1\r\nHost: localhost\r\n\r\n")
            assert connection.recv(4096).startswith(b"HTTP/1.1 200 ")
        made.issue("server", "localhost")
        with connect() as renewed:
            assert renewed.getpeercert() != idle[0].getpeercert()
        begin = time.monotonic()
        assert process.end() == 0
        assert time.monotonic() - begin < 2
        for connection in idle:
            connection.close()
    finally:
        process.end()


def test_mistakes_in_the_flags_are_told_in_one_line(tmp_path: Path) -> None:
    (tmp_path / "web.yml").write_text("basic_auth_users: {alice: sesame}\n")
    for flags, words in {
        ("--web.config.file", str(tmp_path / "web.yml")): "this is not a bcrypt hash",
        ("--web.config.file", str(tmp_path / "nowhere.yml")): "the file cannot be read",
        ("--web.external-url", "exporter.example"): "--web.external-url",
        ("--web.max-requests", "-1"): "--web.max-requests",
        ("--web.systemd-socket",): "systemd passed no socket",
    }.items():
        process = Process(serve(tmp_path, 0, *flags), tmp_path / "log")
        assert process.popen.wait(20) == 2, flags
        said = (tmp_path / "log").read_text()
        assert words in said, said
        assert "Traceback" not in said
        (tmp_path / "log").unlink()
