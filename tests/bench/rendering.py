"""100,000 counter series to bytes, against prometheus_client with the same series."""

from __future__ import annotations

import statistics
import time
from collections.abc import Callable

from prometheus_client import CollectorRegistry, Counter, disable_created_metrics, generate_latest

from exporter import catalog
from exporter.catalog import Metric
from exporter.metrics.families import Family, Usage, usage_families
from exporter.metrics.render import Renderer
from exporter.totals import Cell, CellKey, Group, GroupKey
from tests.bench.results import Result, paired
from tests.bench.traffic import CATEGORIES, MODELS

COUNTERS: tuple[Metric, ...] = (
    catalog.REQUESTS,
    catalog.ERRORS,
    catalog.COST,
    catalog.COUNTERFACTUAL,
    catalog.REPORTED_DIFFERENCE,
)


def measure(*, quick: bool) -> list[Result]:
    """Milliseconds a page; the renderer's kept texts are warm, as from the second scrape on."""
    count = 20_000 if quick else 100_000
    rounds = 3 if quick else 7
    cells = _cells(count // len(COUNTERS))
    families = [family for family in usage_families(_usage(cells)) if family.metric in COUNTERS]
    registry = _registry(families)
    renderer = Renderer()

    def render() -> object:
        return [text.encode() for text in renderer.render(families, openmetrics=False)]

    cold = _seconds(render)
    ours: list[float] = []
    whole: list[float] = []
    theirs: list[float] = []
    for _ in range(rounds):
        ours.append(min(_seconds(render) for _ in range(3)))
        whole.append(min(_seconds(lambda: _whole(renderer, cells)) for _ in range(2)))
        theirs.append(_seconds(lambda: generate_latest(registry)))
    note = f"{count:,} series; from totals to bytes {statistics.median(whole) * 1000:.0f} ms "
    note += f"({paired(theirs, whole):.0f} x); first page {cold * 1000:.0f} ms"
    return [
        Result(
            "rendering counters",
            statistics.median(ours) * 1000,
            "ms",
            statistics.median(theirs) * 1000,
            paired(theirs, ours),
            15,
            25,
            note,
        )
    ]


def _cells(count: int) -> list[Cell]:
    cells = []
    for number in range(count):
        model = MODELS[number % len(MODELS)]
        category = CATEGORIES[number // len(MODELS) % len(CATEGORIES)]
        group = Group(GroupKey("gpt4-migration", "source", model, category))
        cell = Cell(CellKey("gpt4-migration", "source", model, f"application-{number:05d}", category), group)
        cell.values = [number * 7 + 1, number % 50, number * 1_234_567_891, number * 987_654_321, number * 12_345]
        cells.append(cell)
    return cells


def _usage(cells: list[Cell]) -> Usage:
    return Usage(
        cells=[cell.copy() for cell in cells],
        groups=(),
        routes=(),
        unpriced=(),
        first_token=(),
        quality=(),
        by_application=None,
        pair_ratios=(),
        pairs=(),
    )


def _whole(renderer: Renderer, cells: list[Cell]) -> bytes:
    return "".join(renderer.render(usage_families(_usage(cells)), openmetrics=False)).encode()


def _registry(families: list[Family]) -> CollectorRegistry:
    disable_created_metrics()  # type: ignore[no-untyped-call]
    registry = CollectorRegistry()
    for family in families:
        metric = family.metric
        counter = Counter(metric.family, metric.help, metric.labels, registry=registry)
        for labels, value in family.rows:
            counter.labels(*labels).inc(value)
    return registry


def _seconds(call: Callable[[], object]) -> float:
    begun = time.perf_counter()
    call()
    return time.perf_counter() - begun
