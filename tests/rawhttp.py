"""HTTP by hand: bytes to a port, answers from it."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

JSON = "application/json"


@dataclass(frozen=True)
class Answer:
    """One answer; names of headers are in lower case."""

    status: int
    headers: dict[str, str]
    body: bytes

    def json(self) -> Any:
        return json.loads(self.body)


def request(
    body: bytes | None, *fields: str, path: str = "/api/v1/events", method: str = "POST", version: str = "1.1"
) -> bytes:
    """A request with the headers that it needs, and more; without a body when that is None."""
    head = [f"{method} {path} HTTP/{version}", "Host: localhost"]
    if body is not None:
        head += [f"Content-Type: {JSON}", f"Content-Length: {len(body)}"]
    return "\r\n".join([*head, *fields, "", ""]).encode("latin-1") + (body or b"")


async def read_answer(reader: asyncio.StreamReader, *, head_only: bool = False) -> Answer | None:
    """The next answer, an interim one as well; None at the end of the connection."""
    try:
        head = await reader.readuntil(b"\r\n\r\n")
    except (asyncio.IncompleteReadError, ConnectionError):
        return None
    line, *fields = head[:-4].decode("latin-1").split("\r\n")
    headers = {name.lower(): value for name, _, value in (field.partition(": ") for field in fields)}
    body = b"" if head_only else await reader.readexactly(int(headers.get("content-length", "0")))
    return Answer(int(line.split()[1]), headers, body)


async def ask(port: int, *parts: bytes, answers: int = 1, pause: float = 0.0, seconds: float = 10.0) -> list[Answer]:
    """Send parts one after the other on a connection of their own, and read so many answers, or up to its end."""
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    try:
        async with asyncio.timeout(seconds):
            for part in parts:
                writer.write(part)
                await writer.drain()
                await asyncio.sleep(pause)
            found: list[Answer] = []
            while len(found) < answers and (answer := await read_answer(reader)) is not None:
                found.append(answer)
            return found
    finally:
        writer.close()


def statuses(answers: Sequence[Answer]) -> list[int]:
    return [answer.status for answer in answers]
