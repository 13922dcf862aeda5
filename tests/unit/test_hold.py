from __future__ import annotations

from exporter.metrics.hold import Hold
from exporter.totals import Counts


def counter(value: int, touched: float = 0.0) -> Counts:
    counts = Counts(("m",))
    counts.values = [value, 0]
    counts.touched = touched
    return counts


def hold(found: tuple[str, ...] = (), *, idle: float = 0.0) -> Hold[str, Counts]:
    return Hold(found, lambda counts: Counts(counts.key), hold=150.0, idle=idle)


def shown(view: list[Counts]) -> list[int]:
    return [counts.values[0] for counts in view]


def test_a_series_is_born_at_zero_and_true_after_the_hold() -> None:
    view = hold()
    items = {"a": counter(5)}

    assert shown(view.expose(items.items(), 1000.0, Counts.copy)) == [0]
    items["a"].values[0] = 9
    assert shown(view.expose(items.items(), 1149.9, Counts.copy)) == [0]
    assert shown(view.expose(items.items(), 1150.0, Counts.copy)) == [9]


def test_the_hold_begins_with_the_first_exposure_not_with_the_first_event() -> None:
    view = hold()
    items = {"a": counter(5, touched=10.0)}

    assert shown(view.expose(items.items(), 5000.0, Counts.copy)) == [0]


def test_what_the_ledger_held_at_start_is_true_at_once() -> None:
    assert shown(hold(("a",)).expose({"a": counter(1000)}.items(), 0.0, Counts.copy)) == [1000]


def test_a_second_scraper_in_the_hold_sees_the_same() -> None:
    view = hold()
    items = {"a": counter(5)}

    assert (
        shown(view.expose(items.items(), 0.0, Counts.copy))
        == shown(view.expose(items.items(), 1.0, Counts.copy))
        == [0]
    )


def test_an_idle_series_leaves_and_returns_at_its_old_value() -> None:
    view = hold(("a",), idle=60.0)
    items = {"a": counter(1000, touched=0.0)}

    assert shown(view.expose(items.items(), 60.0, Counts.copy)) == [1000]
    assert shown(view.expose(items.items(), 61.0, Counts.copy)) == []
    assert shown(view.expose(items.items(), 70.0, Counts.copy)) == []
    items["a"].values[0], items["a"].touched = 1005, 80.0
    assert shown(view.expose(items.items(), 81.0, Counts.copy)) == [1000]
    assert shown(view.expose(items.items(), 230.0, Counts.copy)) == [1000]
    items["a"].touched = 231.0
    assert shown(view.expose(items.items(), 231.0, Counts.copy)) == [1005]


def test_permanent_label_sets_never_expire() -> None:
    view = hold(("a",), idle=60.0)

    assert shown(view.expose({"a": counter(3)}.items(), 1000.0, Counts.copy, permanent={"a"})) == [3]


def test_no_scraper_ever_sees_a_value_go_back() -> None:
    view = hold(idle=40.0)
    item = counter(0)
    seen: list[int] = []
    for second in range(0, 3000, 15):
        if second % 300 < 100:  # bursts, with pauses long enough to expire
            item.values[0] += 7
            item.touched = float(second)
        seen += shown(view.expose({"a": item}.items(), float(second), Counts.copy))

    assert seen == sorted(seen)
    assert len(seen) < 200  # it did leave the page in between
    assert seen[-1] > 0


def test_what_is_shown_is_a_copy() -> None:
    view = hold(("a",))
    items = {"a": counter(1)}
    (copy,) = view.expose(items.items(), 0.0, Counts.copy)
    items["a"].values[0] = 2

    assert copy.values[0] == 1
