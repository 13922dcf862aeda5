"""Questions to a ledger: right answers, deadlines, and no way to change anything."""

from __future__ import annotations

import asyncio
import sqlite3
import time
from pathlib import Path

import pytest

from exporter.errors import LedgerError, TooSlow
from exporter.ledger.reader import Reader, View
from tests.unit.ledger.test_upkeep import NOW, Ledger, call


@pytest.fixture
def ledger(tmp_path: Path) -> Ledger:
    made = Ledger(tmp_path / "ledger.sqlite")
    for hours in (5, 3, 4, 1):  # one comes late
        made.commit([call(NOW - hours * 3600 + second, cost=hours) for second in range(10)])
    made.checkpoint()
    return made


async def test_events_of_a_time_are_found_whatever_chunk_they_came_with(ledger: Ledger) -> None:
    reader = Reader(ledger.store.path)
    start, end = NOW - 4 * 3600 + 5, NOW - 3 * 3600 + 5
    found = await reader.ask(lambda view: [(seq, row.cost) for seq, row in view.rows(start, end)])
    costs = await reader.ask(lambda view: [list(costs) for (costs,) in view.columns(["cost"], start, end)])
    reader.close()

    assert found == [*((seq, 3) for seq in range(11, 16)), *((seq, 4) for seq in range(26, 31))]
    assert costs == [[3] * 10, [4] * 10]


async def test_reading_can_go_on_after_a_place(ledger: Ledger) -> None:
    reader = Reader(ledger.store.path)

    assert await reader.ask(lambda view: [seq for seq, _ in view.rows(after=37)]) == [38, 39, 40]
    reader.close()


async def test_what_takes_too_long_is_ended_in_python_and_in_sql(ledger: Ledger) -> None:
    reader = Reader(ledger.store.path, timeout=0.2)

    def slow(view: View) -> None:
        for _ in view.rows():
            time.sleep(0.05)
        for _ in view.rows():
            time.sleep(0.05)

    def endless(view: View) -> object:
        query = "WITH RECURSIVE n(x) AS (SELECT 1 UNION ALL SELECT x + 1 FROM n) SELECT max(x) FROM n"
        return view._connection.execute(query).fetchone()

    for question in (slow, endless):
        with pytest.raises(TooSlow):
            await asyncio.wait_for(reader.ask(question), 10)
    reader.close()


async def test_closing_does_not_wait_for_a_question(ledger: Ledger) -> None:
    reader = Reader(ledger.store.path, timeout=60)
    started = asyncio.Event()
    loop = asyncio.get_running_loop()

    def endless(view: View) -> object:
        loop.call_soon_threadsafe(started.set)
        query = "WITH RECURSIVE n(x) AS (SELECT 1 UNION ALL SELECT x + 1 FROM n) SELECT max(x) FROM n"
        return view._connection.execute(query).fetchone()

    asked = asyncio.create_task(reader.ask(endless))
    await started.wait()
    begun = time.monotonic()
    reader.close()

    assert time.monotonic() - begun < 10
    with pytest.raises(TooSlow):
        await asked


async def test_a_reader_changes_nothing(ledger: Ledger) -> None:
    reader = Reader(ledger.store.path)
    for statement in ("DELETE FROM chunks", "PRAGMA wal_checkpoint(TRUNCATE)", "DROP TABLE usage"):
        with pytest.raises(LedgerError, match="cannot be read"):
            await reader.ask(lambda view, sql=statement: view._connection.execute(sql).fetchall())
    reader.close()

    assert ledger.places() == list(range(1, 41))


async def test_a_ledger_that_is_gone_is_one_clear_message(tmp_path: Path) -> None:
    reader = Reader(tmp_path / "nowhere.sqlite")
    with pytest.raises(LedgerError, match=r"nowhere\.sqlite cannot be read"):
        await reader.ask(lambda view: list(view.rows()))
    reader.close()


async def test_a_question_does_not_keep_the_writer_from_committing(ledger: Ledger) -> None:
    reader = Reader(ledger.store.path)
    started = asyncio.Event()
    loop = asyncio.get_running_loop()
    goes_on = []

    def question(view: View) -> int:
        rows = view.rows()
        next(rows)
        loop.call_soon_threadsafe(started.set)
        while not goes_on:
            time.sleep(0.01)
        return 1 + sum(1 for _ in rows)

    asked = asyncio.create_task(reader.ask(question))
    await started.wait()
    ledger.store.connection.execute("PRAGMA busy_timeout = 0")
    ledger.commit([call(NOW)])
    with ledger.store.transaction():
        ledger.store.connection.execute("DELETE FROM chunks WHERE seq = 40")  # as pruning may
    assert (
        ledger.store.connection.execute("PRAGMA wal_checkpoint(TRUNCATE)").fetchone()[0] == 0
    )  # nothing holds it back
    goes_on.append(True)

    assert await asked == 31  # what was there when it came by
    reader.close()


def test_a_view_of_a_file_that_is_no_ledger_says_so(tmp_path: Path) -> None:
    (tmp_path / "x").write_text("no ledger " * 100)
    with pytest.raises(sqlite3.DatabaseError):
        list(View(tmp_path / "x", float("inf")).rows())
