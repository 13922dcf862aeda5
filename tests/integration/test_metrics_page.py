from __future__ import annotations

import dataclasses
import gzip
import subprocess
from collections.abc import Callable
from pathlib import Path

import pytest
from prometheus_client.openmetrics.parser import text_string_to_metric_families as parse_openmetrics
from prometheus_client.parser import text_string_to_metric_families as parse_text

from exporter import catalog
from exporter.plan.model import Plan
from tests.integration.conftest import NOW, SCRAPER, Running, event
from tests.programs import program

# One call that touches every metric that a call can touch, and one that makes a pair with it.
EVERYTHING = event(
    time_to_first_token=0.2,
    quality_score=0.9,
    evaluator="judge",
    endpoint="/chat",
    cost_usd=0.01,
    pair_id="p",
    trace_id="4bf92f3577b34da6a3ce929d0e0e4736",
)
OTHER_HALF = event(model="gpt-4o", pair_id="p", latency=1)
UNKNOWN = event(model="mystery", success=False, error_type="timeout")


async def text(running: Running, **headers: str) -> str:
    async with running.client.get("/metrics", headers=headers) as answer:
        return await answer.text()


async def push_everything(running: Running) -> None:
    """What gives every metric a label set."""
    await running.push(EVERYTHING, OTHER_HALF, UNKNOWN, *[event(model="gpt-4o")] * 20)
    async with running.client.post(f"{running.api}/baselines") as answer:
        assert (await answer.json())["taken"] == ["gpt-4o"]


async def test_every_metric_of_the_catalogue_is_on_the_page_with_its_labels(running: Running) -> None:
    await push_everything(running)
    page = await running.page()
    known = catalog.sample_labels()

    for metric in catalog.METRICS:
        for name in metric.sample_names:
            assert name in page, name
            for labels in page[name]:
                assert {label for label, _ in labels} == known[name], name


async def test_nothing_is_on_the_page_that_the_catalogue_does_not_have(running: Running) -> None:
    await running.push(EVERYTHING, OTHER_HALF, UNKNOWN)
    foreign = ("process_", "python_")

    assert {name for name in await running.page() if not name.startswith(foreign)} <= catalog.sample_labels().keys()


async def test_promtool_finds_nothing_to_say(running: Running) -> None:
    await running.push(EVERYTHING, OTHER_HALF, UNKNOWN)
    page = await text(running)
    checked = subprocess.run(
        [program("promtool"), "check", "metrics"], input=page, capture_output=True, text=True, check=False
    )

    assert (checked.returncode, checked.stdout, checked.stderr) == (0, "", "")


async def test_both_formats_have_the_same_samples(running: Running) -> None:
    await running.push(EVERYTHING, OTHER_HALF, UNKNOWN)
    plain = parse_text(await text(running))
    openmetrics = parse_openmetrics(await text(running, Accept="application/openmetrics-text; version=1.0.0"))

    def usage(families: object) -> dict[object, float]:
        return {
            (sample.name, frozenset(sample.labels.items())): float(sample.value)
            for family in families  # type: ignore[attr-defined]
            for sample in family.samples
            if sample.name.startswith("llm_") and "queue" not in sample.name
        }

    assert usage(plain) == usage(openmetrics)


async def test_openmetrics_leads_from_a_bucket_to_a_trace(running: Running) -> None:
    def traces(page: str) -> list[tuple[str, str, float, float]]:
        return [
            (sample.labels["model"], sample.labels["le"], sample.exemplar.value, float(sample.exemplar.timestamp))
            for family in parse_openmetrics(page)
            for sample in family.samples
            if sample.exemplar and sample.exemplar.labels == {"trace_id": trace}
        ]

    trace = "4bf92f3577b34da6a3ce929d0e0e4736"
    openmetrics = {"Accept": "application/openmetrics-text; version=1.0.0"}
    await text(running, **openmetrics, **SCRAPER)  # what comes after it is a birth
    await running.push(EVERYTHING, event(latency=1.25), event(latency=400, trace_id=trace, timestamp=NOW - 60))
    expected = [("gpt-4.1", "2.0", 1.5, NOW), ("gpt-4.1", "+Inf", 400, NOW - 60)]

    assert traces(await text(running, **openmetrics)) == expected
    assert trace not in await text(running)
    assert traces(await text(running, **openmetrics, **SCRAPER)) == []  # no trace of a call that is not counted yet
    running.clock.advance(151)
    assert traces(await text(running, **openmetrics, **SCRAPER)) == expected
    await running.push(event(latency=1.75, trace_id=trace))
    assert traces(await text(running, **openmetrics, **SCRAPER))[0] == ("gpt-4.1", "2.0", 1.75, NOW + 151)


async def test_compression_is_used_when_it_is_accepted(running: Running) -> None:
    async with running.client.get("/metrics", headers={"Accept-Encoding": "gzip"}, auto_decompress=False) as answer:
        raw = await answer.read()

    assert answer.headers["Content-Encoding"] == "gzip"
    assert b"llm_budget_limit_usd" in gzip.decompress(raw)


async def test_a_scraper_sees_births_at_zero_and_others_the_truth(running: Running) -> None:
    await running.page(scraper=True)
    await running.push(EVERYTHING, UNKNOWN)

    assert await running.total("llm_requests_total") == 2
    for name in (
        "llm_requests_total",
        "llm_cost_usd_total",
        "llm_request_duration_seconds_count",
        "llm_request_duration_seconds_bucket",
        "llm_time_to_first_token_seconds_sum",
        "llm_quality_score_count",
        "llm_unpriced_tokens_total",
        "llm_route_requests_total",
    ):
        assert name in await running.page(scraper=True)
        assert await running.total(name, scraper=True) == 0, name
    running.clock.advance(151)
    assert await running.total("llm_requests_total", scraper=True) == 2
    assert await running.total("llm_request_duration_seconds_count", scraper=True) == 2
    assert await running.total("llm_quality_score_count", scraper=True) == 1


async def test_planned_label_sets_are_there_from_the_start_at_zero(running: Running) -> None:
    page = await running.page(scraper=True)
    counts = page["llm_request_duration_seconds_count"]

    # 4 sources, 2 targets live and shadow, 6 categories
    assert len(counts) == (4 + 2 + 2) * 6
    assert set(counts.values()) == {0}


async def test_after_a_restart_a_scraper_sees_what_the_ledger_holds(running: Running) -> None:
    await push_everything(running)
    before = await running.page()
    await running.restart()

    after = await running.page(scraper=True)
    for name in catalog.names(catalog.METRICS):
        if name.startswith("llm_exporter"):
            continue
        for sample in catalog.BY_NAME[name].sample_names:
            assert after[sample] == before[sample], sample


async def test_idle_series_leave_and_planned_ones_stay(running: Running, with_limits: Callable[..., Plan]) -> None:
    await running.push(event(model="claude-3-opus"), event())
    await running.restart(with_limits(expire_idle=600.0))
    assert await running.total("llm_requests_total", scraper=True) == 2
    running.clock.advance(601)
    page = await running.page(scraper=True)

    assert "llm_requests_total" not in page
    assert {dict(key)["migration"] for key in page["llm_tokens_total"]} == {"gpt4-migration"}
    assert await running.total("llm_requests_total") == 2


async def test_concurrent_scrapes_all_get_the_page(running: Running) -> None:
    import asyncio

    await running.push(EVERYTHING)
    pages = await asyncio.gather(*[text(running, **SCRAPER) for _ in range(10)])

    assert all("llm_budget_limit_usd" in page for page in pages)


async def test_odd_label_values_survive(running: Running) -> None:
    odd = 'back\\slash "quotes"\nnew line 🙂'
    await running.push(event(application=odd))

    assert await running.total("llm_requests_total", application=odd) == 1


@pytest.mark.parametrize("path", ["/", "/-/healthy", "/-/ready"])
async def test_pages_for_people_and_probes(running: Running, path: str) -> None:
    await running.push(event(application="<script>"))
    async with running.client.get(path) as answer:
        body = await answer.text()

    assert answer.status == 200
    assert answer.headers["X-Content-Type-Options"] == "nosniff"
    assert "<script>" not in body


async def test_a_golden_page(running: Running, golden: Callable[[str, str], None]) -> None:
    """The usage part of the page for a fixed stream of calls, read by a person before it is committed."""
    await running.push(EVERYTHING, OTHER_HALF, UNKNOWN, event(model="gpt-4", id="a"), event(model="gpt-4", id="a"))
    kept = [
        line
        for line in (await text(running)).splitlines()
        if not line.startswith(("llm_exporter_", "process_", "python_", "# TYPE process", "# TYPE python"))
        and not line.startswith(("# HELP process", "# HELP python"))
        and not ("model=" in line and line.endswith((" 0", " 0.0")))
    ]

    golden("exposition/metrics.txt", "\n".join(kept) + "\n")


def test_the_golden_page_is_committed() -> None:
    assert (Path(__file__).parent.parent / "cases" / "exposition" / "metrics.txt").is_file()


async def test_histograms_can_be_split_by_application(tmp_path: Path, plan: Plan) -> None:
    split = dataclasses.replace(plan, labels=dataclasses.replace(plan.labels, histogram_extra=("application",)))
    running = Running(tmp_path, plan)
    await running.start()
    await running.push(event(application="web"))
    await running.restart(split)  # what came before is not known by application
    await running.push(
        event(application="web", latency=0.2, time_to_first_token=0.1),
        event(application="batch", latency=7, quality_score=0.9, evaluator="judge"),
        event(application="batch", latency=9),
    )
    for _ in range(2):
        count = "llm_request_duration_seconds_count"
        assert await running.total(count, application="web") == 1
        assert await running.total(count, application="batch", model="gpt-4.1", category="analysis") == 2
        assert await running.total(count) == 3  # every call once
        assert await running.total("llm_request_duration_seconds_sum", application="batch") == 16
        assert await running.total("llm_time_to_first_token_seconds_count", application="web") == 1
        assert await running.total("llm_quality_score_count", application="batch", evaluator="judge") == 1
        await running.restart()
    await running.restart(plan)
    assert await running.total("llm_request_duration_seconds_count") == 4  # they were counted all the time
    await running.stop()
