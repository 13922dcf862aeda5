"""Damaged requests to a real exporter: each is answered in time, none by a failure of ours, and memory stays bounded.

Some thousands in the ordinary run; `make prove` spends minutes. Bodies come in frames that are right; whole requests
come damaged from their first byte on, headers included.
"""

from __future__ import annotations

import contextlib
import gzip
import http.client
import json
import random
import re
import socket
from collections.abc import Iterator

import pytest

from exporter.catalog import REJECT_REASONS
from tests.configs import variant
from tests.integration.conftest import event
from tests.mutator import Mutator
from tests.processes import ExporterProcess, exporter
from tests.proofs import memory, rounds, seed

SECONDS = 15.0  # for one answer, on a machine that does other things too
ENOUGH = 300_000  # bytes of answers after which the reader hangs up
PATIENCE = 0.02  # for an answer to what may be no whole request
GROWTH = 150  # megabytes that all of it may add: what is kept of names and ids is bounded
API = "/api/v1/gpt4-migration"
PATHS = (
    *("/api/v1/events", "/api/v1/events", "/api/v1/events", f"{API}/track-request", f"{API}/track-request"),
    *(f"{API}/cost/budget", f"{API}/advance-phase", f"{API}/tasks", f"{API}/hold", f"{API}/baselines"),
    *(f"{API}/thresholds", f"{API}/initialize"),
)
JSON, LINES = "application/json", "application/x-ndjson"
TYPES = (
    *("application/jsonl", "application/json; charset=utf-16", "application/json;", "APPLICATION/JSON", "text/plain"),
    *("application/x-www-form-urlencoded", "multipart/form-data", "a/b;c=", "", "\xff/\xff"),
)
ENCODINGS = ("gzip", "GZIP", "identity", "deflate", "br", "gzip, gzip", "x-gzip", "\xe9")
# A call that says everything that a call can say.
WHOLE = event(
    id="a",
    cached_input_tokens=10,
    cache_write_tokens=5,
    reasoning_tokens=7,
    time_to_first_token=0.3,
    endpoint="/chat",
    migration="gpt4-migration",
    replaces="gpt-4",
    shadow=True,
    pair_id="p",
    quality_score=0.9,
    evaluator="judge",
    tier="batch",
    cost_usd=0.01,
    prompt_hash="h",
    trace_id="4bf92f3577b34da6a3ce929d0e0e4736",
)
FAILED = event(success=False, error_type="timeout", timestamp=None)
_CALLS = (event(), [event(), event(model="gpt-4")], WHOLE, [WHOLE, FAILED], [event(latency="1")] * 3, FAILED)
_CHANGES = (
    *({"period": "daily", "limit": 5, "alert_threshold": 0.5}, {"new_phase": "testing", "reason": "r"}, {}),
    *({"phase": "preparation", "task": "Baseline establishment", "done": True}, {"hold": False, "reason": "r"}),
    *({"error_rate_warning": 3.0}, {"error_ratio": {"warning": 0.05}}, event(timestamp="2025-05-20T10:00:00Z")),
)
CORPUS = (
    *(json.dumps(value).encode() for value in (*_CALLS * 3, *_CHANGES)),
    *(b"\n".join(json.dumps(event(id=str(number))).encode() for number in range(size)) for size in (2, 5, 50)),
    gzip.compress(json.dumps([event()] * 3).encode()),
    gzip.compress(json.dumps(event()).encode()) + gzip.compress(b" \n"),
    gzip.compress(bytes(10_000_000)),
)
TOKENS = tuple(
    token.encode()
    for token in (
        *(
            '"model":',
            '"input_tokens":',
            '"id":',
            '"timestamp":',
            '"latency":',
            '"success":',
            "true",
            "null",
            '"gpt-4"',
        ),
        *('"tier":"flex"', '"shadow":true', '"pair_id":"p"', "{", "}", "[", "]", ",", ":", '"', "\\u0000", "\\ud800"),
        *(
            "1e308",
            "1e-400",
            "-1",
            "9007199254740993",
            '"2025-05-20T10:00:00"',
            '"99999-01-01T00:00:00Z"',
            "\n",
            "\r\n",
        ),
        *('"cached_input_tokens":', '"cost_usd":', '"quality_score":', '"trace_id":"', "\u2028", "\U0001f642"),
    )
)
REQUESTS = (
    b"POST /api/v1/events HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/json\r\nContent-Length: 108\r\n\r\n"
    b'{"model": "gpt-4.1", "input_tokens": 1000, "output_tokens": 500, "latency": 1.5, "success": true, "id": "xy"}',
    b"POST /api/v1/events HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/x-ndjson\r\n"
    b'Transfer-Encoding: chunked\r\nConnection: close\r\n\r\n5\r\n{"a":\r\n3\r\n 1}\r\n0\r\n\r\n',
    b"GET /metrics HTTP/1.1\r\nHost: 127.0.0.1:1\r\nAccept: application/openmetrics-text; version=1.0.0;q=0.9\r\n"
    b"Accept-Encoding: gzip\r\nX-Prometheus-Scrape-Timeout-Seconds: 10\r\n\r\n",
    b"GET /api/v1/gpt4-migration/audit?before=5&limit=2 HTTP/1.1\r\nHost: localhost\r\n\r\n",
    b"HEAD / HTTP/1.0\r\nHost: [::1]:80\r\nAuthorization: Basic YTpi\r\nX-Forwarded-For: 1.2.3.4\r\n\r\n",
    b"PUT /-/reload HTTP/1.1\r\nHost: localhost\r\nExpect: 100-continue\r\nUpgrade: websocket\r\n\r\n",
    b"OPTIONS * HTTP/1.1\r\nHost: localhost\r\n\r\n"
    b"GET /config HTTP/1.1\r\nHost: localhost\r\nAuthorization: Bearer a\r\nOrigin: http://localhost\r\n\r\n",
)
WIRE_TOKENS = (
    *(
        b"\r\n",
        b"\r\n\r\n",
        b"\n",
        b": ",
        b" ",
        b"HTTP/1.1",
        b"HTTP/9.9",
        b"GET ",
        b"POST ",
        b"CONNECT ",
        b"\0",
        b"%00",
    ),
    *(b"Content-Length: 5\r\n", b"Content-Length: -1\r\n", b"Content-Length: 99999999999999999999\r\n", b"/../..//"),
    *(
        b"Transfer-Encoding: chunked\r\n",
        b"Transfer-Encoding: gzip\r\n",
        b"Content-Encoding: gzip\r\n",
        b"ffffffff\r\n",
    ),
    *(
        b"Host: a\r\n",
        b"Host: \xff\r\n",
        b"Connection: upgrade\r\n",
        b"Accept: */*;q=nan\r\n",
        b"Accept-Encoding: *;q=0\r\n",
    ),
    *(b"Authorization: Bearer \xff\r\n", b"Cookie: a=b\r\n", b"Range: bytes=0-1\r\n", b"X: " + b"y" * 9000 + b"\r\n"),
    *(b"/api/v1/%ff/tasks", b"/api/v1//", b"?limit=\xc2\xb2", b"?before=1&before=2", b"#", b";"),
)


@pytest.fixture(scope="module")
def running(tmp_path_factory: pytest.TempPathFactory) -> Iterator[ExporterProcess]:
    folder = tmp_path_factory.mktemp("exporter")
    with exporter(folder, variant(folder, limits={"api_per_minute": 0})) as process:
        yield process


def pid(running: ExporterProcess) -> int:
    assert running.process is not None
    return running.process.popen.pid


def check_log(running: ExporterProcess) -> None:
    """Nothing of what came was a failure of ours, and no traceback was written."""
    assert running.process is not None
    lines = running.process.log.read_text(errors="replace").splitlines()
    assert [line[:1000] for line in lines if re.search("level=error|internal error|Traceback", line)] == []
    assert max(map(len, lines)) < 1000  # nobody fills the disk with what is logged of him


class Growth:
    """The exporter's memory, from when it has warmed up on."""

    def __init__(self, running: ExporterProcess) -> None:
        self.pid = pid(running)
        self.first = memory(self.pid)

    def check(self, count: int, mutator: Mutator) -> None:
        now, most = memory(self.pid), memory(self.pid, "VmHWM")
        seen = f"{count:,} requests, {len(mutator.outcomes):,} outcomes"
        print(f"{seen}, {self.first:.0f} → {now:.0f} MB, at most {most:.0f}")
        assert most < self.first + GROWTH


@pytest.mark.proof
def test_whatever_body_comes_it_is_taken_or_refused_in_words(running: ExporterProcess) -> None:
    number = seed()
    chance = random.Random(number)
    mutator = Mutator(number, CORPUS, TOKENS)
    growth = Growth(running)
    connection = http.client.HTTPConnection("127.0.0.1", running.port, timeout=SECONDS)
    count = accepted = 0
    for _ in rounds(3000, 150):
        count += 1
        body = mutator.next()
        sent = body
        headers = {"Content-Type": chance.choice((JSON, JSON, LINES, LINES, chance.choice(TYPES)))}
        if chance.random() < 0.3:
            headers["Content-Encoding"] = chance.choice(("gzip", "gzip", chance.choice(ENCODINGS)))
            sent = gzip.compress(body, 1) if chance.random() < 0.8 else body
        path = chance.choice(PATHS)
        try:
            status, answer = ask(connection, path, sent, headers)
        except BaseException:
            print(f"the request: {path} {headers} {sent!r}")
            raise
        about = f"{path} {headers} {body[:300]!r}: {answer}"
        assert status in (200, 400, 409, 413, 415, 422), about
        if status >= 400:
            assert answer["detail"], about
        for rejection in answer.get("rejected", ()):
            assert rejection["reason"] in REJECT_REASONS, about
            assert rejection["message"], about
        accepted += answer.get("accepted", 0) + answer.get("duplicates", 0)
        reasons = frozenset((rejection["reason"], rejection["field"][:20]) for rejection in answer.get("rejected", ()))
        said = re.sub(r"\d+|`[^`]*`", "…", str(answer.get("detail", "")))[:50]
        mutator.learn(body, (path, status, said, reasons if len(reasons) < 3 else len(reasons)))
    connection.close()

    growth.check(count, mutator)
    check_log(running)
    assert accepted > 100
    page = running.metrics()["llm_exporter_events_total"]
    counted = sum(value for labels, value in page.items() if ("result", "rejected") not in labels)
    assert counted == accepted  # the module's other test pushes only after this one


def ask(
    connection: http.client.HTTPConnection, path: str, body: bytes, headers: dict[str, str]
) -> tuple[int, dict[str, object]]:
    """Status and answer, over a connection that is opened anew when the exporter closed it."""
    for attempt in (1, 2):
        try:
            connection.request("POST", path, body, headers)
            answer = connection.getresponse()
            text = answer.read()
        except TimeoutError:
            raise
        except (http.client.HTTPException, OSError):  # closed after the answer before this one
            connection.close()
            if attempt == 2:
                raise
            continue
        return answer.status, json.loads(text)
    raise AssertionError("unreachable")


@pytest.mark.proof
def test_whatever_request_comes_the_connection_ends_and_the_exporter_lives(running: ExporterProcess) -> None:
    mutator = Mutator(seed(), REQUESTS, WIRE_TOKENS, most_bytes=20_000)
    growth = Growth(running)
    count = 0
    for _ in rounds(800, 120):
        count += 1
        data = mutator.next()
        statuses = send(running.port, data)
        assert not [status for status in statuses if status >= 500], repr(data)
        mutator.learn(data, statuses[:3])
        if count % 200 == 0:
            assert running.metrics()["llm_exporter_build_info"]

    growth.check(count, mutator)
    check_log(running)
    assert {(200,), (400,), ()} <= mutator.outcomes.keys()


def send(port: int, data: bytes) -> tuple[int, ...]:
    """The statuses of all answers to some bytes; none where the exporter hung up."""
    received = b""
    with contextlib.suppress(ConnectionError), socket.create_connection(("127.0.0.1", port), timeout=SECONDS) as wire:
        wire.sendall(data)
        wire.settimeout(PATIENCE)
        try:
            while len(received) < ENOUGH and (part := wire.recv(1 << 16)):
                received += part
        except TimeoutError:  # all is answered, or it waits for more than there is
            wire.settimeout(SECONDS)
            wire.shutdown(socket.SHUT_WR)
            while len(received) < ENOUGH and (part := wire.recv(1 << 16)):  # one that does not end now hangs
                received += part
    return tuple(int(status) for status in re.findall(rb"(?m)^HTTP/1\.[01] (\d{3})", received))
