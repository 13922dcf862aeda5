"""An exporter's server in this process, on a loopback port of its own, and a client for it."""

from __future__ import annotations

import socket
import ssl
from typing import Any

import aiohttp

from exporter.web.server import Server
from exporter.web.services import Services


class Served:
    """What `serve` made. Requests are context managers, as those of aiohttp's client, which they are."""

    host = "127.0.0.1"

    def __init__(self, server: Server, port: int, scheme: str) -> None:
        self.server = server
        self.port = port
        self._session = aiohttp.ClientSession(f"{scheme}://{self.host}:{port}")
        self.request = self._session.request

    def get(self, path: str, **options: Any) -> Any:
        return self.request("GET", path, **options)

    def head(self, path: str, **options: Any) -> Any:
        return self.request("HEAD", path, **options)

    def post(self, path: str, **options: Any) -> Any:
        return self.request("POST", path, **options)

    def put(self, path: str, **options: Any) -> Any:
        return self.request("PUT", path, **options)

    async def close(self) -> None:
        await self._session.close()
        await self.server.drain(1)


async def serve(services: Services, tls: ssl.SSLContext | None = None, **options: Any) -> Served:
    """Serve as the exporter does."""
    server = Server(services, **options)
    listener = socket.create_server((Served.host, 0))
    await server.start([listener], tls)
    return Served(server, listener.getsockname()[1], "https" if tls else "http")
