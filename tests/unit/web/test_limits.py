from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from exporter.clock import ManualClock
from exporter.errors import RequestError
from exporter.plan.model import Limits
from exporter.web import limits
from exporter.web.limits import Buckets, ClientLimits, Patience


def test_a_burst_passes_at_once_and_then_the_rate_holds() -> None:
    clock = ManualClock(0)
    buckets = Buckets(rate=2, burst=3, clock=clock)
    passed = 0
    while not buckets.wait("a"):
        buckets.take("a", 1)
        passed += 1
    assert passed == 3
    assert buckets.wait("a") == 0.5

    clock.advance(0.4)
    assert buckets.wait("a") == pytest.approx(0.1)
    clock.advance(0.1)
    assert buckets.wait("a") == 0


def test_a_batch_larger_than_the_burst_passes_and_is_paid_for_afterwards() -> None:
    clock = ManualClock(0)
    buckets = Buckets(rate=10, burst=10, clock=clock)
    assert buckets.wait("a") == 0
    buckets.take("a", 110)

    assert buckets.wait("a") == pytest.approx(10.1)
    clock.advance(10.1)
    assert buckets.wait("a") == 0


@given(st.lists(st.tuples(st.floats(0, 30), st.integers(1, 50)), min_size=1, max_size=60))
def test_over_time_no_client_gets_more_than_its_rate_and_one_batch(steps: list[tuple[float, int]]) -> None:
    clock = ManualClock(0)
    buckets = Buckets(rate=3, burst=7, clock=clock)
    passed = 0
    for seconds, amount in steps:
        clock.advance(seconds)
        if not buckets.wait("a"):
            buckets.take("a", amount)
            passed += amount

    assert passed <= 3 * clock.monotonic() + 7 + 50


def test_clients_do_not_share_a_bucket() -> None:
    buckets = Buckets(rate=1, burst=1, clock=ManualClock(0))
    buckets.take("a", 1)

    assert buckets.wait("a") > 0
    assert buckets.wait("b") == 0


def test_a_rate_of_zero_lets_everything_pass_and_remembers_nobody() -> None:
    buckets = Buckets(rate=0, burst=0, clock=ManualClock(0))
    for number in range(100):
        buckets.take(str(number), 1000)

    assert buckets.wait("5") == 0
    assert len(buckets) == 0


def test_the_table_is_bounded_and_forgets_who_has_not_asked_for_longest(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(limits, "CLIENTS", 10)
    buckets = Buckets(rate=1, burst=1, clock=ManualClock(0))
    for number in range(100):
        buckets.take(str(number), 1)
        buckets.take("steady", 0.01)

    assert len(buckets) == 10
    assert buckets.wait("steady") > 0
    assert buckets.wait("0") == 0


def test_requests_and_events_are_limited_apart_and_the_answer_says_how_long_to_wait() -> None:
    clock = ManualClock(0)
    client = ClientLimits(Limits(ingest_per_second=100, api_per_minute=2), clock)
    client.request("a")
    client.request("a")
    with pytest.raises(RequestError, match=r"limits\.api_per_minute allows; retry in 30 s") as caught:
        client.request("a")
    assert (caught.value.status, caught.value.reason) == (429, "rate_limited")
    assert caught.value.headers == {"Retry-After": "30"}

    client.ingest("a")
    client.events("a", 350)
    with pytest.raises(RequestError, match=r"limits\.ingest_per_second allows; retry in 3 s"):
        client.ingest("a")
    clock.advance(3)
    client.ingest("a")


def test_guesses_wait_once_they_come_fast_and_for_a_while_only() -> None:
    clock = ManualClock(0)
    patience = Patience(clock)
    wrong = RequestError(401, "this token is not known", reason="unknown")
    delays = [patience.seconds(wrong) for _ in range(limits.QUICK_AT_ONCE + 50)]

    assert delays == [0] * limits.QUICK_AT_ONCE + [limits.LATE_SECONDS] * 50
    clock.advance(1)
    delays = [patience.seconds(wrong) for _ in range(limits.QUICK_PER_SECOND + 1)]
    assert delays == [0] * limits.QUICK_PER_SECOND + [limits.LATE_SECONDS]


@pytest.mark.parametrize(
    ("error", "waits"),
    [
        (RequestError(403, "this needs the role admin"), True),
        (RequestError(429, "too many passwords wait for their check", reason="passwords_wait"), True),
        (RequestError(429, "more than limits.api_per_minute allows", reason="rate_limited"), False),
        (RequestError(422, "not so"), False),
        (ValueError("a bug"), False),
    ],
)
def test_only_whoever_may_be_guessing_waits(error: Exception, waits: bool) -> None:
    patience = Patience(ManualClock(0))
    for _ in range(limits.QUICK_AT_ONCE):
        patience.seconds(RequestError(401, "this token is not known"))

    assert bool(patience.seconds(error)) is waits
