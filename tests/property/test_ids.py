"""The index of idempotency keys behaves as a set, whatever is merged, rolled back or read back when."""

from __future__ import annotations

from pathlib import Path
from tempfile import TemporaryDirectory

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from exporter.errors import LedgerError
from exporter.ledger import ids
from exporter.ledger.store import Store

keys = st.integers(0, 400).map(lambda number: (number * 0x9E3779B97F4A7C15 % 2**64).to_bytes(16, "little"))
steps = st.lists(
    st.tuples(st.lists(keys, max_size=40, unique=True), st.sampled_from(["commit", "commit", "fail", "reopen"])),
    max_size=25,
)


@settings(max_examples=80, deadline=None)
@given(steps=steps)
def test_what_was_committed_is_known_and_nothing_else(steps: list[tuple[list[bytes], str]]) -> None:
    with pytest.MonkeyPatch.context() as patch, TemporaryDirectory() as folder:
        patch.setattr(ids, "MERGE_AT", 30)
        patch.setattr(ids, "_MERGE_LEAST", 7)
        store = Store(Path(folder) / "ledger.sqlite")
        truth: set[bytes] = set()
        for asked, end in steps:
            if end == "reopen":
                store.close()
                store = Store(Path(folder) / "ledger.sqlite")
            try:
                with store.transaction():
                    known = store.ids.known(asked)
                    assert known == truth & set(asked)
                    new = [key for key in asked if key not in known]
                    store.ids.add(new, 20_000)
                    if end == "fail":
                        raise LedgerError("disk full")
            except LedgerError:
                continue
            truth |= set(new)
        store.close()


def test_merged_keys_leave_the_fresh_ones(tmp_path: Path) -> None:
    store = Store(tmp_path / "ledger.sqlite")
    made = [number.to_bytes(16, "big") for number in range(ids.MERGE_AT + 5_000)]
    for start in range(0, len(made), 5_000):
        with store.transaction():
            store.ids.add(made[start : start + 5_000], 20_000)
    while store.ids._merging:
        with store.transaction():
            store.ids.add([], 20_000)
    store.close()
    store = Store(tmp_path / "ledger.sqlite")

    assert len(store.ids._recent) == 5_000
    with store.transaction():
        assert store.ids.known(made) == set(made)
    store.close()
