"""The queue between the application's threads and the sender: order, limit, counts, and what it costs."""

from __future__ import annotations

import gc
import itertools
import signal
import threading
import time

import pytest

from exporter.client import _WIDTH, Client, _Queue
from tests.processes import wait_for


def track(client: Client, number: int = 1) -> str:
    return client.track_api_request("gpt-4", number, 1, 0.1, True)


def test_events_arrive_in_the_order_in_which_they_were_tracked(sink):
    client = Client(sink.url, batch=300)
    ids = [track(client, number) for number in range(5000)]
    assert client.close()
    assert list(sink.events) == ids
    assert [event["input_tokens"] for event in sink.events.values()] == list(range(5000))


def test_ids_are_unique_over_threads_and_clients(sink):
    clients = [Client(sink.url) for _ in range(3)]
    ids = []

    def work(client):
        ids.extend([track(client) for _ in range(3000)])

    threads = [threading.Thread(target=work, args=(client,)) for client in clients * 2]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert all(client.close() for client in clients)
    assert len(set(ids)) == len(ids) == 3 * 2 * 3000
    assert set(sink.events) == set(ids)


@pytest.mark.parametrize("limit", [1, 7, 50, 1000])
def test_every_event_is_sent_queued_or_dropped_and_the_limit_holds(unused_port, new_sink, limit):
    client = Client(f"http://127.0.0.1:{unused_port}", queue=limit, batch=100, flush_interval=0.01)
    most = 0

    def work():
        nonlocal most
        for _ in range(2000):
            track(client)
            most = max(most, len(client._queue))

    threads = [threading.Thread(target=work) for _ in range(3)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    stats = client.stats()
    assert stats.dropped + stats.queued == 6000
    assert stats.queued <= limit + 100  # and one batch that is under way
    assert most <= limit + 3 * 100 + 3  # each thread may use up a block of ids between two looks at the limit
    with new_sink().running(unused_port) as late:
        client.flush(10)
        wait_for(lambda: client.stats().queued == 0, "all is sent")
        assert client.stats().dropped + len(late.events) == 6000
        client.close()


def test_a_flush_does_not_call_answered_what_was_dropped(unused_port, new_sink):
    client = Client(f"http://127.0.0.1:{unused_port}", queue=10, flush_interval=0.01)
    track(client)
    wait_for(lambda: client.stats().retries, "one event is under way")
    for _ in range(5):
        track(client)
    answers = []
    flushing = threading.Thread(target=lambda: answers.append(client.flush(20)))
    flushing.start()
    wait_for(lambda: client._markers, "the flush waits")
    for _ in range(40):
        track(client)
    assert client.stats().dropped > 5
    with new_sink().running(unused_port):
        flushing.join()
        assert answers == [False]
        assert client.flush(10)
        client.close()


def test_closing_lets_go_who_flushes_in_another_thread(unused_port):
    client = Client(f"http://127.0.0.1:{unused_port}", flush_interval=0.01)
    track(client)
    answers = []
    flushing = threading.Thread(target=lambda: answers.append(client.flush(None)))
    flushing.start()
    wait_for(lambda: client._markers, "the flush waits")
    assert not client.close(0.1)
    flushing.join(10)
    assert answers == [False]
    client._reset()


def test_what_was_under_way_when_the_client_was_closed_is_sent_after_the_next_start(unused_port, new_sink):
    client = Client(f"http://127.0.0.1:{unused_port}", flush_interval=0.01, batch=2)
    ids = [track(client) for _ in range(5)]
    assert not client.close(0.1)
    assert client.stats().queued == 5
    with new_sink().running(unused_port) as late:
        ids.append(track(client))
        assert client.close()
        assert list(late.events) == ids
        assert client.stats().sent == 6


def test_tracked_events_are_nothing_to_the_garbage_collector(unused_port):
    client = Client(f"http://127.0.0.1:{unused_port}", flush_interval=60, batch=10**6)
    track(client)
    gc.collect()
    gc.disable()
    try:
        before = gc.get_count()[0]
        for _ in itertools.repeat(None, 2000):
            client.track_api_request("gpt-4", 1, 1, 0.1, True, category="analysis", cached_input_tokens=1)
        assert gc.get_count()[0] - before < 50
    finally:
        gc.enable()
    client.close(0.01)
    client._reset()


def test_a_signals_handler_may_track_too(unused_port):
    client = Client(f"http://127.0.0.1:{unused_port}", queue=1)  # every event drops another one, under the lock
    ids = []
    old = signal.signal(signal.SIGALRM, lambda *_: ids.append(track(client)))
    signal.setitimer(signal.ITIMER_REAL, 0.0005, 0.0005)
    try:
        end = time.monotonic() + 0.3
        while time.monotonic() < end:
            ids.append(track(client))
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0)
        signal.signal(signal.SIGALRM, old)
    stats = client.stats()
    assert len(set(ids)) == len(ids) == stats.dropped + stats.queued
    client.close(0.01)
    client._reset()


def test_a_long_queue_is_taken_in_order_whatever_is_added_meanwhile():
    queue = _Queue()
    for number in range(20_000):
        queue.values.extend(queue_row(number))
    assert len(queue) == 20_000
    queue.drop(9000)  # more than is moved at once
    taken = []
    number = 20_000
    while rows := queue.take(499):
        taken += rows
        queue.values.extend(queue_row(number) if number < 20_010 else ())
        number += 1
    assert [row[0] for row in taken] == list(range(9000, 20_010))
    assert {len(row) for row in taken} == {_WIDTH}
    assert (queue.removed, len(queue)) == (20_010, 0)


def queue_row(number: int) -> tuple[object, ...]:
    return (number, *[None] * (_WIDTH - 1))
