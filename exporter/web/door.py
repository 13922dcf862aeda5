"""What stands before every path: the web configuration's rate limit, passwords and headers."""

from __future__ import annotations

import math
from collections.abc import Callable

from aiohttp import web

from exporter.clock import Clock
from exporter.errors import RequestError
from exporter.web.auth import USER, Guard
from exporter.web.limits import Buckets
from exporter.web.passwords import Passwords
from exporter.web.webconfig import WebConfig


class Door:
    """One web configuration at work. Paths for probes are no exception, as with other exporters."""

    def __init__(self, config: WebConfig, on_failure: Callable[[str], None], clock: Clock) -> None:
        self.config = config
        self.headers = config.headers
        self._on_failure = on_failure
        self._passwords = Passwords(config.users) if config.users else None
        self._requests = Buckets(1 / config.interval if config.interval else 0.0, config.burst, clock)

    async def admit(self, request: web.Request, guard: Guard) -> None:
        """Let a request pass, and note whose password it came with.

        A bearer token that the guard knows passes too, for what its role allows: both cannot stand in one header.

        Raises:
            RequestError: 429 beyond the rate limit, 401 without a right password.
        """
        wait = self._requests.wait("")
        if wait:
            headers = {"Retry-After": str(math.ceil(wait))}
            raise RequestError(429, "more requests than rate_limit allows", reason="rate_limited", headers=headers)
        self._requests.take("", 1)
        if self._passwords is None:
            return
        scheme, _, credentials = request.headers.get("Authorization", "").partition(" ")
        if scheme.lower() == "bearer" and guard.find(credentials) is not None:
            return
        user = await self._passwords.user(credentials) if scheme.lower() == "basic" else None
        if user is None:
            reason = "unknown" if scheme else "missing"
            self._on_failure(reason)
            headers = {"WWW-Authenticate": 'Basic realm="llm-migration-exporter", charset="UTF-8"'}
            raise RequestError(401, "a user and the right password are needed", reason=reason, headers=headers)
        request[USER] = user
