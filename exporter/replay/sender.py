"""Sends a trace: its pace, what happens while the exporter is away, and what came of it.

Each event has an id that is made from the trace's content, the mapping and its row, and the exporter counts an id once.
So a replay that was interrupted, on either side, is continued by running it again: all events are sent, and those that
the exporter has already are answered as duplicates. There is no other record of how far a replay got, because such a
record could contradict the ledger.
"""

from __future__ import annotations

import http
import sys
import time
from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, TextIO

from exporter.client import Client, ClientError
from exporter.clock import Clock, SystemClock
from exporter.errors import UserError
from exporter.replay.formats import Row, Trace, read, scan
from exporter.replay.mapping import EventMaker, Mapping
from exporter.replay.progress import Progress

MAX_BATCH = 10_000  # the exporter's own default limit
EXAMPLES = 3
_PACED_TICK_SECONDS = 0.25  # calls that are due within so long of each other go in one request
_RETRY_SECONDS = (0.1, 0.25, 0.5, 1.0, 2.0)
_REQUEST_TIMEOUT_SECONDS = 30.0
_GO_ON = "Run the same replay again to go on: what was accepted is not counted twice"


class ReplayStopped(UserError):
    """The exporter stayed away, or refused the requests as a whole; `summary` says how far it came."""

    exit_code = 1

    def __init__(self, message: str, summary: ReplaySummary) -> None:
        self.summary = summary
        super().__init__(message)


class ReplayInterrupted(ReplayStopped):
    """Somebody pressed Ctrl-C."""

    exit_code = 130


@dataclass(frozen=True, slots=True)
class ReplayOptions:
    """What to send, where to, and how fast. Times are Unix seconds, durations seconds."""

    file: Path
    url: str = "http://127.0.0.1:10410"
    token: str | None = None
    format: str | None = None  # None: by the file's first line
    mapping: Mapping = field(default_factory=Mapping)
    speed: float | None = None  # None: as fast as possible; 1: the trace's own pace; 10: ten times as fast
    end_at: float | None = None  # when the last call ended; None: now. Only as fast as possible
    span: float | None = None  # squeeze or stretch the trace's times to this length. Only as fast as possible
    limit: int | None = None  # rows
    batch: int = 1000
    wait: float = 60.0  # how long to try while the exporter is away

    def __post_init__(self) -> None:
        """Refuse what contradicts itself."""
        if not 1 <= self.batch <= MAX_BATCH:
            raise UserError(f"a batch has 1 to {MAX_BATCH:,} events, not {self.batch:,}")
        if self.speed is not None and self.speed <= 0:
            raise UserError(f"speed must be above 0, not {self.speed:g}")
        if self.speed is not None and (self.end_at is not None or self.span is not None):
            raise UserError("a replay with a pace happens now: an end or a span goes only with speed max")
        if self.span is not None and self.span < 0:
            raise UserError(f"span must be at least 0 seconds, not {self.span:g}")
        if self.limit is not None and self.limit < 1:
            raise UserError(f"limit must be at least 1 row, not {self.limit}")


@dataclass(slots=True)
class ReplaySummary:
    """What came of a replay. Token sums are of the events sent, whether they were new or duplicates."""

    rows: int = 0  # in the trace
    sent: int = 0
    accepted: int = 0
    duplicates: int = 0
    rejected: int = 0
    input_tokens: int = 0
    output_tokens: int = 0
    requests: int = 0
    retries: int = 0
    seconds: float = 0.0
    reasons: Counter[str] = field(default_factory=Counter)
    examples: list[str] = field(default_factory=list)  # the first rejections, with their line in the file

    def __str__(self) -> str:
        pace = f", {self.sent / self.seconds:,.0f} events/s" if self.seconds > 0 else ""
        lines = [
            f"sent        {self.sent:,} of {self.rows:,} events in {self.seconds:,.1f} s{pace}",
            f"accepted    {self.accepted:,}",
            f"duplicates  {self.duplicates:,}" + ("  (counted before)" if self.duplicates else ""),
            f"rejected    {self.rejected:,}",
            *(f"  {count:,} × {reason}" for reason, count in self.reasons.most_common()),
            *(f"  {example}" for example in self.examples),
            f"tokens      {self.input_tokens:,} input, {self.output_tokens:,} output",
        ]
        return "\n".join(lines)


def replay(
    options: ReplayOptions,
    *,
    progress: TextIO | None = None,
    clock: Clock | None = None,
    sleep: Callable[[float], None] = time.sleep,
) -> ReplaySummary:
    """Send a trace and return what came of it.

    Raises:
        UserError: the trace or the options cannot be used; nothing was sent.
        ReplayStopped: the exporter stayed away for `options.wait` seconds, or refused requests as a whole.
        ReplayInterrupted: Ctrl-C.
    """
    trace = scan(options.file, options.format, options.limit)
    sender = _Sender(options, trace, progress or sys.stderr, clock or SystemClock(), sleep)
    return sender.run()


class _Sender:
    """One run of a replay."""

    def __init__(
        self, options: ReplayOptions, trace: Trace, stream: TextIO, clock: Clock, sleep: Callable[[float], None]
    ) -> None:
        self._options = options
        self._trace = trace
        self._clock = clock
        self._sleep = sleep
        self._event = EventMaker(trace, options.mapping)
        self._progress = Progress(stream, trace.rows, clock)
        self._summary = ReplaySummary(rows=trace.rows)
        try:
            self._client = Client(options.url, token=options.token, timeout=_REQUEST_TIMEOUT_SECONDS)
        except ValueError as error:
            raise UserError(str(error)) from error

    def run(self) -> ReplaySummary:
        """Send everything."""
        begun = self._clock.monotonic()
        try:
            if self._options.speed is None:
                self._send_all()
            else:
                self._send_paced(self._options.speed)
        except KeyboardInterrupt:
            raise ReplayInterrupted(f"interrupted. {_GO_ON}", self._summary) from None
        finally:
            self._summary.seconds = self._clock.monotonic() - begun
            self._progress.close()
            self._client.close()
        return self._summary

    def _send_all(self) -> None:
        trace, options = self._trace, self._options
        end = options.end_at if options.end_at is not None else self._clock.now()
        length = trace.last - trace.first
        scale = options.span / length if options.span is not None and length > 0 else 1.0
        batch: list[Row] = []
        events: list[dict[str, Any]] = []
        for row in self._rows():
            batch.append(row)
            events.append(self._event(row, end - (trace.last - row.time) * scale))
            if len(batch) == options.batch:
                self._post(batch, events)
                batch, events = [], []
        if batch:
            self._post(batch, events)

    def _send_paced(self, speed: float) -> None:
        """Send each call when it is due; a row that is out of order goes at once."""
        trace = self._trace
        begun = opened = self._clock.monotonic()
        batch: list[Row] = []
        for row in self._rows():
            due = begun + (row.time - trace.first) / speed
            if batch and (due > opened + _PACED_TICK_SECONDS or len(batch) == self._options.batch):
                self._post_now(batch)
                batch = []
            late = due - self._clock.monotonic()
            if late > 0:
                self._sleep(late)
            if not batch:
                opened = self._clock.monotonic()
            batch.append(row)
        self._post_now(batch)

    def _post_now(self, batch: list[Row]) -> None:
        now = self._clock.now()
        self._post(batch, [self._event(row, now) for row in batch])

    def _rows(self) -> Iterator[Row]:
        return read(self._trace.path, self._trace.format, self._options.limit)

    def _post(self, batch: list[Row], events: list[dict[str, Any]]) -> None:
        answer = self._until_answered(events)
        summary = self._summary
        summary.requests += 1
        summary.sent += len(events)
        summary.accepted += answer["accepted"]
        summary.duplicates += answer["duplicates"]
        summary.input_tokens += sum(row.input_tokens for row in batch)
        summary.output_tokens += sum(row.output_tokens for row in batch)
        for rejection in answer["rejected"]:
            summary.rejected += 1
            summary.reasons[str(rejection.get("reason", "unknown"))] += 1
            if len(summary.examples) < EXAMPLES:
                where = f"{self._trace.path}:{batch[rejection['index']].line}"
                field_ = f"{rejection['field']}: " if rejection.get("field") else ""
                summary.examples.append(f"{where}: {field_}{rejection.get('message', '')}")
        self._progress.update(summary.sent)

    def _until_answered(self, events: list[dict[str, Any]]) -> dict[str, Any]:
        """Try until the exporter answers; what it may have taken before its answer was lost, it will call duplicate."""
        first_failure: float | None = None
        attempt = 0
        while True:
            try:
                return self._client.post_events(events)
            except ClientError as error:
                failure = error
            now = self._clock.monotonic()
            first_failure = now if first_failure is None else first_failure
            if failure.status in (401, 403):
                hint = "give a token with the role ingest (--token-file)"
                raise ReplayStopped(f"{failure}; {hint}", self._summary) from failure
            if failure.status == http.HTTPStatus.REQUEST_ENTITY_TOO_LARGE and len(events) > 1:
                return self._in_halves(events)
            if not failure.retry:
                raise ReplayStopped(str(failure), self._summary) from failure
            pause = max(failure.retry_after, _RETRY_SECONDS[min(attempt, len(_RETRY_SECONDS) - 1)])
            if now - first_failure + pause > self._options.wait:
                raise ReplayStopped(
                    f"{failure} (tried for {now - first_failure:.0f} s). Is the exporter running? {_GO_ON}",
                    self._summary,
                ) from failure
            attempt += 1
            self._summary.retries += 1
            self._progress.waiting(self._summary.sent, str(failure))
            self._sleep(pause)

    def _in_halves(self, events: list[dict[str, Any]]) -> dict[str, Any]:
        middle = len(events) // 2
        one, other = self._until_answered(events[:middle]), self._until_answered(events[middle:])
        return {
            "accepted": one["accepted"] + other["accepted"],
            "duplicates": one["duplicates"] + other["duplicates"],
            "rejected": [
                *one["rejected"],
                *({**rejection, "index": rejection["index"] + middle} for rejection in other["rejected"]),
            ],
        }
