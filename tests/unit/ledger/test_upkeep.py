"""Pruning, compaction and old schemas, on real ledgers."""

from __future__ import annotations

import os
import sqlite3
from collections.abc import Sequence
from pathlib import Path

import pytest

from exporter.errors import LedgerError
from exporter.ledger import pruning, schema
from exporter.ledger.compaction import FEWEST, FULL, LARGE, compact
from exporter.ledger.pruning import Pruning, used_bytes
from exporter.ledger.reader import View
from exporter.ledger.store import Name, Store
from exporter.plan.model import Retention
from exporter.totals import Checkpoint, Row, Totals, restore

DAY = 86_400
NOW = 1_750_000_000
NAMES = [
    Name(1, "group", ("m", "source", "gpt-4", "analysis")),
    Name(2, "cell", ("m", "source", "gpt-4", "web", "analysis")),
    Name(3, "route", ("m", "source", "web", "/chat")),
]


def call(at: float, cost: int = 7) -> Row:
    return Row(
        os.urandom(16), round(at * 1_000_000), 2, 3, 10, 0, 0, 5, 0, 1_000_000, None, 0, cost,
        None, None, None, None, None, 9, 0, 1, None, None, None,
    )  # fmt: skip


class Ledger:
    """A ledger that is written as the exporter writes it."""

    def __init__(self, path: Path) -> None:
        self.store = Store(path)
        self.totals = Totals()
        for name in NAMES:
            self.totals.add_name(name.id, name.kind, name.value)
        with self.store.transaction():
            self.store.add_names(NAMES)

    def commit(self, rows: Sequence[Row]) -> None:
        with self.store.transaction():
            first = self.store.last_seq() + 1
            self.store.add_rows(rows, first)
            keys = [row.id_hash for row in rows if row.id_hash is not None]
            self.store.ids.add(keys, first + len(rows) - 1, NOW // DAY)
        self.totals.apply(rows, 0.0)

    def checkpoint(self) -> None:
        checkpoint = Checkpoint(self.totals, NOW, self.totals.events)
        for _ in checkpoint.pack():
            pass
        with self.store.transaction():
            self.store.save_checkpoint(checkpoint.rows, checkpoint.pending, checkpoint.seq)

    def run(self, step: object, times: int = 1000) -> int:
        """Repeat a step until it has nothing to do; how often it had."""
        for count in range(times):
            with self.store.transaction():
                self.store.ids.add([], self.store.last_seq(), NOW // DAY)
                if not step(self.store):  # type: ignore[operator]
                    return count
        raise AssertionError("it never ends")

    def places(self) -> list[int]:
        query = "SELECT first, seq FROM chunks ORDER BY seq"
        return [place for first, seq in self.store.connection.execute(query) for place in range(first, seq + 1)]

    def forget(self) -> Totals:
        """What a restart makes of it."""
        totals = Totals()
        for name in self.store.names():
            totals.add_name(name.id, name.kind, name.value)
        for kind, key, packed in self.store.checkpoint():
            restore(totals, kind, key, packed)
        totals.apply(self.store.rows_after(self.store.checkpoint_seq()), 0.0)
        return totals


@pytest.fixture
def ledger(tmp_path: Path) -> Ledger:
    return Ledger(tmp_path / "ledger.sqlite")


def prune(ledger: Ledger, **retention: float) -> None:
    """As the exporter does, again and again, until nothing is left to do, also while ids are merged."""
    work = Pruning(Retention(**retention))  # type: ignore[arg-type]
    for _ in range(5):
        ledger.run(lambda store: work.step(store, NOW))


def test_events_beyond_their_age_go_and_totals_stay(ledger: Ledger) -> None:
    for days in (40, 39, 36, 34, 1):
        ledger.commit([call(NOW - days * DAY) for _ in range(10)])
    ledger.checkpoint()
    prune(ledger, events=35 * DAY)

    assert ledger.places() == list(range(31, 51))
    assert ledger.store.last_seq() == 50
    again = ledger.forget()
    assert again.events == 50
    assert again.cells[2].values[:3] == [50, 0, 350]


def test_a_checkpoint_is_never_passed(ledger: Ledger) -> None:
    ledger.commit([call(NOW - 40 * DAY)])
    ledger.checkpoint()
    ledger.commit([call(NOW - 40 * DAY)])
    prune(ledger, events=35 * DAY)

    assert ledger.places() == [2]
    assert ledger.forget().cells[2].values[0] == 2


def test_the_oldest_go_when_the_ledger_is_too_large(ledger: Ledger) -> None:
    for _ in range(60):
        ledger.commit([call(NOW) for _ in range(500)])
    ledger.checkpoint()
    with ledger.store.transaction():
        ledger.store.ids.begin_merge()
    ledger.run(lambda store: store.ids.merged_upto < 30_000)
    limit = used_bytes(ledger.store) * 3 // 4
    prune(ledger, size=limit)

    assert used_bytes(ledger.store) <= limit
    kept = ledger.places()
    assert 0 < len(kept) < 30_000
    assert kept == list(range(kept[0], 30_001))  # the newest ones
    assert ledger.forget().cells[2].values[0] == 30_000


def test_a_pruned_event_that_comes_again_is_still_a_duplicate(ledger: Ledger) -> None:
    rows = [call(NOW - 40 * DAY) for _ in range(20)]
    ledger.commit(rows)
    ledger.checkpoint()
    prune(ledger, events=35 * DAY)

    assert ledger.places() == []
    keys = [row.id_hash for row in rows if row.id_hash is not None]
    assert ledger.store.ids.known(keys) == set(keys)
    ledger.store.close()
    again = Store(ledger.store.path)
    assert again.ids.known(keys) == set(keys)
    again.close()


def test_keys_go_a_day_after_their_event_can_come_no_more(ledger: Ledger, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(pruning, "KEYS", 7)
    today = NOW // DAY
    ages = [30, 35, 36, 37, 38, 400] * 10
    keys = {os.urandom(16): age for age in ages}
    with ledger.store.transaction():
        ledger.store.connection.executemany(
            "INSERT INTO ids VALUES (?, ?)", [(key, today - age) for key, age in keys.items()]
        )
    work = Pruning(Retention(events=35 * DAY))
    for _ in range(3 * len(keys) // 7 + 3):
        with ledger.store.transaction():
            work.keys(ledger.store, NOW)

    left = {key for (key,) in ledger.store.connection.execute("SELECT hash FROM ids")}
    assert left == {key for key, age in keys.items() if age <= 36}


def test_sums_go_by_their_own_age(ledger: Ledger) -> None:
    ledger.commit([call(NOW - days * DAY) for days in (1, 80, 100, 1000, 1200)])
    ledger.checkpoint()
    prune(ledger, hourly=90 * DAY, daily=1095 * DAY)
    view = View(ledger.store.path, float("inf"))

    assert [NOW // DAY - row.start // DAY for row in view.usage("hour", 0, NOW)] == [80, 1]
    assert [NOW // DAY - row.start // DAY for row in view.usage("day", 0, NOW)] == [1000, 100, 80, 1]
    assert len(list(view.shape("day", 0, NOW))) == 4
    view.close()


def test_small_chunks_become_large_ones_and_nothing_changes(ledger: Ledger) -> None:
    for _ in range(300):
        ledger.commit([call(NOW) for _ in range(20)])
    ledger.commit([call(NOW) for _ in range(LARGE)])
    for _ in range(FEWEST - 1):
        ledger.commit([call(NOW)])
    ledger.checkpoint()
    before = list(ledger.store.rows_after(0))
    ledger.run(compact)
    sizes = [b - a + 1 for a, b in ledger.store.connection.execute("SELECT first, seq FROM chunks ORDER BY seq")]

    assert sizes[0] == 4100 >= FULL
    assert sizes[-FEWEST:] == [LARGE, *[1] * (FEWEST - 1)]  # too few to be worth it, for now
    assert sum(sizes) == len(before) == 6000 + LARGE + FEWEST - 1
    assert list(ledger.store.rows_after(0)) == before
    assert list(ledger.store.rows_after(4000)) == before[4000:]
    assert ledger.places() == list(range(1, len(before) + 1))


def test_chunks_after_the_checkpoint_are_left_alone(ledger: Ledger) -> None:
    for _ in range(2 * FEWEST):
        ledger.commit([call(NOW) for _ in range(200)])
    ledger.run(compact)

    assert len(ledger.store.connection.execute("SELECT 1 FROM chunks").fetchall()) == 2 * FEWEST


def test_a_ledger_of_the_first_schema_is_brought_up_to_date(tmp_path: Path) -> None:
    path = tmp_path / "ledger.sqlite"
    fresh, merged = call(NOW - 3600, 11), call(NOW - 2 * DAY, 13)
    connection = sqlite3.connect(path, isolation_level=None)
    for step in schema.STEPS[0]:
        step(connection)
    connection.execute(f"PRAGMA application_id = {schema.APPLICATION_ID}")
    connection.execute("PRAGMA user_version = 1")
    for name in NAMES:
        text = "[" + ",".join(f'"{part}"' for part in name.value) + "]"
        connection.execute("INSERT INTO names VALUES (?, ?, ?)", (name.id, name.kind, text))
    for seq, row in enumerate((merged, fresh), start=1):
        connection.execute(f"INSERT INTO events VALUES ({', '.join('?' * 24)})", (seq, *row[1:]))
    connection.execute("INSERT INTO ids VALUES (?, ?)", (merged.id_hash, 20_000))
    connection.execute("INSERT INTO fresh_ids VALUES (1, 20001, ?)", (fresh.id_hash,))
    connection.close()

    store = Store(path)
    assert list(store.rows_after(0)) == [merged._replace(id_hash=None), fresh._replace(id_hash=None)]
    assert store.ids.known([fresh.id_hash, merged.id_hash, b"?" * 16]) == {fresh.id_hash, merged.id_hash}  # type: ignore[list-item]
    costs = store.connection.execute(
        "SELECT start, cost_nanousd FROM usage WHERE level = 'day' ORDER BY start"
    ).fetchall()
    assert costs == [((NOW - 2 * DAY) // DAY * DAY, 13), ((NOW - 3600) // DAY * DAY, 11)]
    assert store.connection.execute("PRAGMA user_version").fetchone() == (schema.VERSION,)
    store.close()
    Store(path).close()  # and opens again


def test_a_step_that_fails_leaves_the_old_schema(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "ledger.sqlite"

    def fail(connection: sqlite3.Connection) -> None:
        raise sqlite3.OperationalError("database or disk is full")

    monkeypatch.setattr(schema, "STEPS", (schema.STEPS[0], (*schema.STEPS[1], fail)))
    with pytest.raises(LedgerError, match="full"):
        Store(path)
    monkeypatch.undo()
    connection = sqlite3.connect(path)
    assert connection.execute("PRAGMA user_version").fetchone() == (1,)
    assert not connection.execute("SELECT 1 FROM sqlite_master WHERE name = 'chunks'").fetchall()
    connection.close()
    Store(path).close()
