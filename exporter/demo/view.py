"""What the demo sees of its programs, and how it shows it: a screen on a terminal, lines elsewhere."""

from __future__ import annotations

import os
import re
import shutil
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from datetime import datetime
from typing import TextIO

from exporter.demo.loopback import Labels

_SAMPLE = re.compile(r"^([a-zA-Z_:][a-zA-Z0-9_:]*)(?:\{(.*)\})? (\S+)", re.MULTILINE)
_LABEL = re.compile(r'([a-zA-Z_][a-zA-Z0-9_]*)="((?:[^"\\]|\\.)*)"')
_IDENTITY = ("model", "period", "threshold", "quantity")  # labels that tell alerts of one name apart
_BAR = 34
_COLOURS = {"critical": "31", "warning": "33", "info": "36", "good": "32", "dim": "2", "bold": "1"}


class Page:
    """A page of `/metrics`, for sums over some of its samples."""

    def __init__(self, text: str) -> None:
        self._samples = [
            (name, dict(_LABEL.findall(labels)), float(value)) for name, labels, value in _SAMPLE.findall(text)
        ]

    def sum(self, metric: str, **labels: str) -> float:
        """The sum of a metric's samples that have these labels; 0 when there is none."""
        return sum(
            value
            for name, have, value in self._samples
            if name == metric and all(have.get(label) == wanted for label, wanted in labels.items())
        )

    def label_where(self, metric: str, label: str, value: float) -> str:
        """A label of the first sample with a value; empty when there is none."""
        return next((have[label] for name, have, is_ in self._samples if name == metric and is_ == value), "")


@dataclass(slots=True)
class Alert:
    """One alert on its way: when Prometheus fired it, and when it arrived. Unix seconds."""

    labels: Labels
    fired: float
    delivered: float | None = None
    quiet: bool = False  # Alertmanager says nothing of it, because a worse one speaks

    @property
    def title(self) -> str:
        """Name and what tells it apart."""
        labels = dict(self.labels)
        about = (labels[name] + ("%" if name == "threshold" else "") for name in _IDENTITY if name in labels)
        return " ".join((labels.get("alertname", "?"), *about))

    @property
    def severity(self) -> str:
        """info, warning, critical."""
        return dict(self.labels).get("severity", "")


@dataclass(slots=True)
class State:
    """Everything that is shown. Money is USD, times are Unix seconds."""

    now: float
    begun: float
    doing: str = ""
    detail: str = ""  # of what is being done; changes all the time
    migration: str = ""
    phase: str = ""
    days_left: float = 0.0
    accepted: int = 0
    rate: float = 0.0
    source_calls: float = 0.0
    target_calls: float = 0.0
    planned_share: float = 0.0
    spent: float = 0.0
    budget: float = 0.0
    scraped: int = 0
    alerts: dict[Labels, Alert] = field(default_factory=dict)
    urls: Mapping[str, str] = field(default_factory=dict)
    missing: str = ""

    @property
    def share(self) -> float:
        """The share of live calls that went to target models."""
        calls = self.source_calls + self.target_calls
        return self.target_calls / calls if calls else 0.0


class Lines:
    """Shows what is new, a line each; for logs and for people without a terminal."""

    def __init__(self, stream: TextIO) -> None:
        self._stream = stream
        self._doing = ""
        self._told: dict[Labels, tuple[bool, bool]] = {}
        self._last = float("-inf")

    def show(self, state: State) -> None:
        """Write what has changed since the last time, and every ten seconds how things stand."""
        if state.doing != self._doing:
            self._doing = state.doing
            self._say(state, state.doing)
        for alert in _sorted(state.alerts.values()):
            fired, delivered = self._told.get(alert.labels, (False, False))
            if not fired:
                self._say(state, f"fires      {alert.severity:<8} {alert.title}")
            if alert.delivered is not None and not delivered:
                self._say(state, f"delivered  {alert.severity:<8} {alert.title}")
            self._told[alert.labels] = (True, alert.delivered is not None)
        if state.accepted and state.now - self._last >= 10:
            self._last = state.now
            self._say(
                state,
                f"{state.accepted:,} events, {state.share:.1%} on target models, "
                f"{state.spent:.2f} of {state.budget:.2f} USD today",
            )

    def urls(self, state: State) -> None:
        """Write where to look."""
        for name, url in state.urls.items():
            self._say(state, f"{name:<14}{url}")

    def close(self) -> None:
        """Nothing to put back."""

    def _say(self, state: State, text: str) -> None:
        self._stream.write(f"{state.now - state.begun:5.1f} s  {text}\n")
        self._stream.flush()


class Screen:
    """Draws the whole state again and again in the same place."""

    def __init__(self, stream: TextIO) -> None:
        self._stream = stream
        self._plain = "NO_COLOR" in os.environ
        self._drawn = 0
        stream.write("\x1b[?25l")  # no cursor

    def show(self, state: State) -> None:
        """Draw."""
        size = shutil.get_terminal_size()
        lines = [_cut(line, size.columns - 1) for line in self._lines(state)][: size.lines - 1]
        up = f"\x1b[{self._drawn}A" if self._drawn else ""
        self._stream.write(up + "".join(f"\x1b[2K{line}\n" for line in lines) + "\x1b[J")
        self._stream.flush()
        self._drawn = len(lines)

    def urls(self, state: State) -> None:
        """They are on the screen."""
        self.show(state)

    def close(self) -> None:
        """Give the cursor back."""
        self._stream.write("\x1b[?25h")
        self._stream.flush()

    def _lines(self, state: State) -> Iterable[str]:
        used = state.spent / state.budget if state.budget else 0.0
        money = "critical" if used >= 1 else "warning" if used >= 0.8 else "good"
        elapsed = int(state.now - state.begun)
        yield ""
        title = self._in("bold", "LLM migration exporter, demo")
        yield f"  {title}   {elapsed // 60}:{elapsed % 60:02}   Ctrl-C ends it"
        yield ""
        if state.phase:
            yield f"  migration   {state.migration}, {state.phase}, {state.days_left:.0f} days to the deadline"
        if state.accepted:
            planned = f", planned {state.planned_share:.0%}" if state.planned_share else ""
            yield f"  progress    {self._bar(state.share, 'good')} {state.share:6.1%} on target models{planned}"
            yield (
                f"  cost today  {self._bar(used, money)} {state.spent:.2f} of {state.budget:.2f} USD, "
                f"{self._in(money, f'{used:.0%}')}"
            )
            rate = f", {state.rate:.0f} a second" if state.rate else ""
            yield f"  events      {state.accepted:,} accepted{rate}"
        yield f"  now         {self._in('bold', state.doing)}{state.detail and f', {state.detail}'}"
        yield ""
        if state.alerts:
            yield self._in("dim", f"  {'alert':<52}{'fired':<11}delivered")
            for alert in _sorted(state.alerts.values()):
                arrival = _clock(alert.delivered) if alert.delivered is not None else "quiet" if alert.quiet else "…"
                name = self._in(alert.severity, f"{alert.severity:<9}")
                yield f"  {name} {alert.title:<42}{_clock(alert.fired):<11}{arrival}"
            yield ""
        if state.missing:
            yield f"  {self._in('warning', state.missing)}"
            yield ""
        for name, url in state.urls.items():
            yield f"  {name:<14}{url}"

    def _bar(self, share: float, colour: str) -> str:
        full = round(min(1.0, max(0.0, share)) * _BAR)
        return self._in(colour, "█" * full) + self._in("dim", "░" * (_BAR - full))

    def _in(self, style: str, text: str) -> str:
        if self._plain or style not in _COLOURS:
            return text
        return f"\x1b[{_COLOURS[style]}m{text}\x1b[0m"


def _sorted(alerts: Iterable[Alert]) -> list[Alert]:
    return sorted(alerts, key=lambda alert: (alert.fired, alert.title))


def _clock(when: float | None) -> str:
    return datetime.fromtimestamp(when).strftime("%H:%M:%S") if when is not None else ""  # noqa: DTZ006 - the viewer's


def _cut(line: str, width: int) -> str:
    """At most `width` visible characters; escape sequences have no width."""
    kept, seen = [], 0
    for part in re.split(r"(\x1b\[[0-9;]*m)", line):
        if part.startswith("\x1b"):
            kept.append(part)
        else:
            kept.append(part[: width - seen])
            seen += len(kept[-1])
    return "".join(kept)
