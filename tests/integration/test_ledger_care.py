"""What happens to counters when something happened to the ledger while the exporter was away."""

from __future__ import annotations

import shutil
import sqlite3
from collections.abc import Iterator
from contextlib import closing, contextmanager
from pathlib import Path

import pytest

from exporter.errors import LedgerError
from tests.integration.conftest import Running, event

COUNTERS = ("llm_requests_total", "llm_tokens_total", "llm_cost_usd_total", "llm_request_duration_seconds_count")
COST = 0.006  # of one call by `event()`: 1,000 tokens at 2 and 500 at 8 dollars a million


@contextmanager
def ledger_of(running: Running) -> Iterator[sqlite3.Connection]:
    """The file of an exporter that is stopped."""
    with closing(sqlite3.connect(running.folder / "ledger.sqlite", isolation_level=None)) as connection:
        yield connection


async def counted(running: Running) -> list[float]:
    return [await running.total(name) for name in COUNTERS]


async def sums(running: Running, level: str) -> tuple[int, int]:
    """Calls and nano-dollars of all hours, or all days, that are stored."""
    await running.exporter.upkeep.checkpoint()
    rows = await running.services.reader.ask(lambda view: list(view.usage(level, 0, float("inf"))))
    return sum(row.values[0] for row in rows), sum(row.values[2] for row in rows)


@pytest.mark.parametrize(
    "damage",
    [
        "DELETE FROM checkpoint",
        "UPDATE checkpoint SET value = substr(value, 1, 3) WHERE kind = 'group'",
        "DELETE FROM checkpoint WHERE kind = 'events'",
    ],
)
async def test_a_lost_checkpoint_is_made_anew_from_the_events(running: Running, damage: str) -> None:
    await running.push(*[event() for _ in range(30)])
    before = await counted(running)
    await running.stop()
    with ledger_of(running) as connection:
        connection.execute(damage)
    await running.start()

    assert await counted(running) == before
    await running.push(event())
    assert await running.total("llm_requests_total") == 31
    assert await sums(running, "hour") == await sums(running, "day") == (31, 31 * 6_000_000)
    await running.restart()
    assert await running.total("llm_requests_total") == 31


async def test_a_lost_checkpoint_of_pruned_events_is_a_question_to_people(running: Running) -> None:
    await running.push(*[event() for _ in range(3)])
    await running.exporter.upkeep.checkpoint()
    await running.push(event())
    await running.stop()
    with ledger_of(running) as connection:
        connection.execute("DELETE FROM chunks WHERE seq = 3")
        connection.execute("DELETE FROM checkpoint")
    with pytest.raises(LedgerError, match=r"oldest events are gone.*repair"):
        await running.start()
    with ledger_of(running) as connection:
        connection.execute("UPDATE meta SET value = 0 WHERE key = 'checkpoint'")
        connection.execute("DELETE FROM chunks")
    await running.start()  # so that the fixture has something to stop


async def test_a_copy_begins_a_new_epoch(running: Running) -> None:
    """A ledger that is older than what Prometheus saw must not go on counting from there."""
    await running.push(*[event(timestamp=running.clock.now()) for _ in range(5)], event(quality_score=0.5, pair_id="p"))
    await running.stop()
    with ledger_of(running) as connection:
        connection.execute("UPDATE meta SET value = 1 WHERE key = 'copied'")
    await running.start()

    assert await counted(running) == [0, 0, 0, 0]
    assert await running.total("llm_quality_score_count") == 0
    assert await running.total("llm_budget_spent_usd", period="daily") == pytest.approx(6 * COST)
    assert await sums(running, "day") == (6, 6 * 6_000_000)
    await running.push(event())
    assert await running.total("llm_requests_total") == 1
    await running.restart()
    assert await running.total("llm_requests_total") == 1  # once, not at every start
    assert await running.total("llm_budget_spent_usd", period="daily") == pytest.approx(7 * COST)
    assert await sums(running, "hour") == (7, 7 * 6_000_000)
    with ledger_of(running) as connection:
        assert connection.execute("SELECT value FROM meta WHERE key = 'epoch'").fetchone() == (2,)


async def test_a_ledger_that_was_set_back_begins_a_new_epoch(running: Running, tmp_path: Path) -> None:
    kept = tmp_path / "kept.sqlite"
    await running.push(event(id="a"), event(id="b"))
    await running.stop()
    shutil.copy(running.folder / "ledger.sqlite", kept)
    await running.start()
    await running.push(event(id="c"))
    await running.stop()
    shutil.copy(kept, running.folder / "ledger.sqlite")
    await running.start()

    assert await running.total("llm_requests_total") == 0
    answer = await running.push(event(id="a"), event(id="c"))
    assert (answer["accepted"], answer["duplicates"]) == (1, 1)
    assert await running.total("llm_requests_total") == 1
    await running.restart()
    assert await running.total("llm_requests_total") == 1


async def test_a_checkpoint_that_cannot_be_stored_is_made_up_for(
    running: Running, monkeypatch: pytest.MonkeyPatch
) -> None:
    await running.push(event())
    store = running.exporter.writer._store

    def full(*_: object) -> None:
        raise LedgerError("disk full")

    with monkeypatch.context() as patch:
        patch.setattr(store, "save_checkpoint", full)
        for _ in range(2):
            with pytest.raises(LedgerError):
                await running.exporter.upkeep.checkpoint()
            await running.push(event())

    assert await sums(running, "hour") == await sums(running, "day") == (3, 3 * 6_000_000)
    await running.restart()
    assert await running.total("llm_requests_total") == 3


async def test_calls_belong_to_their_own_hour_whatever_the_clock_does(running: Running) -> None:
    start = running.clock.now()
    for jump in (0, 3600, -3600, 7200, 86_400, -90_000):
        running.clock.jump(jump)
        await running.push(event(timestamp=running.clock.now()), event(timestamp=running.clock.now() - 40_000))
        await running.exporter.upkeep.checkpoint()

    rows = await running.services.reader.ask(lambda view: list(view.usage("hour", 0, float("inf"))))
    offsets = [0, 3600, 0, 7200, 93_600, 3600]
    wanted: dict[int, int] = {}
    for offset in offsets:
        for at in (start + offset, start + offset - 40_000):
            wanted[int(at // 3600 * 3600)] = wanted.get(int(at // 3600 * 3600), 0) + 1
    found: dict[int, int] = {}
    for row in rows:
        found[row.start] = found.get(row.start, 0) + row.values[0]
    assert found == wanted
