"""Events in a chunk come back as they went in, whatever their values and whether compressed or not."""

from __future__ import annotations

import zlib

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from exporter.errors import LedgerError
from exporter.ledger import chunks
from exporter.totals import Row
from tests.property.test_fold import rows

wide = st.one_of(st.none(), st.integers(-(2**63), 2**63 - 1))


@settings(max_examples=200, deadline=None)
@given(events=st.lists(rows, min_size=1, max_size=40), compress=st.booleans())
def test_a_chunk_gives_back_its_events(events: list[Row], compress: bool) -> None:
    assert chunks.decode(chunks.encode(events, compress=compress)) == events


@settings(max_examples=200, deadline=None)
@given(values=st.lists(wide, min_size=1, max_size=40), compress=st.booleans())
def test_any_integers_of_64_bits_fit_and_may_be_absent(values: list[int | None], compress: bool) -> None:
    plain = Row(None, 0, 1, 4, 0, 0, 0, 0, 0, 0, None, 0, 0, None, None, None, None, None, 1, 0, 1, None, None, None)
    blob = chunks.encode([plain._replace(cost=value) for value in values], compress=compress)

    assert list(chunks.columns(blob, ["cost"])[0]) == values
    assert list(chunks.columns(blob, ["cell"])[0]) == [1] * len(values)


@settings(max_examples=300, deadline=None)
@given(
    events=st.lists(rows, min_size=1, max_size=10),
    compress=st.booleans(),
    place=st.integers(0, 10_000),
    byte=st.integers(0, 255),
)
def test_a_damaged_chunk_is_noticed(events: list[Row], compress: bool, place: int, byte: int) -> None:
    whole = chunks.encode(events, compress=compress)
    blob = bytearray(whole)
    blob[place % len(blob)] = byte
    if bytes(blob) == whole:
        assert chunks.decode(bytes(blob)) == events
        return
    with pytest.raises(LedgerError, match="checksum does not fit"):
        chunks.decode(bytes(blob))


def test_an_event_takes_little() -> None:
    events = [
        Row(
            number.to_bytes(16, "big"), 1_700_000_000_000_000 + number * 137_000, number % 40, 50 + number % 9,
            100 + number * 7 % 4000, 0, 0, number * 3 % 900, 0, 300_000 + number * 991 % 4_000_000, None, 0,
            number * 7919 % 40_000_000, number * 104_729 % 50_000_000, None, None, None, None,
            3, 0, 1, None, None, None,
        )
        for number in range(1000)
    ]  # fmt: skip

    assert len(chunks.encode(events)) < 45 * 1000
    assert len(chunks.encode(events, compress=True)) < 40 * 1000


def test_a_chunk_of_a_later_format_is_refused() -> None:
    with pytest.raises(LedgerError, match="format 9"):
        chunks.decode(b"\x93\x09\x01\x90" + zlib.crc32(b"\x93\x09\x01\x90").to_bytes(4, "big"))
