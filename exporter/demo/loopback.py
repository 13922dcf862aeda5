"""HTTP on this machine: free ports, questions to the programs of the demo, and a receiver of webhooks."""

from __future__ import annotations

import http.client
import json
import socket
import threading
import time
from collections.abc import Mapping
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

from exporter.errors import ExporterError

HOST = "127.0.0.1"
_TIMEOUT_SECONDS = 5.0

Labels = frozenset[tuple[str, str]]


class NoAnswer(ExporterError):
    """A program did not answer, or not with success."""


def free_ports(count: int) -> list[int]:
    """Ports on which nobody listens now; held open together, so that they differ."""
    probes = [socket.create_server((HOST, 0)) for _ in range(count)]
    ports = [int(probe.getsockname()[1]) for probe in probes]
    for probe in probes:
        probe.close()
    return ports


def ask(port: int, path: str, body: Mapping[str, Any] | None = None) -> str:
    """The text that a program on this machine answers; with a body the request is a POST of JSON.

    Raises:
        NoAnswer: nobody listens, or the answer is no success.
    """
    connection = http.client.HTTPConnection(HOST, port, timeout=_TIMEOUT_SECONDS)
    try:
        if body is None:
            connection.request("GET", path)
        else:
            connection.request("POST", path, json.dumps(body), {"Content-Type": "application/json"})
        response = connection.getresponse()
        text = response.read().decode("utf-8", "replace")
    except (OSError, http.client.HTTPException) as error:
        raise NoAnswer(f"http://{HOST}:{port}{path}: {error}") from error
    finally:
        connection.close()
    if response.status != http.HTTPStatus.OK:
        raise NoAnswer(f"http://{HOST}:{port}{path}: {response.status} {response.reason}: {text[:500]}")
    return text


class Inbox:
    """Takes Alertmanager's webhooks, as the people on call would, and remembers when which alert arrived."""

    def __init__(self, port: int) -> None:
        self._lock = threading.Lock()
        self._firing: dict[Labels, float] = {}
        self._resolved: dict[Labels, float] = {}
        inbox = self

        class Handler(BaseHTTPRequestHandler):
            def do_POST(self) -> None:
                body = self.rfile.read(int(self.headers.get("Content-Length", 0)))
                try:
                    inbox.take(json.loads(body))
                except (ValueError, TypeError, AttributeError, KeyError):
                    self.send_error(http.HTTPStatus.BAD_REQUEST)
                    return
                self.send_response(http.HTTPStatus.OK)
                self.send_header("Content-Length", "0")
                self.end_headers()

            def log_message(self, format: str, *args: object) -> None:  # noqa: A002 - the base class's name
                """Nothing: the screen is the demo's."""

        self._server = ThreadingHTTPServer((HOST, port), Handler)
        self._server.daemon_threads = True
        self._thread = threading.Thread(target=self._server.serve_forever, args=(0.1,), name="inbox", daemon=True)
        self._thread.start()

    def take(self, notification: Mapping[str, Any]) -> None:
        """Note one notification, in the form of Alertmanager's webhook."""
        now = time.time()
        with self._lock:
            for alert in notification["alerts"]:
                which = self._resolved if alert["status"] == "resolved" else self._firing
                which.setdefault(frozenset(alert["labels"].items()), now)

    def arrived(self) -> dict[Labels, float]:
        """When each alert first arrived as firing, Unix seconds, by its labels."""
        with self._lock:
            return dict(self._firing)

    def close(self) -> None:
        """Take nothing more."""
        self._server.shutdown()
        self._thread.join()
        self._server.server_close()
