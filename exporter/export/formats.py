"""Records as JSON, NDJSON or CSV, in pieces of bytes."""

from __future__ import annotations

import csv
import io
from collections.abc import Iterable, Iterator, Sequence

import msgspec

from exporter.export.records import Record, Value

FORMATS = ("ndjson", "json", "csv")
_PIECE = 64 * 1024  # bytes
_FORMULA = ("=", "+", "-", "@", "\t", "\r")  # how a cell begins that a spreadsheet would run
_encode = msgspec.json.encode


def encode(records: Iterable[Record], fields: Sequence[str], format: str) -> Iterator[bytes]:  # noqa: A002
    """The bytes of a file.

    Args:
        records: What to write; each has all the fields.
        fields: Their names, the columns of CSV.
        format: `ndjson` (an object a line), `json` (an array of objects) or `csv` (with a header).
    """
    lines = {"ndjson": _ndjson, "json": _json, "csv": _csv}[format](records, fields)
    return _pieces(lines)


def _ndjson(records: Iterable[Record], _: Sequence[str]) -> Iterator[bytes]:
    for record in records:
        yield _encode(record) + b"\n"


def _json(records: Iterable[Record], _: Sequence[str]) -> Iterator[bytes]:
    begin = b"[\n"
    for record in records:
        yield begin + _encode(record)
        begin = b",\n"
    yield b"\n]\n" if begin == b",\n" else b"[]\n"


def _csv(records: Iterable[Record], fields: Sequence[str]) -> Iterator[bytes]:
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow(fields)
    for record in records:
        writer.writerow([_cell(record[name]) for name in fields])
        yield text.getvalue().encode()
        text.seek(0)
        text.truncate()
    yield text.getvalue().encode()


def _cell(value: Value) -> Value:
    """A spreadsheet runs what looks like a formula; an apostrophe keeps it a text."""
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, str) and value.startswith(_FORMULA):
        return f"'{value}"
    return value


def _pieces(lines: Iterable[bytes]) -> Iterator[bytes]:
    kept: list[bytes] = []
    size = 0
    for line in lines:
        kept.append(line)
        size += len(line)
        if size >= _PIECE:
            yield b"".join(kept)
            kept, size = [], 0
    if kept:
        yield b"".join(kept)
