"""Report model calls to an exporter, from any application: standard library only, one file that can be copied.

    from exporter.client import Client

    usage = Client("http://127.0.0.1:10410", application="tutor-app")
    usage.track_api_request("gpt-4.1", input_tokens=812, output_tokens=164, latency=1.9, success=True)

`track_api_request` takes microseconds: it appends to a queue in memory, and a background thread sends batches. Every
event has an id from the moment it is tracked, and is sent again under the same id until the exporter has acknowledged
it, so that it is counted once. When the exporter is away for so long that the queue is full, the oldest events are
dropped, and counted in `stats()`; with `spool="/var/spool/tutor-app"` they go to that directory instead, as does what
is left at exit, and are sent when the exporter answers again, if need be after the next start. Nothing here ever
raises into the application because the exporter is away.

Coroutines use it in the same way, for tracking never waits; `flush` and `close` do, so call them as
`await asyncio.to_thread(usage.flush)`:

    async with usage.call(model="gpt-4.1", category="analysis") as call:
        response = await openai.responses.create(model="gpt-4.1", input=prompt)
        call.usage(**usage_of(response))
"""

from __future__ import annotations

import atexit
import contextlib
import gzip
import http.client
import itertools
import json
import logging
import os
import random
import secrets
import threading
import time
import weakref
from collections import deque
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import Any, TypedDict, Unpack
from urllib.parse import urlsplit

GZIP_FROM_BYTES = 8 * 1024  # below this, compressing costs more than it saves
BACKOFF_FIRST_SECONDS = 0.25
BACKOFF_LAST_SECONDS = 30.0
EXIT_FLUSH_SECONDS = 5.0
STALE_SECONDS = 3600.0  # nobody is still writing a file this old

_STATUS_ERRORS = {
    **dict.fromkeys((401, 403), "authentication"),
    404: "model_not_found",
    408: "timeout",
    429: "rate_limit",
    504: "timeout",
}

_log = logging.getLogger(__name__)


class EventFields(TypedDict, total=False):
    """Optional fields of an event, as the exporter documents them. Times are seconds, money is USD."""

    id: str
    timestamp: float | str
    cached_input_tokens: int
    cache_write_tokens: int
    reasoning_tokens: int
    time_to_first_token: float
    error_type: str
    category: str
    endpoint: str
    application: str
    migration: str
    replaces: str
    shadow: bool
    pair_id: str
    quality_score: float
    evaluator: str
    tier: str
    cost_usd: float
    prompt_hash: str
    trace_id: str


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


class _Marker:
    """Goes through the queue behind the events of a `flush()`, which waits until it comes out."""

    __slots__ = ("answered", "done")

    def __init__(self) -> None:
        self.done = threading.Event()
        self.answered = True  # unless it met a spool


@dataclass(slots=True)
class _Batch:
    """Events under way, as lines of JSON; the first are gone once they are answered."""

    lines: list[bytes]
    file: Path | None = None  # where they are spooled; it goes when all are answered


# id, timestamp, model, input tokens, output tokens, latency, success, optional fields
_Tracked = tuple[str, float, str, int, int, float, bool, Mapping[str, Any]]


class Client:
    """Sends events of one application to one exporter. Safe to use from many threads, and across `fork()`.

    Args:
        url: where the exporter listens; a path in it is kept as a prefix.
        token: bearer token with the role `ingest`, when the exporter asks for one.
        application: label of all events that do not name their own.
        migration: only where model and scope do not decide which migration an event belongs to.
        batch: events per request, at most.
        flush_interval: seconds that an event waits for others, at most.
        queue: events kept in memory while the exporter is away, at most.
        timeout: seconds for one request.
        spool: directory for what memory cannot keep, made if need be; processes may share one.
        spool_bytes: size of that directory, at most; beyond it the oldest events are dropped.
    """

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
        if batch < 1 or queue < 1:
            raise ValueError("batch and queue must be at least 1")
        self._address = (url, token, timeout)
        self._defaults: dict[str, Any] = {}
        if application:
            self._defaults["application"] = application
        if migration is not None:
            self._defaults["migration"] = migration
        self._batch = batch
        self._flush_interval = flush_interval
        self._queue_limit = queue
        self._spool = None if spool is None else _Spool(Path(spool), spool_bytes)
        self._sender: threading.Thread | None = None
        self._reset()
        _clients.add(self)
        if self._spool is not None and self._spool.oldest() is not None:
            self._start()

    def track_api_request(
        self,
        model: str,
        input_tokens: int,
        output_tokens: int,
        latency: float,
        success: bool,
        **fields: Unpack[EventFields],
    ) -> str:
        """Note one model call that has just ended, and return the id under which it will be counted.

        Token counts are the provider's: input includes cached, output includes reasoning; `latency` is in seconds.
        """
        identity = fields.get("id") or f"{self._prefix}-{next(self._numbers):x}"
        self._queue.append((identity, time.time(), model, input_tokens, output_tokens, latency, success, fields))
        if len(self._queue) > self._queue_limit:
            self._make_room()
        if self._sender is None:
            self._start()
        elif len(self._queue) >= self._batch and not self._wake.is_set():
            self._wake.set()
        return identity

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
        """Wait until everything tracked so far was answered; False when `timeout` seconds were not enough."""
        if self._sender is None and not self._queue:
            return True
        marker = _Marker()
        self._queue.append(marker)
        self._start()
        if self._sender is None:
            return False  # no thread can be had, and this one must not block without an end
        self._urgent.set()
        self._wake.set()
        return marker.done.wait(timeout) and marker.answered

    def close(self, timeout: float | None = EXIT_FLUSH_SECONDS) -> bool:
        """Flush, then stop the background thread; False when events were left behind, in the spool if there is one.

        Tracking starts the thread again.
        """
        flushed = self.flush(timeout)
        with self._lock:
            sender, self._sender = self._sender, None
            self._stopping.set()
            self._urgent.set()
            self._wake.set()
        if flushed and sender is not None:
            sender.join(1.0)
        if not flushed:
            self._set_aside()
        with self._post_lock:
            self._post_connection.close()
        return flushed

    def stats(self) -> Stats:
        """What became of the events so far."""
        with self._lock:
            under_way = len(self._batch_under_way.lines) if self._batch_under_way else 0
            return Stats(**self._totals, queued=len(self._queue) + under_way, last_error=self._last_error)

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
        self._numbers = itertools.count()
        self._queue: deque[_Tracked | _Marker] = deque()
        self._batch_under_way: _Batch | None = None
        self._totals = dict.fromkeys(("sent", "duplicates", "rejected", "dropped", "spooled", "retries"), 0)
        self._last_error = ""
        self._lock = threading.Lock()
        self._spool_lock = threading.RLock()  # taken before `_lock`
        self._post_lock = threading.Lock()
        self._post_connection = _Connection(*self._address)
        self._wake = threading.Event()  # there is something to do before the flush interval is over
        self._urgent = threading.Event()  # try again now, do not wait out the backoff
        self._stopping = threading.Event()
        self._sender = None

    def _start(self) -> None:
        with self._lock:
            if self._sender is not None:
                return
            self._stopping = threading.Event()
            sender = threading.Thread(
                target=self._run, args=(self._stopping,), name="llm-migration-client", daemon=True
            )
            try:
                sender.start()
            except RuntimeError as error:  # the interpreter is shutting down, or there is no room for a thread
                self._last_error = f"cannot start the sending thread: {error}"
                return
            self._sender = sender

    def _make_room(self) -> None:
        """The queue is full: have it spooled, or drop the oldest events where there is no spool, or it is too slow."""
        if self._spool is not None and len(self._queue) <= 2 * self._queue_limit:
            self._urgent.set()
            return
        with self._lock:
            while len(self._queue) > self._queue_limit:
                try:
                    oldest = self._queue.popleft()
                except IndexError:
                    return
                if isinstance(oldest, _Marker):
                    oldest.done.set()
                else:
                    self._totals["dropped"] += 1

    def _run(self, stopping: threading.Event) -> None:
        connection = _Connection(*self._address)
        try:
            while not stopping.is_set():
                if len(self._queue) < self._batch:
                    self._wake.wait(self._flush_interval)
                self._wake.clear()
                while self._queue and not stopping.is_set():
                    batch, markers = self._take()
                    self._deliver(connection, batch, batch.lines[:], stopping)
                    for marker in markers:
                        marker.done.set()
                while not self._queue and not stopping.is_set() and (spooled := self._take_spooled()):
                    self._deliver(connection, spooled, spooled.lines[:], stopping)
        finally:
            connection.close()

    def _take(self) -> tuple[_Batch, list[_Marker]]:
        """The oldest events, which are under way from now on, and the markers behind them."""
        tracked: list[_Tracked] = []
        markers: list[_Marker] = []
        with self._spool_lock:  # nobody finds events between the queue and being under way
            with self._lock:
                while self._queue and len(tracked) < self._batch:
                    item = self._queue.popleft()
                    if isinstance(item, _Marker):
                        markers.append(item)
                    else:
                        tracked.append(item)
            batch = self._batch_under_way = _Batch([line for line in map(self._line, tracked) if line])
        return batch, markers

    def _take_spooled(self) -> _Batch | None:
        file = self._spool.oldest() if self._spool is not None else None
        if file is None:
            return None
        try:
            lines = file.read_bytes().split(b"\n")
        except OSError as error:  # another process has sent it, or it is not ours to read
            self._settle(None, 0, {}, f"cannot read {file}: {error.strerror}")
            return None
        batch = self._batch_under_way = _Batch(lines, file)
        return batch

    def _line(self, tracked: _Tracked) -> bytes:
        """An event as JSON; empty, and counted as rejected, when it has no such form."""
        identity, timestamp, model, input_tokens, output_tokens, latency, success, fields = tracked
        event = {
            "timestamp": round(timestamp, 6),
            **self._defaults,
            **fields,
            "id": identity,
            "model": model,
            "input_tokens": input_tokens,
            "output_tokens": output_tokens,
            "latency": latency,
            "success": success,
        }
        try:
            return json.dumps(event, separators=(",", ":"), allow_nan=False).encode()
        except (TypeError, ValueError, RecursionError) as error:
            self._settle(None, 0, {"rejected": 1}, f"event {identity}: {error}")
            return b""

    def _deliver(
        self, connection: _Connection, batch: _Batch, lines: Sequence[bytes], stopping: threading.Event
    ) -> None:
        """Send lines of a batch until answered; what is too large for the exporter goes in halves."""
        for attempt in itertools.count():
            if not batch.lines:
                return  # nothing to send, or set aside by `close`
            try:
                answer = connection.post(b"\n".join(lines))
            except ClientError as error:
                failure = error
            else:
                rejected = answer["rejected"]
                counts = {"sent": answer["accepted"], "duplicates": answer["duplicates"], "rejected": len(rejected)}
                self._settle(batch, len(lines), counts, f"the exporter says: {rejected[0]}" if rejected else "")
                return
            if failure.status == http.HTTPStatus.REQUEST_ENTITY_TOO_LARGE and len(lines) > 1:
                middle = len(lines) // 2
                self._deliver(connection, batch, lines[:middle], stopping)
                self._deliver(connection, batch, lines[middle:], stopping)
                return
            full = len(self._queue) >= self._queue_limit // 2
            if failure.retry and self._spool is not None and (full or stopping.is_set()):
                self._settle(None, 0, {}, str(failure))
                self._set_aside()
                return
            if not failure.retry or stopping.is_set():
                counts = {"dropped" if failure.retry else "rejected": len(lines)}
                self._settle(batch, len(lines), counts, str(failure))
                return
            if attempt == 0:
                _log.warning("events wait: %s", failure)
            self._settle(None, 0, {"retries": 1}, str(failure))
            if self._urgent.wait(max(failure.retry_after, _backoff(attempt))):
                self._urgent.clear()
                stopping.wait(BACKOFF_FIRST_SECONDS)  # repeated flushes must not hammer an exporter that is down

    def _set_aside(self) -> None:
        """Move what waits for an answer to the spool; what came from there is there still."""
        if self._spool is None:
            return
        with self._spool_lock:  # whoever ends the process waits until the sender has written its part
            with self._lock:
                batch, self._batch_under_way = self._batch_under_way, None
                lines = batch.lines[:] if batch is not None and batch.file is None else []
                if batch is not None and batch.file is None:
                    batch.lines.clear()
            while lines or self._queue:
                if lines:
                    try:
                        self._settle(None, 0, self._spool.write(lines), "")
                    except OSError as error:
                        message = f"cannot write {self._spool.folder}: {error.strerror}"
                        self._settle(None, 0, {"dropped": len(lines)}, message)
                batch, markers = self._take()
                lines, self._batch_under_way = batch.lines, None
                for marker in markers:
                    marker.answered = False
                    marker.done.set()

    def _settle(self, batch: _Batch | None, events: int, counts: Mapping[str, int], message: str) -> None:
        with self._lock:
            if batch is not None:
                del batch.lines[:events]  # answers come in order
                if batch.file is not None and not batch.lines:
                    batch.file.unlink(missing_ok=True)
            for name, count in counts.items():
                self._totals[name] += count
            if message:
                self._last_error = message
        if counts.get("rejected") or counts.get("dropped"):
            _log.warning("events were not counted: %s", message)


class _Spool:
    """Batches on disk, a file each. A file appears whole or not at all, and is read oldest first."""

    def __init__(self, folder: Path, limit: int) -> None:
        """Make the folder; OSError when it cannot be made."""
        self.folder = folder
        self._limit = limit
        folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        for torn in folder.glob("*.part"):  # a process ended while it wrote
            with contextlib.suppress(OSError):
                if time.time() - torn.stat().st_mtime > STALE_SECONDS:
                    torn.unlink()

    def oldest(self) -> Path | None:
        """The file to send next."""
        return min(self.folder.glob("*.ndjson"), default=None)

    def write(self, lines: Sequence[bytes]) -> dict[str, int]:
        """Keep a batch durably; how many events were spooled, and how many older ones dropped to make room."""
        body = b"\n".join(lines)
        name = f"{time.time_ns():020d}-{secrets.token_hex(4)}-{len(lines)}"
        part = self.folder / f"{name}.part"
        with open(os.open(part, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "wb") as file:
            file.write(body)
            file.flush()
            os.fsync(file.fileno())
        part.replace(self.folder / f"{name}.ndjson")
        dropped = 0
        with contextlib.suppress(OSError):  # another process may send or drop the same files
            files = sorted(self.folder.glob("*.ndjson"))
            sizes = [file.stat().st_size for file in files]
            excess = sum(sizes) - self._limit
            for old, size in zip(files, sizes, strict=True):
                if excess <= 0:
                    break
                old.unlink()
                dropped += int(old.stem.rpartition("-")[2])
                excess -= size
        return {"spooled": len(lines), "dropped": dropped}


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
        self._fields.setdefault("time_to_first_token", time.perf_counter() - self._begun)

    def usage(self, *, input_tokens: int, output_tokens: int, **fields: Unpack[EventFields]) -> None:
        """Note the provider's token counts, and any other field of the event."""
        self._tokens = (input_tokens, output_tokens)
        self._fields.update(fields)

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
        if self._tokens is None and not self._failed:
            _log.warning("a successful call to %s ended without usage(): it counts no tokens", self._model)
        input_tokens, output_tokens = self._tokens or (0, 0)
        self.id = self._client.track_api_request(
            self._model, input_tokens, output_tokens, round(latency, 6), not self._failed, **self._fields
        )

    async def __aenter__(self) -> Call:
        return self.__enter__()

    async def __aexit__(
        self, kind: type[BaseException] | None, exception: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self.__exit__(kind, exception, traceback)


def usage_of(response: object) -> dict[str, Any]:
    """Token counts and tier of a provider's response (dict or SDK object), as the fields of an event.

    Reads OpenAI Chat Completions and Responses, Anthropic Messages and Gemini `generateContent`. Input then includes
    what a cache read or wrote (Anthropic's own count does not), and output includes reasoning (Gemini's does not).
    """
    usage = _get(response, "usage", "usage_metadata", "usageMetadata") or response
    cached = written = 0
    if _get(usage, "prompt_token_count", "promptTokenCount") is not None:  # Gemini
        given = _count(usage, "prompt_token_count", "promptTokenCount")  # cached content included
        given += _count(usage, "tool_use_prompt_token_count", "toolUsePromptTokenCount")
        cached = _count(usage, "cached_content_token_count", "cachedContentTokenCount")
        reasoning = _count(usage, "thoughts_token_count", "thoughtsTokenCount")
        made = reasoning + _count(usage, "candidates_token_count", "candidatesTokenCount")
    else:
        given = _count(usage, "prompt_tokens", "input_tokens")
        made = _count(usage, "completion_tokens", "output_tokens")
        within = _get(usage, "prompt_tokens_details", "input_tokens_details")
        if _get(usage, "prompt_tokens") is None and within is None:  # Anthropic counts these beside input_tokens
            cached = _count(usage, "cache_read_input_tokens")
            written = _count(usage, "cache_creation_input_tokens")
            given += cached + written
        else:
            cached, written = _count(within, "cached_tokens"), _count(within, "cache_write_tokens")
        details = _get(usage, "completion_tokens_details", "output_tokens_details")
        reasoning = _count(details, "reasoning_tokens", "thinking_tokens")
    if not given and not made:
        _log.warning("a response says nothing of its usage (streams of Chat Completions say it only when asked to)")
    tier = _get(usage, "service_tier") or _get(response, "service_tier")
    cached = min(cached, given)  # parts beyond the whole have been seen; the exporter would refuse them
    parts = {
        "cached_input_tokens": cached,
        "cache_write_tokens": min(written, given - cached),
        "reasoning_tokens": min(reasoning, made),
        "tier": tier if tier in ("batch", "flex", "priority") else None,
    }
    return {"input_tokens": given, "output_tokens": made, **{name: value for name, value in parts.items() if value}}


def _get(source: object, *names: str) -> Any:
    """The first of these items or attributes that is there."""
    values = (source.get(name) if isinstance(source, Mapping) else getattr(source, name, None) for name in names)
    return next((value for value in values if value is not None), None)


def _count(source: object, *names: str) -> int:
    value = _get(source, *names)
    return max(0, value) if isinstance(value, int) else 0


def error_type_of(exception: BaseException) -> str:
    """The kind of failure, from an exception's HTTP status where it carries one, else from its class."""
    status = getattr(exception, "status_code", None) or getattr(exception, "status", None)
    if isinstance(status, int) and status >= http.HTTPStatus.BAD_REQUEST:
        default = "server_error" if status >= http.HTTPStatus.INTERNAL_SERVER_ERROR else "invalid_request"
        return _STATUS_ERRORS.get(status, default)
    if isinstance(exception, TimeoutError) or "timeout" in type(exception).__name__.lower():
        return "timeout"
    return "server_error" if isinstance(exception, ConnectionError) else "other"


class _Connection:
    """One kept-alive HTTP connection; used by one thread at a time."""

    def __init__(self, url: str, token: str | None, timeout: float) -> None:
        parts = urlsplit(url if "//" in url else f"http://{url}")
        if parts.scheme not in ("http", "https") or not parts.hostname:
            raise ValueError(f"{url!r} is no HTTP address; write it like http://127.0.0.1:10410")
        kind = http.client.HTTPSConnection if parts.scheme == "https" else http.client.HTTPConnection
        self._http = kind(parts.hostname, parts.port, timeout=timeout)
        self._path = parts.path.rstrip("/") + "/api/v1/events"
        self._where = f"{parts.scheme}://{parts.netloc}"
        self._headers = {"Content-Type": "application/x-ndjson", "Accept": "application/json"}
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
            reused = self._http.sock is not None
            try:
                self._http.request("POST", self._path, body, headers)
                response = self._http.getresponse()
            except (http.client.RemoteDisconnected, ConnectionError):
                if not reused:
                    raise
                # The other side closed an idle connection: ids make a second try harmless.
                self._http.close()
                self._http.request("POST", self._path, body, headers)
                response = self._http.getresponse()
            answer = response.read()
        except (OSError, http.client.HTTPException) as error:
            self._http.close()
            reason = getattr(error, "strerror", None) or str(error) or type(error).__name__
            raise ClientError(f"no answer from {self._where}: {reason}", retry=True) from error
        return self._judge(response, answer)

    def close(self) -> None:
        """Let the connection go; the next request opens another."""
        self._http.close()

    def _judge(self, response: http.client.HTTPResponse, body: bytes) -> dict[str, Any]:
        status = response.status
        try:
            answer = json.loads(body)
        except ValueError:
            answer = None
        answer = answer if isinstance(answer, dict) else {}
        # 422 is an answer about the events too: none of them was valid.
        if status in (200, 422) and isinstance(answer.get("rejected"), list):
            return {"accepted": 0, "duplicates": 0, **answer}
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


def _seconds(retry_after: str | None) -> float:
    """Seconds of a Retry-After header; its date form is rare and reads as no wish."""
    try:
        return max(0.0, float(retry_after or 0))
    except ValueError:
        return 0.0


def _backoff(attempt: int) -> float:
    """Exponential, with full jitter over its upper half so that many clients do not come back at once."""
    top: float = min(BACKOFF_LAST_SECONDS, BACKOFF_FIRST_SECONDS * 2.0 ** min(attempt, 16))
    return top * (0.5 + random.random() / 2)  # noqa: S311 - spreads load, guards nothing


_clients: weakref.WeakSet[Client] = weakref.WeakSet()


def _close_all() -> None:
    for client in tuple(_clients):
        client.close(EXIT_FLUSH_SECONDS)


def _after_fork() -> None:
    for client in tuple(_clients):
        client._reset()


atexit.register(_close_all)
if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_after_fork)
