"""The HTTP server: connections begin in the express lane, and aiohttp speaks with who needs more than that."""

from __future__ import annotations

import asyncio
import socket
import ssl
from collections.abc import Iterable
from typing import cast

from aiohttp import web

from exporter.web.app import create_app
from exporter.web.express import Desk, Express
from exporter.web.limits import PATIENCE
from exporter.web.ordinary import Ordinary
from exporter.web.services import Services
from exporter.web.underway import UNDER_WAY

IDLE_SECONDS = 75.0  # longer than proxies keep connections that they mean to use again
BACKLOG = 1024  # connections that the kernel keeps for us
AT_ONCE = 8  # that are taken before those that are here have their turn


class Server:
    """Serves one exporter on any number of sockets."""

    def __init__(self, services: Services, *, telemetry_path: str = "/metrics", idle: float = IDLE_SECONDS) -> None:
        """`idle` is for how many seconds a connection is kept that asks nothing, or does not finish its headers."""
        app = create_app(services, telemetry_path=telemetry_path)
        self._services = services
        self._idle = idle
        self._runner = web.AppRunner(app, shutdown_timeout=1.0)  # after the time that `drain` gives
        self._under_way = app[UNDER_WAY]
        self._desk = Desk(services, self._under_way, app[PATIENCE], idle, self._ordinary)
        self._listening: list[asyncio.Server] = []

    async def start(self, listeners: Iterable[socket.socket], tls: ssl.SSLContext | None = None) -> None:
        """Serve on bound sockets, which are the server's from now on."""
        await self._runner.setup()
        loop = asyncio.get_running_loop()
        for listener in listeners:
            server = await loop.create_server(lambda: Express(self._desk), sock=listener, ssl=tls, backlog=AT_ONCE)
            listener.listen(BACKLOG)  # asyncio takes one number for both
            self._listening.append(server)

    async def drain(self, seconds: float) -> None:
        """Take no more connections, answer what is under way for at most so many seconds, close everything."""
        for server in self._listening:
            server.close()
        # aiohttp's own shutdown would stop reading at once, also bodies of which half is here.
        await self._under_way.finish(seconds)
        for connection in tuple(self._desk.connections):
            connection.close()
        await self._runner.cleanup()

    def _ordinary(self) -> asyncio.Protocol:
        return Ordinary(cast(web.Server, self._runner.server), self._services, self._idle)
