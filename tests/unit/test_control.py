from __future__ import annotations

import dataclasses

import msgspec
import pytest

from exporter.control import Author, Change, Control, seal
from exporter.errors import LedgerError, RequestError, UserError
from exporter.plan.model import Budgets
from tests.plans import migration, plan

BY = Author("alice", "api", 5_000_000)


def started() -> Control:
    control = Control()
    apply(control, control.from_file(plan(), 1_000_000))
    return control


def apply(control: Control, changes: list[Change]) -> None:
    for sealed in control.next(changes):
        control.apply(sealed)


def test_a_new_ledger_starts_with_the_files_values_in_the_first_phase() -> None:
    control = started()

    assert control.phase(migration()) == "preparation"
    assert control.entered["gpt4-migration", "preparation"] == 1_000_000
    assert control.budget_limit("gpt4-migration", "daily") == 100 * 10**9
    assert ("error_ratio", "warning", 0.05) in set(control.thresholds("gpt4-migration"))


def test_reading_the_same_file_again_changes_nothing() -> None:
    assert started().from_file(plan(), 9_000_000) == []


def test_a_change_at_run_time_survives_a_reading_of_the_unchanged_file() -> None:
    control = started()
    apply(control, [control.change("budget_limit", "gpt4-migration", "daily", 250 * 10**9, BY)])

    assert control.from_file(plan(), 9_000_000) == []
    assert control.budget_limit("gpt4-migration", "daily") == 250 * 10**9


def test_a_key_that_changes_in_the_file_wins_over_run_time() -> None:
    control = started()
    apply(control, [control.change("budget_limit", "gpt4-migration", "daily", 250 * 10**9, BY)])
    apply(control, control.from_file(plan(migration(daily=120)), 9_000_000))

    assert control.budget_limit("gpt4-migration", "daily") == 120 * 10**9


def test_a_key_that_leaves_the_file_is_no_longer_in_force() -> None:
    control = started()
    without = dataclasses.replace(migration(), thresholds=())
    apply(control, control.from_file(plan(without), 9_000_000))

    assert list(control.thresholds("gpt4-migration")) == []


def test_a_change_says_what_was_before() -> None:
    change = started().change("budget_limit", "gpt4-migration", "daily", 1, BY)

    assert (change.before, change.after, change.actor, change.source) == (100 * 10**9, 1, "alice", "api")


def test_phases_advance_in_order() -> None:
    control = started()
    apply(control, [control.advance(migration(), "testing", BY)])

    assert control.phase(migration()) == "testing"
    assert control.entered["gpt4-migration", "testing"] == 5_000_000


@pytest.mark.parametrize(("to", "status"), [("gradual_rollout", 409), ("preparation", 409), ("nowhere", 422)])
def test_a_step_out_of_order_is_refused_without_a_reason(to: str, status: int) -> None:
    with pytest.raises(RequestError) as caught:
        started().advance(migration(), to, BY)

    assert caught.value.status == status


def test_a_reason_allows_a_step_back_or_forward_but_not_to_the_same_place() -> None:
    control = started()
    because = dataclasses.replace(BY, reason="trial run")

    assert control.advance(migration(), "gradual_rollout", because).reason == "trial run"
    with pytest.raises(RequestError):
        control.advance(migration(), "preparation", because)


def test_a_hold_stops_every_step() -> None:
    control = started()
    apply(control, [control.change("hold", "gpt4-migration", "", True, BY)])

    with pytest.raises(RequestError, match="on hold"):
        control.advance(migration(), "testing", BY)


def test_a_phase_in_use_cannot_leave_the_file() -> None:
    control = started()
    shorter = dataclasses.replace(migration(), phases=migration().phases[1:])

    with pytest.raises(UserError, match="preparation"):
        control.from_file(plan(shorter), 9_000_000)


@pytest.mark.parametrize("damage", ["edit", "drop", "swap"])
def test_a_log_that_other_hands_touched_is_recognised(damage: str) -> None:
    first = Control()
    sealed = first.next(first.from_file(plan(), 1_000_000))
    if damage == "edit":
        change = msgspec.structs.replace(sealed[1].change, after=1)
        sealed[1] = msgspec.structs.replace(sealed[1], text=msgspec.json.encode(change).decode())
    elif damage == "drop":
        del sealed[1]
    else:
        sealed[1], sealed[2] = sealed[2], sealed[1]

    def read_back() -> None:
        for change in sealed:
            first.apply(change)

    with pytest.raises(LedgerError, match="audit log is broken"):
        read_back()


def test_a_later_release_may_know_more_of_a_change() -> None:
    control = Control()
    change = Change(1, "a", "api", "hold", "m", "", None, True)
    text = msgspec.json.encode({**msgspec.to_builtins(change), "address": "192.0.2.1"}).decode()

    control.apply(seal(1, text, control.last_seal))

    assert control.held("m")


def test_the_alert_threshold_of_the_file_holds_for_every_period() -> None:
    limited = dataclasses.replace(migration(), budgets=Budgets({"daily": 10**9}, alert_threshold=0.5))
    control = Control()
    apply(control, control.from_file(plan(limited), 1))

    assert control.budget_alert_threshold("gpt4-migration", "weekly") == 0.5
