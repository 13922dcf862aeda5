"""Totals are a fold: order, duplication, batching and checkpoints change nothing."""

from __future__ import annotations

from bisect import bisect_left
from pathlib import Path
from tempfile import TemporaryDirectory

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from exporter.catalog import DURATION_BUCKETS
from exporter.ledger.schema import SHAPE, USAGE
from exporter.ledger.store import Name, Store
from exporter.totals import Checkpoint, Row, Totals, restore

NAMES = [
    Name(1, "cell", ("m", "source", "gpt-4", "web", "analysis")),
    Name(2, "cell", ("m", "target", "gpt-4.1", "web", "analysis")),
    Name(3, "cell", ("m", "target", "gpt-4.1", "batch", "analysis")),
    Name(4, "route", ("m", "source", "web", "/chat")),
    Name(5, "route", ("m", "target", "web", "/chat")),
    Name(6, "unpriced", ("mystery",)),
    Name(7, "evaluator", ("judge",)),
    Name(8, "evaluator", ("",)),
    Name(9, "group", ("m", "source", "gpt-4", "analysis")),
    Name(10, "group", ("m", "target", "gpt-4.1", "analysis")),
]
count = st.integers(0, 2**53 - 1)
money = st.one_of(st.none(), st.integers(0, 10**18))

rows = st.builds(
    Row,
    id_hash=st.one_of(st.none(), st.integers(0, 40).map(lambda n: n.to_bytes(16, "big"))),
    at_us=st.integers(1_700_000_000_000_000, 1_700_300_000_000_000),
    cell=st.integers(1, 3),
    route=st.integers(4, 5),
    input_tokens=count,
    cached_input_tokens=count,
    cache_write_tokens=count,
    output_tokens=count,
    reasoning_tokens=count,
    latency_us=st.integers(0, 10**13),
    first_token_us=st.one_of(st.none(), st.integers(0, 10**13)),
    error=st.integers(0, 8),
    cost=money,
    counterfactual=money,
    reported=money,
    quality=st.one_of(st.none(), st.integers(0, 1000)),
    evaluator=st.integers(7, 8),
    unpriced=st.just(6),
    model=st.just(1),
    tier=st.integers(0, 3),
    price_version=st.just(1),
    pair=st.none(),
    prompt_hash=st.one_of(st.none(), st.text(st.characters(exclude_categories=["Cs"]), max_size=4)),
    trace_id=st.none(),
)
batches = st.lists(rows, max_size=30)


def empty() -> Totals:
    totals = Totals()
    for name in NAMES:
        totals.add_name(name.id, name.kind, name.value)
    return totals


def state(totals: Totals) -> object:
    """Everything that is published, as plain values."""
    return {
        "cells": {cell.key: cell.values for cell in totals.cells.values()},
        "groups": {
            key: (group.tokens, group.errors, group.duration.counts, group.duration.total)
            for key, group in totals.groups.items()
        },
        "routes": {counts.key: counts.values for counts in totals.routes.values()},
        "unpriced": {counts.key: counts.values for counts in totals.unpriced.values()},
        "first_token": {key: (o.histogram.counts, o.histogram.total) for key, o in totals.first_token.items()},
        "quality": {key: (o.histogram.counts, o.histogram.total) for key, o in totals.quality.items()},
        "spend": totals.spend,
        "last_event": totals.last_event_us,
        "events": totals.events,
    }


def folded(*parts: list[Row]) -> Totals:
    totals = empty()
    for part in parts:
        totals.apply(part, 0.0)
    return totals


def save(store: Store, totals: Totals, at: float, place: int) -> None:
    """Store a checkpoint; what comes after it belongs to the hour and day of the Unix time `at`."""
    checkpoint = Checkpoint(totals, at, place)
    for _ in checkpoint.pack():
        pass
    with store.transaction():
        store.save_checkpoint(checkpoint.rows, checkpoint.pending, checkpoint.seq)


def after_checkpoints(
    live: Totals, restored: Totals, names: list[Name], events: list[Row], cuts: tuple[int, int]
) -> Totals:
    """Fold events into `live` through a real ledger with checkpoints at the cuts; give what a restart makes of it."""
    with TemporaryDirectory() as folder:
        store = Store(Path(folder) / "ledger.sqlite")
        with store.transaction():
            store.add_names(names)
        place = 0
        for cut in sorted((*cuts, len(events))):
            part = events[place:cut]
            if part:
                with store.transaction():
                    store.add_rows(part, place + 1)
            live.apply(part, 0.0)
            place += len(part)
            if cut < len(events):
                save(store, live, events[cut].at_us / 1_000_000, place)
        for kind, key, packed in store.checkpoint():
            restore(restored, kind, key, packed)
        restored.apply(store.rows_after(store.checkpoint_seq()), 0.0)
        store.close()
    return restored


@given(batches, st.randoms())
def test_the_order_of_events_does_not_matter(events: list[Row], random: object) -> None:
    shuffled = events[:]
    random.shuffle(shuffled)  # type: ignore[attr-defined]

    assert state(folded(events)) == state(folded(shuffled))


@given(batches, st.integers(0, 30))
def test_how_events_are_batched_does_not_matter(events: list[Row], cut: int) -> None:
    assert state(folded(events)) == state(folded(events[:cut], events[cut:]))


@settings(max_examples=50, deadline=None)
@given(batches, st.integers(0, 30), st.integers(0, 30))
def test_a_checkpoint_and_what_came_after_it_give_the_live_totals(events: list[Row], first: int, second: int) -> None:
    live = empty()
    restored = after_checkpoints(live, empty(), NAMES, events, (first, second))

    assert state(restored) == state(live)


@given(batches)
def test_sums_are_what_plain_arithmetic_gives(events: list[Row]) -> None:
    totals = folded(events)
    cells = totals.cells.values()

    assert sum(cell.values[0] for cell in cells) == totals.events == len(events)
    assert sum(cell.values[1] for cell in cells) == sum(row.error > 0 for row in events)
    assert sum(cell.values[2] for cell in cells) == sum(row.cost or 0 for row in events)
    assert sum(cell.values[3] for cell in cells) == sum(row.counterfactual or 0 for row in events)
    assert sum(sum(group.tokens) for group in totals.groups.values()) == sum(
        row.input_tokens + row.cached_input_tokens + row.cache_write_tokens + row.output_tokens + row.reasoning_tokens
        for row in events
    )
    assert sum(counts.values[0] for counts in totals.unpriced.values()) == sum(row.cost is None for row in events)
    assert sum(totals.spend.get("m", {}).values()) == sum(row.cost or 0 for row in events)
    bounds = [round(bound * 1_000_000) for bound in DURATION_BUCKETS]
    for place in range(len(bounds) + 1):
        expected = sum(bisect_left(bounds, row.latency_us) == place for row in events)
        assert sum(group.duration.counts[place] for group in totals.groups.values()) == expected


HOURS_AND_DAYS = (("hour", 3600), ("day", 86400))
steps = st.lists(st.tuples(st.lists(rows, max_size=8), st.sampled_from(["", "checkpoint", "lost", "look"])), max_size=8)


@settings(max_examples=80, deadline=None)
@given(steps=steps, at=st.integers(1_700_000_000, 1_700_300_000))
def test_hours_and_days_are_sums_by_each_calls_own_time(steps: list[tuple[list[Row], str]], at: int) -> None:
    """Whatever is stored when, lost in between or looked at: the stored sums are those of plain arithmetic."""
    with TemporaryDirectory() as folder:
        store = Store(Path(folder) / "ledger.sqlite")
        live = empty()
        live.enter(at)
        place = 0
        for part, then in steps:
            live.apply(part, 0.0)
            place += len(part)
            if then == "checkpoint":
                save(store, live, at + 1800 * place, place)
            elif then == "lost":
                checkpoint = Checkpoint(live, at, place)
                for _ in checkpoint.pack():
                    pass
                checkpoint.lost()
            elif then == "look":
                live.view().close()
        save(store, live, at, place)
        usage = store.connection.execute(f"SELECT level, start, cell, {', '.join(USAGE)} FROM usage").fetchall()
        shape = store.connection.execute(f"SELECT level, start, grp, {', '.join(SHAPE)} FROM shape").fetchall()
        store.close()

    events = [row for part, _ in steps for row in part]
    groups = {1: 9, 2: 10, 3: 10}
    bounds = [round(bound * 1_000_000) for bound in DURATION_BUCKETS]
    wanted_usage: dict[tuple[str, int, int], list[int]] = {}
    wanted_shape: dict[tuple[str, int, int], list[int]] = {}
    for row in events:
        difference = abs(row.reported - row.cost) if row.reported is not None and row.cost is not None else 0
        one = [1, int(row.error > 0), row.cost or 0, row.counterfactual or 0, difference, int(row.cost is None)]
        errors = [int(row.error == number) for number in range(1, 9)]
        buckets = [int(bisect_left(bounds, row.latency_us) == place) for place in range(len(bounds) + 1)]
        tokens = [row.input_tokens, row.cached_input_tokens, row.cache_write_tokens, row.output_tokens]
        two = [*tokens, row.reasoning_tokens, *errors, *buckets, row.latency_us]
        for level, seconds in HOURS_AND_DAYS:
            start = row.at_us // 1_000_000 // seconds * seconds
            for wanted, number, values in ((wanted_usage, row.cell, one), (wanted_shape, groups[row.cell], two)):
                known = wanted.setdefault((level, start, number), [0] * len(values))
                known[:] = map(sum, zip(known, values, strict=True))
    for found, wanted, names in ((usage, wanted_usage, USAGE), (shape, wanted_shape, SHAPE)):
        assert {key[:3] for key in found} == set(wanted)
        for level, start, number, *values in found:
            assert values == pytest.approx(wanted[level, start, number], rel=1e-12), names
