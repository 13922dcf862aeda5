"""Pairs are a fold: what arrives in which order, how often and over which checkpoint, decides as little as possible."""

from __future__ import annotations

from collections import Counter, defaultdict
from fractions import Fraction
from random import Random

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from exporter.catalog import PAIR_OUTCOMES, PAIR_RATIO_BUCKETS
from exporter.ledger.store import Name
from exporter.totals import Row, Totals, pairs
from tests.property.test_fold import after_checkpoints

SOURCE, TARGET, SHADOW, OTHER, ELSEWHERE = 1, 2, 3, 4, 5
NAMES = [
    Name(SOURCE, "cell", ("m", "source", "gpt-4", "web", "analysis")),
    Name(TARGET, "cell", ("m", "target", "gpt-4.1", "web", "chat")),
    Name(SHADOW, "cell", ("m", "shadow", "gpt-4.1", "batch", "analysis")),
    Name(OTHER, "cell", ("", "other", "o1", "web", "analysis")),
    Name(ELSEWHERE, "cell", ("another", "target", "gpt-4.1", "web", "analysis")),
    Name(6, "route", ("m", "source", "web", "")),
    Name(7, "unpriced", ("mystery",)),
]
SIDES = {SOURCE: ("m", "source"), TARGET: ("m", "target"), SHADOW: ("m", "target"), ELSEWHERE: ("another", "target")}
NOON = 1_747_735_200_000_000
HOUR = 3_600_000_000


def row(
    cell: int,
    pair: str | None,
    at_us: int = NOON,
    *,
    latency_us: int = 1_000_000,
    cost: int | None = 1_000_000,
    output: int = 100,
    reasoning: int = 0,
    error: int = 0,
) -> Row:
    return Row(
        id_hash=None,
        at_us=at_us,
        cell=cell,
        route=6,
        input_tokens=10,
        cached_input_tokens=0,
        cache_write_tokens=0,
        output_tokens=output,
        reasoning_tokens=reasoning,
        latency_us=latency_us,
        first_token_us=None,
        error=error,
        cost=cost,
        counterfactual=None,
        reported=None,
        quality=None,
        evaluator=None,
        unpriced=7 if cost is None else None,
        model=1,
        tier=0,
        price_version=1,
        pair=pair,
        prompt_hash=None,
        trace_id=None,
    )


def rows(span: int) -> st.SearchStrategy[list[Row]]:
    """Calls within some microseconds, of few pairs, so that halves meet, repeat and miss each other."""
    one = st.builds(
        row,
        st.sampled_from([SOURCE, TARGET, SHADOW, OTHER, ELSEWHERE]),
        st.one_of(st.none(), st.sampled_from(["p", "q", "r", "s/t"])),
        st.integers(NOON, NOON + span),
        latency_us=st.integers(0, 10**13),
        cost=st.one_of(st.none(), st.integers(0, 10**18)),
        output=st.integers(0, 2**53 - 1),
        reasoning=st.integers(0, 1000),
        error=st.sampled_from([0, 0, 0, 2]),
    )
    return st.lists(one, max_size=25)


def empty() -> Totals:
    totals = Totals()
    for name in NAMES:
        totals.add_name(name.id, name.kind, name.value)
    return totals


def folded(*parts: list[Row]) -> Totals:
    totals = empty()
    for part in parts:
        totals.apply(part, 0.0)
    return totals


def outcomes(totals: Totals, migration: str = "m") -> dict[str, int]:
    """What is not zero."""
    counts = zip(PAIR_OUTCOMES, totals.pairs.of(migration).values, strict=True)
    return {name: count for name, count in counts if count}


def published(totals: Totals) -> object:
    return {
        "outcomes": {name: outcomes(totals, name) for name in ("m", "another")},
        "ratios": {key: (seen.histogram.counts, seen.histogram.total) for key, seen in totals.pairs.ratios.items()},
    }


def state(totals: Totals) -> object:
    return published(totals), list(totals.pairs._waiting.items()), list(totals.pairs._settled.items())


def expected(events: list[Row]) -> object:
    """The definition, for calls that all ended within an hour: by whole pairs, not by arrival."""
    halves: dict[tuple[str, str], dict[str, list[Row]]] = defaultdict(lambda: defaultdict(list))
    for event in events:
        if event.pair is not None and event.cell in SIDES:
            migration, side = SIDES[event.cell]
            halves[migration, event.pair][side].append(event)
    counts: dict[str, Counter[str]] = {"m": Counter(), "another": Counter()}
    ratios: dict[tuple[str, str, str], list[Fraction]] = defaultdict(list)
    for (migration, _), sides in halves.items():
        counts[migration]["duplicate"] += sum(len(calls) - 1 for calls in sides.values())
        if len(sides) == 2:
            counts[migration]["complete"] += 1
            source, target = sides["source"][0], sides["target"][0]
            if source.error or target.error:
                continue
            category = NAMES[source.cell - 1].value[4]
            for quantity, ours, theirs in (
                ("latency", source.latency_us, target.latency_us),
                ("cost", source.cost, target.cost),
                (
                    "output_tokens",
                    source.output_tokens + source.reasoning_tokens,
                    target.output_tokens + target.reasoning_tokens,
                ),
            ):
                if ours and theirs is not None:
                    ratios[migration, category, quantity].append(Fraction(theirs, ours))
    bounds = [Fraction(str(bound)) for bound in PAIR_RATIO_BUCKETS]
    histograms = {}
    for key, values in ratios.items():
        millionths = [int(value * 1_000_000 + Fraction(1, 2)) for value in values]
        counted = [0] * (len(bounds) + 1)
        for value in millionths:
            counted[sum(bound * 1_000_000 < value for bound in bounds)] += 1
        histograms[key] = (counted, sum(millionths))
    return {
        "outcomes": {name: {o: n for o, n in found.items() if n} for name, found in counts.items()},
        "ratios": histograms,
    }


@given(rows(HOUR))
def test_within_an_hour_pairs_are_what_their_definition_says(events: list[Row]) -> None:
    assert published(folded(events)) == expected(events)


@given(rows(HOUR), st.randoms(use_true_random=False))
def test_within_an_hour_order_decides_only_which_of_several_halves_is_compared(
    events: list[Row], random: Random
) -> None:
    shuffled = events[:]
    random.shuffle(shuffled)
    seen: set[object] = set()
    single = [e for e in events if (key := (e.pair, SIDES.get(e.cell))) not in seen and not seen.add(key)]
    random.shuffle(single)

    assert published(folded(shuffled))["outcomes"] == published(folded(events))["outcomes"]  # type: ignore[index]
    assert published(folded(single))["ratios"] == published(folded(events))["ratios"]  # type: ignore[index]


@given(rows(5 * HOUR), st.integers(0, 25), st.integers(0, 25))
def test_how_events_are_batched_does_not_matter(events: list[Row], first: int, second: int) -> None:
    first, second = sorted((first, second))

    assert state(folded(events)) == state(folded(events[:first], events[first:second], events[second:]))


@settings(max_examples=50, deadline=None)
@given(rows(5 * HOUR), st.integers(0, 25), st.integers(0, 25))
def test_a_checkpoint_and_what_came_after_it_give_the_live_pairs(events: list[Row], first: int, second: int) -> None:
    live = empty()
    restored = after_checkpoints(live, empty(), NAMES, events, (first, second))

    assert state(restored) == state(live)
    assert restored.newest_us == live.newest_us


@given(rows(5 * HOUR))
def test_every_half_is_counted_once_and_no_count_ever_falls(events: list[Row]) -> None:
    totals = empty()
    before: dict[str, int] = {}
    for event in events:
        totals.apply([event], 0.0)
        now = Counter(outcomes(totals)) + Counter(outcomes(totals, "another"))
        assert all(now[name] >= count for name, count in before.items())
        before = dict(now)
    totals.apply([row(OTHER, None, NOON + 50 * HOUR)], 0.0)
    end = Counter(outcomes(totals)) + Counter(outcomes(totals, "another"))

    assert not totals.pairs._waiting
    assert not totals.pairs._settled
    halves = sum(event.pair is not None and event.cell in SIDES for event in events)
    assert 2 * end["complete"] + end["source_only"] + end["target_only"] + end["duplicate"] == halves


def test_a_half_waits_an_hour_of_the_ledgers_clock() -> None:
    totals = folded([row(SOURCE, "p"), row(OTHER, None, NOON + HOUR)])
    assert outcomes(totals) == {}
    totals.apply([row(OTHER, None, NOON + HOUR + 1)], 0.0)
    assert outcomes(totals) == {"source_only": 1}
    totals.apply([row(TARGET, "p", NOON + 1)], 0.0)  # too late: it waits for another
    assert outcomes(totals) == {"source_only": 1}
    totals.apply([row(OTHER, None, NOON + 3 * HOUR)], 0.0)
    assert outcomes(totals) == {"source_only": 1, "target_only": 1}


def test_a_pair_that_comes_late_as_a_whole_is_complete() -> None:
    late = [row(TARGET, "p", NOON - 20 * HOUR, latency_us=3_000_000), row(SOURCE, "p", NOON - 20 * HOUR)]
    totals = folded([row(OTHER, None)], late)

    assert outcomes(totals) == {"complete": 1}
    assert totals.pairs.ratios["m", "analysis", "latency"].histogram.total == 3_000_000


@pytest.mark.parametrize("turned", [False, True])
def test_calls_more_than_an_hour_apart_are_no_pair_in_either_order(turned: bool) -> None:
    calls = [row(SOURCE, "p"), row(TARGET, "p", NOON + HOUR + 1)]
    totals = folded(calls[::-1] if turned else calls, [row(OTHER, None, NOON + 9 * HOUR)])

    assert outcomes(totals) == {"source_only": 1, "target_only": 1}


def test_a_further_half_is_a_duplicate_and_changes_no_ratio() -> None:
    totals = folded([row(SOURCE, "p"), row(SOURCE, "p", latency_us=9), row(TARGET, "p"), row(SHADOW, "p", output=7)])

    assert outcomes(totals) == {"complete": 1, "duplicate": 2}
    assert {seen.histogram.total for seen in totals.pairs.ratios.values()} == {1_000_000}


def test_the_same_pair_id_in_two_migrations_is_two_pairs() -> None:
    totals = folded([row(SOURCE, "p"), row(ELSEWHERE, "p"), row(OTHER, None, NOON + 2 * HOUR)])

    assert (outcomes(totals), outcomes(totals, "another")) == ({"source_only": 1}, {"target_only": 1})


def test_a_failed_call_and_a_missing_price_give_no_ratio() -> None:
    failed = folded([row(SOURCE, "p"), row(TARGET, "p", error=1)])
    unpriced = folded([row(SOURCE, "p"), row(TARGET, "p", cost=None)])
    nothing = folded([row(SOURCE, "p", output=0, latency_us=0), row(TARGET, "p")])

    assert (outcomes(failed), failed.pairs.ratios) == ({"complete": 1}, {})
    assert {key[2] for key in unpriced.pairs.ratios} == {"latency", "output_tokens"}
    assert {key[2] for key in nothing.pairs.ratios} == {"cost"}


def test_what_waits_is_bounded_and_the_oldest_goes_first(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(pairs, "MAX_WAITING", 100)
    monkeypatch.setattr(pairs, "MAX_SETTLED", 50)
    totals = folded([row(SOURCE, f"p{n}") for n in range(150)])
    assert outcomes(totals) == {"source_only": 50}
    totals.apply([row(TARGET, f"p{n}") for n in range(50, 150)], 0.0)
    assert outcomes(totals) == {"source_only": 50, "complete": 100}
    assert len(totals.pairs._settled) == 50
    totals.apply([row(TARGET, "p149"), row(TARGET, "p99")], 0.0)  # one that is remembered, one that is not

    assert outcomes(totals) == {"source_only": 50, "complete": 100, "duplicate": 1}
