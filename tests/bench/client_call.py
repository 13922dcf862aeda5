"""What reporting a call costs the application's own thread, against an OpenTelemetry span with 8 attributes.

Both are made in the same process and round, one after the other, while the client sends to a real exporter and the
span processor's thread exports to nowhere (which flatters the baseline: a real exporter would work in that thread).
Both calls say the same of a model call. Nothing is switched off: the garbage collector runs as it does, and a burst
is longer than a batch, so that it contains the waking of the sender. Bursts are measured in processor time of the
calling thread, which neighbours disturb least: by the clock, a burst of spans is long enough to be interrupted.
"""

from __future__ import annotations

import statistics
import time
from collections.abc import Callable, Sequence
from itertools import count

from exporter.client import Client
from tests.bench import machine
from tests.bench.results import Result, paired

_BURST = 1000
_PER_SECOND = 500
Burst = Callable[[int], None]


def measure(*, quick: bool) -> list[Result]:
    """Microseconds a call: in bursts, and at a steady rate; and what the background threads spend on it."""
    rounds, seconds = (20, 2) if quick else (100, 10)
    ours, load = machine.cores()
    with machine.folder() as folder, machine.running(machine.exporter(folder / "data", ours)) as exporter:
        with machine.on_core(load), Client(f"http://127.0.0.1:{exporter.port}", application="bench") as client:
            track, span = _tracking(client), _spanning()
            results = [*_in_bursts(client, track, span, rounds), _steadily(track, span, seconds)]
            client.flush()
            sent, tracked = client.stats().sent, rounds * _BURST + seconds * _PER_SECOND
        if sent != tracked:
            raise AssertionError(f"{tracked} events were tracked, {sent} were counted")
    return results


def _in_bursts(client: Client, track: Burst, span: Burst, rounds: int) -> list[Result]:
    ours: list[tuple[float, float]] = []
    theirs: list[tuple[float, float]] = []
    sending = 0.0
    for number in range(rounds):
        for burst, found in ((track, ours), (span, theirs))[:: 1 if number % 2 else -1]:
            found.append(_cost(burst, _BURST))
        process, thread = time.process_time(), time.thread_time()
        client.flush()
        sending += time.process_time() - process - (time.thread_time() - thread)
    (cpu, wall), (cpu_span, _) = zip(*ours, strict=True), zip(*theirs, strict=True)
    ratios = sorted(b / a for a, b in zip(cpu, cpu_span, strict=True))
    spread = f"p10 to p90 of {rounds} ratios: {_quantile(ratios, 10):.0f} to {_quantile(ratios, 90):.0f}"
    note = f"{spread}; by the clock {statistics.median(wall):.2f} µs"
    mine, base = statistics.median(cpu), statistics.median(cpu_span)
    return [
        Result("`track_api_request` against a span", mine, "µs", base, paired(cpu_span, cpu), 50, 100, note),
        Result("processor time of the sending thread per event", sending / rounds / _BURST * 1e6, "µs"),
    ]


def _steadily(track: Burst, span: Burst, seconds: int) -> Result:
    """Single calls by the clock, each after a pause in which the caches serve others."""
    found: dict[Burst, list[float]] = {track: [], span: []}
    begun = time.perf_counter()
    for number in count(1):
        for burst, costs in found.items():
            costs.append(_cost(burst, 1)[1])
        if number == seconds * _PER_SECOND:
            break
        time.sleep(max(0.0, begun + number / _PER_SECOND - time.perf_counter()))
    ours, theirs = sorted(found[track]), sorted(found[span])
    note = f"p99 {_quantile(ours, 99):.1f} against {_quantile(theirs, 99):.1f} µs; by the clock, which costs 1 itself"
    median, base = _quantile(ours, 50), _quantile(theirs, 50)
    name = f"one call, {_PER_SECOND} times a second"
    return Result(name, median, "µs", base, paired(found[span], found[track]), note=note)


def _cost(burst: Burst, calls: int) -> tuple[float, float]:
    """Microseconds a call: of this thread's processor time, and of the clock."""
    cpu = time.thread_time()
    begun = time.perf_counter()
    burst(calls)
    wall = time.perf_counter() - begun
    return (time.thread_time() - cpu) / calls * 1e6, wall / calls * 1e6


def _quantile(ordered: Sequence[float], percent: int) -> float:
    return ordered[min(len(ordered) - 1, len(ordered) * percent // 100)]


def _tracking(client: Client) -> Burst:
    def burst(calls: int) -> None:
        for _ in range(calls):
            client.track_api_request(
                "gpt-4.1", 812, 164, 1.9, True, category="analysis", endpoint="/v1/chat", cached_input_tokens=100
            )

    return burst


def _spanning() -> Burst:
    """A span as an application makes it, in batches exported to nowhere."""
    from opentelemetry.sdk.trace import TracerProvider
    from opentelemetry.sdk.trace.export import BatchSpanProcessor, SpanExporter, SpanExportResult

    class Nowhere(SpanExporter):
        def export(self, spans: object) -> SpanExportResult:
            return SpanExportResult.SUCCESS

    provider = TracerProvider()
    provider.add_span_processor(BatchSpanProcessor(Nowhere()))
    tracer = provider.get_tracer("bench")

    def burst(calls: int) -> None:
        for _ in range(calls):
            with tracer.start_as_current_span("chat gpt-4.1") as span:
                span.set_attribute("gen_ai.request.model", "gpt-4.1")
                span.set_attribute("gen_ai.usage.input_tokens", 812)
                span.set_attribute("gen_ai.usage.output_tokens", 164)
                span.set_attribute("gen_ai.usage.cache_read.input_tokens", 100)
                span.set_attribute("gen_ai.client.operation.duration", 1.9)
                span.set_attribute("success", True)
                span.set_attribute("category", "analysis")
                span.set_attribute("http.route", "/v1/chat")

    return burst
