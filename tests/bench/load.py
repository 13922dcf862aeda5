"""A load generator that costs little: prepared requests over kept-alive sockets, one `epoll` loop, no library.

Closed loop: a connection sends its next request when its last one was answered.
"""

from __future__ import annotations

import contextlib
import gc
import json
import select
import socket
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field


@dataclass(slots=True)
class Report:
    """What a run of prepared requests gave."""

    seconds: float
    cpu: float  # this process's share of that time, 0..1
    statuses: dict[int, int] = field(default_factory=dict)
    answers: list[bytes] = field(default_factory=list)

    def total(self, key: str) -> int:
        """The sum of a number in the JSON answers."""
        return sum(json.loads(answer)[key] for answer in self.answers if answer)


def post(path: str, body: bytes, content_type: str) -> bytes:
    """A request, ready to be sent."""
    head = (
        f"POST {path} HTTP/1.1\r\nHost: 127.0.0.1\r\nContent-Type: {content_type}\r\n"
        f"Content-Length: {len(body)}\r\n\r\n"
    )
    return head.encode() + body


class _Connection:
    def __init__(self, port: int) -> None:
        self.socket = socket.create_connection(("127.0.0.1", port))
        self.socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self.socket.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, 1 << 20)
        self.socket.setblocking(False)
        self.unsent = memoryview(b"")
        self.received = b""

    def send(self) -> bool:
        """Send what the socket takes; whether all is sent."""
        with contextlib.suppress(BlockingIOError):
            self.unsent = self.unsent[self.socket.send(self.unsent) :]
        return not self.unsent

    def receive(self) -> tuple[int, bytes] | None:
        """Status and body once the answer is complete."""
        data = self.socket.recv(1 << 18)
        if not data:
            raise ConnectionError("the server closed a connection under load")
        self.received += data
        head, separator, body = self.received.partition(b"\r\n\r\n")
        if not separator:
            return None
        status = int(head[9:12])
        at = head.lower().find(b"content-length:")
        length = int(head[at + 15 :].split(b"\r\n", 1)[0]) if at >= 0 else 0
        if len(body) < length:
            return None
        self.received = b""
        return status, body


def run(port: int, requests: Sequence[bytes], connections: int) -> Report:
    """Send all requests; returns when each was answered."""
    gc.collect()
    gc.disable()
    try:
        return _run(port, iter(requests), len(requests), connections)
    finally:
        gc.enable()


def _run(port: int, requests: Iterator[bytes], count: int, connections: int) -> Report:
    poll = select.epoll()
    lanes: dict[int, _Connection] = {}
    for _ in range(min(connections, count)):
        lane = _Connection(port)
        lanes[lane.socket.fileno()] = lane
        poll.register(lane.socket, select.EPOLLIN)
    report = Report(0, 0)
    wall, cpu = time.perf_counter(), time.process_time()
    answered = 0
    try:
        for number, lane in lanes.items():
            _next(poll, number, lane, requests)
        while answered < count:
            for number, events in poll.poll(30):
                lane = lanes[number]
                if events & select.EPOLLOUT and lane.send():
                    poll.modify(number, select.EPOLLIN)
                if not events & ~select.EPOLLOUT:
                    continue
                answer = lane.receive()
                if answer is not None:
                    answered += 1
                    status, body = answer
                    report.statuses[status] = report.statuses.get(status, 0) + 1
                    report.answers.append(body)
                    _next(poll, number, lane, requests)
    finally:
        for lane in lanes.values():
            lane.socket.close()
        poll.close()
    report.seconds = time.perf_counter() - wall
    report.cpu = (time.process_time() - cpu) / report.seconds
    return report


def _next(poll: select.epoll, number: int, lane: _Connection, requests: Iterator[bytes]) -> None:
    request = next(requests, None)
    if request is None:
        return
    lane.unsent = memoryview(request)
    if not lane.send():
        poll.modify(number, select.EPOLLIN | select.EPOLLOUT)
