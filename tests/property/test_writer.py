"""Duplication and order through the real writer: whatever arrives how often, in whatever groups, counts once."""

from __future__ import annotations

import asyncio
import random
from collections.abc import Sequence
from contextlib import contextmanager
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

from hypothesis import given, settings
from hypothesis import strategies as st

from exporter.clock import ManualClock
from exporter.errors import LedgerError
from exporter.ledger.store import Store
from exporter.ledger.writer import Writer
from exporter.totals import Row
from tests.property.test_fold import NAMES, empty, folded, rows, state

# Rows with ids, of which each id stands for one content: a client that retries sends the same again.
identified = st.lists(rows, min_size=1, max_size=25, unique_by=lambda row: row.id_hash).map(
    lambda made: [row for row in made if row.id_hash is not None]
)


@settings(max_examples=60, deadline=None)
@given(events=identified, seed=st.integers(0, 2**32), failures=st.integers(0, 3))
def test_any_order_and_any_duplication_of_events_give_the_same_totals(
    events: list[Row], seed: int, failures: int
) -> None:
    chance = random.Random(seed)
    sent = events + [chance.choice(events) for _ in range(len(events))] if events else []
    chance.shuffle(sent)
    batches: list[list[Row]] = []
    while sent:
        cut = chance.randint(1, 6)
        batches.append(sent[:cut])
        sent = sent[cut:]

    with TemporaryDirectory() as folder:
        totals = asyncio.run(write(Path(folder) / "ledger.sqlite", batches, failures, chance))
        store = Store(Path(folder) / "ledger.sqlite")
        replayed = empty()
        replayed.apply(store.rows_after(0), 0.0)
        store.close()

    assert state(totals) == state(folded(events))
    assert state(replayed) == state(totals)


async def write(path: Path, batches: list[list[Row]], failures: int, chance: random.Random) -> Any:
    """Send the batches, some at once, with commits that fail in between; a client sends failed ones again."""
    store = Store(path)
    real = store.transaction
    left = failures

    @contextmanager
    def failing() -> Any:
        nonlocal left
        with real():
            yield
            if left and chance.random() < 0.5:
                left -= 1
                raise LedgerError("disk full")

    store.transaction = failing  # type: ignore[method-assign]
    totals = empty()

    def fold(new: Sequence[Row], _: int) -> None:
        totals.apply(new, 0.0)

    writer = Writer(store, ManualClock(0), fold)
    for name in NAMES:
        writer.add_name(name)
    writer.start()
    waiting = list(batches)
    while waiting:
        at_once = waiting[: chance.randint(1, 4)]
        waiting = waiting[len(at_once) :]
        results = await asyncio.gather(*[writer.append(batch) for batch in at_once], return_exceptions=True)
        for batch, result in zip(at_once, results, strict=True):
            if isinstance(result, LedgerError):
                waiting.append(batch)
            else:
                assert isinstance(result, int)
    await writer.stop()
    return totals
