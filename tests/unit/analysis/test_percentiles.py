"""Percentiles from the ledger are those of the sorted list."""

from __future__ import annotations

from math import ceil
from pathlib import Path
from tempfile import TemporaryDirectory

from hypothesis import given, settings
from hypothesis import strategies as st

from exporter.analysis.percentiles import exact
from exporter.ledger.reader import View
from exporter.ledger.store import Store
from exporter.totals import Row

QUANTILES = (0.01, 0.5, 0.95, 0.99, 1.0)
START, END = 1_000, 2_000
calls = st.lists(
    st.tuples(st.integers(0, 60_000_000), st.integers(1, 3), st.integers(START - 200, END + 200)),
    min_size=1,
    max_size=60,
)


@settings(max_examples=100, deadline=None)
@given(batches=st.lists(calls, min_size=1, max_size=5))
def test_they_are_those_of_the_sorted_list(batches: list[list[tuple[int, int, int]]]) -> None:
    with TemporaryDirectory() as folder:
        store = Store(Path(folder) / "ledger.sqlite")
        place = 1
        for batch in batches:
            with store.transaction():
                store.add_rows([row(*call) for call in batch], place)
            place += len(batch)
        view = View(store.path, float("inf"))
        found = exact(view, {1, 2}, QUANTILES, START, END)
        view.close()
        store.close()

    values = sorted(us for batch in batches for us, cell, at in batch if cell in (1, 2) and START <= at < END)
    assert found == {q: values[ceil(q * len(values)) - 1] for q in QUANTILES if values}


def row(latency_us: int, cell: int, at: int) -> Row:
    return Row(
        None, at * 1_000_000, cell, 4, 1, 0, 0, 1, 0, latency_us, None, 0, 1, None, None, None, None, None, 1, 0, 1,
        None, None, None,
    )  # fmt: skip
