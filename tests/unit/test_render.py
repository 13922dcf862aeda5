from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st
from prometheus_client import CollectorRegistry, generate_latest
from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, HistogramMetricFamily, Metric
from prometheus_client.openmetrics.exposition import generate_latest as openmetrics_page
from prometheus_client.openmetrics.parser import text_string_to_metric_families as parse_openmetrics
from prometheus_client.parser import text_string_to_metric_families as parse_text
from prometheus_client.registry import Collector
from prometheus_client.samples import Exemplar

from exporter import catalog
from exporter.metrics.families import Family
from exporter.metrics.render import OPENMETRICS, TEXT, Renderer, negotiate
from exporter.totals import Histogram

label = st.text(st.characters(exclude_categories=["Cs"]), max_size=8)
count = st.integers(0, 2**60)


def histogram(counts: list[int], total: int) -> Histogram:
    made = Histogram(0)
    made.counts, made.total = counts, total
    return made


@st.composite
def pages(draw: st.DrawFn) -> list[Family]:
    def rows(labels: int, value: st.SearchStrategy[int | float]) -> list[tuple[tuple[str, ...], int | float]]:
        return list(draw(st.dictionaries(st.tuples(*[label] * labels), value, max_size=5)).items())

    buckets = len(catalog.DURATION_BUCKETS) + 1
    histograms = st.builds(histogram, st.lists(count, min_size=buckets, max_size=buckets), count)
    durations = draw(st.dictionaries(st.tuples(*[label] * 4), histograms, max_size=3))
    trace = st.tuples(st.from_regex(r"\A[0-9a-f]{1,32}\Z"), st.integers(0, 10**13), st.integers(10**15, 2 * 10**15))
    traces = st.dictionaries(st.integers(0, buckets - 1), trace, max_size=3)
    return [
        Family(catalog.REQUESTS, rows(5, count)),
        Family(catalog.COST, rows(5, st.floats(0, 1e12))),
        Family(catalog.DEADLINE, rows(1, st.floats(0, 1e11))),
        Family(catalog.EXPORTER_QUEUE, [((), draw(count))]),
        Family(
            catalog.DURATION,
            histograms=list(durations.items()),
            scale=1_000_000,
            exemplars={labels: draw(traces) for labels in durations},
        ),
    ]


class Oracle(Collector):
    """The same page through prometheus_client."""

    def __init__(self, families: list[Family]) -> None:
        self.families = families

    def collect(self) -> list[Metric]:
        return [self.metric(family) for family in self.families if len(family)]

    @staticmethod
    def metric(family: Family) -> Metric:
        metric = family.metric
        if metric.type == "histogram":
            made = HistogramMetricFamily(metric.name, metric.help, labels=metric.labels, unit=metric.unit)
            for labels, values in family.histograms:
                running = 0
                buckets = []
                for place, (bound, counted) in enumerate(
                    zip([*metric.buckets, float("inf")], values.counts, strict=True)
                ):
                    running += counted
                    found = family.exemplars.get(labels, {}).get(place)
                    exemplar = found and Exemplar({"trace_id": found[0]}, found[1] / 1e6, found[2] / 1e6)
                    buckets.append((repr(float(bound)) if bound != float("inf") else "+Inf", float(running), exemplar))
                made.add_metric(labels, buckets, values.total / family.scale)
            return made
        kind = CounterMetricFamily if metric.type == "counter" else GaugeMetricFamily
        scalar = kind(metric.family, metric.help, labels=metric.labels, unit=metric.unit)
        for labels, value in family.rows:
            scalar.add_metric(labels, float(value))
        return scalar


def exemplars(page: str) -> dict[tuple[str, frozenset[tuple[str, str]]], object]:
    return {
        (sample.name, frozenset(sample.labels.items())): sample.exemplar
        for family in parse_openmetrics(page)
        for sample in family.samples
        if sample.exemplar
    }


def samples(parsed: object) -> dict[tuple[str, frozenset[tuple[str, str]]], float]:
    return {
        (sample.name, frozenset(sample.labels.items())): float(sample.value)
        for family in parsed  # type: ignore[attr-defined]
        for sample in family.samples
    }


@given(pages())
def test_both_formats_say_what_prometheus_client_says(families: list[Family]) -> None:
    registry = CollectorRegistry()
    registry.register(Oracle(families))
    text = "".join(Renderer().render(families, openmetrics=False))
    openmetrics = "".join(Renderer().render(families, openmetrics=True)) + "# EOF\n"

    assert samples(parse_text(text)) == samples(parse_text(generate_latest(registry).decode()))
    assert samples(parse_openmetrics(openmetrics)) == samples(parse_openmetrics(openmetrics_page(registry).decode()))
    assert samples(parse_text(text)) == samples(parse_openmetrics(openmetrics))
    assert exemplars(openmetrics) == exemplars(openmetrics_page(registry).decode())


def test_kept_texts_do_not_outlive_their_label_sets() -> None:
    renderer = Renderer()
    for generation in range(20):
        rows = [((str(generation), str(n), "", "", ""), n) for n in range(1000)]
        list(renderer.render([Family(catalog.REQUESTS, rows)], openmetrics=False))

    assert len(renderer._texts[catalog.U]) <= 4000


@pytest.mark.parametrize(
    ("accept", "expected"),
    [
        ("", TEXT),
        ("*/*", TEXT),
        ("text/plain", TEXT),
        ("application/openmetrics-text", OPENMETRICS),
        ("application/openmetrics-text; version=2.0.0", OPENMETRICS),
        ("application/openmetrics-text;version=1.0.0,text/plain;version=0.0.4;q=0.5,*/*;q=0.1", OPENMETRICS),
        ("application/openmetrics-text;q=0.3,text/plain;q=0.9", TEXT),
        ("application/openmetrics-text;q=0", TEXT),
        ("application/openmetrics-text;q=nonsense", TEXT),
        (
            "application/vnd.google.protobuf;proto=io.prometheus.client.MetricFamily;encoding=delimited;q=0.6,"
            "application/openmetrics-text;version=1.0.0;q=0.5,application/openmetrics-text;version=0.0.1;q=0.4,"
            "text/plain;version=0.0.4;q=0.3,*/*;q=0.2",
            OPENMETRICS,
        ),
    ],
)
def test_the_format_is_negotiated_and_its_version_clamped(accept: str, expected: str) -> None:
    assert negotiate(accept) == expected
