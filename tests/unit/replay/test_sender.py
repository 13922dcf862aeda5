from __future__ import annotations

import csv
import http.client
import io
import json
import random
import threading
import time
from datetime import UTC, datetime
from pathlib import Path

import pytest

from exporter.clock import ManualClock
from exporter.errors import UserError
from exporter.replay.mapping import Mapping
from exporter.replay.sender import ReplayInterrupted, ReplayOptions, ReplayStopped, replay
from tests.testdata import dataset

ROWS = 2345
NOW = 1_750_000_000.0


@pytest.fixture
def trace(tmp_path):
    """A trace in Azure's layout: CRLF, no final newline."""
    draw = random.Random(7)
    begin = datetime(2023, 11, 16, 18, 15, 46, tzinfo=UTC).timestamp()
    lines = ["TIMESTAMP,ContextTokens,GeneratedTokens"]
    for number in range(ROWS):
        when = datetime.fromtimestamp(begin + number * 0.5, UTC)
        lines.append(f"{when:%Y-%m-%d %H:%M:%S.%f}0,{draw.randint(1, 4000)},{draw.randint(1, 900)}")
    path = tmp_path / "trace.csv"
    path.write_bytes("\r\n".join(lines).encode())
    return path


def sums(path: Path) -> tuple[int, int, int]:
    with path.open(newline="") as file:
        rows = list(csv.DictReader(file))
    return (
        len(rows),
        sum(int(row["ContextTokens"]) for row in rows),
        sum(int(row["GeneratedTokens"]) for row in rows),
    )


def counted(sink) -> tuple[int, int, int]:
    events = sink.events.values()
    return (
        len(events),
        sum(event["input_tokens"] for event in events),
        sum(event["output_tokens"] for event in events),
    )


def run(path: Path, url: str, clock: ManualClock | None = None, **options):
    mapping = options.pop("mapping", Mapping(model="gpt-4"))
    clock = clock or ManualClock(NOW)
    return replay(
        ReplayOptions(path, url=url, mapping=mapping, **options),
        progress=options.pop("progress", io.StringIO()),
        clock=clock,
        sleep=clock.advance,
    )


def test_a_replay_sends_each_row_once_and_ends_now(trace, sink):
    summary = run(trace, sink.url)
    assert counted(sink) == sums(trace)
    assert (summary.sent, summary.input_tokens, summary.output_tokens) == sums(trace)
    assert (summary.accepted, summary.duplicates, summary.rejected) == (ROWS, 0, 0)
    times = [event["timestamp"] for event in sink.events.values()]
    assert max(times) == NOW
    assert min(times) == pytest.approx(NOW - (ROWS - 1) * 0.5)
    assert [request["events"] for request in sink.requests] == [1000, 1000, 345]


def test_a_second_replay_is_all_duplicates_and_another_mapping_is_not(trace, sink):
    run(trace, sink.url)
    again = run(trace, sink.url, ManualClock(NOW + 3600), batch=333)
    assert (again.accepted, again.duplicates) == (0, ROWS)
    assert counted(sink) == sums(trace)
    other = run(trace, sink.url, mapping=Mapping(model="gpt-4.1"))
    assert other.accepted == ROWS


@pytest.mark.parametrize("cut", ["cut before", "cut after"])
def test_a_connection_cut_midway_counts_nothing_twice(trace, sink, cut):
    sink.scripted = [(200, {}), cut, (200, {}), cut, cut]
    summary = run(trace, sink.url, batch=500)
    assert counted(sink) == sums(trace)
    assert summary.accepted + summary.duplicates == ROWS
    assert summary.duplicates == (0 if cut == "cut before" else summary.duplicates)


def test_a_replay_that_was_interrupted_is_finished_by_the_next(trace, sink):
    def interrupt() -> None:
        if len(sink.requests) == 3:
            sink.scripted = [(404, {})]

    sink.when_posted = interrupt
    with pytest.raises(ReplayStopped) as stopped:
        run(trace, sink.url, batch=300)
    assert stopped.value.summary.sent == 900
    assert len(sink.events) == 900
    sink.when_posted = lambda: None
    summary = run(trace, sink.url, batch=300)
    assert (summary.accepted, summary.duplicates) == (ROWS - 900, 900)
    assert counted(sink) == sums(trace)


def test_ctrl_c_says_how_to_go_on(trace, sink):
    clock = ManualClock(NOW)

    def pressed(_seconds: float) -> None:
        raise KeyboardInterrupt

    sink.scripted = [(200, {}), (503, {})]
    with pytest.raises(ReplayInterrupted, match="not counted twice") as stopped:
        replay(
            ReplayOptions(trace, url=sink.url, mapping=Mapping(model="gpt-4")),
            progress=io.StringIO(),
            clock=clock,
            sleep=pressed,
        )
    assert stopped.value.exit_code == 130
    assert stopped.value.summary.sent == 1000


def test_a_wiped_ledger_gets_everything_again(trace, sink):
    run(trace, sink.url)
    sink.events.clear()
    assert run(trace, sink.url).accepted == ROWS


def test_retry_after_is_honoured(trace, sink):
    sink.scripted = [(429, {"Retry-After": "7"}), (429, {"Retry-After": "5"})]
    clock = ManualClock(NOW)
    summary = run(trace, sink.url, clock)
    assert clock.monotonic() == pytest.approx(12)
    assert summary.retries == 2
    assert counted(sink) == sums(trace)


def test_a_replay_waits_for_an_exporter_that_comes_back(trace, new_sink, unused_port):
    late = new_sink()
    started = threading.Event()

    def start_later() -> None:
        time.sleep(0.4)
        with late.running(unused_port):
            started.set()
            while len(late.events) < ROWS:
                time.sleep(0.01)
            time.sleep(0.1)

    thread = threading.Thread(target=start_later)
    thread.start()
    progress = io.StringIO()
    summary = replay(
        ReplayOptions(trace, url=f"http://127.0.0.1:{unused_port}", mapping=Mapping(model="gpt-4")), progress=progress
    )
    thread.join()
    assert started.is_set()
    assert summary.retries > 0
    assert counted(late) == sums(trace)
    assert "waiting: no answer from" in progress.getvalue()


def test_an_exporter_that_stays_away_ends_the_replay_in_time(trace, unused_port):
    clock = ManualClock(NOW)
    with pytest.raises(ReplayStopped, match="Is the exporter running") as stopped:
        run(trace, f"http://127.0.0.1:{unused_port}", clock, wait=20)
    assert stopped.value.exit_code == 1
    assert 15 < clock.monotonic() <= 20


@pytest.mark.parametrize(("status", "message"), [(401, "--token-file"), (404, "404")])
def test_a_refusal_of_the_request_ends_the_replay_at_once(trace, sink, status, message):
    sink.scripted = [(status, {})]
    with pytest.raises(ReplayStopped, match=message):
        run(trace, sink.url)
    assert len(sink.requests) == 1


def test_a_batch_that_is_too_large_goes_in_halves(trace, sink):
    sink.scripted = [(413, {}), (413, {})]
    summary = run(trace, sink.url, limit=100)
    assert summary.accepted == 100
    assert len(sink.events) == 100


def test_rejections_are_told_with_their_line(tmp_path, sink):
    event = {"model": "m", "input_tokens": 1, "output_tokens": 1, "latency": 1, "success": True, "timestamp": 1.0}
    path = tmp_path / "events.ndjson"
    lines = [json.dumps(event), "", json.dumps({**event, "latency": 2, "model": "n"}), json.dumps(event)]
    path.write_text("\n".join(lines) + "\n")
    take = sink.take

    def refuse_second(batch):
        answer = take(batch)
        answer["accepted"] -= 1
        answer["rejected"] = [{"index": 1, "field": "timestamp", "reason": "too_old", "message": "older than 35 days"}]
        return answer

    sink.take = refuse_second
    summary = run(path, sink.url, mapping=Mapping())
    assert (summary.accepted, summary.rejected) == (2, 1)
    assert dict(summary.reasons) == {"too_old": 1}
    assert summary.examples == [f"{path}:3: timestamp: older than 35 days"]
    assert "1 × too_old" in str(summary)


def test_pace_is_kept_and_calls_are_dated_when_sent(trace, sink):
    clock = ManualClock(NOW)
    run(trace, sink.url, clock, speed=10, limit=201)
    assert clock.monotonic() == pytest.approx(10)
    times = sorted(event["timestamp"] for event in sink.events.values())
    assert len(times) == 201
    assert times[0] == pytest.approx(NOW, abs=0.3)
    assert times[-1] == pytest.approx(NOW + 10, abs=0.3)


def test_times_can_be_squeezed_and_end_when_asked(trace, sink):
    run(trace, sink.url, end_at=NOW - 1000, span=60.0)
    times = [event["timestamp"] for event in sink.events.values()]
    assert max(times) == NOW - 1000
    assert min(times) == pytest.approx(NOW - 1060)


def test_a_bad_row_is_told_before_anything_is_sent(trace, sink):
    with trace.open("ab") as file:
        file.write(b"\r\n2023-11-16 19:14:08.4025270,197,x\r\n")
    with pytest.raises(UserError, match=f"trace.csv:{ROWS + 2}: 'x' is no number of tokens"):
        run(trace, sink.url)
    assert not sink.requests


@pytest.mark.parametrize(
    "options",
    [
        {"batch": 0},
        {"batch": 10_001},
        {"speed": 0},
        {"speed": 1, "end_at": 1.0},
        {"speed": 1, "span": 1.0},
        {"limit": 0},
    ],
)
def test_options_that_make_no_sense_are_refused(trace, options):
    with pytest.raises(UserError):
        ReplayOptions(trace, **options)


def test_progress_is_a_bar_on_a_terminal_and_lines_elsewhere(trace, sink):
    class Terminal(io.StringIO):
        def isatty(self) -> bool:
            return True

    terminal, plain = Terminal(), io.StringIO()
    for stream in (terminal, plain):
        replay(ReplayOptions(trace, url=sink.url, mapping=Mapping(model="gpt-4")), progress=stream)
    assert "█" in terminal.getvalue()
    assert terminal.getvalue().endswith("\n")
    assert f"100%  {ROWS:,} of {ROWS:,} events" in terminal.getvalue()
    assert "\x1b" not in plain.getvalue()
    assert f"100%  {ROWS:,} of {ROWS:,} events" in plain.getvalue()


def test_the_azure_trace_arrives_with_its_exact_sums(sink):
    path = dataset("azure-llm-inference-2023-conv.csv")
    sink.scripted = [(200, {}), "cut after", (429, {"Retry-After": "0"}), "cut before"]
    run(path, sink.url)
    run(path, sink.url)
    assert counted(sink) == sums(path) == (19_366, 22_361_870, 4_088_665)


def test_the_sink_itself_answers_as_the_contract_says(sink):
    """The other tests lean on it."""
    host, port = sink.url.removeprefix("http://").split(":")
    connection = http.client.HTTPConnection(host, int(port))
    event = {"id": "a", "model": "m", "input_tokens": 1, "output_tokens": 1, "latency": 1, "success": True}
    for expected in ({"accepted": 1, "duplicates": 0}, {"accepted": 0, "duplicates": 1}):
        connection.request("POST", "/api/v1/events", json.dumps(event))
        assert expected.items() <= json.loads(connection.getresponse().read()).items()
    connection.close()
