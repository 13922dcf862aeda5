"""Request bodies: the content types that are taken, and JSON into a declared shape."""

from __future__ import annotations

from typing import TypeVar

import msgspec
from aiohttp import web
from aiohttp.http_exceptions import ContentEncodingError

from exporter.errors import RequestError

JSON = "application/json"
NDJSON = ("application/x-ndjson", "application/ndjson", "application/jsonl")
S = TypeVar("S", bound=msgspec.Struct)


async def read(request: web.Request, *, ndjson: bool = False) -> bytes:
    """The body, decompressed.

    Raises:
        RequestError: 415 for another content type or encoding, 400 for a body that is not what it says.
    """
    allowed = (JSON, *NDJSON) if ndjson else (JSON,)
    if request.content_type not in allowed:
        raise RequestError(
            415, f"the content type {request.content_type} is not taken; send {' or '.join(allowed[:2])}"
        )
    encoding = request.headers.get("Content-Encoding", "identity").lower()
    if encoding not in ("identity", "gzip"):
        raise RequestError(415, f"the content encoding {encoding} is not taken; send gzip or none")
    try:
        return await request.read()
    except (web.RequestPayloadError, ContentEncodingError) as error:
        raise RequestError(400, "the body is incomplete or not in its content encoding", reason="malformed") from error


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
