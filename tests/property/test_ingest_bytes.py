"""Whatever bytes arrive, the answer is a refusal or an acceptance, never a failure of ours."""

from __future__ import annotations

import asyncio
import gzip
import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from exporter.catalog import REJECT_REASONS
from exporter.events import Event
from exporter.plan.load import load
from tests.configs import SHIPPED
from tests.integration.conftest import Running, event

PATHS = ("/api/v1/events", "/api/v1/gpt4-migration/track-request", "/api/v1/gpt4-migration/cost/budget")
TYPES = ("application/json", "application/x-ndjson", "application/json; charset=utf-16", "text/plain", "*/*", "")

# Events that are nearly right: fields of a good one replaced by anything that JSON can say.
anything = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False) | st.text(max_size=20),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=5), inner, max_size=3),
    max_leaves=5,
)
FIELDS = (*Event.__struct_fields__, "surprise")
near_events = st.dictionaries(st.sampled_from(FIELDS), anything, max_size=4).map(lambda changes: event(**changes))
bodies = st.one_of(
    st.binary(max_size=300),
    st.text(max_size=100).map(lambda text: text.encode("utf-8", "surrogatepass")),
    st.lists(near_events, max_size=4).map(lambda events: json.dumps(events).encode()),
    near_events.map(lambda one: json.dumps(one).encode()),
    st.lists(near_events, max_size=4).map(lambda events: b"\n".join(json.dumps(one).encode() for one in events)),
)


class Server:
    """An exporter on an event loop of its own, so that examples are plain functions."""

    def __init__(self, folder: Path) -> None:
        self.loop = asyncio.new_event_loop()
        self.running = Running(folder, load(SHIPPED))
        self.loop.run_until_complete(self.running.start())

    def post(self, path: str, body: bytes, headers: dict[str, str]) -> tuple[int, Any]:
        async def send() -> tuple[int, Any]:
            async with self.running.client.post(path, data=body, headers=headers) as answer:
                return answer.status, await answer.json(content_type=None)

        return self.loop.run_until_complete(send())

    def close(self) -> None:
        self.loop.run_until_complete(self.running.stop())
        self.loop.close()


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    made = Server(tmp_path_factory.mktemp("ledger"))
    yield made
    made.close()


@settings(max_examples=400, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    body=bodies, path=st.sampled_from(PATHS), content_type=st.sampled_from(TYPES), compressed=st.sampled_from([0, 1, 2])
)
def test_no_body_makes_the_exporter_fail(
    server: Server, body: bytes, path: str, content_type: str, compressed: int
) -> None:
    headers = {"Content-Type": content_type}
    if compressed:  # 2: a body that only says that it is compressed
        headers["Content-Encoding"] = "gzip"
        body = gzip.compress(body) if compressed == 1 else body
    status, answer = server.post(path, body, headers)

    assert status in (200, 400, 413, 415, 422), answer
    if status != 200:
        assert answer["detail"]
    for rejection in answer.get("rejected", ()):
        assert rejection["reason"] in REJECT_REASONS
        assert rejection["message"]


@settings(max_examples=200, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(events=st.lists(near_events, min_size=1, max_size=6))
def test_every_event_of_a_batch_is_answered_for(server: Server, events: list[dict[str, Any]]) -> None:
    status, answer = server.post("/api/v1/events", json.dumps(events).encode(), {"Content-Type": "application/json"})
    rejected = {rejection["index"] for rejection in answer["rejected"]} if "rejected" in answer else set()

    if status == 400:  # a lone surrogate makes the whole body no JSON
        assert "surrogate" in answer["detail"]
    else:
        assert len(rejected) == len(answer["rejected"])
        assert answer.get("accepted", 0) + answer.get("duplicates", 0) + len(rejected) == len(events)
