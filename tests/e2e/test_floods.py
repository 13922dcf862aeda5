"""More than anybody should send: bombs, endless bodies, labels by the hundred thousand. A real process, measured."""

from __future__ import annotations

import gzip
import http.client
import json
import socket
import time
import zlib
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from tests.configs import SHIPPED
from tests.processes import ExporterProcess, exporter, get, post
from tests.proofs import FULL, forget_peak, memory

LIMIT = 8 * 2**20  # limits.body_bytes
GIGABYTE = 10**9
CLIENTS = 8
INVENTED = 1_000_000 if FULL else 100_000
BATCH = 2_000


@pytest.fixture
def running(tmp_path: Path) -> Iterator[ExporterProcess]:
    with exporter(tmp_path, SHIPPED) as process:
        yield process
    assert "Traceback" not in (tmp_path / "exporter.log").read_text()


def pid(running: ExporterProcess) -> int:
    assert running.process is not None
    return running.process.popen.pid


@pytest.fixture(scope="module")
def bombs() -> dict[str, bytes]:
    """A gigabyte of zeros, as one gzip member and as a thousand."""
    compressor = zlib.compressobj(6, wbits=31)
    block = bytes(GIGABYTE // 1000)
    one = b"".join(compressor.compress(block) for _ in range(1000)) + compressor.flush()
    many = gzip.compress(block) * 1000
    assert len(one) < 2_000_000
    assert len(many) < 2_000_000
    return {"one member": one, "a thousand members": many}


@pytest.mark.parametrize("path", ["/api/v1/events", "/api/v1/gpt4-migration/cost/budget"])
@pytest.mark.parametrize("kind", ["one member", "a thousand members"])
def test_a_gigabyte_in_a_megabyte_of_gzip_takes_no_memory(
    running: ExporterProcess, bombs: dict[str, bytes], kind: str, path: str
) -> None:
    """A client costs what it sent, and twice what limits.body_bytes lets it unpack, while it is unpacked."""
    before = memory(pid(running))
    forget_peak(pid(running))

    def send(_: int) -> int:
        connection = http.client.HTTPConnection("127.0.0.1", running.port, timeout=30)
        headers = {"Content-Type": "application/json", "Content-Encoding": "gzip"}
        connection.request("POST", path, bombs[kind], headers)
        answer = connection.getresponse()
        assert json.loads(answer.read())["reason"] == "too_large"
        connection.close()
        return answer.status

    with ThreadPoolExecutor(CLIENTS) as clients:
        assert set(clients.map(send, range(3 * CLIENTS))) == {413}

    most = CLIENTS * (len(bombs[kind]) + 2 * LIMIT) / 1e6
    assert memory(pid(running), "VmHWM") < before + most + 20
    assert running.total("llm_exporter_events_rejected_total", reason="too_large") == (
        3 * CLIENTS if path == "/api/v1/events" else 0
    )


def test_a_body_without_an_end_is_cut_at_the_limit(running: ExporterProcess) -> None:
    forget_peak(pid(running))
    before = memory(pid(running))
    head = (
        b"POST /api/v1/events HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/json\r\n"
        b"Transfer-Encoding: chunked\r\n\r\n"
    )
    chunk = b"10000\r\n" + b" " * 0x10000 + b"\r\n"
    end = time.monotonic() + 20
    with socket.create_connection(("127.0.0.1", running.port), timeout=20) as wire:
        wire.sendall(head)
        with pytest.raises(OSError, match=r"reset|Broken pipe"):  # noqa: PT012 - the exporter hangs up at some time
            while time.monotonic() < end:
                wire.sendall(chunk)

    assert memory(pid(running), "VmHWM") < before + 2 * LIMIT / 1e6 + 20
    assert running.total("llm_exporter_events_rejected_total", reason="too_large") == 1


def invented(number: int) -> dict[str, object]:
    """A call of which every name is new, and as long as it may be."""
    name = f"{number:06d}-".ljust(200, "x")
    return {
        "id": f"{number}-".ljust(128, "x"),
        "model": f"model-{name}"[:200],
        "input_tokens": 10,
        "output_tokens": 1,
        "latency": 0.1,
        "success": False,
        "error_type": f"error-{name}"[:200],
        "application": f"app-{name}"[:200],
        "category": f"category-{name}"[:200],
        "endpoint": f"/{name}"[:200],
        "quality_score": 0.5,
        "evaluator": f"judge-{name}"[:200],
        "replaces": f"old-{name}"[:200],
        "pair_id": f"pair-{number}",
        "trace_id": f"{number:032x}",
        "prompt_hash": f"{number:064x}",
    }


@pytest.mark.slow
@pytest.mark.proof
def test_a_hundred_thousand_invented_names_make_as_many_series_as_documented(running: ExporterProcess) -> None:
    get(f"{running.url}/metrics")
    before = memory(pid(running))
    forget_peak(pid(running))
    errors: list[object] = []

    def send(first: int) -> None:
        batch = [invented(number) for number in range(first, first + BATCH)]
        lost = [
            {**invented(number), "migration": f"migration-{number}"} for number in range(first, first + BATCH // 10)
        ]
        status, answer = post(f"{running.url}/api/v1/events", [*batch, *lost])
        if status != 200 or answer["accepted"] != BATCH or len(answer["rejected"]) != BATCH // 10:
            errors.append((status, str(answer)[:300]))

    with ThreadPoolExecutor(4) as clients:
        list(clients.map(send, range(0, INVENTED, BATCH)))

    assert errors == []
    page = running.metrics()
    largest = memory(pid(running), "VmHWM")
    print(f"{before:.0f} → {memory(pid(running)):.0f} MB, at most {largest:.0f}")
    assert largest < before + 220  # 64 MB of SQLite's pages among it; after half a million calls it grows no more

    def values(metric: str, label: str) -> set[str]:
        return {dict(labels)[label] for labels in page[metric]}

    # limits.applications and limits.endpoints, the plan's categories, fifty evaluators and fifty unpriced models.
    assert len(values("llm_requests_total", "application") - {"other"}) == 200
    assert len(values("llm_route_requests_total", "route") - {"other"}) == 100
    assert len(values("llm_quality_score_count", "evaluator") - {"other"}) == 50
    assert len(values("llm_unpriced_requests_total", "model") - {"other"}) == 50
    assert {dict(labels)["model"] for labels, value in page["llm_requests_total"].items() if value} == {"other"}
    assert {dict(labels)["category"] for labels, value in page["llm_requests_total"].items() if value} == {"other"}
    assert values("llm_requests_total", "migration") == {""}
    assert len(values("llm_exporter_last_event_timestamp_seconds", "application")) <= 201
    for metric, samples in page.items():
        assert len(samples) < 5_000, metric

    # What has no name of its own is counted all the same, and counted as folded.
    assert sum(page["llm_requests_total"].values()) == INVENTED
    assert sum(page["llm_route_requests_total"].values()) == INVENTED
    assert sum(page["llm_quality_score_count"].values()) == INVENTED
    assert sum(page["llm_unpriced_requests_total"].values()) == INVENTED
    assert running.total("llm_request_errors_by_type_total", error_type="other") == INVENTED
    folded = {"model": 0, "category": 0, "application": 200, "route": 100, "evaluator": 50, "unpriced": 50}
    for label, known in folded.items():
        assert running.total("llm_exporter_labels_folded_total", label=label) == INVENTED - known, label
    assert running.total("llm_exporter_events_rejected_total", reason="unknown_migration") == INVENTED // 10
