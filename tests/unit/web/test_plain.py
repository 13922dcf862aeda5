"""What the express lane reads by itself, against what aiohttp's parser makes of the same bytes."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator

import pytest
from aiohttp.base_protocol import BaseProtocol
from aiohttp.http import HttpProcessingError, HttpRequestParser, RawRequestMessage
from aiohttp.streams import StreamReader
from hypothesis import given
from hypothesis import strategies as st

from exporter.web.plain import Head, read_head

BODY = b'{"model": "gpt-4.1"}'
LINE = b"POST /api/v1/events HTTP/1.1"
CURL = (
    b"Host: 127.0.0.1:10410",
    b"User-Agent: curl/7.88.1",
    b"Accept: */*",
    b"Content-Type: application/json",
    b"Content-Length: 20",
)
REQUESTS = (
    b"Host: exporter.example",
    b"User-Agent: python-requests/2.32.3",
    b"Accept-Encoding: gzip, deflate",
    b"Accept: */*",
    b"Connection: keep-alive",
    b"Content-Length: 20",
    b"Content-Type: application/json",
    b"Authorization: Bearer 0123456789abcdef",
)
GO = (
    b"Host: [::1]:10410",
    b"User-Agent: Go-http-client/1.1",
    b"Content-Length: 20",
    b"Content-Type: application/json; charset=utf-8",
    b"Traceparent: 00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01",
    b"Accept-Encoding: gzip",
)
UNDICI = (
    b"host: localhost:10410",
    b"connection: keep-alive",
    b"content-type: application/json",
    b"accept: */*",
    b"accept-language: *",
    b"sec-fetch-mode: cors",
    b"user-agent: node",
    b"accept-encoding: gzip, deflate",
    b"content-length: 20",
)


def request(*fields: bytes, line: bytes = LINE, body: bytes = BODY) -> bytes:
    return b"\r\n".join([line, *fields]) + b"\r\n\r\n" + body


def read(data: bytes) -> Head | None:
    return read_head(data, data.find(b"\r\n"))


@pytest.mark.parametrize("fields", [CURL, REQUESTS, GO, UNDICI])
def test_what_clients_send_is_plain(fields: tuple[bytes, ...]) -> None:
    data = request(*fields)
    head = read(data)

    assert head is not None
    assert data[head.start : head.end] == BODY
    assert head.headers["host"] == next(field[6:].decode() for field in fields if field.lower().startswith(b"host:"))


@pytest.mark.parametrize(
    "field",
    [
        b"Transfer-Encoding: chunked",
        b"Content-Encoding: gzip",
        b"Expect: 100-continue",
        b"Connection: close",
        b"Connection: keep-alive, Upgrade",
        b"Upgrade: websocket",
        b"TE: trailers",
        b"Trailer: X-A",
        b"Origin: http://localhost",
        b"Content-Length: 20",
        b"content-length: 20",
        b"Host: elsewhere.example",
        b"X-Forwarded-For: 10.0.0.1\tx",
        b"X-Odd: \xc3\xa9",
        b"X-Odd: \x00",
        b"X-Odd : 1",
        b" folded",
        b": no name",
        b"no colon",
        b"",
        b"X-Long: " + b"x" * 4096,
    ],
)
def test_what_asks_for_more_or_is_odd_is_not_plain(field: bytes) -> None:
    assert read(request(*CURL)) is not None
    assert read(request(field, *CURL)) is None or field == b""
    assert read(request(*CURL[:-1], field, CURL[-1])) is None


@pytest.mark.parametrize("length", [b"", b"-1", b"+20", b"2_0", b"0x14", b"20, 20", b"1" * 10, "²".encode(), b"20.0"])
def test_a_length_that_is_not_plain_digits_is_not_plain(length: bytes) -> None:
    assert read(request(*CURL[:-1], b"Content-Length: " + length)) is None


@pytest.mark.parametrize("missing", [b"Host", b"Content-Type", b"Content-Length"])
def test_what_is_needed_must_be_there(missing: bytes) -> None:
    assert read(request(*(field for field in CURL if not field.startswith(missing)))) is None


def test_an_incomplete_head_is_not_plain_wherever_it_ends() -> None:
    whole = request(*CURL, body=b"")
    assert all(read(whole[:end]) is None for end in range(len(LINE) + 2, len(whole)))


@pytest.fixture(scope="module")
def loop() -> Iterator[asyncio.AbstractEventLoop]:
    made = asyncio.new_event_loop()
    yield made
    made.close()


def parsed(data: bytes, loop: asyncio.AbstractEventLoop) -> tuple[RawRequestMessage, bytes] | None:
    """What aiohttp reads: one request and its whole body; None where it refuses or needs more."""
    parser = HttpRequestParser(
        BaseProtocol(loop), loop, 2**16, max_line_size=8190, max_headers=64, max_field_size=8190, auto_decompress=False
    )
    try:
        messages, _, _ = parser.feed_data(data)
    except HttpProcessingError:
        return None
    if len(messages) != 1:
        return None
    message, payload = messages[0]
    if isinstance(payload, StreamReader):
        return (message, payload.read_nowait()) if payload.is_eof() else None
    return message, b""


MEANT = (
    *(b"Transfer-Encoding: chunked", b"Transfer-Encoding: gzip", b"Content-Encoding: gzip", b"Content-Length: 19"),
    *(b"Connection: close", b"Connection: Upgrade", b"connection: keep-alive, close", b"Upgrade: websocket"),
    *(
        b"Host: elsewhere",
        b"X-A:1",
        b"X-A:   1  ",
        b"X-A: a: b",
        b"X-A:",
        b"X-A:\t1",
        b"X-A: 1\t",
        b"Content-Length: 020",
    ),
    *(b"Connection : close", b"X-A : 1", b" X-A: 1", b"x-a: 2", b"Sec-WebSocket-Key1: x", b"Authorization: Basic eA=="),
)
FIELDS = st.one_of(
    st.sampled_from(MEANT),
    st.sampled_from(MEANT),
    st.tuples(st.sampled_from([b"X-B", b"X-"]), st.binary(max_size=2), st.just(b": "), st.binary(max_size=3)).map(
        b"".join
    ),
)


@given(
    base=st.sampled_from([CURL, REQUESTS, GO, UNDICI]),
    extra=st.lists(FIELDS, min_size=1, max_size=2),
    order=st.randoms(use_true_random=False),
    left_out=st.sampled_from([None, None, None, 0, 1, 2, 3, 4]),
    end=st.sampled_from([b"\r\n"] * 8 + [b"\n", b"\r"]),
)
def test_what_is_read_as_plain_is_read_so_by_aiohttp(
    loop: asyncio.AbstractEventLoop,
    base: tuple[bytes, ...],
    extra: list[bytes],
    order: object,
    left_out: int | None,
    end: bytes,
) -> None:
    fields = [field for index, field in enumerate(base) if index != left_out] + extra
    order.shuffle(fields)  # type: ignore[attr-defined]
    data = LINE + b"\r\n" + end.join(fields) + b"\r\n\r\n" + BODY
    head = read(data)
    if head is None:
        return

    seen = parsed(data[: head.end], loop)
    assert seen is not None
    message, body = seen
    assert body == data[head.start : head.end]
    assert {name.lower(): value for name, value in message.headers.items()} == head.headers
    assert len(message.headers) == len(head.headers)
    assert not message.should_close
    assert not message.chunked
    assert not message.upgrade
    assert message.compression is None
