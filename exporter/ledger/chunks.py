"""Events as blobs: one chunk for each commit, column by column.

A row of SQLite for each event costs more than all else that happens to it. So the events of one commit are stored
together, each column as the narrowest array of integers that holds it, or as one value where all events have the same.
That takes about 45 bytes an event, 16 of which are the hash of its id, and a column can be read without the others.

A blob is MessagePack, `[version, events, columns]`, and a CRC-32 of it, four bytes. A column is `[kind, content]`:

- `=`: one value, the same for all events
- `B`, `H`, `I`, `q`: an array of this type code of Python's `array`, little-endian, to each of which `base` is added:
  `[kind, content, base]`
- `h`: the hashes, joined
- `*`: a list of values, where some are absent or no numbers
- `z`: a column of any of these kinds, compressed
"""

from __future__ import annotations

import sys
import zlib
from array import array
from collections.abc import Iterable, Sequence
from typing import Any

import msgspec

from exporter.errors import LedgerError
from exporter.totals import Row

VERSION = 1
COLUMNS = Row._fields
HASH_BYTES = 16
_SUM_BYTES = 4
_PLACES = {name: place for place, name in enumerate(COLUMNS)}
_WIDE = 2**32
_TYPES = (("B", 2**8), ("H", 2**16), ("I", _WIDE))
_WIDTHS = {"B": 1, "H": 2, "I": 4, "q": 8}
_SMALL = 64  # bytes of a column that are not worth a compressor
_encode = msgspec.msgpack.Encoder().encode
_decode = msgspec.msgpack.decode
_SWAPPED = sys.byteorder == "big"

Values = Sequence[Any]


def encode(rows: Sequence[Row], *, compress: bool = False) -> bytes:
    """Pack events, at least one."""
    count = len(rows)
    hashes, *others = zip(*rows, strict=True)
    columns = [_hashes(hashes), *(_column(values, count) for values in others)]
    if compress:
        columns[1:] = [_compressed(column) for column in columns[1:]]
    packed = _encode([VERSION, count, columns])
    return packed + zlib.crc32(packed).to_bytes(_SUM_BYTES, "big")


def decode(blob: bytes) -> list[Row]:
    """Unpack events.

    Raises:
        LedgerError: the blob is damaged.
    """
    return list(map(Row._make, zip(*columns(blob, COLUMNS), strict=True)))


def columns(blob: bytes, names: Iterable[str]) -> list[Values]:
    """Some columns, each as long as there are events.

    Raises:
        LedgerError: the blob is damaged.
    """
    try:
        body = memoryview(blob)[:-_SUM_BYTES]
        if zlib.crc32(body) != int.from_bytes(blob[-_SUM_BYTES:], "big"):
            raise LedgerError("a chunk of events is damaged: its checksum does not fit")
        version, count, packed = _decode(body)
        if version != VERSION or len(packed) != len(COLUMNS):
            raise LedgerError(f"a chunk of events has the format {version}, which this exporter does not know")
        return [_values(packed[_PLACES[name]], count) for name in names]
    except (msgspec.MsgspecError, ValueError, TypeError, KeyError, zlib.error) as error:
        raise LedgerError(f"a chunk of events cannot be read: {error}") from error


def _column(values: Values, count: int) -> list[Any]:
    first = values[0]
    if values.count(first) == count:
        return ["=", first]
    try:
        low, high = min(values), max(values)
        span = high - low
        base = low if high >= _WIDE and span < _WIDE else 0
        kind = next((code for code, above in _TYPES if low >= base and above > high - base), "q")
        numbers = array(kind, [value - base for value in values] if base else values)
    except (TypeError, OverflowError):  # some are absent, or no integers of 64 bits
        return ["*", values]
    if _SWAPPED:
        numbers.byteswap()
    return [kind, numbers.tobytes(), base]


def _hashes(values: Values) -> list[Any]:
    if None not in values:
        return ["h", b"".join(values)]
    return ["=", None] if values.count(None) == len(values) else ["*", values]


def _compressed(column: list[Any]) -> list[Any]:
    if column[0] == "=":
        return column
    packed = _encode(column)
    if len(packed) < _SMALL:
        return column
    return ["z", zlib.compress(packed, 6)]


def _values(column: list[Any], count: int) -> Values:
    kind, content = column[0], column[1]
    if kind == "z":
        return _values(_decode(zlib.decompress(content)), count)
    if kind == "=":
        return [content] * count
    if kind == "*":
        values: Values = content
    elif kind == "h":
        values = [content[at : at + HASH_BYTES] for at in range(0, len(content), HASH_BYTES)]
    else:
        numbers = array(kind)
        if len(content) != count * _WIDTHS[kind] or numbers.itemsize != _WIDTHS[kind]:
            raise ValueError(f"a column of {len(content)} bytes for {count} events")
        numbers.frombytes(content)
        if _SWAPPED:
            numbers.byteswap()
        base = column[2]
        values = [value + base for value in numbers] if base else numbers
    if len(values) != count:
        raise ValueError(f"a column of {len(values)} values for {count} events")
    return values
