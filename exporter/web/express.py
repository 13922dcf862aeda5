"""The express lane: plain pushes of a few events, answered without a task, a request object or a response object.

Every connection begins here. As long as it sends nothing but plain pushes it stays, and each costs little more than
half of what aiohttp takes to answer nothing at all. At the first bytes that are anything else the connection is
aiohttp's, for good, and so are those bytes: this lane refuses nothing for its form. What it answers is what the
handlers answer, by the same door, guard, limits, decoders and replies.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from email.utils import formatdate
from functools import partial
from http import HTTPStatus
from typing import cast

from exporter.errors import RequestError
from exporter.events import Decoded
from exporter.ingest.pipeline import Submission
from exporter.web.auth import client_name
from exporter.web.events import Path, count_refused, paths
from exporter.web.limits import Patience
from exporter.web.plain import Head, read_head
from exporter.web.replies import Reply, refusal
from exporter.web.services import Configuration, Services
from exporter.web.underway import UnderWay

PART_SECONDS = 1.0  # for the rest of a body, before it is aiohttp's to wait for
_MOST = 16 * 1024  # bytes of a body: its events are read in one go
_STATUSES = {status.value: f"{status.value} {status.phrase}".encode() for status in HTTPStatus}


class Desk:
    """What the connections of a server share. Owned by the event loop."""

    def __init__(
        self,
        services: Services,
        under_way: UnderWay,
        patience: Patience,
        idle: float,
        ordinary: Callable[[], asyncio.Protocol],
    ) -> None:
        """`idle` is for how many seconds a silent connection is kept, `ordinary` makes what speaks all of HTTP."""
        self.services = services
        self.under_way = under_way
        self.patience = patience
        self.idle = idle
        self.ordinary = ordinary
        self.connections: set[Express] = set()
        self.longest = 0  # bytes of a body
        self._paths: dict[bytes, Path] = {}
        self._adopted: Configuration | None = None
        self._second = 0
        self._date = b""

    def path(self, line: bytes) -> Path | None:
        """Where a request line leads; None where that is not to a push."""
        configuration = self.services.configuration
        if configuration is not self._adopted:
            self._adopted = configuration
            self.longest = min(_MOST, configuration.plan.limits.body_bytes)
            # Passwords take their time, on another thread.
            found = () if configuration.door.asks else paths(configuration.plan)
            self._paths = {f"POST {path.name} HTTP/1.1".encode(): path for path in found}
        return self._paths.get(line)

    def submit(self, path: Path, head: Head, body: bytes, remote: str | None) -> tuple[Decoded, Submission]:
        """Let a request pass, or not, and give its events away.

        Raises:
            Exception: whatever aiohttp's way to the same path would raise.
        """
        services = self.services
        configuration = services.configuration
        configuration.door.count()
        client = client_name(configuration.guard.admit("POST", head.headers, "ingest"), remote)
        try:
            configuration.limits.ingest(client)
            decoded = path.push.decode(services, client, body, False)
        except RequestError as error:
            count_refused(services, error)
            raise
        return decoded, services.ingest.submit_soon(decoded, path.migration)

    def encode(self, reply: Reply) -> bytes:
        """An answer as it is sent."""
        own = "".join([f"{name}: {value}\r\n" for name, value in reply.headers.items()]) if reply.headers else ""
        if self.under_way.ending:
            own += "Connection: close\r\n"
        return b"HTTP/1.1 %b\r\nContent-Type: %b\r\nContent-Length: %d\r\n%b%b%b\r\n%b" % (
            _STATUSES[reply.status],
            reply.content_type.encode(),
            len(reply.body),
            own.encode(),
            self._dated(),
            self.services.configuration.door.headers.lines,
            reply.body,
        )

    def _dated(self) -> bytes:
        now = int(self.services.clock.now())
        if now != self._second:
            self._second = now
            self._date = f"Date: {formatdate(now, usegmt=True)}\r\n".encode()
        return self._date


class Express(asyncio.Protocol):
    """One connection, until it is aiohttp's."""

    def __init__(self, desk: Desk) -> None:
        self._desk = desk
        self._loop = asyncio.get_running_loop()
        self._data = b""  # what came and is not answered
        self._busy = False  # a request is under way; there is one at a time
        self._since: float | None = None  # when the first half of a request came, whose second is to come
        self._choked = False  # the other side does not read its answers
        self._paused = False  # and we read no requests
        self._seen = self._loop.time()  # when it came, and later when it last asked something

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """A client came."""
        self._transport = cast(asyncio.Transport, transport)
        peer = transport.get_extra_info("peername")
        self._remote = str(peer[0]) if isinstance(peer, tuple) else peer  # as aiohttp's requests have it
        self._desk.connections.add(self)
        self._timer = self._loop.call_later(self._desk.idle, self._look)

    def connection_lost(self, exc: Exception | None) -> None:
        """It went."""
        self._leave()
        if self._since is not None:
            self._since = None
            self._desk.under_way.end()

    def data_received(self, data: bytes) -> None:
        """It sent something."""
        behind = self._busy or self._choked or (self._data and self._since is None)
        self._data = self._data + data if self._data else data
        if behind:  # until all that is here is dealt with, no more is taken in
            self._paused = True
            self._transport.pause_reading()
            return
        self._next()

    def pause_writing(self) -> None:
        """It does not read its answers."""
        self._choked = True

    def resume_writing(self) -> None:
        """It reads again."""
        self._choked = False
        self._loop.call_soon(self._next)

    def close(self) -> None:
        """The end of serving."""
        self._transport.close()

    def _next(self) -> None:
        if self._busy or self._choked or self._transport.is_closing():
            return
        data = self._data
        if not data:
            self._read_on()
            return
        line = data.find(b"\r\n")
        path = self._desk.path(data[:line])
        head = read_head(data, line) if path is not None else None
        if path is None or head is None or head.end - head.start > self._desk.longest:
            self._hand_over()
        elif len(data) < head.end:
            self._wait_for_rest()
        else:
            self._data = data[head.end :]
            self._take(path, head, data[head.start : head.end])

    def _take(self, path: Path, head: Head, body: bytes) -> None:
        if self._since is None:
            self._desk.under_way.begin()
        self._since = None
        self._busy = True
        self._seen = self._loop.time()
        try:
            decoded, submission = self._desk.submit(path, head, body, self._remote)
        except Exception as error:
            self._refuse(path, error)
        else:
            submission.stored.add_done_callback(partial(self._stored, path, decoded, submission))

    def _stored(self, path: Path, decoded: Decoded, submission: Submission, _: object) -> None:
        try:
            reply = path.push.reply(self._desk.services, decoded, submission.receipt())
        except Exception as error:
            self._refuse(path, error)
        else:
            self._answer(reply)

    def _refuse(self, path: Path, error: Exception) -> None:
        reply = refusal(error, path.name)
        late = self._desk.patience.seconds(error)
        if late and not self._desk.under_way.ending:
            self._loop.call_later(late, self._answer, reply)
        else:
            self._answer(reply)

    def _answer(self, reply: Reply) -> None:
        self._busy = False
        self._desk.under_way.end()
        if self._transport.is_closing():
            return
        self._transport.write(self._desk.encode(reply))
        if self._desk.under_way.ending:
            self._transport.close()
        elif self._data or self._paused:
            self._loop.call_soon(self._next)  # others have their turn before

    def _read_on(self) -> None:
        if self._paused:
            self._paused = False
            self._transport.resume_reading()

    def _wait_for_rest(self) -> None:
        self._read_on()
        if self._since is None:
            self._since = self._loop.time()
            self._desk.under_way.begin()
            if self._timer.when() > self._since + PART_SECONDS:
                self._timer.cancel()
                self._timer = self._loop.call_later(PART_SECONDS, self._look)

    def _look(self) -> None:
        """Whether the connection is worth keeping, and worth keeping here."""
        now = self._loop.time()
        if self._since is not None:
            left = self._since + PART_SECONDS - now
        else:
            left = PART_SECONDS if self._busy else self._seen + self._desk.idle - now
        if left > 0:
            self._timer = self._loop.call_later(left, self._look)
        elif self._since is not None:
            self._hand_over()
        else:
            self._transport.abort()

    def _hand_over(self) -> None:
        self._leave()
        self._read_on()
        if self._since is not None:
            self._since = None
            self._loop.call_later(0.1, self._desk.under_way.end)  # it counts there as well, but not at once
        ordinary = self._desk.ordinary()
        self._transport.set_protocol(ordinary)
        ordinary.connection_made(self._transport)
        ordinary.data_received(self._data)

    def _leave(self) -> None:
        self._timer.cancel()
        self._desk.connections.discard(self)
