"""Request bodies: the content types that are taken, and JSON into a declared shape."""

from __future__ import annotations

import asyncio
import zlib
from typing import TypeVar

import msgspec
from aiohttp import HttpVersion11, web

from exporter.errors import RequestError
from exporter.web.services import services

JSON = "application/json"
NDJSON = ("application/x-ndjson", "application/ndjson", "application/jsonl")
_OFF_LOOP = 64 * 1024  # compressed bytes from which on decompression would hold up the event loop
BODY_SECONDS = 30.0  # for a body to arrive, and more for each byte that did
SLOWEST = 16 * 1024  # bytes a second
S = TypeVar("S")


async def read(request: web.Request, *, ndjson: bool = False) -> bytes:
    """The body, decompressed; the server must leave compressed bodies to us.

    Raises:
        RequestError: 415 for another content type or encoding, 400 for a body that is not what it says, 413 for one
            that is too large before or after decompression.
    """
    allowed = (JSON, *NDJSON) if ndjson else (JSON,)
    if request.content_type not in allowed:
        raise RequestError(
            415, f"the content type {request.content_type} is not taken; send {' or '.join(allowed[:2])}"
        )
    encoding = request.headers.get("Content-Encoding", "identity").lower()
    if encoding not in ("identity", "gzip"):
        raise RequestError(415, f"the content encoding {encoding} is not taken; send gzip or none")
    limit = services(request).plan.limits.body_bytes
    body = await receive(request, limit)
    if encoding == "identity":
        return body
    return await asyncio.to_thread(gunzip, body, limit) if len(body) > _OFF_LOOP else gunzip(body, limit)


async def expect(request: web.Request) -> None:
    """A client asks before it sends a body: it is told to go on when the body is wanted, and not before.

    Raises:
        web.HTTPExpectationFailed: it expects something else.
    """
    if request.version >= HttpVersion11 and request.headers["Expect"].lower() != "100-continue":
        raise web.HTTPExpectationFailed


async def receive(request: web.Request, limit: int) -> bytes:
    """The body as it is sent. Whoever sends it slower than any real line does not hold the connection for ever.

    Raises:
        RequestError: 400 for a body that ends early, 408 for one that does not arrive in time.
        web.HTTPRequestEntityTooLarge: it is larger than `limit`.
    """
    if (request.content_length or 0) > limit:
        raise web.HTTPRequestEntityTooLarge(limit)
    stream = request.content
    if "Expect" in request.headers and request.version >= HttpVersion11 and not stream.is_eof():
        await request.writer.write(b"HTTP/1.1 100 Continue\r\n\r\n")
        request.writer.output_size = 0  # the answer itself has not begun
    loop = asyncio.get_running_loop()
    begin = loop.time()
    parts: list[bytes] = []
    size = 0
    try:
        while not stream.at_eof():
            if stream.is_eof():  # all is here: nothing to wait for
                parts.append(await stream.readany())
            else:
                async with asyncio.timeout_at(begin + BODY_SECONDS + size / SLOWEST):
                    parts.append(await stream.readany())
            size += len(parts[-1])
            if size > limit:
                raise web.HTTPRequestEntityTooLarge(limit)
    except TimeoutError:
        message = f"the body did not arrive within {BODY_SECONDS:g} s"
        raise RequestError(408, message, reason="too_slow", headers={"Connection": "close"}) from None
    except (web.RequestPayloadError, ConnectionError) as error:  # the latter: the sender has gone
        raise RequestError(400, "the body is incomplete", reason="malformed") from error
    return parts[0] if len(parts) == 1 else b"".join(parts)


def gunzip(body: bytes, limit: int) -> bytes:
    """Decompress whole gzip members, to at most `limit` bytes: a body that was cut off is not taken for a whole one.

    Raises:
        RequestError: 400 when it is not gzip or has no end, 413 when it grows beyond the limit.
    """
    parts: list[bytes] = []
    left = limit
    while body:
        member = zlib.decompressobj(wbits=31)
        try:
            parts.append(member.decompress(body, left + 1))
        except zlib.error as error:
            raise RequestError(400, "the body is not gzip, as it says", reason="malformed") from error
        left -= len(parts[-1])
        if left < 0:
            raise RequestError(413, f"the body is larger than {limit} bytes when decompressed", reason="too_large")
        if not member.eof:
            raise RequestError(400, "the gzip body ends before its end", reason="malformed")
        body = member.unused_data
    return b"".join(parts)


async def read_struct(request: web.Request, shape: type[S]) -> S:
    """The body as an object of a declared shape.

    Raises:
        RequestError: 400 when it is not JSON, 422 when it does not fit the shape.
    """
    body = await read(request)
    try:
        return msgspec.json.decode(body, type=shape)
    except msgspec.ValidationError as error:
        raise RequestError(422, str(error)) from None
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
        raise RequestError(400, f"the body is not JSON: {error}", reason="malformed") from None


def answer(value: object, status: int = 200) -> web.Response:
    """A JSON answer."""
    return web.Response(status=status, body=msgspec.json.encode(value), content_type=JSON)
