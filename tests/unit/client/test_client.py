from __future__ import annotations

import ast
import os
import subprocess
import sys
import threading
import time
from decimal import Decimal
from pathlib import Path

import pytest

import exporter.client
from exporter.client import Client, ClientError
from exporter.events import Event


def test_a_tracked_call_arrives_with_all_its_fields(sink):
    with Client(sink.url, application="tutor", token="t0k3n") as client:
        before = time.time()
        identity = client.track_api_request(
            "gpt-4.1", 12, 34, 1.5, True, category="analysis", cached_input_tokens=5, shadow=True
        )
    event = sink.events[identity]
    assert before - 1 < event.pop("timestamp") < time.time() + 1
    assert event == {
        "id": identity,
        "application": "tutor",
        "model": "gpt-4.1",
        "input_tokens": 12,
        "output_tokens": 34,
        "latency": 1.5,
        "success": True,
        "category": "analysis",
        "cached_input_tokens": 5,
        "shadow": True,
    }
    assert sink.requests[0]["path"] == "/api/v1/events"
    assert sink.requests[0]["headers"]["Authorization"] == "Bearer t0k3n"
    assert sink.requests[0]["headers"]["Content-Type"] == "application/x-ndjson"


ALL = {
    "model": "gpt-4.1",
    "input_tokens": 9,
    "output_tokens": 8,
    "latency": 1.5,
    "success": False,
    "id": "mine",
    "category": "analysis",
    "application": "b",
    "endpoint": "/chat",
    "timestamp": 1_750_000_000.25,
    "cached_input_tokens": 2,
    "cache_write_tokens": 3,
    "reasoning_tokens": 4,
    "time_to_first_token": 0.5,
    "error_type": "timeout",
    "migration": "m",
    "replaces": "gpt-4",
    "shadow": True,
    "pair_id": "p",
    "quality_score": 0.75,
    "evaluator": "e",
    "tier": "flex",
    "cost_usd": 0.125,
    "prompt_hash": "h",
    "trace_id": "ab12",
}


def test_every_field_of_the_exporters_events_can_be_given_and_none_leaves_it_out(sink):
    required = {name: ALL[name] for name in ("model", "input_tokens", "output_tokens", "latency", "success")}
    assert set(ALL) == set(Event.__struct_fields__)
    with Client(sink.url, application="tutor") as client:
        assert client.track_api_request(**ALL) == "mine"
        optional = {name: None for name in ALL if name not in required}
        identity = client.track_api_request(**required, **optional)
    assert sink.events["mine"] == ALL
    assert set(sink.events[identity]) == {*required, "id", "timestamp", "application"}


def test_numbers_of_other_libraries_are_numbers(sink):
    class Number:
        def __init__(self, value):
            self.value = value

    class Integer(Number):
        def __index__(self):
            return self.value

    with Client(sink.url) as client:
        identity = client.track_api_request("m", Integer(7), 1, 0.5, True, cost_usd=Decimal("0.25"))
        client.track_api_request("m", Number(7), 1, 0.5, True)
    assert (sink.events[identity]["input_tokens"], sink.events[identity]["cost_usd"]) == (7, 0.25)
    assert client.stats().rejected == 1


def test_a_field_of_the_call_wins_over_the_clients_default(sink):
    with Client(sink.url, application="a", migration="m") as client:
        identity = client.track_api_request("x", 1, 1, 1, True, application="b")
    assert sink.events[identity]["application"] == "b"
    assert sink.events[identity]["migration"] == "m"


def test_events_of_many_threads_all_arrive_once_in_batches(sink):
    client = Client(sink.url, batch=100)

    def work():
        for number in range(500):
            client.track_api_request("gpt-4", number, 1, 0.1, True)

    threads = [threading.Thread(target=work) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert client.flush(10)
    assert len(sink.events) == 2000
    assert sum(event["input_tokens"] for event in sink.events.values()) == 4 * 499 * 500 // 2
    assert max(request["events"] for request in sink.requests) <= 100
    assert any(request["gzip"] for request in sink.requests)
    stats = client.stats()
    assert (stats.sent, stats.duplicates, stats.rejected, stats.dropped, stats.queued) == (2000, 0, 0, 0, 0)
    client.close()


def test_tracking_does_not_wait_for_the_network(sink):
    sink.scripted = [(503, {"Retry-After": "1"})] * 3
    client = Client(sink.url, batch=10)
    begun = time.perf_counter()
    for _ in range(1000):
        client.track_api_request("gpt-4", 1, 1, 0.1, True)
    assert time.perf_counter() - begun < 0.5  # half a millisecond each, on any machine
    client.close()


# 404: what a balancer answers while the exporter behind it starts; 302: one that wants HTTPS.
@pytest.mark.parametrize(
    "failure", ["cut before", "cut after", (503, {}), (500, {}), (401, {}), (404, {}), (302, {"Location": "/"})]
)
def test_a_failed_request_is_sent_again_under_the_same_ids(sink, failure):
    sink.scripted = [failure]
    client = Client(sink.url)
    ids = {client.track_api_request("gpt-4", 1, 1, 0.1, True) for _ in range(10)}
    assert client.flush(10)
    assert set(sink.events) == ids
    assert len(sink.requests) == 2
    stats = client.stats()
    assert stats.sent + stats.duplicates == 10
    assert stats.duplicates == (10 if failure == "cut after" else 0)
    assert stats.retries == 1
    client.close()


def test_retry_after_is_honoured(sink):
    sink.scripted = [(429, {"Retry-After": "1"})]
    client = Client(sink.url, flush_interval=0.01)
    client.track_api_request("gpt-4", 1, 1, 0.1, True)
    begun = time.monotonic()
    while not sink.events and time.monotonic() - begun < 10:
        time.sleep(0.01)
    assert 0.9 < time.monotonic() - begun < 5
    client.close()


def test_events_wait_for_an_exporter_that_starts_later(new_sink, unused_port):
    client = Client(f"http://127.0.0.1:{unused_port}", flush_interval=0.01)
    identity = client.track_api_request("gpt-4", 1, 1, 0.1, True)
    assert not client.flush(0.2)
    assert "no answer from" in client.stats().last_error
    with new_sink().running(unused_port) as late:
        assert client.flush(10)
        assert set(late.events) == {identity}
        client.close()


def test_a_full_queue_drops_the_oldest_and_counts_them(new_sink, unused_port):
    client = Client(f"http://127.0.0.1:{unused_port}", queue=50, batch=10, flush_interval=0.01)
    ids = [client.track_api_request("gpt-4", 1, 1, 0.1, True)]
    while not client.stats().retries:
        time.sleep(0.01)  # from here on one event is in flight, the others queue
    ids += [client.track_api_request("gpt-4", 1, 1, 0.1, True) for _ in range(80)]
    assert client.stats().dropped == 30
    with new_sink().running(unused_port) as late:
        assert client.flush(10)
        assert set(late.events) == {ids[0], *ids[-50:]}
        client.close()


def test_rejected_events_are_counted_and_do_not_hold_up_the_others(sink, caplog):
    client = Client(sink.url)
    client.track_api_request("gpt-4", -1, 1, 0.1, True)
    good = client.track_api_request("gpt-4", 1, 1, 0.1, True)
    assert client.flush(10)
    assert set(sink.events) == {good}
    assert client.stats().rejected == 1
    assert "bad input_tokens" in client.stats().last_error
    assert "not counted" in caplog.text
    client.close()


def test_an_event_that_json_cannot_hold_is_rejected_alone(sink):
    client = Client(sink.url)
    client.track_api_request("gpt-4", 1, 1, float("nan"), True)
    client.track_api_request("gpt-4", object(), 1, 1.0, True)  # type: ignore[arg-type]
    good = client.track_api_request("gpt-4", 1, 1, 0.1, True)
    assert client.flush(10)
    assert set(sink.events) == {good}
    assert client.stats().rejected == 2
    assert client.stats().queued == 0
    client.close()


def test_a_batch_that_is_too_large_goes_in_halves(sink):
    sink.scripted = [(413, {}), (413, {})]
    client = Client(sink.url)
    ids = {client.track_api_request("gpt-4", 1, 1, 0.1, True) for _ in range(8)}
    assert client.flush(10)
    assert set(sink.events) == ids
    assert [request["events"] for request in sink.requests] == [8, 4, 2, 2, 4]
    assert client.stats().queued == 0
    client.close()


@pytest.mark.parametrize("status", [400, 413, 422])
def test_an_event_that_can_never_be_taken_is_given_up(sink, status):
    sink.scripted = [(status, {})]
    client = Client(sink.url)
    client.track_api_request("gpt-4", 1, 1, 0.1, True)
    assert client.flush(10)
    assert client.stats().rejected == 1
    assert str(status) in client.stats().last_error
    client.close()


def test_a_call_is_timed_and_counts_its_tokens(sink):
    with Client(sink.url) as client, client.call(model="gpt-4.1", category="analysis") as call:
        time.sleep(0.02)
        call.first_token()
        time.sleep(0.02)
        call.usage(input_tokens=10, output_tokens=20, reasoning_tokens=3)
    event = sink.events[call.id]
    assert event["success"] is True
    assert 0.04 <= event["latency"] < 2
    assert 0.02 <= event["time_to_first_token"] < event["latency"]
    assert (event["input_tokens"], event["output_tokens"], event["reasoning_tokens"]) == (10, 20, 3)
    assert event["category"] == "analysis"


def test_an_exception_in_a_call_is_a_failure_and_goes_on(sink):
    with Client(sink.url) as client:
        with pytest.raises(TimeoutError), client.call(model="gpt-4.1") as call:
            raise TimeoutError("too slow")
        with client.call(model="gpt-4.1") as filtered:
            filtered.usage(input_tokens=10, output_tokens=0)
            filtered.fail("content_filter")
    assert sink.events[call.id]["success"] is False
    assert sink.events[call.id]["error_type"] == "timeout"
    assert sink.events[filtered.id]["error_type"] == "content_filter"
    assert sink.events[filtered.id]["input_tokens"] == 10


def test_an_error_type_that_is_given_to_a_call_makes_it_a_failure(sink):
    with Client(sink.url) as client, client.call(model="gpt-4.1") as call:
        call.usage(input_tokens=10, output_tokens=0, error_type="rate_limit")
    assert sink.events[call.id]["success"] is False  # the exporter refuses a success with an error


def test_post_events_returns_the_answer_and_raises_when_there_is_none(sink):
    client = Client(sink.url)
    event = {"id": "1", "model": "gpt-4", "input_tokens": 1, "output_tokens": 1, "latency": 1, "success": True}
    assert client.post_events([event])["accepted"] == 1
    assert client.post_events([event])["duplicates"] == 1
    assert client.post_events([{**event, "success": "yes"}])["rejected"][0]["field"] == "success"
    sink.scripted = [(429, {"Retry-After": "7"})]
    with pytest.raises(ClientError) as refused:
        client.post_events([event])
    assert (refused.value.status, refused.value.retry, refused.value.retry_after) == (429, True, 7.0)
    assert "not now" in str(refused.value)
    client.close()


def test_closing_twice_and_tracking_after_close_are_harmless(sink):
    client = Client(sink.url)
    client.close()
    client.close()
    identity = client.track_api_request("gpt-4", 1, 1, 0.1, True)
    assert client.close()
    assert identity in sink.events


@pytest.mark.parametrize(
    "url",
    [
        "ftp://example.com",
        "http://",
        "://",
        "http://a:99999",
        "http://a:b",
        "http://[::1",
        "http://a/ü",
        "http://a/b c",
    ],
)
def test_an_address_that_is_none_is_refused_at_once(url):
    with pytest.raises(ValueError, match="no HTTP address"):
        Client(url)


def test_a_password_in_the_address_is_refused_and_not_repeated():
    with pytest.raises(ValueError, match="token=") as refused:
        Client("http://user:secret@127.0.0.1:10410")
    assert "secret" not in str(refused.value)


@pytest.mark.parametrize(
    "arguments",
    [
        *({"batch": 0}, {"queue": 0}, {"spool_bytes": 0}, {"flush_interval": 0}, {"flush_interval": float("nan")}),
        *({"timeout": 0}, {"timeout": -1}, {"token": "a\nb"}, {"token": "ä"}),
    ],
)
def test_arguments_that_cannot_be_meant_are_refused(arguments):
    with pytest.raises(ValueError, match=r"must be|token"):
        Client(**arguments)


def test_a_token_may_come_from_a_file_with_its_line_end(sink):
    with Client(sink.url, token="t0k3n\n") as client:
        client.track_api_request("gpt-4", 1, 1, 0.1, True)
    assert sink.requests[0]["headers"]["Authorization"] == "Bearer t0k3n"


def test_events_are_flushed_when_the_process_ends(sink):
    script = (
        "from exporter.client import Client\n"
        f"client = Client({sink.url!r}, flush_interval=60)\n"
        "for _ in range(7): client.track_api_request('gpt-4', 1, 1, 0.1, True)\n"
    )
    subprocess.run([sys.executable, "-c", script], check=True, timeout=30)
    assert len(sink.events) == 7


@pytest.mark.skipif(not hasattr(os, "fork"), reason="needs fork()")
def test_a_forked_child_sends_its_own_events_and_not_its_parents(sink):
    script = (
        "import os\n"
        "from exporter.client import Client\n"
        f"client = Client({sink.url!r}, flush_interval=60)\n"
        "client.track_api_request('parent', 1, 1, 0.1, True)\n"
        "child = os.fork()\n"
        "client.track_api_request('child' if child == 0 else 'parent', 1, 1, 0.1, True)\n"
        "assert client.close(10)\n"
        "assert client.stats().sent == (1 if child == 0 else 2)\n"
        "os._exit(0) if child == 0 else None\n"
        "assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 0\n"
    )
    subprocess.run([sys.executable, "-W", "ignore", "-c", script], check=True, timeout=30)
    assert sorted(event["model"] for event in sink.events.values()) == ["child", "parent", "parent"]
    assert sum(request["events"] for request in sink.requests) == 3


def test_the_client_needs_the_standard_library_only():
    tree = ast.parse(Path(exporter.client.__file__).read_text(encoding="utf-8"))
    modules = {
        (node.module or "") if isinstance(node, ast.ImportFrom) else alias.name
        for node in ast.walk(tree)
        if isinstance(node, ast.Import | ast.ImportFrom)
        for alias in node.names
    }
    assert {module.split(".")[0] for module in modules} <= sys.stdlib_module_names
