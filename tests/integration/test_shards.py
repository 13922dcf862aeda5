"""Several exporters: what a shard shows and refuses, and baselines that the control takes from what all counted."""

from __future__ import annotations

import asyncio
import dataclasses
import hashlib
import json
import re
import sqlite3
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import AsyncExitStack, asynccontextmanager
from pathlib import Path
from typing import Any

import pytest
import yaml
from aiohttp import web
from aiohttp.test_utils import TestServer
from click.testing import CliRunner

from exporter.cli import cli
from exporter.plan.model import ExporterTarget, Plan, Targets, Token
from exporter.runtime import Exporter
from exporter.settings import Settings
from exporter.web import shards
from exporter.web.app import API
from tests.certificates import certificates
from tests.integration.conftest import Running, event
from tests.integration.test_metrics_page import EVERYTHING, OTHER_HALF, UNKNOWN
from tests.serving import serve

# All that is on a shard's page, written out: additive facts, and its own health. Nothing of the plan.
ON_A_SHARDS_PAGE = {
    "llm_requests_total",
    "llm_request_errors_total",
    "llm_request_errors_by_type_total",
    "llm_route_requests_total",
    "llm_tokens_total",
    "llm_cost_usd_total",
    "llm_counterfactual_cost_usd_total",
    "llm_reported_cost_difference_usd_total",
    "llm_unpriced_requests_total",
    "llm_unpriced_tokens_total",
    "llm_request_duration_seconds",
    "llm_time_to_first_token_seconds",
    "llm_quality_score",
    "llm_pair_ratio",
    "llm_pairs_total",
    "llm_budget_spent_usd",
    "llm_exporter_budget_period_start_timestamp_seconds",
    "llm_exporter_last_event_timestamp_seconds",
    "llm_exporter_series",
    "llm_exporter_events_total",
    "llm_exporter_events_rejected_total",
    "llm_exporter_auth_failures_total",
    "llm_exporter_labels_folded_total",
    "llm_exporter_series_dropped_total",
    "llm_exporter_ledger_commit_seconds",
    "llm_exporter_queue_events",
    "llm_exporter_series_limit",
    "llm_exporter_config_last_reload_successful",
    "llm_exporter_config_last_reload_success_timestamp_seconds",
    "llm_exporter_price_book_info",
    "llm_exporter_mode_info",
    "llm_exporter_build_info",
}
ON_SHARDS = {
    ("POST", "/api/v1/events"),
    ("POST", "/api/v1/{migration}/track-request"),
    ("GET", "/api/v1/{migration}/baselines"),
    ("GET", "/config"),
    ("POST", "/-/reload"),
    ("PUT", "/-/reload"),
}
CONTROL = ExporterTarget("control", "http", "control.example:10410", "control")


class Member(Running):
    """One of several exporters, in its mode."""

    def __init__(self, folder: Path, plan: Plan, mode: str, **settings: Any) -> None:
        super().__init__(folder, plan)
        self.settings = {"mode": mode, **settings}

    async def start(self) -> None:
        self.exporter = Exporter(self.plan, Settings(self.folder, (), **self.settings), self.clock)
        self.services = await self.exporter.start()
        self.client = await serve(self.services, self.exporter.tls)
        self.port = self.client.port

    async def call(self, method: str, path: str, body: Any = None, **headers: str) -> tuple[int, dict[str, Any]]:
        options: dict[str, Any] = {} if body is None else {"json": body}
        async with self.client.request(method, path, headers=headers, **options) as answer:
            return answer.status, await answer.json(content_type=None)

    async def post(self, path: str, body: Any = None, **headers: str) -> tuple[int, dict[str, Any]]:
        return await self.call("POST", f"{self.api}{path}", body, **headers)

    def changes(self) -> list[dict[str, Any]]:
        """The audit log, as it is in the file."""
        with sqlite3.connect(f"file:{self.folder / 'ledger.sqlite'}?mode=ro", uri=True) as connection:
            rows = connection.execute("SELECT change FROM changes ORDER BY seq").fetchall()
        connection.close()
        return [json.loads(row[0]) for row in rows]


def aimed(plan: Plan, *exporters: ExporterTarget, **targets: Any) -> Plan:
    return dataclasses.replace(plan, targets=Targets(exporters=exporters, **targets))


@asynccontextmanager
async def started(member: Member) -> AsyncIterator[Member]:
    await member.start()
    try:
        yield member
    finally:
        await member.stop()


@pytest.fixture
async def shard(tmp_path: Path, plan: Plan) -> AsyncIterator[Member]:
    async with started(Member(tmp_path / "shard", aimed(plan, CONTROL), "shard")) as member:
        yield member


class Trio:
    """A control and two shards on sockets, and one exporter alone that is fed the same."""

    def __init__(self, control: Member, first: Member, second: Member, alone: Member) -> None:
        self.control, self.first, self.second, self.alone = control, first, second, alone

    async def push(self, *events: dict[str, Any]) -> None:
        """Events in turn to the three, and all of them to the one."""
        for number, member in enumerate((self.control, self.first, self.second)):
            await member.push(*events[number::3])
        await self.alone.push(*events)

    async def figures(self, member: Member) -> dict[str, dict[frozenset[tuple[str, str]], float]]:
        page = await member.page()
        return {name: page.get(name, {}) for name in ("llm_baseline", "llm_baseline_samples")}


@pytest.fixture
async def trio(tmp_path: Path, plan: Plan) -> AsyncIterator[Trio]:
    async with AsyncExitStack() as stack:
        first, second = [
            await stack.enter_async_context(started(Member(tmp_path / name, aimed(plan, CONTROL), "shard")))
            for name in ("shard-1", "shard-2")
        ]
        known = aimed(
            plan,
            CONTROL,
            ExporterTarget("shard-1", "http", f"127.0.0.1:{first.port}", "shard"),
            ExporterTarget("shard-2", "http", f"127.0.0.1:{second.port}", "shard"),
        )
        control = await stack.enter_async_context(started(Member(tmp_path / "control", known, "control")))
        alone = await stack.enter_async_context(started(Member(tmp_path / "alone", plan, "control")))
        yield Trio(control, first, second, alone)


def calls(count: int, latency: float) -> list[dict[str, Any]]:
    return [
        event(model="gpt-4o", latency=latency * (1 + number % 7), success=number % 5 > 0, output_tokens=100 + number)
        for number in range(count)
    ]


# The shard's surface


async def test_a_shard_publishes_what_it_counted_and_its_health_and_nothing_else(shard: Member) -> None:
    await shard.push(EVERYTHING, OTHER_HALF, UNKNOWN)
    async with shard.client.get("/metrics") as answer:
        types = re.findall(r"(?m)^# TYPE (\S+)", await answer.text())

    assert {name for name in types if not name.startswith(("process_", "python_"))} == ON_A_SHARDS_PAGE
    assert (await shard.page())["llm_exporter_mode_info"] == {frozenset({("mode", "shard")}): 1}
    assert await shard.total("llm_requests_total") == 3
    assert await shard.total("llm_budget_spent_usd", period="daily") > 0


async def test_planned_label_sets_are_at_zero_on_a_shard_too(shard: Member) -> None:
    counts = (await shard.page(scraper=True))["llm_request_duration_seconds_count"]

    assert len(counts) == (4 + 2 + 2) * 6
    assert set(counts.values()) == {0}


@pytest.mark.parametrize(("method", "path", "role"), [entry[:3] for entry in API if entry[:2] not in ON_SHARDS])
async def test_a_shard_refuses_what_is_the_controls_and_names_it(
    shard: Member, method: str, path: str, role: str
) -> None:
    status, problem = await shard.call(method, path.format(migration="gpt4-migration"), {})

    assert status == 409
    assert problem["title"] == "Conflict"
    assert "control at http://control.example:10410" in problem["detail"]
    assert problem["control"] == "http://control.example:10410"
    assert problem["reason"] == "shard"
    assert shard.changes() == []


async def test_every_change_that_the_contract_has_is_among_the_refused_ones() -> None:
    refused = {entry[:2] for entry in API} - ON_SHARDS
    changing = ("cost/budget", "initialize", "advance-phase", "tasks", "hold", "baselines", "thresholds")

    assert {("POST", f"/api/v1/{{migration}}/{name}") for name in changing} <= refused


async def test_a_shard_that_knows_no_control_says_how_to_find_it(tmp_path: Path, plan: Plan) -> None:
    async with started(Member(tmp_path, plan, "shard")) as shard:
        status, problem = await shard.post("/hold", {"hold": True})

    assert status == 409
    assert problem["control"] is None
    assert "--mode=control" in problem["detail"]


async def test_a_shard_asks_who_somebody_is_before_it_says_anything(tmp_path: Path, plan: Plan) -> None:
    async with started(Member(tmp_path, with_tokens(aimed(plan, CONTROL)), "shard")) as shard:
        assert (await shard.post("/hold", {"hold": True}))[0] == 401
        assert (await shard.post("/hold", {"hold": True}, **bearer("viewer")))[0] == 403
        assert (await shard.post("/hold", {"hold": True}, **bearer("operator")))[0] == 409
        assert (await shard.call("GET", f"{shard.api}/baselines"))[0] == 401
        assert (await shard.call("GET", f"{shard.api}/baselines", **bearer("ingest")))[0] == 403
        assert (await shard.call("GET", f"{shard.api}/baselines", **bearer("viewer")))[0] == 200


async def test_a_shard_says_what_it_counted_and_that_it_has_no_baselines(shard: Member) -> None:
    await shard.push(*calls(10, 0.5))
    status, body = await shard.call("GET", f"{shard.api}/baselines")

    assert status == 200
    assert (body["mode"], body["baselines"]) == ("shard", None)
    assert body["totals"]["gpt-4o"]["requests"] == 10
    assert body["totals"]["gpt-4o"]["errors"] == 2
    assert sum(body["totals"]["gpt-4o"]["duration_counts"]) == 10


async def test_a_shard_writes_nothing_of_the_plan_into_its_audit_log(shard: Member, plan: Plan) -> None:
    await shard.restart()
    assert shard.changes() == []
    (migration,) = plan.migrations
    shorter = dataclasses.replace(migration, phases=migration.phases[1:])
    await shard.restart(dataclasses.replace(shard.plan, migrations=(shorter,)))
    assert shard.changes() == []


async def test_a_shard_takes_a_changed_file_over_without_an_entry(tmp_path: Path, plan: Plan) -> None:
    document = yaml.safe_load(plan.text)
    path = tmp_path / "migration.yaml"
    path.write_text(plan.text)
    member = Member(tmp_path / "data", dataclasses.replace(plan, path=path), "shard", lifecycle=True)
    async with started(member) as shard:
        document["prices"] = {"mystery": {"input": 1, "output": 1}}
        document["migrations"][0]["budgets"]["daily"] = 7
        path.write_text(yaml.safe_dump(document))
        status, body = await shard.call("POST", "/-/reload")
        assert (status, body["changed"]) == (200, 0)
        await shard.push(event(model="mystery", input_tokens=10**6, output_tokens=0))

        assert await shard.total("llm_cost_usd_total") == 1
        assert shard.changes() == []


async def test_a_ledger_of_a_control_keeps_its_state_through_a_time_as_shard(tmp_path: Path, plan: Plan) -> None:
    member = Member(tmp_path, plan, "control")
    async with started(member):
        await member.post("/hold", {"hold": True})
        before = member.changes()
        member.settings["mode"] = "shard"
        await member.restart()
        assert "llm_migration_hold" not in await member.page()
        assert (await member.post("/hold", {"hold": False}))[0] == 409
        assert member.changes() == before
        member.settings["mode"] = "control"
        await member.restart()
        assert await member.total("llm_migration_hold") == 1


async def test_pages_for_people_say_the_mode(shard: Member, running: Running) -> None:
    for member, mode in ((shard, "shard"), (running, "control")):
        async with member.client.get("/") as answer:
            page = await answer.text()
        assert f"Mode {mode}" in page
        assert ("<td>Phase</td>" in page) == (mode == "control")
        assert ("of 100.00 USD" in page) == (mode == "control")
        async with member.client.get("/-/healthy") as answer:
            assert mode in await answer.text()
        async with member.client.get("/config") as answer:
            text = await answer.text()
        assert text.startswith(f"# --mode={mode}\n")
        assert yaml.safe_load(text)["version"] == 1
    async with shard.client.get("/") as answer:
        assert '<a href="http://control.example:10410">control</a>' in await answer.text()


async def test_the_page_of_a_control_among_several_shows_no_part_as_the_whole(trio: Trio) -> None:
    async with trio.control.client.get("/") as answer:
        page = await answer.text()

    assert f"http://127.0.0.1:{trio.second.port}" in page
    assert "of 100.00 USD" not in page


def test_another_mode_is_refused() -> None:
    result = CliRunner().invoke(cli, ["serve", "--mode=both"])

    assert result.exit_code == 2
    assert "'control', 'shard'" in result.output


# Baselines over several exporters


async def test_baselines_of_three_exporters_are_those_of_one(trio: Trio) -> None:
    for latency, count in ((0.4, 100), (1.7, 70)):
        await trio.push(*calls(count, latency))
        merged = (await trio.control.post("/baselines", {"reason": "now"}))[1]
        assert (await trio.alone.post("/baselines"))[0] == 200

        assert merged["taken"] == ["gpt-4o"]
        assert merged["exporters"] == ["shard-1", "shard-2"]
        assert merged["baselines"]["gpt-4o"]["samples"] == count
        assert await trio.figures(trio.control) == await trio.figures(trio.alone)
        assert len((await trio.figures(trio.control))["llm_baseline"]) == 7
        await trio.first.restart()
        trio.control.plan = readdressed(trio)
        await trio.control.restart()


def readdressed(trio: Trio) -> Plan:
    """The control's plan, with the shards where they are now."""
    exporters = (
        CONTROL,
        ExporterTarget("shard-1", "http", f"127.0.0.1:{trio.first.port}", "shard"),
        ExporterTarget("shard-2", "http", f"127.0.0.1:{trio.second.port}", "shard"),
    )
    return aimed(trio.control.plan, *exporters)


async def test_leaving_the_first_phase_takes_in_what_the_shards_counted(trio: Trio) -> None:
    await trio.push(*calls(30, 1))
    status, body = await trio.control.post("/advance-phase", {"new_phase": "testing"})

    assert status == 200, body
    assert body["baselines"]["taken"] == ["gpt-4o"]
    assert await trio.control.total("llm_baseline_samples", model="gpt-4o") == 30
    await trio.second.stop()
    status, body = await trio.control.post("/advance-phase", {"new_phase": "gradual_rollout"})
    assert (status, body["baselines"]) == (200, None)  # no baselines, nobody is asked
    await trio.second.start()


async def test_the_beginning_takes_in_what_the_shards_counted(trio: Trio) -> None:
    await trio.push(*calls(60, 1))
    status, body = await trio.control.post("/initialize?phase=testing")

    assert status == 200, body
    assert body["baselines"]["taken"] == ["gpt-4o"]
    assert await trio.control.total("llm_baseline_samples", model="gpt-4o") == 60


async def test_with_a_shard_missing_nothing_is_taken_unless_it_is_left_out(trio: Trio) -> None:
    await trio.push(*calls(90, 0.5))
    await trio.second.client.close()  # nobody listens there any more
    before = trio.control.changes()
    wanted = {
        "/baselines": {},
        "/advance-phase": {"new_phase": "testing"},
        "/initialize?phase=testing": None,
    }
    for path, body in wanted.items():
        status, problem = await trio.control.post(path, body)
        assert status == 503, path
        assert f"shard-2 (http://127.0.0.1:{trio.second.port}): it cannot be reached" in problem["detail"]
        assert "shard-1" not in problem["detail"]
        assert '"without": ["shard-2"]' in problem["detail"]
        assert problem["reason"] == "shard_missing"
    assert trio.control.changes() == before
    assert "llm_baseline" not in await trio.control.page()
    assert await trio.control.total("llm_migration_phase", phase="preparation") == 1

    status, body = await trio.control.post("/baselines", {"without": ["shard-2"], "reason": "it is being moved"})
    assert status == 200
    assert (body["exporters"], body["without"]) == (["shard-1"], ["shard-2"])
    assert body["baselines"]["gpt-4o"]["samples"] == 60
    assert {c["reason"] for c in trio.control.changes() if c["kind"] == "baseline"} == {
        "it is being moved; without shard-2"
    }


async def test_calls_of_a_shard_that_was_left_out_stay_for_the_next_baseline(trio: Trio) -> None:
    await trio.push(*calls(90, 0.5))
    await trio.control.post("/advance-phase", {"new_phase": "testing", "without": ["shard-2"]})
    assert await trio.control.total("llm_baseline_samples", model="gpt-4o") == 60

    _, body = await trio.control.post("/baselines")
    assert body["baselines"]["gpt-4o"]["samples"] == 30


async def test_what_a_request_says_of_a_shard_takes_the_place_of_asking_it(trio: Trio) -> None:
    await trio.push(*calls(90, 0.5))
    _, state = await trio.second.call("GET", f"{trio.second.api}/baselines")
    await trio.second.client.close()
    status, body = await trio.control.post("/baselines", {"exporters": {"shard-2": state["totals"]}})

    assert status == 200
    assert body["baselines"]["gpt-4o"]["samples"] == 90


@pytest.mark.parametrize(
    ("path", "body", "says"),
    [
        ("/baselines", {"without": ["shard-3"]}, "without: shard-3 is no shard of the plan; did you mean `shard-"),
        ("/baselines", {"without": ["control"]}, "control is no shard"),
        ("/baselines", {"without": "shard-1"}, "array"),
        ("/baselines", {"exporters": {"control": {}}}, "would count twice"),
        ("/baselines", {"exporters": {"shard-1": {}}, "without": ["shard-1"]}, "both"),
        ("/advance-phase", {"new_phase": "testing", "without": ["shard-9"]}, "no shard of the plan"),
        ("/initialize?phase=testing&without=shard-9", None, "no shard of the plan"),
    ],
)
async def test_names_that_cannot_be_meant_change_nothing(trio: Trio, path: str, body: Any, says: str) -> None:
    before = trio.control.changes()
    status, problem = await trio.control.post(path, body)

    assert status == 422
    assert says in problem["detail"]
    assert trio.control.changes() == before


async def test_a_step_that_is_refused_anyway_asks_nobody(trio: Trio) -> None:
    await trio.second.client.close()

    assert (await trio.control.post("/advance-phase", {"new_phase": "nowhere"}))[0] == 422
    assert (await trio.control.post("/advance-phase", {"new_phase": "completed"}))[0] == 409
    assert (await trio.control.post("/initialize?phase=nowhere"))[0] == 422


# Shards that answer something else


Handler = Callable[[web.Request], Awaitable[web.StreamResponse]]


@asynccontextmanager
async def posing(tmp_path: Path, plan: Plan, handler: Handler, **targets: Any) -> AsyncIterator[Member]:
    """A control whose only shard is played by a handler."""
    app = web.Application()
    app.router.add_get("/{path:.*}", handler)
    async with TestServer(app) as server:
        target = ExporterTarget("shard-1", "http", f"127.0.0.1:{server.port}", "shard")
        async with started(Member(tmp_path / "control", aimed(plan, CONTROL, target, **targets), "control")) as control:
            await control.push(*calls(30, 1))
            yield control


def answering(status: int = 200, text: str = "", **headers: str) -> Handler:
    async def handler(_: web.Request) -> web.StreamResponse:
        return web.Response(status=status, text=text, headers=headers)

    return handler


MODELS = ("gpt-4", "gpt-4o", "gpt-4o-mini", "gpt-4.5-preview", "gpt-4.1", "gpt-4.1-mini")


def totals(**changes: Any) -> dict[str, Any]:
    counted = {model: changes if model == "gpt-4o" else {} for model in MODELS}
    return {"mode": "shard", "baselines": None, "totals": counted, "timestamp": "2025-05-20T10:00:00Z"}


@pytest.mark.parametrize(
    ("handler", "says"),
    [
        (answering(401), "it wants a token: set targets.exporter_token_file"),
        (answering(403), "must be of role viewer"),
        (answering(404), "give it the same migration.yaml"),
        (answering(500), "status 500"),
        (answering(302, Location="/elsewhere"), "status 302"),
        (answering(200, "<html>"), "not that of a shard of this release"),
        (answering(200, "[" * 100_000), "not that of a shard of this release"),
        (answering(200, "x" * (4 * 1024 * 1024 + 1)), "larger than 4194304 bytes"),
        (answering(200, json.dumps({"totals": {}})), "not that of a shard of this release"),
        (answering(200, json.dumps({**totals(), "mode": "control"})), "start it with --mode=shard"),
        (answering(200, json.dumps({"mode": "shard", "totals": {"gpt-4o": {}}})), "other models"),
        (answering(200, json.dumps(totals(requests=5))), "sums contradict each other"),
        (answering(200, json.dumps(totals(requests=-5))), "not that of a shard of this release"),
    ],
)
async def test_an_answer_that_is_none_takes_no_baseline(
    tmp_path: Path, plan: Plan, handler: Handler, says: str
) -> None:
    async with posing(tmp_path, plan, handler) as control:
        before = control.changes()
        status, problem = await control.post("/baselines")

        assert status == 503
        assert "shard-1 (http://127.0.0.1:" in problem["detail"]
        assert says in problem["detail"]
        assert control.changes() == before


async def test_a_shard_that_does_not_answer_is_waited_for_no_longer_than_said(
    tmp_path: Path, plan: Plan, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(shards, "ANSWER_SECONDS", 0.3)

    async def silent(request: web.Request) -> web.StreamResponse:
        response = web.StreamResponse()
        await response.prepare(request)
        await response.write(b"{")
        await asyncio.sleep(5)
        return response

    async with posing(tmp_path, plan, silent) as control:
        begin = asyncio.get_running_loop().time()
        status, problem = await control.post("/baselines")
        assert (status, asyncio.get_running_loop().time() - begin < 4) == (503, True)
        assert "no answer within 0.3 s" in problem["detail"]


async def test_baselines_asked_for_at_the_same_time_count_each_call_once(tmp_path: Path, plan: Plan) -> None:
    asked = 0

    async def slower_first(_: web.Request) -> web.StreamResponse:
        """Twenty calls more each time; an earlier answer arrives after a later one, if nothing orders them."""
        nonlocal asked
        asked += 1
        count = 20 * asked
        await asyncio.sleep(0.3 / asked)
        return web.json_response(totals(requests=count, duration_counts=[count, *[0] * 16]))

    async with posing(tmp_path, plan, slower_first) as control:
        await asyncio.gather(*(control.post("/baselines") for _ in range(3)))
        samples = [c["after"] for c in control.changes() if c["key"] == "gpt-4o/samples"]

    assert samples == [30 + 20, 20, 20]


# Tokens and certificates


def with_tokens(plan: Plan) -> Plan:
    made = tuple(
        Token(role, role, hashlib.sha256(f"secret-{role}".encode()).hexdigest())
        for role in ("ingest", "viewer", "operator", "admin")
    )
    return dataclasses.replace(plan, tokens=made)


def bearer(role: str) -> dict[str, str]:
    return {"Authorization": f"Bearer secret-{role}"}


async def test_the_control_shows_the_token_of_its_file(tmp_path: Path, plan: Plan) -> None:
    token = tmp_path / "viewer"
    async with started(Member(tmp_path / "shard", with_tokens(plan), "shard")) as shard:
        target = ExporterTarget("shard-1", "http", f"127.0.0.1:{shard.port}", "shard")
        guarded = with_tokens(aimed(plan, CONTROL, target, exporter_token_file=token))
        async with started(Member(tmp_path / "control", guarded, "control")) as control:
            for text, says in (
                (None, "targets.exporter_token_file cannot be used"),
                ("", "does not hold one token"),
                ("two words", "does not hold one token"),
                ("sécret", "cannot be used"),
                ("unknown", "it wants a token"),
                ("secret-ingest", "must be of role viewer"),
            ):
                if text is not None:
                    token.write_text(text)
                status, problem = await control.post("/baselines", {}, **bearer("operator"))
                assert (status, says in problem["detail"]) == (503, True), problem
                assert not text or text not in problem["detail"]
            token.write_text("secret-viewer\n")
            status, body = await control.post("/baselines", {}, **bearer("operator"))
            assert (status, body["exporters"]) == (200, ["shard-1"])


async def test_the_control_believes_only_the_authorities_of_its_file(tmp_path: Path, plan: Plan) -> None:
    certificates(tmp_path)
    config = tmp_path / "web.yml"
    config.write_text("tls_server_config: {cert_file: server.pem, key_file: server.key}\n")
    async with started(Member(tmp_path / "shard", plan, "shard", web_config=config)) as shard:
        target = ExporterTarget("shard-1", "https", f"127.0.0.1:{shard.port}", "shard")
        for file, status, says in (
            (None, 503, "no encrypted connection, see targets.exporter_ca_file"),
            ("missing.pem", 503, "targets.exporter_ca_file cannot be used"),
            ("empty.pem", 503, "targets.exporter_ca_file cannot be used"),
            ("ca.pem", 200, ""),
        ):
            known = aimed(plan, CONTROL, target, exporter_ca_file=tmp_path / file if file else None)
            async with started(Member(tmp_path / "control", known, "control")) as control:
                answered, body = await control.post("/baselines")
                assert answered == status
                assert says in body.get("detail", "")
