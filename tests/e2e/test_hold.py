"""The hold, with two real Prometheus servers behind one address: what `increase()` says against what happened."""

from __future__ import annotations

import asyncio
import signal
import threading
import time
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path

import pytest

from tests.configs import variant
from tests.processes import ExporterProcess, PrometheusProcess, free_port, post, prometheus, wait_for

HOLD = 4.0  # eight scrape intervals
IDLE = 30.0
SCRAPE = "500ms"
TOLERANCE = 0.05


class Relay:
    """A TCP relay, so that several servers reach the exporter from one address, which may change."""

    def __init__(self, target: int) -> None:
        self.source = "127.0.0.1"
        self.port = free_port()
        self._target = target
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._run, daemon=True)
        self._tasks: set[asyncio.Task[None]] = set()
        self._thread.start()

    def _run(self) -> None:
        asyncio.set_event_loop(self._loop)
        self._server = self._loop.run_until_complete(asyncio.start_server(self._relay, "127.0.0.1", self.port))
        self._loop.run_forever()
        self._server.close()
        for task in asyncio.all_tasks(self._loop):
            task.cancel()
        self._loop.run_until_complete(asyncio.sleep(0.1))
        self._loop.run_until_complete(self._loop.shutdown_asyncgens())
        self._loop.close()

    async def _relay(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            upstream = await asyncio.open_connection("127.0.0.1", self._target, local_addr=(self.source, 0))
        except OSError:
            writer.close()
            return

        async def pump(source: asyncio.StreamReader, sink: asyncio.StreamWriter) -> None:
            try:
                while data := await source.read(65536):
                    sink.write(data)
                    await sink.drain()
            except OSError:
                pass
            finally:
                sink.close()

        await asyncio.gather(pump(reader, upstream[1]), pump(upstream[0], writer))

    def close(self) -> None:
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join()


class Traffic:
    """Calls of one application at a steady pace, counted."""

    def __init__(self, exporter: ExporterProcess) -> None:
        self._exporter = exporter
        self.sent = 0

    def send(self, count: int, application: str = "steady", **fields: object) -> None:
        event = {
            "model": "gpt-4o",
            "input_tokens": 100,
            "output_tokens": 10,
            "latency": 0.4,
            "success": True,
            "application": application,
            **fields,
        }
        status, answer = post(f"{self._exporter.url}/api/v1/events", [event] * count)
        assert status == 200, answer
        self.sent += count

    def run(self, seconds: float) -> None:
        """Two calls, twice a second."""
        end = time.monotonic() + seconds
        while time.monotonic() < end:
            self.send(2)
            time.sleep(0.5)


def settle() -> None:
    """Let the last values be scraped."""
    time.sleep(1.5)


def near(value: float, truth: float) -> bool:
    print(f"increase() says {value:.2f}, the truth is {truth:g}: {value / truth - 1:+.1%}")
    return abs(value - truth) <= TOLERANCE * truth


@pytest.fixture
def relay_and_exporter(tmp_path: Path) -> Iterator[tuple[Relay, ExporterProcess]]:
    limits = {"hold": f"{HOLD:g}s", "expire_idle": f"{IDLE:g}s"}
    config = variant(tmp_path, limits=limits, targets={"scrape_interval": "1s"})
    exporter = ExporterProcess(tmp_path, config)
    exporter.start()
    relay = Relay(exporter.port)
    yield relay, exporter
    relay.close()
    exporter.end()


@pytest.mark.slow
def test_increase_agrees_with_what_happened(relay_and_exporter: tuple[Relay, ExporterProcess], tmp_path: Path) -> None:
    relay, exporter = relay_and_exporter
    config = tmp_path / "prometheus.yml"
    config.write_text(
        f"global: {{scrape_interval: {SCRAPE}, scrape_timeout: {SCRAPE}}}\n"
        f"scrape_configs: [{{job_name: e, static_configs: [{{targets: ['127.0.0.1:{relay.port}'], "
        "labels: {instance: exporter}}]}]\n"
    )
    traffic = Traffic(exporter)
    requests = 'llm_requests_total{application="steady"}'

    def shown(server: PrometheusProcess, expression: str = requests) -> float:
        return server.value(f"sum({expression})")

    with ExitStack() as stack:
        first = stack.enter_context(prometheus(tmp_path / "first", config))

        # A counter that reaches 1,000 while one server watches.
        traffic.send(1000)
        wait_for(lambda: shown(first) == 1000, "the hold is over", HOLD + 10)
        assert near(first.value(f"sum(increase({requests}[10m]))"), 1000)

        # First contact of a second server with a counter at 1,000.
        second = stack.enter_context(prometheus(tmp_path / "second", config))
        wait_for(lambda: shown(second) == 1000, "the second server has seen it")
        before = traffic.sent
        traffic.run(25)
        settle()
        for server in (first, second):
            truth = traffic.sent - before if server is second else traffic.sent
            assert near(server.value(f"sum(increase({requests}[10m]))"), truth)

        # The exporter dies and returns.
        exporter.end(signal.SIGKILL)
        time.sleep(1)
        exporter.start()
        traffic.run(10)
        settle()
        assert near(first.value(f"sum(increase({requests}[10m]))"), traffic.sent)
        assert near(second.value(f"sum(increase({requests}[10m]))"), traffic.sent - before)

        # The servers' address changes.
        relay.source = "127.0.0.9"
        traffic.run(10)
        settle()
        assert near(first.value(f"sum(increase({requests}[10m]))"), traffic.sent)
        assert near(second.value(f"sum(increase({requests}[10m]))"), traffic.sent - before)

        # A cost counter born at five dollars: two million input tokens at 2.50 a million.
        traffic.send(1, "five-dollars", input_tokens=2_000_000, output_tokens=0)
        cost = 'llm_cost_usd_total{application="five-dollars"}'
        for server in (first, second):
            wait_for(lambda server=server: shown(server, cost) == 5, "five dollars are shown", HOLD + 10)
        time.sleep(8)
        for server in (first, second):
            assert near(server.value(f"sum(increase({cost}[10m]))"), 5)

        # A series that leaves for silence and returns.
        wait_for(lambda: not first.query(cost) and not second.query(cost), "the series has left", IDLE + 20)
        returned = time.monotonic()
        traffic.send(1, "five-dollars", input_tokens=2_000_000, output_tokens=0)
        for server in (first, second):
            wait_for(lambda server=server: shown(server, cost) == 10, "ten dollars are shown", HOLD + 10)
        time.sleep(18)
        since = int(time.monotonic() - returned)
        for server in (first, second):
            assert near(server.value(f"sum(increase({cost}[{since}s]))"), 5)
