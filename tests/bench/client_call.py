"""What reporting a call costs the application's own thread, against an OpenTelemetry span with 8 attributes."""

from __future__ import annotations

import gc
import statistics
import time
from collections.abc import Callable

from exporter.client import Client
from tests.bench import machine
from tests.bench.results import Result

_BURST = 200


def measure(*, quick: bool) -> list[Result]:
    """Microseconds a call, in bursts; between them the background thread sends to a real exporter."""
    rounds = 20 if quick else 60
    span = _span()
    ours: list[float] = []
    theirs: list[float] = []
    with machine.folder() as folder, machine.running(machine.exporter(folder / "data", machine.cores()[0])) as exporter:
        client = Client(f"http://127.0.0.1:{exporter.port}", application="bench", flush_interval=0.2)

        def track() -> None:
            client.track_api_request(
                "gpt-4.1", 812, 164, 1.9, True, category="analysis", endpoint="/v1/chat", cached_input_tokens=100
            )

        for _ in range(rounds):
            ours.append(_burst(track))
            client.flush()
            if span is not None:
                theirs.append(_burst(span))
        sent = client.stats().sent
        client.close()
    if sent != rounds * _BURST:
        raise AssertionError(f"{rounds * _BURST} events were tracked, {sent} were counted")
    base = statistics.median(theirs) if theirs else None
    ratio = statistics.median(b / a for a, b in zip(ours, theirs, strict=True)) if theirs else None
    note = "" if theirs else "no baseline: opentelemetry-sdk is not installed"
    return [Result("`track_api_request` against a span", statistics.median(ours), "µs", base, ratio, 50, 100, note)]


def _burst(call: Callable[[], None]) -> float:
    """Microseconds a call."""
    gc.collect()
    begun = time.perf_counter()
    for _ in range(_BURST):
        call()
    return (time.perf_counter() - begun) / _BURST * 1e6


def _span() -> Callable[[], None] | None:
    """A call that makes a span as an application would, exported to nowhere; None without the library."""
    try:
        from opentelemetry.sdk.trace import TracerProvider  # type: ignore[import-not-found]
        from opentelemetry.sdk.trace.export import (  # type: ignore[import-not-found]
            BatchSpanProcessor,
            SpanExporter,
            SpanExportResult,
        )
    except ImportError:
        return None

    class Nowhere(SpanExporter):  # type: ignore[misc]
        def export(self, spans: object) -> object:
            return SpanExportResult.SUCCESS

    provider = TracerProvider()
    provider.add_span_processor(BatchSpanProcessor(Nowhere()))
    tracer = provider.get_tracer("bench")
    attributes = {
        "gen_ai.request.model": "gpt-4.1",
        "gen_ai.usage.input_tokens": 812,
        "gen_ai.usage.output_tokens": 164,
        "gen_ai.usage.cached": 100,
        "latency": 1.9,
        "success": True,
        "category": "analysis",
        "http.route": "/v1/chat",
    }

    def span() -> None:
        with tracer.start_as_current_span("chat") as current:
            for name, value in attributes.items():
                current.set_attribute(name, value)

    return span
