from __future__ import annotations

import asyncio
import time

import pytest

from exporter.client import Client, usage_of

RESPONSE = {"usage": {"input_tokens": 10, "output_tokens": 20, "output_tokens_details": {"reasoning_tokens": 3}}}


async def test_an_awaited_call_is_timed_and_counted(sink):
    async with Client(sink.url) as client, client.call(model="gpt-4.1", category="analysis") as call:
        await asyncio.sleep(0.02)
        call.first_token()
        await asyncio.sleep(0.02)
        call.usage(**usage_of(RESPONSE))
    event = sink.events[call.id]  # leaving the client has flushed it

    assert event["success"] is True
    assert 0.02 <= event["time_to_first_token"] < event["latency"]
    assert (event["input_tokens"], event["output_tokens"], event["reasoning_tokens"]) == (10, 20, 3)


async def test_a_call_that_runs_into_a_timeout_is_a_failure_and_goes_on(sink):
    calls = []

    async def call(model: str, seconds: float | None) -> None:
        async with client.call(model=model) as noted:
            calls.append(noted)
            async with asyncio.timeout(seconds):
                await asyncio.sleep(5)

    async with Client(sink.url) as client:
        with pytest.raises(TimeoutError):
            await call("gpt-4.1", 0.01)
        cancelled = asyncio.create_task(call("gpt-4.1", None))
        await asyncio.sleep(0.01)
        cancelled.cancel()
        with pytest.raises(asyncio.CancelledError):
            await cancelled

    assert [sink.events[noted.id]["success"] for noted in calls] == [False, False]
    assert [sink.events[noted.id]["error_type"] for noted in calls] == ["timeout", "other"]


async def test_concurrent_calls_do_not_hold_each_other_up_while_the_exporter_is_away(unused_port):
    client = Client(f"http://127.0.0.1:{unused_port}", flush_interval=0.01)

    async def one() -> float:
        async with client.call(model="gpt-4.1") as call:
            await asyncio.sleep(0.01)
            call.usage(input_tokens=1, output_tokens=1)
        return time.perf_counter()

    longest = 0.0

    async def heartbeat() -> None:
        nonlocal longest
        while True:
            begun = time.perf_counter()
            await asyncio.sleep(0.005)
            longest = max(longest, time.perf_counter() - begun)

    beating = asyncio.create_task(heartbeat())
    await asyncio.gather(*[one() for _ in range(200)])
    assert not await asyncio.to_thread(client.flush, 0.3)
    beating.cancel()

    assert longest < 0.25  # a connection attempt, a backoff or a flush in the loop would be longer
    assert client.stats().queued in (200, 201)  # with the marker of the flush
    await asyncio.to_thread(client.close, 0.1)
