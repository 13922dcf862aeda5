from __future__ import annotations

import click
import pytest
from click.testing import CliRunner

from exporter.cli.durations import DURATION
from exporter.cli.replay import replay
from exporter.errors import UserError

TRACE = "TIMESTAMP,ContextTokens,GeneratedTokens\n2023-11-16 18:15:46.68,374,44\n2023-11-16 18:15:50.99,396,109\n"


@pytest.fixture
def trace(tmp_path):
    path = tmp_path / "trace.csv"
    path.write_text(TRACE)
    return str(path)


def invoke(*args: str):
    return CliRunner().invoke(replay, args)


def test_flags_become_the_mapping_and_the_summary_is_printed(trace, sink, tmp_path):
    token = tmp_path / "token"
    token.write_text("t0k3n\n")
    result = invoke(
        *(trace, "--url", sink.url, "--token-file", str(token), "--model", "gpt-4", "--category", "analysis"),
        *("--application", "a", "--endpoint", "/e", "--migration", "m", "--shadow", "--latency", "1.5"),
        *("--end-at", "2025-05-31T12:00:00Z", "--span", "1m"),
    )
    assert result.exit_code == 0, result.output
    assert sink.requests[0]["headers"]["Authorization"] == "Bearer t0k3n"
    first, last = sorted(sink.events.values(), key=lambda event: event["timestamp"])
    assert (first["timestamp"], last["timestamp"]) == (1748692740.0, 1748692800.0)
    assert {"model": "gpt-4", "category": "analysis", "application": "a", "endpoint": "/e"}.items() <= first.items()
    assert {"migration": "m", "shadow": True, "latency": 1.5}.items() <= first.items()
    assert "accepted    2" in result.stdout
    assert "tokens      770 input, 153 output" in result.stdout
    assert "100%  2 of 2 events" in result.stderr


def test_flags_of_the_formula_draw_latency(trace, sink):
    assert (
        invoke(
            *(trace, "--url", sink.url, "--model", "gpt-4", "--latency-base", "1", "--latency-per-input-token", "0.01"),
            *("--latency-per-output-token", "0.1", "--latency-jitter", "0"),
        ).exit_code
        == 0
    )
    assert sorted(event["latency"] for event in sink.events.values()) == pytest.approx([9.14, 15.86])


def test_a_rejection_is_an_error_with_exit_code_1(trace, sink):
    refused = {"index": 0, "field": "timestamp", "reason": "too_old", "message": "older than 35 days"}
    sink.take = lambda lines: {"accepted": 1, "duplicates": 0, "rejected": [refused]}
    result = invoke(trace, "--url", sink.url, "--model", "gpt-4")
    assert isinstance(result.exception, UserError)
    assert result.exception.exit_code == 1
    assert "1 of 2 events were rejected" in str(result.exception)
    assert "trace.csv:2: timestamp: older than 35 days" in result.stdout


def test_the_summary_is_printed_when_the_exporter_stays_away(trace, unused_port):
    result = invoke(trace, "--url", f"http://127.0.0.1:{unused_port}", "--model", "gpt-4", "--wait", "50ms")
    assert "sent        0 of 2 events" in result.stdout
    assert isinstance(result.exception, UserError)
    assert result.exception.exit_code == 1
    assert "Connection refused" in str(result.exception)


@pytest.mark.parametrize(
    ("args", "message"),
    [
        (["--speed", "fast"], "neither max nor a number"),
        (["--end-at", "tomorrow"], "is no time"),
        (["--map-model", "ChatGPT"], "write NAME=MODEL"),
        (["--latency", "1", "--latency-base", "2"], "does not go with"),
        (["--wait", "soon"], "is no duration"),
        (["--batch", "20000"], "not in the range"),
    ],
)
def test_wrong_flags_are_usage_errors(trace, args, message):
    result = invoke(trace, *args)
    assert result.exit_code == 2
    assert message in result.stderr


def test_a_token_file_that_is_missing_or_empty_is_told(trace, tmp_path):
    assert "--token-file" in str(invoke(trace, "--token-file", str(tmp_path / "absent")).exception)
    (tmp_path / "empty").write_text("\n")
    assert "is empty" in str(invoke(trace, "--token-file", str(tmp_path / "empty")).exception)


@pytest.mark.parametrize(
    ("text", "seconds"), [("90s", 90), ("1h30m", 5400), ("250ms", 0.25), ("90", 90), ("1.5", 1.5), ("2d", 172800)]
)
def test_durations_are_read(text, seconds):
    assert DURATION.convert(text, None, None) == seconds


@pytest.mark.parametrize("text", ["", "-1", "1x", "s", "nan", "inf"])
def test_what_is_no_duration_is_refused(text):
    with pytest.raises(click.BadParameter):
        DURATION.convert(text, None, None)
