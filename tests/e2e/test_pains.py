"""What users of other tools complain of, where it is about counting: it cannot happen here. Real processes.

Only what no other test is about. The rest: unknown prices counted as nothing (tests/integration/test_ingest.py), cached
tokens charged twice (test_facts.py), prices of a model that only begins with the same letters (tests/unit/pricing),
counters lost in a restart or a crash (test_crash.py, test_hold.py), a call counted twice (test_ingest.py), names that
fill the memory (test_floods.py), an alert on every request (test_alert_delivery.py).
"""

from __future__ import annotations

import hashlib
import math
import threading
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import pytest

from tests.configs import SHIPPED, variant
from tests.processes import ExporterProcess, exporter, get, parse_page, post
from tests.senders import check_totals, sending

CALL = {"model": "gpt-4.1", "input_tokens": 1000, "output_tokens": 500, "latency": 1.5, "success": True}
COST = 0.006  # USD: 1000 x 2 + 500 x 8 a million
Page = dict[str, dict[frozenset[tuple[str, str]], float]]


@pytest.fixture
def running(tmp_path: Path) -> Iterator[ExporterProcess]:
    with exporter(tmp_path, SHIPPED) as process:
        yield process


def track(running: ExporterProcess, **fields: object) -> dict[str, Any]:
    status, answer = post(f"{running.url}/api/v1/gpt4-migration/track-request", {**CALL, **fields})
    assert status == 200, answer
    return dict(answer)


def total(page: Page, name: str, **labels: str) -> float:
    wanted = set(labels.items())
    return sum(value for key, value in page.get(name, {}).items() if wanted <= key)


def test_counters_never_go_down_while_many_clients_and_scrapers_are_at_work(running: ExporterProcess) -> None:
    """Several workers that each answer with counters of their own: values that jump up and down."""
    fallen: list[object] = []
    done = threading.Event()

    def scrape() -> None:
        before: Page = {}
        while not done.is_set():
            page = parse_page(get(f"{running.url}/metrics").decode())
            for name in ("llm_requests_total", "llm_cost_usd_total", "llm_tokens_total", "llm_exporter_events_total"):
                for labels, value in before.get(name, {}).items():
                    if page[name].get(labels, -1) < value:
                        fallen.append((name, labels, value, page[name].get(labels)))
            before = page

    scrapers = [threading.Thread(target=scrape) for _ in range(3)]
    with sending(running.port, count=6) as senders:
        for scraper in scrapers:
            scraper.start()
        done.wait(4)
        done.set()
        for scraper in scrapers:
            scraper.join(30)

    assert fallen == []
    assert len(check_totals(running, senders)) > 100


def test_three_exporters_add_up_to_one_and_the_budget_is_there_once(tmp_path: Path) -> None:
    """Budget gauges of every worker: a sum is a multiple of the budget. Counts of every worker: a sum is the truth."""
    with ExitStack() as stack:
        members: list[ExporterProcess] = []
        for name, mode in (("a", "control"), ("b", "shard"), ("c", "shard")):
            (tmp_path / name).mkdir()
            member = ExporterProcess(tmp_path / name, variant(tmp_path / name), None, "--mode", mode)
            stack.callback(member.end)
            member.start()
            members.append(member)
        calls = [{**CALL, "id": f"call-{number}", "input_tokens": number} for number in range(300)]
        for _ in range(2):  # each is sent twice, and each time to the exporter that its id leads to
            for place, member in enumerate(members):
                own = [call for call in calls if hashlib.sha256(str(call["id"]).encode()).digest()[0] % 3 == place]
                assert post(f"{member.url}/api/v1/events", own)[0] == 200
        pages = [member.metrics() for member in members]

    cost = sum(number * 2 + 500 * 8 for number in range(300)) / 1e6
    assert sum(total(page, "llm_requests_total") for page in pages) == 300
    assert sum(total(page, "llm_cost_usd_total") for page in pages) == pytest.approx(cost, rel=1e-12)
    assert sum(total(page, "llm_budget_spent_usd", period="daily") for page in pages) == pytest.approx(cost, rel=1e-12)
    assert [total(page, "llm_requests_total") > 50 for page in pages] == [True] * 3
    for name in (
        "llm_budget_limit_usd",
        "llm_threshold",
        "llm_migration_phase",
        "llm_migration_deadline_timestamp_seconds",
    ):
        assert [name in page for page in pages] == [True, False, False], name


def test_a_budget_that_nobody_set_is_absent_and_nothing_on_the_page_is_infinite(tmp_path: Path) -> None:
    """`+Inf` remaining of a budget of which nobody knows, or a full one because what was spent is not known."""

    def without_budgets(document: dict[str, Any]) -> None:
        document["migrations"][0]["budgets"] = {"weekly": 600}

    with exporter(tmp_path, variant(tmp_path, without_budgets)) as running:
        track(running)
        page = running.metrics()

        assert {dict(labels)["period"] for labels in page["llm_budget_limit_usd"]} == {"weekly"}
        assert {dict(labels)["period"]: value for labels, value in page["llm_budget_spent_usd"].items()} == {
            "daily": COST,
            "weekly": COST,
            "monthly": COST,
        }
        for name, samples in page.items():
            assert all(math.isfinite(value) for value in samples.values()), name


def test_what_a_budget_has_spent_is_known_from_the_first_page_after_a_restart(running: ExporterProcess) -> None:
    """Spending that flips to nothing while a cache is cold."""
    for _ in range(3):
        track(running)
    before = running.metrics()
    assert total(before, "llm_budget_spent_usd", period="monthly") == pytest.approx(3 * COST)

    running.end()
    running.start()
    after = running.metrics()
    for name in ("llm_budget_spent_usd", "llm_budget_limit_usd", "llm_cost_usd_total", "llm_requests_total"):
        assert after[name] == before[name], name


def test_a_stream_that_died_midway_is_an_error_that_cost_what_it_used(running: ExporterProcess) -> None:
    """Counted as a success, or with no tokens and for nothing."""
    answer = track(running, success=False, error_type="timeout", output_tokens=120, time_to_first_token=0.4)

    assert answer["cost"] == pytest.approx((1000 * 2 + 120 * 8) / 1e6)
    page = running.metrics()
    assert total(page, "llm_requests_total") == 1
    assert total(page, "llm_request_errors_total") == 1
    assert total(page, "llm_request_errors_by_type_total", error_type="timeout") == 1
    assert total(page, "llm_tokens_total", type="input") == 1000
    assert total(page, "llm_tokens_total", type="output") == 120
    assert total(page, "llm_cost_usd_total") == pytest.approx(answer["cost"])
    assert total(page, "llm_time_to_first_token_seconds_count") == 1
    assert total(page, "llm_request_duration_seconds_count") == 1


def test_a_price_that_comes_to_be_known_later_rewrites_nothing(tmp_path: Path) -> None:
    """Unknown for weeks, then known: what was counted as unpriced stays so, and no counter jumps or falls."""
    with exporter(tmp_path, variant(tmp_path)) as running:
        assert track(running, model="house-model")["cost"] is None
        assert running.total("llm_cost_usd_total") == 0
        assert running.total("llm_unpriced_requests_total", model="house-model") == 1
        running.end()

    def priced(document: dict[str, Any]) -> None:
        document["prices"] = {"house-model": [{"input": 10, "output": 20}]}

    with exporter(tmp_path, variant(tmp_path, priced)) as running:
        assert running.total("llm_cost_usd_total") == 0
        assert track(running, model="house-model")["cost"] == pytest.approx(0.02)
        assert running.total("llm_cost_usd_total") == pytest.approx(0.02)
        assert running.total("llm_unpriced_requests_total", model="house-model") == 1
