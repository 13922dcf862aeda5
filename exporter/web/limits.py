"""How much one client may ask for: token buckets in a table of bounded size."""

from __future__ import annotations

import math
from collections import OrderedDict
from collections.abc import Hashable

from aiohttp import web

from exporter.clock import Clock
from exporter.errors import RequestError
from exporter.plan.model import Limits

QUICK_PER_SECOND, QUICK_AT_ONCE = 20, 100  # refusals of all clients together that are answered at once
LATE_SECONDS = 1.0  # until each further one is
CLIENTS = 10_000  # buckets kept; who has not asked for longest is forgotten first


class Buckets:
    """One bucket for each client: `rate` a second flow in, up to `burst`. A rate of 0 lets everything pass.

    A request may take more than there is (a batch is never split); its client then waits until the debt is paid, so
    that the rate holds over time.
    """

    def __init__(self, rate: float, burst: float, clock: Clock) -> None:
        self._rate = rate
        self._burst = max(1.0, burst)
        self._clock = clock
        self._buckets: OrderedDict[Hashable, tuple[float, float]] = OrderedDict()  # client -> (level, at)

    def __len__(self) -> int:
        return len(self._buckets)

    def wait(self, client: Hashable) -> float:
        """Seconds until the client may ask; 0 when it may now."""
        return max(0.0, (1.0 - self._level(client)) / self._rate) if self._rate else 0.0

    def take(self, client: Hashable, amount: float) -> None:
        """Count what a client asked for."""
        if not self._rate:
            return
        self._buckets[client] = (self._level(client) - amount, self._clock.monotonic())
        self._buckets.move_to_end(client)
        if len(self._buckets) > CLIENTS:
            self._buckets.popitem(last=False)

    def _level(self, client: Hashable) -> float:
        level, at = self._buckets.get(client, (self._burst, 0.0))
        return min(self._burst, level + (self._clock.monotonic() - at) * self._rate)


class Patience:
    """Whoever guesses waits: beyond a few a second, refusals of tokens and passwords are answered late.

    A connection sends nothing else while it waits, so that guessing costs whoever does it more than the exporter.
    """

    def __init__(self, clock: Clock) -> None:
        self._quick = Buckets(QUICK_PER_SECOND, QUICK_AT_ONCE, clock)

    def seconds(self, error: Exception) -> float:
        """How long the answer to a request that failed is held back; 0 for most."""
        if not (isinstance(error, RequestError) and (error.status in (401, 403) or error.reason == "passwords_wait")):
            return 0.0
        if self._quick.wait(""):
            return LATE_SECONDS
        self._quick.take("", 1)
        return 0.0


PATIENCE = web.AppKey("patience", Patience)


class ClientLimits:
    """`limits.ingest_per_second` and `limits.api_per_minute`, for each client apart."""

    def __init__(self, limits: Limits, clock: Clock) -> None:
        self._limits = (limits.ingest_per_second, limits.api_per_minute)
        self._events = Buckets(limits.ingest_per_second, limits.ingest_per_second, clock)
        self._requests = Buckets(limits.api_per_minute / 60, limits.api_per_minute, clock)

    def same(self, other: ClientLimits) -> bool:
        """Whether both let the same through."""
        return self._limits == other._limits

    def request(self, client: str) -> None:
        """Count a request that is not for ingest.

        Raises:
            RequestError: 429 when the client asked too often.
        """
        _refuse_until(self._requests.wait(client), "limits.api_per_minute")
        self._requests.take(client, 1)

    def ingest(self, client: str) -> None:
        """Before events are read.

        Raises:
            RequestError: 429 while the client's earlier events use up what it may send.
        """
        _refuse_until(self._events.wait(client), "limits.ingest_per_second")

    def events(self, client: str, count: int) -> None:
        """Count events that a client sent."""
        self._events.take(client, count)


def _refuse_until(seconds: float, limit: str) -> None:
    if seconds > 0:
        wait = math.ceil(seconds)
        message = f"more than {limit} allows; retry in {wait} s"
        raise RequestError(429, message, reason="rate_limited", headers={"Retry-After": str(wait)})
