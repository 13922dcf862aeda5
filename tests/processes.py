"""Real programs on loopback: started for a test, ended with it."""

from __future__ import annotations

import json
import os
import signal
import socket
import subprocess
import sys
import threading
import time
import urllib.error
import urllib.parse
import urllib.request
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any, TypeVar

from tests.programs import program

T = TypeVar("T")


def free_port() -> int:
    """A loopback port that nobody listens on."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def wait_for(probe: Callable[[], T | None], what: str, seconds: float = 30.0) -> T:
    """The first truthy result of `probe`; fails with `what` when there is none in time."""
    end = time.monotonic() + seconds
    while True:
        result = probe()
        if result:
            return result
        if time.monotonic() > end:
            raise AssertionError(f"not within {seconds:g} s: {what}")
        time.sleep(0.05)


class Process:
    """A child process with its output in a file."""

    def __init__(self, command: Sequence[str], log: Path, env: Mapping[str, str] | None = None) -> None:
        self.log = log
        with log.open("ab") as output:
            self.popen = subprocess.Popen(
                command, stdout=output, stderr=subprocess.STDOUT, env={**os.environ, **(env or {})}
            )

    def end(self, signum: int = signal.SIGTERM, seconds: float = 20.0) -> int:
        """Send a signal and wait for the end."""
        if self.popen.poll() is None:
            self.popen.send_signal(signum)
        try:
            return self.popen.wait(seconds)
        except subprocess.TimeoutExpired:
            self.popen.kill()
            return self.popen.wait()


def get(url: str, headers: Mapping[str, str] | None = None, seconds: float = 10.0) -> bytes:
    """The body of a GET."""
    request = urllib.request.Request(url, headers=dict(headers or {}))
    with urllib.request.urlopen(request, timeout=seconds) as answer:
        return bytes(answer.read())


def post(url: str, body: object, content_type: str = "application/json") -> tuple[int, Any]:
    """Status and decoded answer of a POST; `body` is encoded unless it is bytes."""
    data = body if isinstance(body, bytes) else json.dumps(body).encode()
    request = urllib.request.Request(url, data=data, headers={"Content-Type": content_type}, method="POST")
    try:
        with urllib.request.urlopen(request, timeout=30) as answer:
            return answer.status, json.loads(answer.read())
    except urllib.error.HTTPError as error:
        return error.code, json.loads(error.read())


def is_up(url: str) -> bool:
    """Whether a URL answers with success."""
    try:
        get(url, seconds=2)
    except OSError:
        return False
    return True


class ExporterProcess:
    """`serve` as a process of its own, on a fixed port, over one storage folder."""

    def __init__(self, folder: Path, config: Path, port: int | None = None, *arguments: str) -> None:
        self.folder = folder
        self.config = config
        self.port = port or free_port()
        self.arguments = arguments
        self.url = f"http://127.0.0.1:{self.port}"
        self.process: Process | None = None

    def start(self) -> None:
        self.process = Process(
            [
                *(sys.executable, "-m", "exporter", "serve"),
                *("--config.file", str(self.config), "--storage.path", str(self.folder / "data")),
                *("--web.listen-address", f"127.0.0.1:{self.port}"),
                *self.arguments,
            ],
            self.folder / "exporter.log",
        )
        wait_for(lambda: is_up(f"{self.url}/-/ready") or self._fail_if_ended(), "the exporter is ready")

    def _fail_if_ended(self) -> None:
        assert self.process is not None
        if self.process.popen.poll() is not None:
            raise AssertionError(f"the exporter ended: {self.process.log.read_text()}")

    def end(self, signum: int = signal.SIGTERM) -> None:
        if self.process is not None:
            self.process.end(signum)

    def metrics(self) -> dict[str, dict[frozenset[tuple[str, str]], float]]:
        """The page as others than scrapers see it: sample name -> labels -> value."""
        return parse_page(get(f"{self.url}/metrics").decode())

    def total(self, name: str, **labels: str) -> float:
        """The sum of a metric over all label sets that have these labels."""
        wanted = set(labels.items())
        return sum(value for key, value in self.metrics().get(name, {}).items() if wanted <= key)


def parse_page(text: str) -> dict[str, dict[frozenset[tuple[str, str]], float]]:
    """Sample name -> labels -> value."""
    from prometheus_client.parser import text_string_to_metric_families

    page: dict[str, dict[frozenset[tuple[str, str]], float]] = {}
    for family in text_string_to_metric_families(text):
        for sample in family.samples:
            page.setdefault(sample.name, {})[frozenset(sample.labels.items())] = float(sample.value)
    return page


@contextmanager
def exporter(folder: Path, config: Path) -> Iterator[ExporterProcess]:
    """A running exporter."""
    running = ExporterProcess(folder, config)
    running.start()
    try:
        yield running
    finally:
        running.end()


class PrometheusProcess:
    """A Prometheus over a configuration file."""

    def __init__(self, folder: Path, config: Path) -> None:
        self.port = free_port()
        self.url = f"http://127.0.0.1:{self.port}"
        self.process = Process(
            [
                program("prometheus"),
                f"--config.file={config}",
                f"--storage.tsdb.path={folder / 'tsdb'}",
                f"--web.listen-address=127.0.0.1:{self.port}",
                "--web.enable-lifecycle",
                "--log.level=warn",
            ],
            folder / "prometheus.log",
        )
        wait_for(lambda: is_up(f"{self.url}/-/ready"), "Prometheus is ready")

    def query(self, expression: str) -> list[tuple[dict[str, str], float]]:
        """An instant query: labels and value of each result."""
        query = urllib.parse.urlencode({"query": expression})
        answer = json.loads(get(f"{self.url}/api/v1/query?{query}"))
        assert answer["status"] == "success", answer
        return [(item["metric"], float(item["value"][1])) for item in answer["data"]["result"]]

    def value(self, expression: str) -> float:
        """The single result of an instant query; NaN where there is none."""
        results = self.query(expression)
        return results[0][1] if results else float("nan")


@contextmanager
def prometheus(folder: Path, config: Path) -> Iterator[PrometheusProcess]:
    """A running Prometheus."""
    folder.mkdir(parents=True, exist_ok=True)
    running = PrometheusProcess(folder, config)
    try:
        yield running
    finally:
        running.process.end()


@contextmanager
def alertmanager(folder: Path, config: Path) -> Iterator[str]:
    """A running Alertmanager; gives its host:port."""
    folder.mkdir(parents=True, exist_ok=True)
    port = free_port()
    process = Process(
        [
            program("alertmanager"),
            f"--config.file={config}",
            f"--storage.path={folder / 'data'}",
            f"--web.listen-address=127.0.0.1:{port}",
            "--cluster.listen-address=",
        ],
        folder / "alertmanager.log",
    )
    try:
        wait_for(lambda: is_up(f"http://127.0.0.1:{port}/-/ready"), "Alertmanager is ready")
        yield f"127.0.0.1:{port}"
    finally:
        process.end()


class Sink:
    """An HTTP receiver that keeps what it is sent."""

    def __init__(self) -> None:
        self.received: list[tuple[str, Any]] = []
        sink = self

        class Handler(BaseHTTPRequestHandler):
            def do_POST(self) -> None:
                body = self.rfile.read(int(self.headers.get("Content-Length", 0)))
                sink.received.append((self.path, json.loads(body)))
                self.send_response(200)
                self.end_headers()

            def log_message(self, *_: object) -> None:
                pass

        self._server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self._server.daemon_threads = True
        self.url = f"http://127.0.0.1:{self._server.server_port}"
        self._thread = threading.Thread(target=self._server.serve_forever, daemon=True)
        self._thread.start()

    def close(self) -> None:
        self._server.shutdown()
        self._server.server_close()
        self._thread.join()


@contextmanager
def sink() -> Iterator[Sink]:
    """A receiver on loopback."""
    running = Sink()
    try:
        yield running
    finally:
        running.close()
