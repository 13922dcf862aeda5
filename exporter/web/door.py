"""What stands before every path: the web configuration's rate limit, passwords and headers."""

from __future__ import annotations

import math
from collections.abc import Callable

from exporter.clock import Clock
from exporter.errors import RequestError
from exporter.web.auth import Guard, Headers
from exporter.web.headers import AnswerHeaders
from exporter.web.limits import Buckets
from exporter.web.passwords import Passwords
from exporter.web.webconfig import WebConfig


class Door:
    """One web configuration at work. Paths for probes are no exception, as with other exporters."""

    def __init__(self, config: WebConfig, on_failure: Callable[[str], None], clock: Clock) -> None:
        self.config = config
        self.headers = AnswerHeaders(config.headers)
        self._on_failure = on_failure
        self._passwords = Passwords(config.users) if config.users else None
        self._requests = Buckets(1 / config.interval if config.interval else 0.0, config.burst, clock)

    @property
    def asks(self) -> bool:
        """Whether it asks for passwords."""
        return self._passwords is not None

    def count(self) -> None:
        """Count a request.

        Raises:
            RequestError: 429 beyond the rate limit.
        """
        if not self.config.interval:
            return
        wait = self._requests.wait("")
        if wait:
            headers = {"Retry-After": str(math.ceil(wait))}
            raise RequestError(429, "more requests than rate_limit allows", reason="rate_limited", headers=headers)
        self._requests.take("", 1)

    async def admit(self, headers: Headers, guard: Guard) -> str | None:
        """Let a request pass; whose password it came with.

        A bearer token that the guard knows passes too, for what its role allows: both cannot stand in one header.

        Raises:
            RequestError: 429 beyond the rate limit, 401 without a right password.
        """
        self.count()
        if self._passwords is None:
            return None
        scheme, _, credentials = headers.get("authorization", "").partition(" ")
        if scheme.lower() == "bearer" and guard.find(credentials) is not None:
            return None
        user = await self._passwords.user(credentials) if scheme.lower() == "basic" else None
        if user is None:
            reason = "unknown" if scheme else "missing"
            self._on_failure(reason)
            wanted = {"WWW-Authenticate": 'Basic realm="llm-migration-exporter", charset="UTF-8"'}
            raise RequestError(401, "a user and the right password are needed", reason=reason, headers=wanted)
        return user
