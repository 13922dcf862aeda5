"""Tasks, hold, baselines, thresholds and the audit log, over HTTP."""

from __future__ import annotations

import dataclasses
import hashlib
import sqlite3
from typing import Any

import pytest

from exporter.plan.model import Plan, Token
from tests.integration.conftest import Running, event


async def post(running: Running, path: str, body: Any = None, **headers: str) -> tuple[int, dict[str, Any]]:
    options: dict[str, Any] = {} if body is None else {"json": body}
    async with running.client.post(f"{running.api}{path}", headers=headers, **options) as answer:
        return answer.status, await answer.json(content_type=None)


async def get(running: Running, path: str, **headers: str) -> tuple[int, dict[str, Any]]:
    async with running.client.get(f"{running.api}{path}", headers=headers) as answer:
        return answer.status, await answer.json(content_type=None)


async def everything(running: Running) -> list[dict[str, Any]]:
    """The whole audit log, page by page, newest first."""
    found: list[dict[str, Any]] = []
    path = "/audit?limit=3"
    while True:
        status, page = await get(running, path)
        assert status == 200
        found += page["changes"]
        if page["next_before"] is None:
            return found
        path = f"/audit?limit=3&before={page['next_before']}"


async def test_a_ticked_task_is_on_the_next_page_and_stays(running: Running) -> None:
    wanted = {"phase": "testing", "task": "Quality validation", "done": True}
    status, body = await post(running, "/tasks", wanted)

    assert status == 200
    assert (body["status"], body["updated_by"], body["timestamp"]) == ("updated", "anonymous", "2025-05-20T10:00:00Z")
    (testing,) = [phase for phase in body["phases"] if phase["phase"] == "testing"]
    assert (testing["done"], testing["total"]) == (1, 4)
    assert {"task": "Quality validation", "done": True} in testing["tasks"]
    for _ in range(2):
        assert await running.total("llm_migration_task_done") == 1
        assert await running.total("llm_migration_task_done", phase="testing", task="Quality validation") == 1
        _, state = await get(running, "/tasks")
        assert state["phases"] == body["phases"]
        await running.restart()

    assert (await post(running, "/tasks", wanted))[1]["status"] == "unchanged"
    assert (await post(running, "/tasks", {**wanted, "done": False}))[1]["status"] == "updated"
    assert await running.total("llm_migration_task_done") == 0


async def test_a_task_without_a_phase_is_one_of_the_present_phase(running: Running) -> None:
    await post(running, "/tasks", {"task": "Cost optimization"})

    assert await running.total("llm_migration_task_done", phase="preparation", task="Cost optimization") == 1


@pytest.mark.parametrize(
    ("body", "says"),
    [
        ({"task": "Quality validation"}, "it is a task of testing"),
        ({"task": "cost Optimization"}, "did you mean `Cost optimization`"),
        ({"task": "Lunch"}, "its tasks are Monitoring system setup"),
        ({"task": "Cost analysis", "phase": "tesing"}, "did you mean `testing`"),
        ({"task": "Cost analysis", "phase": "testing", "done": 1}, "done"),
        ({"task": "Cost analysis", "phase": "testing", "don": True}, "don"),
        ({"phase": "testing"}, "task"),
        ([], "object"),
    ],
)
async def test_a_task_that_is_not_in_the_plan_changes_nothing(running: Running, body: Any, says: str) -> None:
    status, problem = await post(running, "/tasks", body)

    assert status == 422
    assert says in problem["detail"]
    assert await running.total("llm_migration_task_done") == 0


async def test_a_hold_stops_the_phases_until_it_is_released(running: Running) -> None:
    status, body = await post(running, "/hold", {"hold": True, "reason": "incident 7"})
    assert status == 200
    assert (body["status"], body["hold"], body["reason"]) == ("held", True, "incident 7")
    await running.restart()

    assert await running.total("llm_migration_hold") == 1
    status, problem = await post(running, "/advance-phase", {"new_phase": "testing"})
    assert status == 409
    assert "on hold" in problem["detail"]

    assert (await post(running, "/hold", {"hold": False}))[1]["status"] == "released"
    assert await running.total("llm_migration_hold") == 0
    assert (await post(running, "/advance-phase", {"new_phase": "testing"}))[0] == 200
    assert (await post(running, "/hold", {"hold": "yes"}))[0] == 422
    assert (await post(running, "/hold", {}))[0] == 422


async def baseline(running: Running, model: str) -> dict[str, float]:
    page = await running.page()
    return {
        dict(labels)["name"]: value
        for labels, value in page.get("llm_baseline", {}).items()
        if dict(labels)["model"] == model
    }


async def test_leaving_preparation_takes_baselines_that_outlive_a_restart(running: Running) -> None:
    calls = [event(model="gpt-4o", latency=latency, success=latency < 4) for latency in [1.5] * 30 + [4.0] * 10]
    await running.push(*calls, *[event(model="gpt-4.1", shadow=True)] * 30)
    assert await baseline(running, "gpt-4o") == {}
    running.clock.advance(60)
    left = running.clock.now()
    status, body = await post(running, "/advance-phase", {"new_phase": "testing"})

    assert status == 200
    assert body["phase_transition"] == {"from": "preparation", "to": "testing"}
    assert body["baselines"]["taken"] == ["gpt-4o"]
    assert "0 live calls" in body["baselines"]["missing"]["gpt-4.1"]
    for _ in range(2):
        # gpt-4o: $2.50 and $10 a million; 1000 in, 500 out: 0.0025 + 0.005
        assert await baseline(running, "gpt-4o") == pytest.approx(
            {
                "latency_mean_seconds": (30 * 1.5 + 10 * 4) / 40,
                "latency_p50_seconds": 1 + 20 / 30,
                "latency_p95_seconds": 3 + 2 * 8 / 10,
                "error_ratio": 0.25,
                "cost_per_request_usd": 0.0075,
                "tokens_per_request": 1500,
                "output_tokens_per_usd": 500 / 0.0075,
            }
        )
        assert await running.total("llm_baseline_samples", model="gpt-4o") == 40
        assert await running.total("llm_baseline_timestamp_seconds", model="gpt-4o") == left
        assert await baseline(running, "gpt-4.1") == {}
        await running.restart()
        running.clock.jump(60)
    assert (await post(running, "/advance-phase", {"new_phase": "gradual_rollout"}))[1]["baselines"] is None


async def test_baselines_are_taken_again_on_request_from_the_calls_since(running: Running) -> None:
    await running.push(*[event(model="gpt-4o", latency=4)] * 25)
    assert (await post(running, "/baselines"))[1]["status"] == "taken"
    await running.restart()
    await running.push(*[event(model="gpt-4o", latency=0.2)] * 19)
    status, body = await post(running, "/baselines", {"reason": "new prompt"})
    assert status == 200
    assert body["status"] == "not_taken"
    assert body["missing"]["gpt-4o"] == "19 live calls since the last baseline; a baseline needs 20"
    assert (await baseline(running, "gpt-4o"))["latency_mean_seconds"] == 4

    await running.push(event(model="gpt-4o", latency=0.2))
    _, body = await post(running, "/baselines", {"reason": "new prompt"})
    assert body["taken"] == ["gpt-4o"]
    assert body["baselines"]["gpt-4o"]["samples"] == 20
    assert body["baselines"]["gpt-4o"]["timestamp"] == "2025-05-20T10:00:00Z"
    assert (await baseline(running, "gpt-4o"))["latency_mean_seconds"] == 0.2


async def test_what_another_exporter_counted_is_merged_from_its_own_answer(running: Running) -> None:
    await running.push(*[event(model="gpt-4o", latency=0.2)] * 12)
    _, state = await get(running, "/baselines")
    assert state["totals"]["gpt-4o"]["requests"] == 12
    status, body = await post(running, "/baselines", {"exporters": {"shard-1": state["totals"]}})
    assert status == 200
    assert body["baselines"]["gpt-4o"]["samples"] == 24
    assert await running.total("llm_baseline_samples") == 24

    broken = {"gpt-4o": {**state["totals"]["gpt-4o"], "requests": 13}}
    for exporters in ({"shard-1": broken}, {"": {}}, {"shard-1": {"gpt-4o": {"requests": -1}}}, {"shard-1": 3}):
        status, problem = await post(running, "/baselines", {"exporters": exporters})
        assert status == 422
        assert problem["detail"]


async def test_a_model_without_a_price_never_gets_a_cost_of_nothing(running: Running) -> None:
    (migration,) = running.plan.migrations
    moved = dataclasses.replace(migration, models={**migration.models, "house-llm": "gpt-4.1"})
    await running.restart(dataclasses.replace(running.plan, migrations=(moved,)))
    await running.push(*[event(model="house-llm")] * 20)
    _, body = await post(running, "/baselines")

    assert "20 of 20 calls have no known price" in body["missing"]["house-llm"]
    found = await baseline(running, "house-llm")
    assert found["tokens_per_request"] == 1500
    assert "cost_per_request_usd" not in found
    await running.exporter.upkeep.checkpoint()
    await running.restart()
    _, state = await get(running, "/baselines")
    assert state["totals"]["house-llm"]["unpriced"] == 20


async def threshold(running: Running, name: str, severity: str) -> float:
    labels = {"migration": running.plan.migrations[0].name, "name": name, "severity": severity}
    return (await running.page())["llm_threshold"][frozenset(labels.items())]


async def test_thresholds_change_in_both_spellings_and_are_published(running: Running) -> None:
    status, body = await post(running, "/thresholds", {"error_rate_warning": 3.0, "latency_seconds": {"critical": 20}})

    assert status == 200
    assert body["thresholds"]["error_rate_warning"] == 3.0
    assert body["thresholds"]["error_ratio"] == {"warning": 0.03, "critical": 0.1}
    assert body["thresholds"]["latency_critical"] == 20
    for _ in range(2):
        assert await threshold(running, "error_ratio", "warning") == 0.03
        assert await threshold(running, "latency_mean_seconds", "critical") == 20
        assert await threshold(running, "latency_mean_seconds", "warning") == 5
        assert (await get(running, "/thresholds"))[1]["thresholds"] == body["thresholds"]
        await running.restart()
    assert (await post(running, "/thresholds", body["thresholds"]))[1]["status"] == "unchanged"


@pytest.mark.parametrize(
    "body",
    [
        {"error_rate_warning": 30},
        {"error_rate_warnings": 3},
        {"latency_warning": -1},
        {"error_rate_warning": 3, "reason": 7},
        {"reason": "no threshold"},
        [],
        3,
    ],
)
async def test_thresholds_that_make_no_sense_change_nothing(running: Running, body: Any) -> None:
    status, problem = await post(running, "/thresholds", body)

    assert status == 422
    assert problem["detail"]
    assert await threshold(running, "error_ratio", "warning") == 0.05


async def test_a_threshold_changed_in_the_file_wins_over_the_api(running: Running) -> None:
    await post(running, "/thresholds", {"error_rate_warning": 3.0})
    (migration,) = running.plan.migrations
    changed = tuple(
        dataclasses.replace(one, value=0.04) if (one.name, one.severity) == ("error_ratio", "warning") else one
        for one in migration.thresholds
    )
    moved = dataclasses.replace(migration, thresholds=changed)
    await running.restart(dataclasses.replace(running.plan, migrations=(moved,)))

    assert (await get(running, "/thresholds"))[1]["thresholds"]["error_rate_warning"] == 4.0


async def test_the_audit_log_tells_every_change_newest_first_and_its_chain_holds(running: Running) -> None:
    await running.push(*[event(model="gpt-4o")] * 20)
    await post(running, "/thresholds", {"error_rate_warning": 3.0, "reason": "too lax"})
    await running.restart()
    await post(running, "/tasks", {"task": "Cost optimization"})
    await post(running, "/tasks", {"task": "Cost optimization"})  # changes nothing, is no entry
    await post(running, "/cost/budget", {"period": "daily", "limit": 250.5})
    await post(running, "/baselines")
    _, page = await get(running, "/audit?limit=1000")
    changes = page["changes"]

    assert [change["seq"] for change in changes] == list(range(len(changes), 0, -1))
    assert page["next_before"] is None
    assert page["head"] == {"seq": changes[0]["seq"], "seal": changes[0]["seal"]}
    assert changes == await everything(running)
    by_api = [change for change in reversed(changes) if change["source"] == "api"]
    assert [(change["kind"], change["key"]) for change in by_api[:3]] == [
        ("threshold", "error_ratio/warning"),
        ("task", "preparation/Cost optimization"),
        ("budget_limit", "daily"),
    ]
    assert {change["kind"] for change in by_api[3:]} == {"baseline"}
    assert (by_api[0]["before"], by_api[0]["after"], by_api[0]["reason"]) == (0.05, 0.03, "too lax")
    assert (by_api[2]["before"], by_api[2]["after"]) == (100, 250.5)
    assert by_api[0]["timestamp"] == "2025-05-20T10:00:00Z"
    previous = "0" * 64
    for change in reversed(changes):
        assert change["previous"] == previous
        sealed = f"{previous}\n{change['seq']}\n{change['text']}".encode()
        previous = hashlib.sha256(sealed).hexdigest()
        assert change["seal"] == previous


async def test_the_audit_log_of_one_migration_leaves_out_the_others(running: Running) -> None:
    (migration,) = running.plan.migrations
    other = dataclasses.replace(
        migration, name="claude-migration", models={"claude-3-opus": "claude-opus-4"}, default_predecessor={}
    )
    await running.restart(dataclasses.replace(running.plan, migrations=(migration, other)))
    mine = await everything(running)
    running.api = "/api/v1/claude-migration"
    theirs = await everything(running)

    assert mine
    assert theirs
    assert not {change["seq"] for change in mine} & {change["seq"] for change in theirs}


@pytest.mark.parametrize(
    "query",
    ["limit=0", "limit=1001", "limit=ten", "limit=-1", "before=0", "before=", "befor=3", f"before={'9' * 5000}"],
)
async def test_a_question_to_the_audit_log_that_makes_no_sense_is_refused(running: Running, query: str) -> None:
    status, problem = await get(running, f"/audit?{query}")

    assert status == 422
    assert problem["detail"]


async def test_the_audit_log_is_read_while_the_ledger_is_being_written(running: Running) -> None:
    writing = sqlite3.connect(next(running.folder.glob("*.sqlite")), isolation_level=None)
    try:
        writing.execute("BEGIN IMMEDIATE")
        status, page = await get(running, "/audit")
        assert status == 200
        assert page["changes"]
    finally:
        writing.close()


async def test_initialize_begins_where_the_work_is_and_only_once(running: Running) -> None:
    await running.push(*[event(model=model) for model in running.plan.migrations[0].models] * 20)
    status, body = await post(running, "/initialize?phase=testing")

    assert status == 200
    assert {key: body[key] for key in ("status", "migration_phase", "baselines_established", "budgets_configured")} == {
        "status": "initialized",
        "migration_phase": "testing",
        "baselines_established": True,
        "budgets_configured": True,
    }
    assert body["alerts_tested"] is None
    assert (await post(running, "/initialize?phase=testing"))[0] == 200
    assert (await post(running, "/initialize"))[0] == 409
    assert (await post(running, "/initialize?phase=gradual_rollout"))[0] == 409
    assert (await post(running, "/initialize?phase=nowhere"))[0] == 422
    assert await running.total("llm_migration_phase", phase="testing") == 1


async def test_initialize_without_calls_says_that_there_are_no_baselines(running: Running) -> None:
    _, body = await post(running, "/initialize")

    assert (body["migration_phase"], body["baselines_established"]) == ("preparation", False)
    assert "a baseline needs 20" in body["baselines"]["missing"]["gpt-4o"]


def tokens(plan: Plan) -> Plan:
    made = tuple(
        Token(role, role, hashlib.sha256(f"secret-{role}".encode()).hexdigest())
        for role in ("ingest", "viewer", "operator", "admin")
    )
    return dataclasses.replace(plan, tokens=made)


READERS, OPERATORS, ADMINS = {"viewer", "operator", "admin"}, {"operator", "admin"}, {"admin"}
CALLS = {
    "GET /tasks": (READERS, None),
    "GET /baselines": (READERS, None),
    "GET /thresholds": (READERS, None),
    "GET /audit": (ADMINS, None),
    "POST /tasks": (OPERATORS, {"task": "Cost optimization"}),
    "POST /hold": (OPERATORS, {"hold": True}),
    "POST /baselines": (OPERATORS, {}),
    "POST /initialize": (OPERATORS, None),
    "POST /thresholds": (ADMINS, {"error_rate_warning": 3}),
}


async def test_each_role_may_do_what_it_is_for_and_no_more(running: Running) -> None:
    await running.restart(tokens(running.plan))
    for call, (allowed, body) in CALLS.items():
        method, path = call.split()
        for role in ("ingest", "viewer", "operator", "admin", "nobody", None):
            headers = {} if role is None else {"Authorization": f"Bearer secret-{role}"}
            status, _ = await (
                get(running, path, **headers) if method == "GET" else post(running, path, body, **headers)
            )
            expected = 401 if role in (None, "nobody") else 200 if role in allowed else 403
            assert status == expected, f"{call} as {role}"
    _, page = await get(running, "/audit", Authorization="Bearer secret-admin")
    assert {change["actor"] for change in page["changes"]} == {"file", "operator", "admin"}


@pytest.mark.parametrize("path", ["/tasks", "/hold", "/baselines", "/thresholds"])
async def test_bodies_that_are_not_json_are_refused(running: Running, path: str) -> None:
    for content_type, status in (("application/json", 400), ("text/plain", 415)):
        headers = {"Content-Type": content_type}
        async with running.client.post(f"{running.api}{path}", data=b"{", headers=headers) as answer:
            assert answer.status == status
            assert answer.content_type == "application/problem+json"
