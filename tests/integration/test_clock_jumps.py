"""The wall clock set forward and back by an hour, and over midnight: what counts, what waits, what is refused."""

from __future__ import annotations

import asyncio
import dataclasses
import json
from collections import Counter
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest

from exporter.plan.model import Plan
from tests.commands import run
from tests.integration.conftest import NOW, Running, event
from tests.plans import at

HOUR = 3600.0
COST = 0.006  # USD of one `event()`: 1000 x 2 + 500 x 8 a million
JUMPS = (HOUR, -HOUR, -HOUR, HOUR, 14 * HOUR, -14 * HOUR, 0.5, -0.5)


@pytest.fixture
async def late(running: Running) -> Running:
    """Half past eleven at night."""
    running.clock.advance(at("2025-05-20T23:30:00") - NOW)
    return running


def counters(page: dict[str, dict[frozenset[tuple[str, str]], float]]) -> dict[tuple[str, Any], float]:
    """The ledger's counters; those of the process begin anew with it."""
    ends = ("_total", "_count", "_sum", "_bucket")
    return {
        (name, labels): value
        for name, samples in page.items()
        if name.startswith("llm_") and not name.startswith("llm_exporter_") and name.endswith(ends)
        for labels, value in samples.items()
    }


@pytest.mark.parametrize("scraper", [True, False])
async def test_no_counter_goes_back_whatever_the_clock_does(running: Running, scraper: bool) -> None:
    before: dict[tuple[str, Any], float] = {}
    for number, jump in enumerate(JUMPS * 2):
        await running.push(
            event(application=f"app-{number}", trace_id="a" * 32, pair_id=str(number)),
            event(model="gpt-4o", pair_id=str(number), quality_score=0.5, time_to_first_token=0.1),
        )
        now = counters(await running.page(scraper=scraper))
        fallen = {name: (value, now.get(name)) for name, value in before.items() if now.get(name, -1) < value}
        assert fallen == {}
        before = now
        running.clock.jump(jump)
        running.clock.advance(40)
        if number % 5 == 4:
            await running.restart()  # what is known of the time before comes from the ledger

    assert await running.total("llm_requests_total") == 4 * len(JUMPS)


async def spent(running: Running, period: str = "daily") -> float:
    return await running.total("llm_budget_spent_usd", period=period)


async def test_budgets_are_those_of_the_day_that_the_clock_says(late: Running) -> None:
    await late.push(event())
    assert await spent(late) == pytest.approx(COST)

    late.clock.jump(HOUR)  # half past midnight
    assert await spent(late) == 0
    await late.push(event(), event())
    assert await spent(late) == pytest.approx(2 * COST)

    late.clock.jump(-HOUR)  # an error, corrected: what came meanwhile is of tomorrow
    assert await spent(late) == pytest.approx(COST)
    await late.push(event())
    assert await spent(late) == pytest.approx(2 * COST)
    assert await spent(late, "weekly") == pytest.approx(4 * COST)
    await late.restart()
    assert await spent(late) == pytest.approx(2 * COST)

    late.clock.advance(HOUR)  # the real midnight
    assert await spent(late) == pytest.approx(2 * COST)
    assert await late.total("llm_budget_period_start_timestamp_seconds", period="daily") == at("2025-05-21")
    assert await late.total("llm_cost_usd_total") == pytest.approx(4 * COST)


async def test_sums_by_hour_and_day_are_those_of_the_calls_own_times(late: Running) -> None:
    expected: Counter[datetime] = Counter()
    for jump in JUMPS * 2:
        await late.push(event())
        expected[datetime.fromtimestamp(late.clock.now(), UTC)] += 1
        late.clock.jump(jump)
        await asyncio.sleep(0)
        await late.exporter.upkeep.checkpoint()
    await late.stop()
    folder = str(late.folder)

    def exported(kind: str) -> Counter[datetime]:
        code, out, err = run("export", "--storage.path", folder, "--kind", kind)
        assert (code, err) == (0, "")
        found: Counter[datetime] = Counter()
        for row in map(json.loads, out.splitlines()):
            found[datetime.fromisoformat(row["start"])] += row["requests"]
        return +found

    by_hour: Counter[datetime] = Counter()
    by_day: Counter[datetime] = Counter()
    for moment, count in expected.items():
        by_hour[moment.replace(minute=0, second=0, microsecond=0)] += count
        by_day[moment.replace(hour=0, minute=0, second=0, microsecond=0)] += count
    assert exported("hourly") == by_hour
    assert exported("daily") == by_day
    await late.start()


async def test_a_time_ahead_is_refused_and_taken_when_it_has_come(running: Running) -> None:
    """A sender whose clock is an hour ahead, and an exporter whose clock is an hour behind: the same thing."""
    ahead = event(id="a", timestamp=NOW + HOUR)
    answer = await running.push(ahead, event(id="b", timestamp=NOW + 299), event(id="c"))
    assert answer["accepted"] == 2
    assert [(rejection["index"], rejection["reason"]) for rejection in answer["rejected"]] == [(0, "in_future")]
    assert await running.total("llm_exporter_events_rejected_total", reason="in_future") == 1

    running.clock.jump(-HOUR)
    answer = await running.push(event(id="d", timestamp=NOW), status=422)
    assert answer["rejected"][0]["reason"] == "in_future"
    await running.push(event(id="e"))  # who leaves the time to the exporter goes on

    running.clock.jump(HOUR)
    assert (await running.push(event(id="d", timestamp=NOW)))["accepted"] == 1
    running.clock.advance(HOUR - 300)
    answer = await running.push(ahead, event(id="b"), event(id="c"), event(id="d"), event(id="e"))
    assert (answer["accepted"], answer["duplicates"]) == (1, 4)
    assert await running.total("llm_requests_total") == 5


@pytest.mark.parametrize("jump", [HOUR, -HOUR])
async def test_a_hold_lasts_as_long_as_it_lasts(running: Running, jump: float) -> None:
    await running.page(scraper=True)
    await running.push(event())
    assert await running.total("llm_requests_total", scraper=True) == 0

    running.clock.jump(jump)
    running.clock.advance(149)
    assert await running.total("llm_requests_total", scraper=True) == 0
    running.clock.advance(2)
    assert await running.total("llm_requests_total", scraper=True) == 1


@pytest.mark.parametrize("jump", [HOUR, -HOUR])
async def test_rate_limits_pay_off_in_real_time(running: Running, plan: Plan, jump: float) -> None:
    limits = dataclasses.replace(plan.limits, ingest_per_second=10, api_per_minute=6)
    await running.restart(dataclasses.replace(plan, limits=limits))

    async def ask() -> tuple[int, str | None]:
        async with running.client.get("/config") as answer:
            return answer.status, answer.headers.get("Retry-After")

    await running.push(*(event() for _ in range(20)))
    assert [(await ask())[0] for _ in range(7)] == [200] * 6 + [429]
    running.clock.jump(jump)
    assert (await ask()) == (429, "10")
    await running.push(event(), status=429)
    running.clock.advance(1.2)
    await running.push(event())
    running.clock.advance(8.9)
    assert (await ask())[0] == 200


async def test_a_series_expires_by_real_time(running: Running, with_limits: Callable[..., Plan]) -> None:
    await running.push(event(model="claude-3-opus"))
    await running.restart(with_limits(expire_idle=600.0))
    assert await running.total("llm_requests_total", scraper=True) == 1

    running.clock.jump(HOUR)
    assert await running.total("llm_requests_total", scraper=True) == 1
    running.clock.jump(-HOUR)
    running.clock.advance(601)
    assert "llm_requests_total" not in await running.page(scraper=True)


async def test_the_page_says_that_an_application_is_alive_when_the_clock_was_ahead_and_is_right_again(
    running: Running,
) -> None:
    """The newest call stays the newest: its time is shown until the clock has caught up with it."""
    running.clock.jump(HOUR)
    await running.push(event())
    running.clock.jump(-HOUR)
    await running.push(event())

    assert await running.total("llm_exporter_last_event_timestamp_seconds", application="web") == NOW + HOUR
    running.clock.advance(2 * HOUR)
    await running.push(event())
    assert await running.total("llm_exporter_last_event_timestamp_seconds", application="web") == NOW + 2 * HOUR


def test_nothing_but_the_clock_asks_for_the_time_of_day() -> None:
    """What is not asked of it, these tests would not see jump; demo, client and commands are programs of their own."""
    folder = Path(__file__).parents[2] / "exporter"
    own = {"clock.py", "client.py"}
    found = [
        f"{path.relative_to(folder)}: {words}"
        for path in folder.rglob("*.py")
        if path.name not in own and path.relative_to(folder).parts[0] not in ("demo", "replay", "cli")
        for words in ("time.time(", "time.time_ns(", "datetime.now(", ".utcnow(", "date.today(")
        if words in path.read_text()
    ]
    assert found == []
