from __future__ import annotations

import csv
from datetime import UTC, datetime
from pathlib import Path

import pytest

from exporter.errors import UserError
from exporter.replay.formats import read, scan, sniff
from tests.testdata import dataset

AZURE = (
    "TIMESTAMP,ContextTokens,GeneratedTokens\r\n"
    "2023-11-16 18:15:46.6805900,374,44\r\n"
    "2023-11-16 18:15:50.9951690,396,109\r\n"
    "2023-11-16 18:15:51.2224670,879,55"
)
BURSTGPT = (
    "Timestamp,Model,Request tokens,Response tokens,Total tokens,Log Type\n"
    "5,ChatGPT,472,18,490,Conversation log\n"
    "45.5,GPT-4,1087,0,1087,API log\n"
)
BURSTGPT_NEW = (
    "Timestamp,Session ID,Elapsed time,Model,Request tokens,Response tokens,Total tokens,Log Type\n"
    "100.0,one,43,GPT-4,906,446,1352,Conversation log\n"
    "160.0,two,,ChatGPT,36,29,65,Conversation log\n"
)
EVENTS = (
    '{"model":"gpt-4o","input_tokens":1,"output_tokens":2,"latency":0.5,"success":true,"timestamp":1700000000.25}\n'
    "\n"
    '{"id":"x","model":"gpt-4","input_tokens":3,"output_tokens":4,"success":false,"error_type":"timeout",'
    '"timestamp":"2023-11-14T22:13:21Z","category":"analysis"}\n'
)


def trace_file(folder: Path, text: str) -> Path:
    path = folder / "trace"
    path.write_bytes(text.encode())
    return path


@pytest.mark.parametrize(
    ("text", "kind"), [(AZURE, "azure"), (BURSTGPT, "burstgpt"), (BURSTGPT_NEW, "burstgpt"), (EVENTS, "events")]
)
def test_the_format_is_known_by_the_first_line(tmp_path, text, kind):
    assert sniff(trace_file(tmp_path, text)) == kind
    assert sniff(trace_file(tmp_path, "\ufeff" + text)) == kind


def test_an_azure_trace_is_read_to_its_last_line_with_all_decimals(tmp_path):
    rows = list(read(trace_file(tmp_path, AZURE), "azure"))
    assert [(row.number, row.input_tokens, row.output_tokens, row.success) for row in rows] == [
        (0, 374, 44, True),
        (1, 396, 109, True),
        (2, 879, 55, True),
    ]
    first = datetime(2023, 11, 16, 18, 15, 46, 680590, tzinfo=UTC).timestamp()
    assert rows[0].time == pytest.approx(first, abs=1e-6)
    assert rows[1].time - rows[0].time == pytest.approx(4.314579, abs=1e-6)


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("2024-05-12 00:00:00.001163+00:00", datetime(2024, 5, 12, 0, 0, 0, 1163, tzinfo=UTC)),
        ("2024-05-12 02:00:00.5+02:00", datetime(2024, 5, 12, 0, 0, 0, 500000, tzinfo=UTC)),
        ("2024-05-12 02:00:00-01:30", datetime(2024, 5, 12, 3, 30, tzinfo=UTC)),
        ("2024-05-12 02:00:00", datetime(2024, 5, 12, 2, tzinfo=UTC)),
        ("2024-05-12T02:00:00.25Z", datetime(2024, 5, 12, 2, 0, 0, 250000, tzinfo=UTC)),
    ],
)
def test_times_of_later_azure_traces_with_a_zone_are_read(tmp_path, text, expected):
    path = trace_file(tmp_path, f"TIMESTAMP,ContextTokens,GeneratedTokens\n{text},1,2\n")
    assert next(read(path, "azure")).time == pytest.approx(expected.timestamp(), abs=1e-6)


def test_burstgpt_calls_without_response_tokens_failed(tmp_path):
    rows = list(read(trace_file(tmp_path, BURSTGPT), "burstgpt"))
    assert [(row.time, row.model, row.input_tokens, row.output_tokens, row.success) for row in rows] == [
        (5.0, "ChatGPT", 472, 18, True),
        (45.5, "GPT-4", 1087, 0, False),
    ]
    assert rows[1].fields == {"error_type": "other"}


def test_newer_burstgpt_files_say_how_long_a_call_took(tmp_path):
    rows = list(read(trace_file(tmp_path, BURSTGPT_NEW), "burstgpt"))
    assert [(row.model, row.latency) for row in rows] == [("GPT-4", 43.0), ("ChatGPT", None)]


def test_events_keep_their_other_fields_and_not_their_id(tmp_path):
    rows = list(read(trace_file(tmp_path, EVENTS), "events"))
    assert [(row.number, row.line) for row in rows] == [(0, 1), (1, 3)]
    assert rows[1].fields == {"error_type": "timeout", "category": "analysis"}
    assert rows[1].time - rows[0].time == pytest.approx(0.75)
    assert rows[1].latency is None


def test_a_scan_sums_what_there_is(tmp_path):
    trace = scan(trace_file(tmp_path, AZURE))
    assert (trace.rows, trace.input_tokens, trace.output_tokens) == (3, 374 + 396 + 879, 44 + 109 + 55)
    assert trace.last - trace.first == pytest.approx(4.541877, abs=1e-6)
    assert scan(trace.path, limit=2).rows == 2


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("a,b,c\n1,2,3\n", "no trace that replay knows"),
        ("", "no trace that replay knows"),
        ("TIMESTAMP,ContextTokens,GeneratedTokens\n", "no call in this trace"),
        (
            "TIMESTAMP,ContextTokens,GeneratedTokens\n2023-11-16 18:15:46,1,2\nnever,1,2\n",
            "trace:3: 'never' is no time",
        ),
        ("TIMESTAMP,ContextTokens,GeneratedTokens\n2023-11-16 18:15:46,1,-2\n", "trace:2: '-2' is no number of tokens"),
        ("TIMESTAMP,ContextTokens,GeneratedTokens\n2023-11-16 18:15:46,1.5,2\n", "trace:2: '1.5' is no number"),
        ("TIMESTAMP,ContextTokens,GeneratedTokens\n2023-11-16 18:15:46,1\n", "trace:2: 2 columns.*cut off"),
        ("TIMESTAMP,ContextTokens,GeneratedTokens\n2023-11-16 18:15:46.x,1,2\n", "trace:2: .*is no time"),
        ("Timestamp,Model,Request tokens,Response tokens\nnan,ChatGPT,1,2\n", "trace:2: 'nan' is no number of seconds"),
        ('{"model":"x"}\n', "trace:1: the event has no timestamp"),
        ('{"model":"x",\n', "trace:1: "),
        ('{"model":"x","input_tokens":true,"output_tokens":1,"success":true,"timestamp":1}\n', "no number of tokens"),
        ('{"model":"x","input_tokens":1,"output_tokens":1,"success":1,"timestamp":1}\n', "success is true or false"),
        ('{"model":"","input_tokens":1,"output_tokens":1,"success":true,"timestamp":1}\n', "model is a name"),
        (
            '{"model":"x","input_tokens":1,"output_tokens":1,"success":true,"timestamp":1}\n[1]\n',
            "trace:2: an event is",
        ),
    ],
)
def test_what_cannot_be_read_is_told_with_its_place(tmp_path, text, message):
    with pytest.raises(UserError, match=message):
        scan(trace_file(tmp_path, text))


def test_a_missing_file_and_a_missing_column_are_told(tmp_path):
    with pytest.raises(UserError, match="cannot be read: No such file"):
        scan(tmp_path / "absent")
    with pytest.raises(UserError, match="no column 'Model'"):
        scan(trace_file(tmp_path, AZURE.replace("TIMESTAMP", "Timestamp")), "burstgpt")


def test_the_azure_trace_has_the_sums_that_the_csv_module_finds():
    path = dataset("azure-llm-inference-2023-conv.csv")
    with path.open(newline="") as file:
        expected = [(int(row["ContextTokens"]), int(row["GeneratedTokens"])) for row in csv.DictReader(file)]
    trace = scan(path)
    assert trace.rows == len(expected) == 19_366
    assert trace.input_tokens == sum(row[0] for row in expected) == 22_361_870
    assert trace.output_tokens == sum(row[1] for row in expected) == 4_088_665
