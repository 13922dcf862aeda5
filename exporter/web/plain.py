"""Requests that are plain enough to be read without an HTTP library.

Plain means: all of the head is here, it is ASCII, every header is written as a client that means well writes it, none
comes twice, and none asks for anything beyond "here is a body of so many bytes of JSON, and keep the connection".
Whatever is not plain is none of this module's business: it is not judged here, only passed on to who reads all of HTTP.
"""

from __future__ import annotations

import re
from typing import NamedTuple

_MOST = 4096  # bytes of a head
_FIELDS = re.compile(rb"(?:[!#$%&'*+\-.^_`|~0-9A-Za-z]++:[ -~]*+\r\n)++")
_LINES = 64
_DIGITS = 9  # of a length
_JSON = frozenset({"application/json", "application/json; charset=utf-8", "application/json;charset=utf-8"})
_BEYOND = frozenset(  # what changes the meaning of the body, of the connection or of who asks
    {
        *("transfer-encoding", "content-encoding", "te", "trailer", "expect", "upgrade", "http2-settings"),
        *("proxy-connection", "keep-alive", "origin", "sec-websocket-key1"),
    }
)


class Head(NamedTuple):
    """A plain request's headers, by names in lower case, and where its body begins and ends."""

    headers: dict[str, str]
    start: int
    end: int


def read_head(data: bytes, line: int) -> Head | None:
    """The head of a plain request with a JSON body.

    Args:
        data: What a connection sent, from the beginning of a request.
        line: Length of the request line, without its end.

    Returns:
        None where the request is not plain, or its head is not complete.
    """
    end = data.find(b"\r\n\r\n", line, _MOST)
    if end < 0 or _FIELDS.fullmatch(data, line + 2, end + 2) is None:
        return None
    lines = data[line + 2 : end].decode("ascii").split("\r\n")
    headers = {}
    for field in lines:
        name, _, value = field.partition(":")
        headers[name.lower()] = value.strip(" ")
    length = headers.get("content-length", "")
    if (
        not len(headers) == len(lines) <= _LINES
        or not (length.isdecimal() and len(length) <= _DIGITS)
        or headers.get("content-type", "").lower() not in _JSON
        or headers.get("connection", "keep-alive").lower() != "keep-alive"
        or "host" not in headers
        or not _BEYOND.isdisjoint(headers)
    ):
        return None
    start = end + 4
    return Head(headers, start, start + int(length))
