"""The live page against what Prometheus asks of exporters, and its two formats against each other."""

from __future__ import annotations

import re
import subprocess
from collections.abc import Iterable
from typing import Any

import pytest
from prometheus_client.openmetrics.parser import text_string_to_metric_families as parse_openmetrics
from prometheus_client.parser import text_string_to_metric_families as parse_text

from tests.integration.conftest import SCRAPER, Running, event
from tests.programs import program

OPENMETRICS = "application/openmetrics-text; version=1.0.0; charset=utf-8"
TEXT = "text/plain; version=0.0.4; charset=utf-8"
# What Prometheus sends: 2.42, and 3.x with UTF-8 names allowed.
PROMETHEUS_2 = (
    "application/openmetrics-text;version=1.0.0,application/openmetrics-text;version=0.0.1;q=0.75,"
    "text/plain;version=0.0.4;q=0.5,*/*;q=0.1"
)
PROMETHEUS_3 = (
    "application/openmetrics-text;version=1.0.0;escaping=allow-utf-8;q=0.6,"
    "application/openmetrics-text;version=0.0.1;q=0.5,text/plain;version=1.0.0;escaping=allow-utf-8;q=0.4,"
    "text/plain;version=0.0.4;q=0.3,*/*;q=0.2"
)
# Labels that service discovery or Prometheus itself puts on series.
RESERVED = {
    *("instance", "job", "endpoint", "service", "pod", "namespace", "container", "node", "app", "quantile"),
    *("region", "zone", "cluster", "dc", "owner", "customer", "stage", "environment", "env"),
}
BASE_UNITS = re.compile(r"_(milliseconds|ms|micros|minutes|hours|days|percent|percentage|kilobytes|cents|nanousd)(_|$)")
CHANGES_BY_ITSELF = ("process_", "python_gc_", "llm_exporter_queue_events", "llm_exporter_ledger_commit_seconds")


@pytest.fixture
async def busy(running: Running) -> Running:
    """An exporter that has seen a call of every kind."""
    whole = event(
        time_to_first_token=0.2,
        quality_score=0.9,
        evaluator="judge",
        endpoint='/odd "path"\\\n',
        cost_usd=0.01,
        pair_id="p",
        trace_id="4bf92f3577b34da6a3ce929d0e0e4736",
    )
    await running.push(whole, event(model="gpt-4o", pair_id="p"), event(model="mystery", success=False))
    await running.push({"model": "gpt-4"}, status=422)
    return running


async def fetch(running: Running, **headers: str) -> tuple[str, str]:
    """Content type and text of the page."""
    async with running.client.get("/metrics", headers=headers) as answer:
        assert answer.status == 200
        return answer.headers["Content-Type"], await answer.text()


def samples(families: Iterable[Any]) -> dict[tuple[str, frozenset[tuple[str, str]]], float]:
    found: dict[tuple[str, frozenset[tuple[str, str]]], float] = {}
    for family in families:
        for sample in family.samples:
            key = (sample.name, frozenset(sample.labels.items()))
            assert key not in found, f"{key} is on the page twice"
            assert sample.timestamp is None
            found[key] = float(sample.value)
    return found


def settled(page: dict[tuple[str, frozenset[tuple[str, str]]], float]) -> dict[Any, float | None]:
    """The page without the values that change between two looks."""
    return {key: None if key[0].startswith(CHANGES_BY_ITSELF) else value for key, value in page.items()}


@pytest.mark.parametrize("view", [{}, SCRAPER], ids=["anybody", "Prometheus"])
async def test_both_formats_have_the_same_samples_whoever_asks(busy: Running, view: dict[str, str]) -> None:
    await fetch(busy, **view)
    plain_type, plain = await fetch(busy, Accept="text/plain", **view)
    open_type, openmetrics = await fetch(busy, Accept=OPENMETRICS, **view)

    assert (plain_type, open_type) == (TEXT, OPENMETRICS)
    assert settled(samples(parse_text(plain))) == settled(samples(parse_openmetrics(openmetrics)))
    assert len(samples(parse_text(plain))) > 1000


async def test_promtool_finds_nothing_to_say_about_what_prometheus_gets(busy: Running) -> None:
    await fetch(busy, **SCRAPER)
    _, page = await fetch(busy, **SCRAPER)
    command = [program("promtool"), "check", "metrics"]
    checked = subprocess.run(command, input=page, capture_output=True, text=True, check=False)

    assert (checked.returncode, checked.stdout, checked.stderr) == (0, "", "")


@pytest.mark.parametrize(
    ("accept", "expected"),
    [
        (PROMETHEUS_2, OPENMETRICS),
        (PROMETHEUS_3, OPENMETRICS),
        ("application/openmetrics-text; version=2.0.0", OPENMETRICS),  # the version is that of what comes
        ("text/plain;version=1.0.0;escaping=allow-utf-8,*/*;q=0.1", TEXT),
        ("text/html,application/xhtml+xml,*/*;q=0.8", TEXT),
        ("", TEXT),
    ],
)
async def test_the_type_that_is_named_is_the_type_that_comes(busy: Running, accept: str, expected: str) -> None:
    kind, page = await fetch(busy, Accept=accept)

    assert kind == expected
    assert page.endswith("# EOF\n") == (expected == OPENMETRICS)
    assert samples((parse_openmetrics if expected == OPENMETRICS else parse_text)(page))


async def test_exemplars_are_in_openmetrics_only(busy: Running) -> None:
    _, plain = await fetch(busy)
    _, openmetrics = await fetch(busy, Accept=OPENMETRICS)

    assert "trace_id" not in plain
    exemplars = [s.exemplar for family in parse_openmetrics(openmetrics) for s in family.samples if s.exemplar]
    assert {exemplar.labels["trace_id"] for exemplar in exemplars} == {"4bf92f3577b34da6a3ce929d0e0e4736"}


async def test_names_types_and_units_are_as_prometheus_asks(busy: Running) -> None:
    _, page = await fetch(busy)
    families = list(parse_text(page))
    ours = [family for family in families if family.name.startswith("llm_")]

    assert {family.name.partition("_")[0] for family in families} == {"llm", "process", "python"}
    for family in ours:
        assert family.type != "unknown", family.name
        assert family.documentation, family.name
        assert ":" not in family.name
        assert not BASE_UNITS.search(family.name), family.name
        for sample in family.samples:
            assert sample.name.endswith("_total") == (family.type == "counter"), sample.name
            assert not RESERVED & sample.labels.keys(), sample
            assert not [label for label in sample.labels if label.startswith("__")]
    assert "_created" not in page

    # No label that is the same everywhere: that is for the scrape configuration to add.
    labels = [set(sample.labels.items()) for family in ours for sample in family.samples]
    assert not set.intersection(*labels)


@pytest.mark.parametrize(
    "name",
    [
        "llm_exporter_build_info",
        "llm_exporter_config_last_reload_successful",
        "llm_exporter_config_last_reload_success_timestamp_seconds",
        "llm_exporter_events_total",
        "llm_exporter_events_rejected_total",
        "llm_exporter_last_event_timestamp_seconds",
        "llm_exporter_auth_failures_total",
        "llm_exporter_series",
        "llm_exporter_series_limit",
        "llm_exporter_series_dropped_total",
        "llm_exporter_queue_events",
        "llm_exporter_ledger_commit_seconds_count",
        "process_start_time_seconds",
        "process_resident_memory_bytes",
        "process_open_fds",
        "python_info",
        "python_gc_collections_total",
    ],
)
async def test_what_operators_look_for_is_there(busy: Running, name: str) -> None:
    page = await busy.page()

    assert page[name]
    if name == "llm_exporter_build_info":
        ((labels, value),) = page[name].items()
        assert value == 1
        assert {"version", "pythonversion"} <= dict(labels).keys()


async def test_a_probe_that_asks_for_the_head_only_gets_it(busy: Running) -> None:
    for path in ("/", "/metrics", "/-/healthy", "/-/ready"):
        async with busy.client.head(path) as answer:
            assert answer.status == 200
            assert await answer.read() == b""


async def test_the_landing_page_leads_to_the_metrics_and_says_what_this_is(busy: Running) -> None:
    async with busy.client.get("/") as answer:
        page = await answer.text()

    assert answer.content_type == "text/html"
    for words in ("LLM migration exporter", 'href="metrics"', 'href="config"', 'href="-/healthy"', 'href="-/ready"'):
        assert words in page


@pytest.mark.parametrize(
    ("accepted", "expected"),
    [("gzip", "gzip"), ("gzip, deflate, br", "gzip"), ("gzip;q=0, identity", None), ("identity", None), ("br", None)],
)
async def test_the_page_is_packed_for_those_who_take_it(busy: Running, accepted: str, expected: str | None) -> None:
    headers = {"Accept-Encoding": accepted}
    async with busy.client.get("/metrics", headers=headers, auto_decompress=False) as answer:
        raw = await answer.read()

    assert answer.headers.get("Content-Encoding") == expected
    assert "Accept-Encoding" in answer.headers["Vary"]
    assert raw.startswith(b"\x1f\x8b" if expected else b"# ")
