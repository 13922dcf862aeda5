"""An HTTP server on loopback that takes events as the contract says: each id counts once."""

from __future__ import annotations

import gzip
import json
import socket
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

REQUIRED = {"model": str, "input_tokens": int, "output_tokens": int, "latency": (int, float), "success": bool}


class Sink:
    """What arrived, and what to answer next: `scripted` holds (status, headers) or "cut before", "cut after"."""

    def __init__(self) -> None:
        self.events: dict[str, dict[str, Any]] = {}
        self.requests: list[dict[str, Any]] = []
        self.scripted: list[tuple[int, dict[str, str]] | str] = []
        self.when_posted: Callable[[], None] = lambda: None
        self.lock = threading.Lock()
        self.url = ""

    def take(self, lines: list[bytes]) -> dict[str, Any]:
        accepted = duplicates = 0
        rejected = []
        for index, line in enumerate(lines):
            event = json.loads(line)
            problem = next((f for f, kind in REQUIRED.items() if not isinstance(event.get(f), kind)), None)
            if problem or event["input_tokens"] < 0:
                field = problem or "input_tokens"
                rejected.append({"index": index, "field": field, "reason": "wrong_type", "message": f"bad {field}"})
            elif event["id"] in self.events:
                duplicates += 1
            else:
                self.events[event["id"]] = event
                accepted += 1
        return {"status": "tracked", "accepted": accepted, "duplicates": duplicates, "rejected": rejected}

    @contextmanager
    def running(self, port: int = 0) -> Iterator[Sink]:
        sink = self

        class Handler(BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"
            disable_nagle_algorithm = True

            def log_message(self, *args: object) -> None:
                pass

            def do_POST(self) -> None:
                body = self.rfile.read(int(self.headers["Content-Length"]))
                zipped = self.headers.get("Content-Encoding") == "gzip"
                lines = [line for line in (gzip.decompress(body) if zipped else body).split(b"\n") if line]
                with sink.lock:
                    sink.requests.append(
                        {"path": self.path, "headers": dict(self.headers), "gzip": zipped, "events": len(lines)}
                    )
                    step = sink.scripted.pop(0) if sink.scripted else None
                    if step == "cut before":
                        return self.cut()
                    if isinstance(step, tuple) and step[0] != 200:
                        return self.answer(step[0], {"title": "as scripted", "detail": "not now"}, step[1])
                    answer = sink.take(lines)
                    sink.when_posted()
                if step == "cut after":
                    return self.cut()
                nothing_valid = len(answer["rejected"]) == len(lines)
                return self.answer(422 if nothing_valid else 200, answer, {})

            def answer(self, status: int, answer: dict[str, Any], headers: dict[str, str]) -> None:
                body = json.dumps(answer).encode()
                self.send_response(status)
                for name, value in headers.items():
                    self.send_header(name, value)
                self.send_header("Content-Length", str(len(body)))
                self.end_headers()
                self.wfile.write(body)

            def cut(self) -> None:
                self.close_connection = True
                self.connection.shutdown(socket.SHUT_RDWR)

        server = ThreadingHTTPServer(("127.0.0.1", port), Handler)
        server.daemon_threads = True
        self.url = f"http://127.0.0.1:{server.server_port}"
        thread = threading.Thread(target=server.serve_forever, args=(0.02,))
        thread.start()
        try:
            yield self
        finally:
            server.shutdown()
            thread.join()
            server.server_close()
