"""The index of idempotency keys behaves as a set, whatever is merged, rolled back or read back when."""

from __future__ import annotations

from pathlib import Path
from tempfile import TemporaryDirectory

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from exporter.errors import LedgerError
from exporter.ledger import ids, keyfilter
from exporter.ledger.store import Store
from exporter.totals import Row

EVENT = Row(None, 0, 1, 4, 0, 0, 0, 0, 0, 0, None, 0, 0, None, None, None, None, None, 1, 0, 1, None, None, None)
keys = st.integers(0, 400).map(lambda number: (number * 0x9E3779B97F4A7C15 % 2**64).to_bytes(16, "little"))
steps = st.lists(
    st.tuples(
        st.lists(keys, max_size=40, unique=True),
        st.sampled_from(["commit", "commit", "fail", "reopen", "merge", "walk"]),
    ),
    max_size=25,
)


@settings(max_examples=80, deadline=None)
@given(steps=steps)
def test_what_was_committed_is_known_and_nothing_else(steps: list[tuple[list[bytes], str]]) -> None:
    with pytest.MonkeyPatch.context() as patch, TemporaryDirectory() as folder:
        patch.setattr(ids, "MERGE_AT", 30)
        patch.setattr(keyfilter, "WALK", 9)
        patch.setattr(keyfilter, "BITS", 64)
        patch.setattr(ids, "_MERGE_IDLE", 7)
        store = Store(Path(folder) / "ledger.sqlite")
        truth: set[bytes] = set()
        place = 0
        for asked, end in steps:
            if end == "reopen":
                store.close()
                store = Store(Path(folder) / "ledger.sqlite")
            try:
                with store.transaction():
                    known = store.ids.known(asked)
                    assert known == truth & set(asked)
                    new = [key for key in asked if key not in known]
                    add(store, new, place)
                    if end == "walk":
                        store.ids.filter.walk()
                    if end == "merge":
                        store.ids.begin_merge()
                    if end == "fail":
                        raise LedgerError("disk full")
            except LedgerError:
                continue
            truth |= set(new)
            place += len(new)
        store.close()


def add(store: Store, new: list[bytes], place: int) -> None:
    """Store an event for each key, after a place."""
    if new:
        store.add_rows([EVENT._replace(id_hash=key) for key in new], place + 1)
    store.ids.add(new, place + len(new), 20_000)


def test_merged_keys_leave_memory(tmp_path: Path) -> None:
    store = Store(tmp_path / "ledger.sqlite")
    made = [number.to_bytes(16, "big") for number in range(ids.MERGE_AT + 5_000)]
    for start in range(0, len(made), 5_000):
        with store.transaction():
            add(store, made[start : start + 5_000], start)
    while store.ids.merged_upto < ids.MERGE_AT:
        with store.transaction():
            store.ids.add([], len(made), 20_000)
    store.close()
    store = Store(tmp_path / "ledger.sqlite")

    assert len(store.ids._recent) == 5_000
    with store.transaction():
        assert store.ids.known(made) == set(made)
    store.close()
