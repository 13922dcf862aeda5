from __future__ import annotations

import asyncio
import gzip
import json
import zlib
from collections.abc import Callable
from typing import Any

import pytest

from exporter.errors import LedgerError
from exporter.plan.model import Plan
from tests.integration.conftest import NOW, Running, event
from tests.plans import at


async def test_one_call_is_tracked_with_its_cost(running: Running) -> None:
    async with running.client.post(f"{running.api}/track-request", json=event(id="a", timestamp=NOW - 5)) as answer:
        body = await answer.json()

    assert answer.status == 200
    assert body == {
        "status": "tracked",
        "accepted": 1,
        "duplicates": 0,
        "rejected": [],
        "cost": 0.006,  # 1,000 tokens at 2 USD and 500 at 8 USD a million
        "model": "gpt-4.1",
        "tokens": 1500,
        "latency": 1.5,
        "success": True,
        "timestamp": "2025-05-20T09:59:55Z",
    }


async def test_an_unknown_model_has_no_cost_and_is_counted_as_unpriced(running: Running) -> None:
    async with running.client.post(f"{running.api}/track-request", json=event(model="mystery-7")) as answer:
        assert (await answer.json())["cost"] is None

    assert await running.total("llm_unpriced_requests_total", model="mystery-7") == 1
    assert await running.total("llm_unpriced_tokens_total", model="mystery-7") == 1500
    assert await running.total("llm_cost_usd_total") == 0
    assert await running.total("llm_requests_total", model="other") == 1


@pytest.mark.parametrize("compressed", [False, True])
@pytest.mark.parametrize("form", ["object", "array", "lines"])
async def test_all_forms_of_a_body_count_the_same(running: Running, form: str, compressed: bool) -> None:
    one = json.dumps(event())
    body = {"object": one, "array": f"[{one}]", "lines": f"{one}\n"}[form].encode()
    headers = {"Content-Type": "application/x-ndjson" if form == "lines" else "application/json"}
    if compressed:
        body, headers["Content-Encoding"] = gzip.compress(body), "gzip"

    async with running.client.post("/api/v1/events", data=body, headers=headers) as answer:
        assert await answer.json() == {"status": "tracked", "accepted": 1, "duplicates": 0, "rejected": []}


async def test_the_same_id_is_a_duplicate_within_a_request_across_requests_and_across_restarts(
    running: Running,
) -> None:
    assert (await running.push(event(id="a"), event(id="a"), event(id="b")))["duplicates"] == 1
    assert (await running.push(event(id="b", output_tokens=9)))["duplicates"] == 1
    await running.restart()
    assert (await running.push(event(id="a"), event(id="c"))) == {
        "status": "tracked",
        "accepted": 1,
        "duplicates": 1,
        "rejected": [],
    }
    assert await running.total("llm_requests_total") == 3


async def test_events_without_an_id_all_count(running: Running) -> None:
    assert (await running.push(event(), event()))["accepted"] == 2


async def test_a_mixed_batch_keeps_what_is_right_and_names_what_is_not(running: Running) -> None:
    body = await running.push(
        event(),
        event(input_tokens=-5),
        event(cached_input_tokens=1001),
        event(timestamp=NOW + 301),
        event(timestamp=NOW - 36 * 86400),
        event(migration="elsewhere"),
        event(),
    )

    assert body["accepted"] == 2
    assert [(r["index"], r["field"], r["reason"]) for r in body["rejected"]] == [
        (1, "input_tokens", "out_of_range"),
        (2, "cached_input_tokens", "inconsistent"),
        (3, "timestamp", "in_future"),
        (4, "timestamp", "too_old"),
        (5, "migration", "unknown_migration"),
    ]
    assert await running.total("llm_exporter_events_rejected_total", reason="too_old") == 1
    assert await running.total("llm_exporter_events_total", result="rejected") == 5
    assert await running.total("llm_exporter_events_total", result="accepted") == 2


@pytest.mark.parametrize("age", [299.0, -34.9 * 86400])
async def test_timestamps_at_the_edges_of_the_window_are_taken(running: Running, age: float) -> None:
    assert (await running.push(event(timestamp=NOW + age)))["accepted"] == 1


@pytest.mark.parametrize(
    ("path", "kwargs", "status"),
    [
        ("/api/v1/events", {"data": b"{", "headers": {"Content-Type": "application/json"}}, 400),
        ("/api/v1/events", {"data": b"x", "headers": {"Content-Type": "text/csv"}}, 415),
        (
            "/api/v1/events",
            {
                "data": zlib.compress(b"[]"),
                "headers": {"Content-Type": "application/json", "Content-Encoding": "deflate"},
            },
            415,
        ),
        (
            "/api/v1/events",
            {"data": b"no gzip", "headers": {"Content-Type": "application/json", "Content-Encoding": "gzip"}},
            400,
        ),
        ("/api/v1/events", {"json": [{"model": 1}]}, 422),
        ("/api/v1/nowhere/track-request", {"json": {}}, 404),
        ("/api/v1/gpt4-migration/track-request", {"json": []}, 400),
        ("/api/v1/gpt4-migration/track-request", {"json": {}}, 422),
        ("/api/v2/events", {"json": []}, 404),
    ],
)
async def test_every_refusal_is_a_problem_object(
    running: Running, path: str, kwargs: dict[str, Any], status: int
) -> None:
    async with running.client.post(path, **kwargs) as answer:
        body = await answer.json(content_type="application/problem+json")

    assert answer.status == body["status"] == status
    assert body["title"]
    assert body["detail"]


async def test_a_wrong_method_is_a_problem_object_that_names_the_right_one(running: Running) -> None:
    async with running.client.get("/api/v1/events") as answer:
        assert answer.status == 405
        assert answer.headers["Allow"] == "POST"
        assert (await answer.json(content_type="application/problem+json"))["status"] == 405


async def test_a_body_beyond_the_limit_is_a_413_also_when_it_only_grows_by_decompression(
    running: Running, with_limits: Callable[..., Plan]
) -> None:
    await running.restart(with_limits(body_bytes=10_000))
    for body, encoding in (
        (b" " * 10_001, {}),
        (gzip.compress(b" " * 50_000_000), {"Content-Encoding": "gzip"}),
    ):
        headers = {"Content-Type": "application/json", **encoding}
        async with running.client.post("/api/v1/events", data=body, headers=headers) as answer:
            assert answer.status == 413
    assert await running.total("llm_exporter_events_rejected_total", reason="too_large") == 2


async def test_more_events_than_a_batch_may_have_are_a_413(running: Running, with_limits: Callable[..., Plan]) -> None:
    await running.restart(with_limits(batch=3))
    body = await running.push(*[event()] * 4, status=413)

    assert "at most 3" in body["detail"]
    assert await running.total("llm_requests_total") == 0


async def test_a_full_queue_is_a_429_and_stores_nothing_of_the_request(running: Running) -> None:
    writer = running.exporter.writer
    writer._max_events = 10
    release = block(running)
    first = asyncio.create_task(running.push(*[event()] * 8))
    await asyncio.sleep(0.1)
    async with running.client.post("/api/v1/events", json=[event()] * 8) as answer:
        assert answer.status == 429
        assert answer.headers["Retry-After"] == "1"
    release()
    assert (await first)["accepted"] == 8
    assert await running.total("llm_requests_total") == 8
    assert await running.total("llm_exporter_events_rejected_total", reason="queue_full") == 8


def block(running: Running) -> Callable[[], None]:
    """Let the writer's thread wait; the result lets it go on."""
    import threading
    from contextlib import contextmanager

    gate = threading.Event()
    store = running.exporter.writer._store
    real = store.transaction

    @contextmanager
    def slow() -> Any:
        gate.wait(10)
        with real():
            yield

    store.transaction = slow  # type: ignore[method-assign]
    return gate.set


async def test_nothing_is_acknowledged_that_could_not_be_stored(running: Running) -> None:
    store = running.exporter.writer._store
    real = store.transaction

    def full() -> Any:
        raise LedgerError("disk full")

    store.transaction = full  # type: ignore[method-assign]
    async with running.client.post("/api/v1/events", json=[event(id="a", model="gpt-4o", category="new")]) as answer:
        assert answer.status == 503
    async with running.client.get("/-/healthy") as health:
        assert health.status == 503
        assert "disk full" in await health.text()
    assert await running.total("llm_requests_total") == 0

    store.transaction = real  # type: ignore[method-assign]
    assert (await running.push(event(id="a", model="gpt-4o", category="new")))["accepted"] == 1
    async with running.client.get("/-/healthy") as health:
        assert health.status == 200
    await running.restart()
    assert await running.total("llm_requests_total") == 1


async def test_labels_beyond_the_known_ones_fold_into_other_and_the_sum_stays_true(
    running: Running, with_limits: Callable[..., Plan]
) -> None:
    await running.restart(with_limits(applications=2, endpoints=2))
    await running.push(*[event(application=f"app-{n}", endpoint=f"/{n}", category=f"c{n}") for n in range(10)])
    await running.push(*[event(model=f"invented-{n}") for n in range(1000)])
    page = await running.page()
    applications = {dict(key)["application"] for key in page["llm_requests_total"]}

    assert applications == {"app-0", "app-1", "other"}
    assert len(page["llm_unpriced_requests_total"]) <= 51
    assert sum(page["llm_requests_total"].values()) == 1010
    assert await running.total("llm_exporter_labels_folded_total", label="application") == 8 + 1000
    assert await running.total("llm_exporter_labels_folded_total", label="category") == 10
    assert await running.total("llm_exporter_labels_folded_total", label="model") == 1000


async def test_the_label_sets_of_a_metric_are_bounded_and_the_sum_stays_true(
    running: Running, with_limits: Callable[..., Plan]
) -> None:
    await running.restart(with_limits(series_per_metric=5))
    await running.push(*[event(application=f"app-{n}") for n in range(20)])
    page = await running.page()

    assert len(page["llm_requests_total"]) <= 6
    assert sum(page["llm_requests_total"].values()) == 20
    assert await running.total("llm_exporter_series_dropped_total", metric="llm_requests_total") == 15


async def test_tokens_are_a_partition(running: Running) -> None:
    await running.push(event(cached_input_tokens=300, cache_write_tokens=100, output_tokens=500, reasoning_tokens=200))
    page = await running.page()
    tokens = {
        dict(key)["type"]: value
        for key, value in page["llm_tokens_total"].items()
        if dict(key)["role"] == "target" and value
    }

    assert tokens == {"input": 600, "cached_input": 300, "cache_write": 100, "output": 300, "reasoning": 200}


@pytest.mark.parametrize(
    ("fields", "role"),
    [
        ({"model": "gpt-4o"}, "source"),
        ({"model": "gpt-4o-2024-08-06"}, "source"),
        ({"model": "gpt-4.1"}, "target"),
        ({"model": "gpt-4.1", "shadow": True}, "shadow"),
        ({"model": "gpt-4o", "shadow": True}, "other"),
        ({"model": "claude-3-opus"}, "other"),
    ],
)
async def test_roles(running: Running, fields: dict[str, Any], role: str) -> None:
    await running.push(event(**fields))
    assert await running.total("llm_requests_total", role=role) == 1


async def test_what_belongs_to_no_migration_is_in_no_budget(running: Running) -> None:
    await running.push(event(model="claude-3-opus", input_tokens=10**6))

    assert await running.total("llm_requests_total", migration="", role="other") == 1
    assert await running.total("llm_cost_usd_total") == 15.0375  # 15 USD a million in, 75 out
    assert await running.total("llm_budget_spent_usd") == 0


async def test_the_address_names_the_migration_of_a_model_that_it_does_not_know(running: Running) -> None:
    async with running.client.post(f"{running.api}/track-request", json=event(model="claude-3-opus")) as answer:
        assert answer.status == 200
    assert await running.total("llm_requests_total", migration="gpt4-migration", role="other") == 1


async def test_a_call_is_compared_at_the_price_of_the_other_side(running: Running) -> None:
    million = {"input_tokens": 10**6, "output_tokens": 0}
    await running.push(
        event(model="gpt-4", **million),  # 30; successor gpt-4.1: 2
        event(model="gpt-4.1", **million),  # 2; default predecessor gpt-4o: 2.50
        event(model="gpt-4.1", replaces="gpt-4.5-preview", application="b", **million),  # 75
    )

    assert await running.total("llm_counterfactual_cost_usd_total", role="source") == 2
    assert await running.total("llm_counterfactual_cost_usd_total", application="web", role="target") == 2.5
    assert await running.total("llm_counterfactual_cost_usd_total", application="b") == 75


async def test_callers_own_figures_are_compared(running: Running) -> None:
    await running.push(event(cost_usd=0.005), event(cost_usd=0.008))  # ours: 0.006 each

    assert await running.total("llm_reported_cost_difference_usd_total") == pytest.approx(0.003)


async def test_an_event_counts_in_the_day_in_which_it_ended(running: Running) -> None:
    million = {"input_tokens": 10**6, "output_tokens": 0}
    await running.push(
        event(timestamp=at("2025-05-20T00:00:00"), **million),
        event(timestamp=at("2025-05-19T23:59:59"), **million),  # Monday of the same week
        event(timestamp=at("2025-05-18T12:00:00"), **million),  # Sunday of the week before
        event(timestamp=at("2025-04-30T12:00:00"), **million),
    )

    assert await running.total("llm_budget_spent_usd", period="daily") == 2
    assert await running.total("llm_budget_spent_usd", period="weekly") == 4
    assert await running.total("llm_budget_spent_usd", period="monthly") == 6
    assert await running.total("llm_cost_usd_total") == 8
    running.clock.advance(14 * 3600)
    assert await running.total("llm_budget_spent_usd", period="daily") == 0


async def test_a_body_that_ends_in_the_middle_leaves_the_exporter_well(running: Running) -> None:
    port = running.client.port
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    writer.write(
        b"POST /api/v1/events HTTP/1.1\r\nHost: x\r\nContent-Type: application/json\r\nContent-Length: 100\r\n\r\n[{"
    )
    await writer.drain()
    writer.close()
    await writer.wait_closed()
    del reader
    assert (await running.push(event()))["accepted"] == 1


async def test_a_gzip_body_that_was_cut_off_is_refused_whole(running: Running) -> None:
    whole = gzip.compress(b"\n".join([json.dumps(event()).encode()] * 1000))
    headers = {"Content-Type": "application/x-ndjson", "Content-Encoding": "gzip"}
    for body in (whole[:-8], whole[: len(whole) // 2]):
        async with running.client.post("/api/v1/events", data=body, headers=headers) as answer:
            assert answer.status == 400
    assert await running.total("llm_requests_total") == 0
    members = whole + gzip.compress(b"\n") + whole
    async with running.client.post("/api/v1/events", data=members, headers=headers) as answer:
        assert (await answer.json())["accepted"] == 2000


async def test_millions_of_tiny_items_are_refused_before_they_become_objects(running: Running) -> None:
    body = gzip.compress(b"[" + b"0," * 4_000_000 + b"0]")
    headers = {"Content-Type": "application/json", "Content-Encoding": "gzip"}
    async with running.client.post("/api/v1/events", data=body, headers=headers) as answer:
        assert answer.status == 413


async def test_a_refusal_does_not_repeat_what_is_too_long_to_read(running: Running) -> None:
    body = await running.push(event(**{"x" * 1_000_000: 1}), status=422)

    assert len(json.dumps(body)) < 2000


@pytest.mark.parametrize(
    ("path", "header", "status"),
    [
        ("/api/v1/events", b"Content-Encoding: \xff", 415),
        ("/api/v1/events", b"Origin: http://\xff", 403),
        ("/api/v1/events", b"Origin: http://[", 403),
        ("/api/v1/events", b"Authorization: Bearer \xff", 200),
        ("/", b"X-Odd: \xff", 200),
    ],
)
async def test_bytes_in_headers_that_are_no_text_do_not_make_the_exporter_fail(
    running: Running, path: str, header: bytes, status: int
) -> None:
    body = json.dumps(event()).encode()
    method = b"GET" if path == "/" else b"POST"
    head = [method + b" " + path.encode() + b" HTTP/1.1", b"Host: localhost", b"Connection: close", header]
    if method == b"POST":
        head += [b"Content-Type: application/json", b"Content-Length: " + str(len(body)).encode()]
    reader, writer = await asyncio.open_connection("127.0.0.1", running.client.port)
    writer.write(b"\r\n".join(head) + b"\r\n\r\n" + (body if method == b"POST" else b""))
    answer = await reader.read()
    writer.close()

    assert int(answer.split()[1]) == status, answer


@pytest.mark.parametrize("host", ["evil.example", "evil.example:80", "", "x:99999", "192.0.2.1:10410"])
@pytest.mark.parametrize("path", ["/metrics", "/", "/api/v1/events"])
async def test_without_tokens_only_names_of_loopback_are_answered(running: Running, host: str, path: str) -> None:
    method = "POST" if path.startswith("/api") else "GET"
    headers = {"Host": host, "Origin": f"http://{host}"}
    async with running.client.request(method, path, json=[event()], headers=headers) as answer:
        assert answer.status == 403
    assert await running.total("llm_requests_total") == 0


async def test_a_call_too_dear_to_be_true_is_refused(running: Running) -> None:
    body = await running.push(event(model="gpt-4.5-preview", output_tokens=2**53 - 1), status=422)

    assert body["rejected"][0]["reason"] == "out_of_range"
