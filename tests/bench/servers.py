"""Baselines: the server that one would write in an afternoon, and aiohttp with nothing behind it.

python -m tests.bench.servers naive PORT DATABASE
python -m tests.bench.servers bare PORT
"""

from __future__ import annotations

import json
import sqlite3
import sys
from pathlib import Path

from aiohttp import web
from prometheus_client import CollectorRegistry, Counter, Histogram, disable_created_metrics

COLUMNS = "id TEXT PRIMARY KEY, at REAL, model TEXT, application TEXT, category TEXT, endpoint TEXT, input INTEGER"
COLUMNS += ", output INTEGER, cached INTEGER, latency REAL, success INTEGER, error TEXT, cost REAL"
INSERT = f"INSERT OR IGNORE INTO events VALUES ({', '.join('?' * 13)})"
PRICES = {"gpt-4": (30, 60), "gpt-4o": (2.5, 10), "gpt-4o-mini": (0.15, 0.6), "gpt-4.5-preview": (75, 150)}
PRICES |= {"gpt-4.1": (2, 8), "gpt-4.1-mini": (0.4, 1.6)}
_LABELS = ("model", "application", "category")


def open_naive(path: Path) -> sqlite3.Connection:
    """The naive server's database: as durable as the exporter's ledger."""
    connection = sqlite3.connect(path, isolation_level=None)
    connection.execute("PRAGMA journal_mode = WAL")
    connection.execute("PRAGMA synchronous = FULL")
    connection.execute(f"CREATE TABLE IF NOT EXISTS events ({COLUMNS})")
    return connection


class Naive:
    """json, manual checks, prometheus_client, one commit per event."""

    def __init__(self, path: Path) -> None:
        disable_created_metrics()  # type: ignore[no-untyped-call]
        self._connection = open_naive(path)
        registry = CollectorRegistry()
        self._requests = Counter("requests", "Calls", _LABELS, registry=registry)
        self._errors = Counter("errors", "Failed calls", (*_LABELS, "type"), registry=registry)
        self._tokens = Counter("tokens", "Tokens", (*_LABELS, "type"), registry=registry)
        self._cost = Counter("cost_usd", "Cost", _LABELS, registry=registry)
        self._duration = Histogram("duration_seconds", "Latency", _LABELS, registry=registry)

    async def post(self, request: web.Request) -> web.Response:
        """One event, or one on each line."""
        accepted = duplicates = 0
        for line in (await request.read()).split(b"\n"):
            if self._store(json.loads(line)):
                accepted += 1
            else:
                duplicates += 1
        return web.json_response({"status": "tracked", "accepted": accepted, "duplicates": duplicates, "rejected": []})

    def _store(self, event: dict[str, object]) -> bool:
        check(event)
        model, application, category = (str(event[name]) for name in _LABELS)
        tokens_in, tokens_out = int(str(event["input_tokens"])), int(str(event["output_tokens"]))
        cached = int(str(event.get("cached_input_tokens", 0)))
        rate_in, rate_out = PRICES[model]
        cost = (tokens_in * rate_in + tokens_out * rate_out) / 1e6
        row: tuple[object, ...] = (event["id"], event["timestamp"], model, application, category, event["endpoint"])
        row += (tokens_in, tokens_out, cached, event["latency"], event["success"], event.get("error_type"), cost)
        if not self._connection.execute(INSERT, row).rowcount:
            return False
        labels = (model, application, category)
        self._requests.labels(*labels).inc()
        if not event["success"]:
            self._errors.labels(*labels, str(event.get("error_type"))).inc()
        self._tokens.labels(*labels, "input").inc(tokens_in - cached)
        self._tokens.labels(*labels, "cached_input").inc(cached)
        self._tokens.labels(*labels, "output").inc(tokens_out)
        self._cost.labels(*labels).inc(cost)
        self._duration.labels(*labels).observe(float(str(event["latency"])))
        return True


def check(event: dict[str, object]) -> None:
    """The checks of the wire format that these events need, by hand."""
    for name, kind in (("model", str), ("input_tokens", int), ("output_tokens", int), ("success", bool)):
        if not isinstance(event.get(name), kind):
            raise ValueError(f"{name} is not a {kind.__name__}")
    for name in ("id", "category", "endpoint", "application", "error_type"):
        value = event.get(name, "")
        if not isinstance(value, str) or len(value) > 200:
            raise ValueError(f"{name} is not a string of at most 200 characters")
    for name in ("input_tokens", "output_tokens", "cached_input_tokens"):
        value = event.get(name, 0)
        if not isinstance(value, int) or not 0 <= value <= 2**53 - 1:
            raise ValueError(f"{name} is not a count")
    latency = event.get("latency")
    if not isinstance(latency, int | float) or not 0 <= latency <= 10_000_000:
        raise ValueError("latency is not a number of seconds")
    if not isinstance(event.get("timestamp", 0.0), int | float):
        raise ValueError("timestamp is not a time")
    if event.keys() - _KNOWN:
        raise ValueError("unknown field")


_KNOWN = {"id", "timestamp", "model", "input_tokens", "output_tokens", "latency", "success", "category", "endpoint"}
_KNOWN |= {"application", "cached_input_tokens", "error_type"}


async def _nothing(_: web.Request) -> web.Response:
    return web.Response(status=204)


async def _ready(_: web.Request) -> web.Response:
    return web.Response(text="ready")


def main() -> None:
    """Serve until SIGTERM."""
    kind, port, *rest = sys.argv[1:]
    app = web.Application(client_max_size=8 << 20)
    app.router.add_post("/api/v1/events", Naive(Path(rest[0])).post if kind == "naive" else _nothing)
    app.router.add_get("/-/ready", _ready)
    web.run_app(app, host="127.0.0.1", port=int(port), access_log=None, print=lambda *_: None)


if __name__ == "__main__":
    main()
