"""Report model calls to an exporter, from any application: standard library only, one file that can be copied.

    from exporter.client import Client

    usage = Client("http://127.0.0.1:10410", application="tutor-app")  # one for the whole process
    usage.track_api_request("gpt-4.1", input_tokens=812, output_tokens=164, latency=1.9, success=True)

`track_api_request` takes about a microsecond: it appends to a queue in memory, and a background thread sends batches.
Every event has an id from the moment it is tracked, and is sent again under the same id until the exporter has
acknowledged it, so that it is counted once. When the exporter is away for so long that the queue is full, the oldest
events are dropped, and counted in `stats()`; with `spool="/var/spool/tutor-app"` they go to that directory instead, as
does what is left at exit, and are sent when the exporter answers again, if need be after the next start. Nothing here
ever raises into the application because the exporter is away.

The end of the interpreter, and of a worker of `multiprocessing`, flushes for up to five seconds. A process that ends in
another way (`os._exit`, a signal that nobody handles) calls `close()` before.

Coroutines use it in the same way, for tracking never waits; `flush` and `close` do, so call them as
`await asyncio.to_thread(usage.flush)`:

    async with usage.call(model="gpt-4.1", category="analysis") as call:
        response = await openai.responses.create(model="gpt-4.1", input=prompt)
        call.response(response)  # its tokens, and whether it failed or was filtered
"""

from __future__ import annotations

import atexit
import codecs
import contextlib
import gzip
import http.client
import itertools
import json
import logging
import os
import random
import secrets
import sys
import threading
import time
import weakref
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from types import TracebackType
from typing import Any, NotRequired, TypedDict, Unpack
from urllib.parse import urlsplit

GZIP_FROM_BYTES = 8 * 1024  # below this, compressing costs more than it saves
BACKOFF_FIRST_SECONDS = 0.25
BACKOFF_LAST_SECONDS = 30.0
RETRY_AFTER_LAST_SECONDS = 300.0  # no exporter keeps a client away for longer
EXIT_FLUSH_SECONDS = 5.0
CLOSED_FLUSH_SECONDS = 0.5
STALE_SECONDS = 3600.0  # nobody is still writing a file this old
WARN_SECONDS = 60.0  # the same trouble is told again after so long

_IDS_AT_ONCE = 256
_IDS_AHEAD = 1024  # made by the sender; when they are used up, tracking looks whether the queue is full
_MOVED_AT_ONCE = 8192  # events; moving more would hold up the application's threads for more than a millisecond
_REFUSED = (400, 413, 422)  # the events themselves cannot be taken; all other answers may change while they wait

# Sockets load this codec with the first connection. A fork during that, in another thread, would leave the child
# waiting for the import's lock for ever.
codecs.lookup("idna")

_log = logging.getLogger(__name__)
_now = time.time


class RareFields(TypedDict, total=False):
    """Fields of an event that few calls have, as the exporter documents them. Money is USD."""

    migration: str | None
    replaces: str | None
    shadow: bool | None
    pair_id: str | None
    quality_score: float | None
    evaluator: str | None
    cost_usd: float | None
    prompt_hash: str | None
    trace_id: str | None


class EventFields(RareFields, total=False):
    """All optional fields of an event. Times are seconds."""

    category: str | None
    application: str | None
    endpoint: str | None
    cached_input_tokens: int | None
    cache_write_tokens: int | None
    reasoning_tokens: int | None
    time_to_first_token: float | None
    error_type: str | None
    tier: str | None
    timestamp: float | str | None
    id: str | None


class Usage(TypedDict):
    """What `usage_of` reads: fields of an event."""

    input_tokens: int
    output_tokens: int
    cached_input_tokens: NotRequired[int]
    cache_write_tokens: NotRequired[int]
    reasoning_tokens: NotRequired[int]
    tier: NotRequired[str]


class ClientError(Exception):
    """The exporter did not take a request. `retry`: the same request may succeed later, after `retry_after` seconds."""

    def __init__(self, message: str, *, status: int = 0, retry: bool = False, retry_after: float = 0.0) -> None:
        self.status = status  # HTTP status; 0 when no answer came
        self.retry = retry
        self.retry_after = retry_after
        super().__init__(message)


@dataclass(frozen=True, slots=True)
class Stats:
    """What became of tracked events: `sent` is what the exporter took for the first time, `spooled` went to disk."""

    sent: int
    duplicates: int
    rejected: int
    dropped: int
    spooled: int
    retries: int
    queued: int
    last_error: str


class Client:
    """Sends events of one application to one exporter. Safe to use from many threads, and across `fork()`.

    Args:
        url: where the exporter listens; a path in it is kept as a prefix.
        token: bearer token with the role `ingest`, when the exporter asks for one.
        application: label of all events that do not name their own.
        migration: only where model and scope do not decide which migration an event belongs to.
        batch: events per request, at most.
        flush_interval: seconds that an event waits for others, at most.
        queue: events kept in memory while the exporter is away. Tracking looks at this limit every 256 events, or
            after 1024; with a spool there may be twice as many for as long as it takes to write them there.
        timeout: seconds that the exporter may be silent during a request.
        spool: directory for what memory cannot keep, made if need be; processes may share one.
        spool_bytes: size of that directory, at most; beyond it the oldest events are dropped.

    Raises:
        ValueError: an argument that cannot be meant.
        OSError: the spool cannot be made.
    """

    _sender: threading.Thread | None  # a name that `flush` and `close` need before `_reset`

    def __init__(
        self,
        url: str = "http://127.0.0.1:10410",
        *,
        token: str | None = None,
        application: str = "",
        migration: str | None = None,
        batch: int = 500,
        flush_interval: float = 1.0,
        queue: int = 50_000,
        timeout: float = 10,
        spool: str | os.PathLike[str] | None = None,
        spool_bytes: int = 64 * 2**20,
    ) -> None:
        if batch < 1 or queue < 1 or spool_bytes < 1:
            raise ValueError("batch, queue and spool_bytes must be at least 1")
        if not (flush_interval > 0 and timeout > 0):
            raise ValueError("flush_interval and timeout must be more than 0 seconds")
        self._address = (url, token)
        self._timeout = timeout
        self._defaults: dict[str, Any] = {}
        if application:
            self._defaults["application"] = application
        if migration is not None:
            self._defaults["migration"] = migration
        self._batch = batch
        self._flush_interval = flush_interval
        self._queue_limit = queue
        self._wake_at = min(batch, max(1, queue // 2))
        self._suffixes = _SUFFIXES[-self._wake_at :]
        self._ids_ahead = _IDS_AHEAD if self._wake_at >= _IDS_AT_ONCE else 0
        self._reset()
        self._spool = None if spool is None else _Spool(Path(spool), spool_bytes)
        _clients.add(self)
        if self._spool is not None and self._spool.oldest() is not None:
            self._start()

    # Why it looks like this: it runs in the application's thread. Defaults of keyword-only arguments are looked up in a
    # dictionary at every call, so these are not keyword-only; tuples of up to 20 values are made without a search for
    # memory, so what is rare is not an argument of its own; and nothing that the garbage collector counts stays.
    def track_api_request(
        self,
        model: str,
        input_tokens: int,
        output_tokens: int,
        latency: float,
        success: bool,
        category: str | None = None,
        application: str | None = None,
        endpoint: str | None = None,
        cached_input_tokens: int | None = None,
        cache_write_tokens: int | None = None,
        reasoning_tokens: int | None = None,
        time_to_first_token: float | None = None,
        error_type: str | None = None,
        tier: str | None = None,
        timestamp: float | str | None = None,
        id: str | None = None,  # noqa: A002 - the field's name
        **rare: Unpack[RareFields],
    ) -> str:
        """Note one model call that has just ended, and return the id under which it will be counted.

        Token counts are the provider's: input includes cached, output includes reasoning; `latency` is in seconds.
        Name the arguments from `category` on; `None` leaves a field out.
        """
        if id:
            self._attend()
        else:
            try:
                id = self._ids.pop()  # noqa: A001
            except IndexError:
                id = self._next_id()  # noqa: A001
        if timestamp is None:
            timestamp = _now()
        # fmt: off
        self._values.extend((  # one step that no other thread can divide
            model, input_tokens, output_tokens, latency, success, category, application, endpoint, cached_input_tokens,
            cache_write_tokens, reasoning_tokens, time_to_first_token, error_type, tier, timestamp, id, rare or None,
        ))
        # fmt: on
        return id

    def call(self, *, model: str, **fields: Unpack[EventFields]) -> Call:
        """Time a model call: `with client.call(model=…) as call: …; call.usage(…)`; an exception is a failed call."""
        return Call(self, model, fields)

    def post_events(self, events: Iterable[Mapping[str, Any]]) -> dict[str, Any]:
        """Send events now, in one request, past the queue, and return the exporter's answer.

        Raises:
            ClientError: no answer, or one that is not about the events themselves; `retry` says whether to try again.
        """
        body = b"\n".join(json.dumps(event, separators=(",", ":")).encode() for event in events)
        with self._post_lock:
            return self._post_connection.post(body)

    def flush(self, timeout: float | None = 10) -> bool:
        """Wait until everything tracked so far was answered.

        Returns:
            False when `timeout` seconds were not enough, or some of it was dropped or went to the spool instead.
        """
        with self._lock:
            under_way = self._under_way is not None and self._under_way.file is None
            if not under_way and not len(self._queue):
                return True
            marker = _Marker(self._queue.removed + len(self._queue))
            self._markers.append(marker)
        if self._start():
            self._urgent.set()
            self._wake.set()
            marker.done.wait(timeout)
        else:
            self._send_here(timeout)
        with self._lock, contextlib.suppress(ValueError):
            self._markers.remove(marker)
        return marker.done.is_set() and marker.whole

    def close(self, timeout: float | None = EXIT_FLUSH_SECONDS) -> bool:
        """Flush, then stop the background thread.

        Tracking starts the thread again, which then sends also what was left.

        Returns:
            False when events were left behind: in the spool if there is one, else in memory.
        """
        flushed = self.flush(timeout)
        with self._lock:
            sender, self._sender = self._sender, None
            self._ids.clear()  # so that the next event looks for a sender
            self._stopping.set()
            self._urgent.set()
            self._wake.set()
            for marker in self._markers:  # of other threads: nobody sends now what they wait for
                marker.whole = False
                marker.done.set()
        if flushed and sender is not None:
            sender.join(1.0)
        if not flushed:
            self._set_aside(last=True)
        with self._post_lock:
            self._post_connection.close()
        return flushed

    def stats(self) -> Stats:
        """What became of the events so far."""
        self._keep_limit()
        with self._lock:
            batch = self._under_way
            queued = len(self._queue) + (len(batch) if batch is not None and batch.file is None else 0)
            return Stats(**self._totals, queued=queued, last_error=self._last_error)

    def __enter__(self) -> Client:
        return self

    def __exit__(self, *exception: object) -> None:
        self.close()

    async def __aenter__(self) -> Client:
        return self

    async def __aexit__(self, *exception: object) -> None:
        import asyncio  # noqa: PLC0415 - whoever comes here has loaded it, others need not

        await asyncio.to_thread(self.close)

    def _reset(self) -> None:
        """A fresh queue and fresh locks: at construction, and in a forked child, whose parent sends what was queued."""
        self._prefix = secrets.token_hex(8)
        self._blocks = itertools.count()
        self._ids: list[str] = []  # ready to be taken; none while there is no sender
        self._queue = _Queue()
        self._values = self._queue.values
        self._under_way: _Batch | None = None
        self._markers: list[_Marker] = []
        self._totals = dict.fromkeys(("sent", "duplicates", "rejected", "dropped", "spooled", "retries"), 0)
        self._last_error = ""
        self._warned: dict[str, float] = {}
        self._lock = threading.RLock()  # a signal's handler may track while its thread holds it
        self._spool_lock = threading.RLock()  # taken before `_lock`
        self._sending = threading.Lock()  # held by the one thread that sends what was tracked; taken before both
        self._post_lock = threading.Lock()
        self._post_connection = _Connection(*self._address, self._timeout)
        self._wake = threading.Event()  # there is something to do before the flush interval is over
        self._urgent = threading.Event()  # try again now, do not wait out the backoff
        self._stopping = threading.Event()
        self._sender = None
        self._no_sender_before = 0.0

    def _next_id(self) -> str:
        """An id when none is ready, and what need not be done at every event."""
        self._attend()
        ids = self._make_ids()
        identity = ids.pop()
        with self._lock:
            if self._sender is not None:
                self._ids += ids
        return identity

    def _make_ids(self) -> list[str]:
        block = f"{self._prefix}-{next(self._blocks):x}"
        return [block + suffix for suffix in self._suffixes]

    def _attend(self) -> None:
        """See that there is a sender, wake it when a batch is full, keep the queue's limit."""
        if self._sender is None:
            self._start()
        queued = len(self._queue)
        if queued + 1 >= self._wake_at and not self._wake.is_set():
            self._wake.set()
        if queued > self._queue_limit:
            self._keep_limit()

    def _start(self) -> bool:
        """Start the sender where there is none; False when no thread can be had."""
        with self._lock:
            if self._sender is not None:
                return True
            if time.monotonic() < self._no_sender_before:
                return False
            self._stopping = threading.Event()
            sender = threading.Thread(
                target=self._run, args=(self._stopping,), name="llm-migration-client", daemon=True
            )
            try:
                sender.start()
            except RuntimeError as error:  # the interpreter is shutting down, or there is no room for a thread
                self._no_sender_before = time.monotonic() + 1.0
                failure = f"cannot start the sending thread: {error}"
            else:
                self._sender = sender
                _close_with_worker()
                return True
        self._settle(None, 0, {}, failure)
        self._warn("thread", failure)
        return False

    def _keep_limit(self) -> None:
        """Drop the oldest events beyond the limit; with a spool, have them written, unless the disk is too slow."""
        with self._lock:
            excess = len(self._queue) - self._queue_limit
            if excess <= 0:
                return
            if self._spool is not None and excess <= self._queue_limit:
                self._urgent.set()
                return
            for marker in self._markers:
                marker.whole = marker.whole and marker.position <= self._queue.removed
            self._queue.drop(excess)
            self._totals["dropped"] += excess
        self._warn("full", "the queue is full: the oldest events are dropped")
        self._release()

    def _run(self, stopping: threading.Event) -> None:
        with self._sending:  # the sender before this one may still wait for an answer
            connection = _Connection(*self._address, self._timeout)
            try:
                while not stopping.is_set():
                    try:
                        self._round(connection, stopping)
                    except Exception as error:
                        # Whatever it is: the thread must live, and what is under way is sent again.
                        _log.exception("the sending thread met an error that nobody foresaw")
                        self._settle(None, 0, {"retries": 1}, f"unforeseen: {error!r}")
                        stopping.wait(BACKOFF_LAST_SECONDS)
            finally:
                connection.close()
                with self._lock:
                    if self._stopping is stopping:  # also where something has killed the thread
                        self._sender = None
                        self._ids.clear()

    def _round(self, connection: _Connection, stopping: threading.Event) -> None:
        """Wait for events, and send them, then what is in the spool."""
        if self._under_way is None and len(self._queue) < self._wake_at:
            self._wake.wait(self._flush_interval)
        self._wake.clear()
        with self._lock:  # ids made here are not made in the application's threads
            while not stopping.is_set() and len(self._ids) + _IDS_AT_ONCE <= self._ids_ahead:
                self._ids += self._make_ids()
        while not stopping.is_set() and (batch := self._next_batch()):
            self._deliver(connection, batch, batch.lines[:], stopping)
        while not stopping.is_set() and not len(self._queue) and (spooled := self._next_spooled()):
            self._deliver(connection, spooled, spooled.lines[:], stopping)

    def _send_here(self, timeout: float | None) -> None:
        """Send what is queued from this thread, each batch once, because no other can be had."""
        end = None if timeout is None else time.monotonic() + timeout
        if not self._sending.acquire(timeout=-1 if timeout is None else timeout):
            return
        connection = _Connection(*self._address, self._timeout if timeout is None else min(timeout, self._timeout))
        ended = threading.Event()
        ended.set()
        try:
            while (end is None or time.monotonic() < end) and (batch := self._next_batch()):
                if not self._deliver(connection, batch, batch.lines[:], ended):
                    return
        finally:
            connection.close()
            self._sending.release()

    def _next_batch(self) -> _Batch | None:
        """What is under way still, or else the oldest events of the queue."""
        with self._spool_lock:  # nobody sets a batch aside before it has its lines
            while True:
                with self._lock:
                    batch = self._under_way
                    if batch is None or batch.file is not None:
                        rows = self._queue.take(self._batch)
                        batch = self._under_way = _Batch(rows) if rows else None
                if batch is None:
                    return None
                if batch.rows:
                    lines = self._encode(batch.rows)
                    with self._lock:
                        batch.lines, batch.rows = lines, []
                if batch.lines:
                    return batch
                self._settle(batch, 0, {}, "")  # none of its events has a form in JSON

    def _next_spooled(self) -> _Batch | None:
        file = self._spool.oldest() if self._spool is not None else None
        if self._spool is None or file is None:
            return None
        try:
            lines = file.read_bytes().split(b"\n")
        except FileNotFoundError:
            return None  # another process has sent it
        except OSError as error:
            self._spool.skipped.add(file)
            self._settle(None, 0, {}, f"cannot read {file}: {error.strerror}")
            return None
        with self._lock:
            batch = self._under_way = _Batch([], lines, file)
        return batch

    def _encode(self, rows: Sequence[tuple[Any, ...]]) -> list[bytes]:
        """Events as lines of JSON; what has no such form is counted as rejected."""
        lines = []
        for row in rows:
            given = (*zip(_FIELDS, row, strict=False), *(row[-1] or {}).items())
            event = {**self._defaults, **{name: value for name, value in given if value is not None}}
            if isinstance(event["timestamp"], float):
                event["timestamp"] = round(event["timestamp"], 6)
            try:
                lines.append(_json(event).encode())
            except Exception as error:
                self._settle(None, 0, {"rejected": 1}, f"event {event['id']}: {error}")
        return lines

    def _deliver(
        self, connection: _Connection, batch: _Batch, lines: Sequence[bytes], stopping: threading.Event
    ) -> bool:
        """Send lines of a batch until they are answered or in the spool; what is too large goes in halves.

        Returns:
            False when they still wait because there is no more time.
        """
        for attempt in itertools.count():
            if batch.aside:
                return True
            try:
                answer = connection.post(b"\n".join(lines))
            except ClientError as error:
                failure = error
            else:
                rejected = answer["rejected"]
                counts = {"sent": answer["accepted"], "duplicates": answer["duplicates"], "rejected": len(rejected)}
                self._settle(batch, len(lines), counts, f"the exporter says: {rejected[0]}" if rejected else "")
                return True
            if failure.status == http.HTTPStatus.REQUEST_ENTITY_TOO_LARGE and len(lines) > 1:
                middle = len(lines) // 2
                first = self._deliver(connection, batch, lines[:middle], stopping)
                return first and self._deliver(connection, batch, lines[middle:], stopping)
            if failure.status in _REFUSED:
                self._settle(batch, len(lines), {"rejected": len(lines)}, str(failure))
                return True
            self._settle(None, 0, {}, str(failure))
            full = len(self._queue) >= self._queue_limit // 2
            if (full or stopping.is_set()) and self._set_aside(last=stopping.is_set()):
                return True
            if stopping.is_set():
                return False
            if attempt == 0:
                self._warn("wait", f"events wait: {failure}")
            self._settle(None, 0, {"retries": 1}, "")
            if self._urgent.wait(max(failure.retry_after, _backoff(attempt))):
                self._urgent.clear()
                stopping.wait(BACKOFF_FIRST_SECONDS)  # repeated flushes must not hammer an exporter that is down
        raise AssertionError("counting has no end")

    def _set_aside(self, *, last: bool) -> bool:
        """Move what waits for an answer to the spool; what came from there is there still.

        Args:
            last: there will be no other occasion: what cannot be written is dropped.

        Returns:
            Whether nothing waits any more.
        """
        if self._spool is None:
            return False
        with self._spool_lock:  # whoever ends the process waits until the sender has written its part
            with self._lock:
                if self._under_way is not None and self._under_way.file is not None:
                    self._under_way.aside = True
                    self._under_way = None
            while batch := self._next_batch():
                if not (lines := batch.lines[:]):
                    continue  # the sender was told meanwhile that they have arrived
                try:
                    counts, trouble = self._spool.write(lines), ""
                except OSError as error:
                    trouble = f"cannot write {self._spool.folder}: {error.strerror}"
                    counts = {"dropped": len(lines)}
                    if not last:
                        self._settle(None, 0, {}, trouble)
                        self._warn("spool", trouble)
                        return False
                with self._lock:
                    batch.aside = True
                    for marker in self._markers:
                        marker.whole = False
                self._settle(batch, len(lines), counts, trouble)
        return True

    def _settle(self, batch: _Batch | None, events: int, counts: Mapping[str, int], message: str) -> None:
        """Count what became of the first events of a batch, which are not its own any more."""
        with self._lock:
            for name, count in counts.items():
                self._totals[name] += count
            if message:
                self._last_error = message
            if batch is not None:
                del batch.lines[:events]  # answers come in order
                if not batch.lines and batch is self._under_way:
                    self._under_way = None
        if batch is not None and not batch.lines and batch.file is not None and self._spool is not None:
            self._spool.remove(batch.file)
        if counts.get("rejected") or counts.get("dropped"):
            self._warn("lost", f"events were not counted: {message or 'the spool is full'}")
        self._release()

    def _release(self) -> None:
        """Let go whoever waits for events that are neither queued nor under way."""
        with self._lock:
            if self._under_way is None:
                for marker in [marker for marker in self._markers if marker.position <= self._queue.removed]:
                    self._markers.remove(marker)
                    marker.done.set()

    def _warn(self, kind: str, message: str) -> None:
        """Log, but not the same trouble over and over. Not to be called with a lock held: handlers may wait."""
        now = time.monotonic()
        if now - self._warned.get(kind, -WARN_SECONDS) < WARN_SECONDS:
            _log.debug(message)
        else:
            self._warned[kind] = now
            _log.warning(message)


_SUFFIXES = [f"{number:02x}" for number in reversed(range(_IDS_AT_ONCE))]  # taken from the end
_FIELDS = Client.track_api_request.__code__.co_varnames[1 : Client.track_api_request.__code__.co_argcount]
_WIDTH = len(_FIELDS) + 1  # values per event: these, and a dictionary of the rare ones or None


class _Marker:
    """A `flush()` that waits for the events up to a position of the queue."""

    __slots__ = ("done", "position", "whole")

    def __init__(self, position: int) -> None:
        self.done = threading.Event()
        self.position = position  # events removed from the queue since it began
        self.whole = True  # all of them were answered


class _Queue:
    """Events in order, each as `_WIDTH` values in a flat list, to which anybody may add without a lock."""

    def __init__(self) -> None:
        self.values: list[Any] = []
        self.removed = 0
        self._front: list[Any] = []  # the oldest, moved here in large pieces: to cut a long list moves all of it
        self._at = 0

    def __len__(self) -> int:
        return (len(self._front) - self._at + len(self.values)) // _WIDTH

    def take(self, most: int) -> list[tuple[Any, ...]]:
        """Remove the oldest events, at most so many, perhaps fewer than there are. The caller holds the lock."""
        values = self._cut(most)
        return list(zip(*[iter(values)] * _WIDTH, strict=True))

    def drop(self, events: int) -> None:
        """Remove the oldest events. The caller holds the lock."""
        while events > 0 and (values := self._cut(events)):
            events -= len(values) // _WIDTH

    def _cut(self, most: int) -> list[Any]:
        if self._at == len(self._front):
            self._front = self.values[: _MOVED_AT_ONCE * _WIDTH]
            self._at = 0
            del self.values[: len(self._front)]
        values = self._front[self._at : self._at + most * _WIDTH]
        self._at += len(values)
        self.removed += len(values) // _WIDTH
        return values


@dataclass(slots=True)
class _Batch:
    """Events under way, in order: rows until they are lines of JSON, of which the first go once they are answered."""

    rows: list[tuple[Any, ...]]
    lines: list[bytes] = field(default_factory=list)
    file: Path | None = None  # where they are spooled; it goes when all are answered
    aside: bool = False  # in the spool now, and not the sender's any more

    def __len__(self) -> int:
        return len(self.rows) + len(self.lines)


class _Spool:
    """Batches on disk, a file each. A file appears whole or not at all, and is read oldest first."""

    def __init__(self, folder: Path, limit: int) -> None:
        """Make the folder; OSError when it cannot be made."""
        self.folder = folder
        self.skipped: set[Path] = set()  # cannot be read, or not be removed
        self._limit = limit
        folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        for torn in folder.glob("*.part"):  # a process ended while it wrote
            with contextlib.suppress(OSError):
                if time.time() - torn.stat().st_mtime > STALE_SECONDS:
                    torn.unlink()

    def oldest(self) -> Path | None:
        """The file to send next."""
        return min((file for file in self.folder.glob("*.ndjson") if file not in self.skipped), default=None)

    def remove(self, file: Path) -> None:
        """All of it was answered; several processes may find that."""
        try:
            file.unlink(missing_ok=True)
        except OSError:
            self.skipped.add(file)

    def write(self, lines: Sequence[bytes]) -> dict[str, int]:
        """Keep a batch durably; how many events were spooled, and how many older ones dropped to make room.

        Raises:
            OSError: it could not be written; nothing of it stays.
        """
        name = f"{time.time_ns():020d}-{secrets.token_hex(4)}-{len(lines)}"
        part = self.folder / f"{name}.part"
        try:
            with open(os.open(part, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "wb") as file:
                file.write(b"\n".join(lines))
                file.flush()
                os.fsync(file.fileno())
            part.replace(self.folder / f"{name}.ndjson")
        except OSError:
            with contextlib.suppress(OSError):
                part.unlink(missing_ok=True)
            raise
        with contextlib.suppress(OSError):  # the name must last too, where folders can be synchronised
            folder = os.open(self.folder, os.O_RDONLY)
            try:
                os.fsync(folder)
            finally:
                os.close(folder)
        return {"spooled": len(lines), "dropped": self._make_room()}

    def _make_room(self) -> int:
        """Remove the oldest files beyond the limit; how many events they held."""
        sizes = {}
        for file in sorted(self.folder.glob("*.ndjson")):
            with contextlib.suppress(OSError):  # another process may send or drop the same files
                sizes[file] = file.stat().st_size
        excess = sum(sizes.values()) - self._limit
        dropped = 0
        for file, size in sizes.items():
            if excess <= 0:
                break
            with contextlib.suppress(OSError, ValueError):  # ValueError: not a file of ours, its name has no count
                file.unlink()
                excess -= size
                dropped += int(file.stem.rpartition("-")[2])
        return dropped


class Call:
    """One model call being timed; made by `Client.call`."""

    def __init__(self, client: Client, model: str, fields: EventFields) -> None:
        self.id = ""  # set when the call has ended
        self._client = client
        self._model = model
        self._fields: EventFields = {**fields}
        self._tokens: tuple[int, int] | None = None
        self._failed = False
        self._begun = 0.0

    def first_token(self) -> None:
        """Note that the first token of a streamed answer has arrived."""
        self._fields.setdefault("time_to_first_token", round(time.perf_counter() - self._begun, 6))

    def usage(self, *, input_tokens: int, output_tokens: int, **fields: Unpack[EventFields]) -> None:
        """Note the provider's token counts, and any other field of the event."""
        self._tokens = (input_tokens, output_tokens)
        self._fields.update(fields)

    def response(self, *response: object) -> None:
        """Note what a provider's response says: its usage, and whether it failed. A stream: all its events."""
        failure = failure_of(*response)
        if failure is not None:
            self.fail(failure)
        self.usage(**usage_of(*response))

    def fail(self, error_type: str = "other") -> None:
        """Note a failure that raised no exception, such as a refusal by a content filter."""
        self._failed = True
        self._fields["error_type"] = error_type

    def __enter__(self) -> Call:
        self._begun = time.perf_counter()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, exception: BaseException | None, traceback: TracebackType | None
    ) -> None:
        latency = time.perf_counter() - self._begun
        if exception is not None and not self._failed:
            self.fail(error_type_of(exception))
        failed = self._failed or self._fields.get("error_type") is not None
        if self._tokens is None and not failed:
            _log.warning("a successful call to %s ended without usage(): it counts no tokens", self._model)
        input_tokens, output_tokens = self._tokens or (0, 0)
        self.id = self._client.track_api_request(
            self._model, input_tokens, output_tokens, round(latency, 6), not failed, **self._fields
        )

    async def __aenter__(self) -> Call:
        return self.__enter__()

    async def __aexit__(
        self, kind: type[BaseException] | None, exception: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self.__exit__(kind, exception, traceback)


# What the providers call it: OpenAI Chat, OpenAI Responses and Anthropic, then Gemini with its Interactions.
_USAGE = (
    ("prompt_tokens",),
    ("completion_tokens",),
    ("input_tokens",),
    ("output_tokens",),
    ("details_of_input", "prompt_tokens_details", "input_tokens_details"),
    ("details_of_output", "completion_tokens_details", "output_tokens_details"),
    ("cache_read_input_tokens",),
    ("cache_creation_input_tokens",),
    ("cache_creation",),
    ("iterations",),
    ("prompt_token_count", "promptTokenCount", "total_input_tokens"),
    (
        *("candidates_token_count", "candidatesTokenCount", "response_token_count", "responseTokenCount"),
        "total_output_tokens",
    ),
    ("thoughts_token_count", "thoughtsTokenCount", "total_thought_tokens"),
    ("tool_use_prompt_token_count", "toolUsePromptTokenCount", "total_tool_use_tokens"),
    ("cached_content_token_count", "cachedContentTokenCount", "total_cached_tokens"),
    ("total_token_count", "totalTokenCount", "total_tokens"),
)
_TIERS = {"batch": "batch", "flex": "flex", "priority": "priority", "fast": "priority"}
_FILTERED = (
    *("content_filter", "refusal", "safety", "recitation", "blocklist", "prohibited_content", "spii", "model_armor"),
    *("image_safety", "image_prohibited_content", "image_recitation", "jailbreak"),
)
_BROKEN = (
    *("malformed_function_call", "malformed_response", "unexpected_tool_call", "too_many_tool_calls"),
    "missing_thought_signature",
)
_STATUS_ERRORS = {
    **dict.fromkeys((401, 403), "authentication"),
    404: "model_not_found",
    408: "timeout",
    429: "rate_limit",
    504: "timeout",
}
_WORDS = {  # of providers' error codes; the first that is found decides
    **dict.fromkeys(("content_filter", "contentfilter", "policy"), "content_filter"),
    **dict.fromkeys(("rate_limit", "ratelimit", "quota", "exhausted"), "rate_limit"),
    **dict.fromkeys(("timeout", "deadline"), "timeout"),
    **dict.fromkeys(("authenti", "permission", "api_key"), "authentication"),
    **dict.fromkeys(("invalid", "image", "context_length", "too_large"), "invalid_request"),
    "not_found": "model_not_found",
    **dict.fromkeys(("overloaded", "server", "internal", "unavailable", "api_error", "connect"), "server_error"),
}


def usage_of(*response: object) -> Usage:
    """Token counts and tier of a provider's response (dict or SDK object), as fields of an event.

    Reads OpenAI Chat Completions and Responses, Anthropic Messages, Gemini `generateContent` and Interactions. Input
    includes what a cache read or wrote (Anthropic's own count does not), output includes reasoning (Gemini's does not).
    An Anthropic call that compacted its context counts that too; what an advisor model used is another model's.

    Args:
        response: a response; or of a stream its events, all or those with usage. Counts of a later event take the
            place of those before, for all providers give totals.
    """
    found: dict[str, Any] = {}
    for part in response:
        found.update(_usage_found(part))
    if any(name in found for name in ("prompt_token_count", "candidates_token_count", "thoughts_token_count")):
        given, made, cached, written, reasoning = _gemini(found)
    else:
        given = _count(found, "prompt_tokens", "input_tokens")
        made = _count(found, "completion_tokens", "output_tokens")
        reasoning = _count(found.get("details_of_output"), "reasoning_tokens", "thinking_tokens")
        within = found.get("details_of_input")
        if "prompt_tokens" in found or within is not None:
            cached, written = _count(within, "cached_tokens"), _count(within, "cache_write_tokens")
        else:  # Anthropic counts these beside input_tokens, and compaction beside all
            parts = [found, *(turn for turn in _list(found, "iterations") if _get(turn, "type") == "compaction")]
            cached = sum(_count(part, "cache_read_input_tokens") for part in parts)
            written = sum(map(_cache_written, parts))
            given = sum(_count(part, "input_tokens") for part in parts) + cached + written
            made = sum(_count(part, "output_tokens") for part in parts)
    if not given and not made and failure_of(*response) is None:
        _log.warning("a response says nothing of its usage (streams of Chat Completions say it only when asked to)")
    # Parts beyond the whole have been seen; the exporter would refuse them.
    cached = min(cached, given)
    written = min(written, given - cached)
    reasoning = min(reasoning, made)
    usage: Usage = {"input_tokens": given, "output_tokens": made}
    if cached:
        usage["cached_input_tokens"] = cached
    if written:
        usage["cache_write_tokens"] = written
    if reasoning:
        usage["reasoning_tokens"] = reasoning
    if tier := found.get("tier"):
        usage["tier"] = tier
    return usage


def _usage_found(part: object) -> dict[str, Any]:
    """What a response, or an event of a stream, says of usage, under one provider-independent set of names."""
    whole = _whole(part)
    names = ("usage", "usage_metadata", "usageMetadata")
    usage = _get(part, *names) or _get(whole, *names) or whole
    found = {aliases[0]: value for aliases in _USAGE if (value := _get(usage, *aliases)) is not None}
    tier = _get(usage, "service_tier", "serviceTier") or _get(whole, "service_tier")
    if tier := tier or _get(usage, "traffic_type", "trafficType"):
        found["tier"] = _TIERS.get(_word(tier).rpartition("_")[2])  # Vertex says ON_DEMAND_FLEX
    return found


def _gemini(found: Mapping[str, Any]) -> tuple[int, int, int, int, int]:
    given = _count(found, "prompt_token_count") + _count(found, "tool_use_prompt_token_count")  # with cached content
    made, reasoning = _count(found, "candidates_token_count"), _count(found, "thoughts_token_count")
    if given + made != _count(found, "total_token_count"):  # else thoughts are candidates, as some servers count
        made += reasoning
    return given, made, _count(found, "cached_content_token_count"), 0, reasoning


def _cache_written(usage: object) -> int:
    parts = _get(usage, "cache_creation")
    lifetimes = _count(parts, "ephemeral_5m_input_tokens") + _count(parts, "ephemeral_1h_input_tokens")
    return _count(usage, "cache_creation_input_tokens") or lifetimes


def failure_of(*response: object) -> str | None:
    """The kind of failure that a provider's response, or one of the events of a stream, tells without an exception.

    A failed response, an error within a stream, an answer that a filter withheld or that the model refused.

    Returns:
        One of the exporter's error types; None for an answer, also one that was cut off at a limit of tokens.
    """
    for part in response:
        for holder in (part, _whole(part)):
            error = _get(holder, "error")
            if error is not None or _word(_get(holder, "status")) == "failed" or _get(holder, "type") == "error":
                names = ("code", "type", "status")
                return _kind(*(_word(_get(source, name)) for source in (error, holder) for name in names))
            if _word(_get(_get(holder, "prompt_feedback", "promptFeedback"), "block_reason", "blockReason")):
                return "content_filter"
            endings = [
                _get(holder, "stop_reason"),
                _get(_get(holder, "delta"), "stop_reason"),
                _get(_get(holder, "incomplete_details"), "reason"),
            ]
            choices = [
                _get(choice, "finish_reason", "finishReason") for choice in _list(holder, "choices", "candidates")
            ]
            for alternatives in (choices, *([ending] for ending in endings)):  # one good answer of several will do
                words = [_word(ending) for ending in alternatives]
                if words and all(word in _FILTERED for word in words):
                    return "content_filter"
                if words and all(word in _FILTERED or word in _BROKEN for word in words):
                    return "other"
    return None


def error_type_of(exception: BaseException) -> str:
    """The kind of failure, from an exception's HTTP status or code where it carries one, else from its class."""
    code = _get(exception, "code")
    if _kind(_word(code)) == "content_filter":  # a bad request by its status
        return "content_filter"
    response = _get(exception, "response")
    for status in (_get(exception, "status_code"), _get(exception, "status"), code, _get(response, "status_code")):
        if isinstance(status, int) and status >= http.HTTPStatus.BAD_REQUEST:
            default = "server_error" if status >= http.HTTPStatus.INTERNAL_SERVER_ERROR else "invalid_request"
            return _STATUS_ERRORS.get(status, default)
    said, named = _kind(_word(code)), _kind(*(kind.__name__.lower() for kind in type(exception).__mro__[:-2]))
    if said != "other":
        return said
    # A name alone may as well be of the application's own trouble, such as PermissionError.
    return named if named in ("timeout", "rate_limit", "content_filter", "server_error") else "other"


def _kind(*words: str) -> str:
    """The error type for a provider's words, of which the first that is understood decides."""
    kinds = (kind for word in words for part, kind in _WORDS.items() if part in word)
    return next(kinds, "other")


def _whole(event: object) -> object:
    """The response that an event of a stream carries, or else what was given."""
    inner = _get(event, "response", "message", "interaction")
    return event if inner is None or isinstance(inner, str) else inner


def _get(source: object, *names: str) -> Any:
    """The first of these items or attributes that is there."""
    for name in names:
        with contextlib.suppress(Exception):  # a property of somebody's class may raise anything
            value = source.get(name) if isinstance(source, Mapping) else getattr(source, name, None)
            if value is not None:
                return value
    return None


def _list(source: object, *names: str) -> Sequence[Any]:
    value = _get(source, *names)
    return value if isinstance(value, list | tuple) else ()


def _count(source: object, *names: str) -> int:
    value = _get(source, *names)
    return max(0, value) if isinstance(value, int) else 0


def _word(value: object) -> str:
    """A word or an enumeration's member, in small letters; empty for anything else."""
    value = getattr(value, "value", value)
    return value.lower() if isinstance(value, str) else ""


class _Connection:
    """One kept-alive HTTP connection; used by one thread at a time."""

    def __init__(self, url: str, token: str | None, timeout: float) -> None:
        self._where, self._http, self._path = _address(url, timeout)
        self._headers = {"Content-Type": "application/x-ndjson", "Accept": "application/json"}
        token = token.strip() if token else ""
        if not (token.isascii() and token.isprintable()):
            raise ValueError("the token has characters that no HTTP header can hold")
        if token:
            self._headers["Authorization"] = f"Bearer {token}"

    def post(self, body: bytes) -> dict[str, Any]:
        """Send NDJSON and return the answer.

        Raises:
            ClientError: no answer, or a refusal of the request as a whole.
        """
        headers = dict(self._headers)
        if len(body) >= GZIP_FROM_BYTES:
            body = gzip.compress(body, compresslevel=1)
            headers["Content-Encoding"] = "gzip"
        try:
            response = self._exchange(body, headers)
            answer = response.read()
        except (OSError, http.client.HTTPException) as error:
            self._http.close()
            reason = getattr(error, "strerror", None) or str(error) or type(error).__name__
            raise ClientError(f"no answer from {self._where}: {reason}", retry=True) from error
        return self._judge(response, answer)

    def close(self) -> None:
        """Let the connection go; the next request opens another."""
        self._http.close()

    def _exchange(self, body: bytes, headers: dict[str, str]) -> http.client.HTTPResponse:
        # The other side may have closed an idle connection: ids make a second try harmless.
        again = self._http.sock is not None
        while True:
            try:
                # A server may refuse a body before it has read it, and close: then its answer is there to be read.
                with contextlib.suppress(BrokenPipeError, ConnectionResetError):
                    self._http.request("POST", self._path, body, headers)
                return self._http.getresponse()
            except (http.client.RemoteDisconnected, ConnectionError):
                self._http.close()
                if not again:
                    raise
                again = False

    def _judge(self, response: http.client.HTTPResponse, body: bytes) -> dict[str, Any]:
        status = response.status
        try:
            answer = json.loads(body)
        except (ValueError, RecursionError):
            answer = None
        answer = answer if isinstance(answer, dict) else {}
        answer = {"accepted": 0, "duplicates": 0, **answer}
        counts = isinstance(answer["accepted"], int) and isinstance(answer["duplicates"], int)
        # 422 is an answer about the events too: none of them was valid.
        if status in (200, 422) and counts and isinstance(answer.get("rejected"), list):
            return answer
        if status == http.HTTPStatus.OK:
            raise ClientError(f"{self._where} answered, but not as an exporter does: check the address", status=status)
        detail = answer.get("detail") or answer.get("title")
        raise ClientError(
            f"{self._where} answered {status} {response.reason}" + (f": {detail}" if detail else ""),
            status=status,
            # A wrong token may be put right on the exporter's side while the events wait.
            retry=status in (401, 403, 408, 429) or status >= http.HTTPStatus.INTERNAL_SERVER_ERROR,
            retry_after=_seconds(response.getheader("Retry-After")),
        )


def _address(url: str, timeout: float) -> tuple[str, http.client.HTTPConnection, str]:
    """What an address means: server, as it is told, a connection to it that is not open yet, and the path for events.

    Raises:
        ValueError: it cannot be meant.
    """
    hint = f"{url!r} is no HTTP address; write it like http://127.0.0.1:10410"
    try:
        parts = urlsplit(url if "//" in url else f"http://{url}")
        port = parts.port
    except ValueError as error:
        raise ValueError(f"{hint} ({error})") from None
    if "@" in parts.netloc:
        raise ValueError("the address holds a user or password; give a token as token=…")
    if parts.scheme not in ("http", "https") or not parts.hostname or not (url.isascii() and url.isprintable()):
        raise ValueError(hint)
    if " " in url:
        raise ValueError(hint)
    kind = http.client.HTTPSConnection if parts.scheme == "https" else http.client.HTTPConnection
    where = f"{parts.scheme}://{parts.netloc}"
    return where, kind(parts.hostname, port, timeout=timeout), parts.path.rstrip("/") + "/api/v1/events"


def _plain(value: Any) -> int | float:
    """A number of another library (NumPy, Decimal) as one that JSON has."""
    if hasattr(value, "__index__"):
        return int(value)
    if hasattr(value, "__float__"):
        return float(value)
    raise TypeError(f"{type(value).__name__} has no form in JSON")


def _seconds(retry_after: str | None) -> float:
    """Seconds of a Retry-After header; its date form is rare and reads as no wish."""
    try:
        return min(max(0.0, float(retry_after or 0)), RETRY_AFTER_LAST_SECONDS)
    except ValueError:
        return 0.0


def _backoff(attempt: int) -> float:
    """Exponential, with full jitter over its upper half so that many clients do not come back at once."""
    top: float = min(BACKOFF_LAST_SECONDS, BACKOFF_FIRST_SECONDS * 2.0 ** min(attempt, 16))
    return top * (0.5 + random.random() / 2)  # noqa: S311 - spreads load, guards nothing


_json = json.JSONEncoder(separators=(",", ":"), allow_nan=False, default=_plain).encode
_clients: weakref.WeakSet[Client] = weakref.WeakSet()
_worker_closes = False  # this process is a worker of multiprocessing, and closes its clients at its end


def _close_all() -> None:
    for client in tuple(_clients):
        closed = client._sender is None  # and what it left then has had its time
        if not client.close(CLOSED_FLUSH_SECONDS if closed else EXIT_FLUSH_SECONDS) and (left := client.stats().queued):
            _log.warning("%d events are lost: %s", left, client.stats().last_error)


def _close_with_worker() -> None:
    """Workers of multiprocessing end without `atexit`, but they run finalizers that were set in them."""
    global _worker_closes  # noqa: PLW0603
    process, util = sys.modules.get("multiprocessing.process"), sys.modules.get("multiprocessing.util")
    if process is not None and util is not None and not _worker_closes and process.parent_process() is not None:
        util.Finalize(None, _close_all, exitpriority=10)
        _worker_closes = True


def _after_fork() -> None:
    global _worker_closes  # noqa: PLW0603
    _worker_closes = False
    for client in tuple(_clients):
        client._reset()


atexit.register(_close_all)
if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_after_fork)
