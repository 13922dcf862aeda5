from __future__ import annotations

import io
import json

import pytest

from exporter.demo.loopback import Inbox, NoAnswer, ask, free_ports
from exporter.demo.view import Alert, Lines, Page, Screen, State

PAGE = """\
# HELP llm_requests_total Model calls.
# TYPE llm_requests_total counter
llm_requests_total{migration="m",role="source",model="a \\"b\\", c"} 3
llm_requests_total{migration="m",role="target",model="d"} 4
llm_requests_total{migration="m",role="target",model="e"} 5e+2
llm_migration_phase{migration="m",phase="testing"} 0
llm_migration_phase{migration="m",phase="gradual_rollout"} 1
llm_exporter_queue_events 7.0
"""


def test_sums_are_over_the_samples_with_these_labels():
    page = Page(PAGE)
    assert page.sum("llm_requests_total") == 507
    assert page.sum("llm_requests_total", role="target") == 504
    assert page.sum("llm_requests_total", role="shadow") == 0
    assert page.sum("llm_exporter_queue_events") == 7
    assert page.label_where("llm_migration_phase", "phase", 1) == "gradual_rollout"
    assert page.label_where("llm_migration_phase", "phase", 9) == ""


def labels(**pairs: str) -> frozenset[tuple[str, str]]:
    return frozenset(pairs.items())


@pytest.fixture
def state():
    exceeded = labels(alertname="LLMBudgetExceeded", severity="critical", period="daily")
    near = labels(alertname="LLMBudgetThreshold", severity="info", period="daily", threshold="50")
    return State(
        now=1065.0,
        begun=1000.0,
        doing="live traffic",
        detail="an incident begins in 5 s",
        migration="gpt4-migration",
        phase="gradual_rollout",
        days_left=65.2,
        accepted=25_000,
        source_calls=400,
        target_calls=600,
        spent=104.0,
        budget=100.0,
        alerts={
            exceeded: Alert(exceeded, 1060.0, delivered=1062.0),
            near: Alert(near, 1050.0, quiet=True),
        },
        urls={"exporter": "http://127.0.0.1:1/"},
    )


def test_the_screen_shows_everything_and_draws_over_itself(state, monkeypatch):
    monkeypatch.setenv("NO_COLOR", "1")
    monkeypatch.setenv("COLUMNS", "120")
    monkeypatch.setenv("LINES", "40")
    stream = io.StringIO()
    screen = Screen(stream)
    screen.show(state)
    first = stream.getvalue()
    for expected in (
        "1:05",
        "gpt4-migration, gradual_rollout, 65 days",
        "60.0% on target models",
        "104.00 of 100.00 USD, 104%",
        "25,000 accepted",
        "live traffic, an incident begins in 5 s",
        "LLMBudgetExceeded daily",
        "LLMBudgetThreshold daily 50%",
        "quiet",
        "http://127.0.0.1:1/",
    ):
        assert expected in first
    screen.show(state)
    height = first.count("\n")
    assert f"\x1b[{height}A" in stream.getvalue()
    screen.close()
    assert stream.getvalue().endswith("\x1b[?25h")


def test_the_screen_fits_a_small_terminal(state, monkeypatch):
    monkeypatch.setenv("COLUMNS", "40")
    monkeypatch.setenv("LINES", "10")
    stream = io.StringIO()
    Screen(stream).show(state)
    text = stream.getvalue()
    for code in ("\x1b[?25l", "\x1b[2K", "\x1b[J", "\x1b[0m", "\x1b[1m", "\x1b[2m", "\x1b[31m", "\x1b[32m", "\x1b[36m"):
        text = text.replace(code, "")
    rows = text.splitlines()
    assert len(rows) < 10
    assert max(map(len, rows)) < 40


def test_lines_tell_each_thing_once(state):
    stream = io.StringIO()
    lines = Lines(stream)
    lines.show(state)
    state.now += 1
    state.detail = "an incident begins in 4 s"
    lines.show(state)
    text = stream.getvalue()
    assert text.count("live traffic") == 1
    assert text.count("fires      critical LLMBudgetExceeded daily") == 1
    assert text.count("delivered  critical LLMBudgetExceeded daily") == 1
    assert "delivered  info" not in text
    assert "\x1b" not in text
    state.now += 10
    lines.show(state)
    assert stream.getvalue().count("25,000 events, 60.0% on target models") == 2


def test_the_inbox_remembers_when_an_alert_first_arrived():
    (port,) = free_ports(1)
    inbox = Inbox(port)
    try:
        firing = {"status": "firing", "labels": {"alertname": "A", "severity": "critical"}}
        resolved = {"status": "resolved", "labels": {"alertname": "B"}}
        ask(port, "/notifications", {"alerts": [firing, resolved]})
        first = inbox.arrived()
        ask(port, "/notifications", {"alerts": [firing]})
        assert inbox.arrived() == first
        assert set(first) == {labels(alertname="A", severity="critical")}
        with pytest.raises(NoAnswer, match="400"):
            ask(port, "/notifications", {"alerts": [json.loads("3")]})
    finally:
        inbox.close()
    with pytest.raises(NoAnswer, match="refused"):
        ask(port, "/notifications", {"alerts": []})
