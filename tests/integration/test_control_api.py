from __future__ import annotations

import dataclasses
from pathlib import Path
from typing import Any

import pytest

from exporter.errors import LedgerLocked, UserError
from exporter.plan.model import Plan, Token
from exporter.runtime import Exporter, Settings, check_exposure
from tests.integration.conftest import Running, event


async def post(running: Running, path: str, body: Any, **headers: str) -> tuple[int, dict[str, Any]]:
    async with running.client.post(f"{running.api}{path}", json=body, headers=headers) as answer:
        return answer.status, await answer.json(content_type=None)


async def test_a_budget_changed_through_the_api_is_in_force_and_stays(running: Running) -> None:
    status, body = await post(running, "/cost/budget", {"period": "daily", "limit": 250.5, "alert_threshold": 0.9})

    assert status == 200
    assert body == {
        "status": "updated",
        "period": "daily",
        "limit": 250.5,
        "alert_threshold": 0.9,
        "updated_by": "anonymous",
        "timestamp": "2025-05-20T10:00:00Z",
    }
    for _ in range(2):
        assert await running.total("llm_budget_limit_usd", period="daily") == 250.5
        assert await running.total("llm_budget_alert_threshold_ratio", period="daily") == 0.9
        assert await running.total("llm_budget_limit_usd", period="weekly") == 600
        await running.restart()


async def test_a_budget_changed_in_the_file_wins_over_the_api(running: Running) -> None:
    await post(running, "/cost/budget", {"period": "daily", "limit": 250})
    (migration,) = running.plan.migrations
    budgets = dataclasses.replace(migration.budgets, limits={**migration.budgets.limits, "daily": 70 * 10**9})
    await running.restart(
        dataclasses.replace(running.plan, migrations=(dataclasses.replace(migration, budgets=budgets),))
    )

    assert await running.total("llm_budget_limit_usd", period="daily") == 70


@pytest.mark.parametrize(
    "body",
    [
        {"period": "hourly", "limit": 1},
        {"period": "daily", "limit": 0},
        {"period": "daily", "limit": -3},
        {"period": "daily", "limit": "1"},
        {"period": "daily"},
        {"period": "daily", "limit": 1, "alert_threshold": 1.5},
        {"period": "daily", "limit": 1, "treshold": 0.5},
        [],
    ],
)
async def test_a_budget_that_makes_no_sense_changes_nothing(running: Running, body: Any) -> None:
    status, problem = await post(running, "/cost/budget", body)

    assert status == 422
    assert problem["detail"]
    assert await running.total("llm_budget_limit_usd", period="daily") == 100


async def test_a_phase_advances_and_is_remembered(running: Running) -> None:
    status, body = await post(running, "/advance-phase", {"new_phase": "testing"})

    assert status == 200
    assert body["phase_transition"] == {"from": "preparation", "to": "testing"}
    assert body["migration_phase"] == "testing"
    assert body["deadline_info"]["migration_deadline"] == "2025-07-14T23:59:59Z"
    await running.restart()
    page = await running.page()
    assert {dict(key)["phase"]: value for key, value in page["llm_migration_phase"].items()} == {
        "preparation": 0,
        "testing": 1,
        "gradual_rollout": 0,
        "full_migration": 0,
        "completed": 0,
    }
    assert len(page["llm_migration_phase_entered_timestamp_seconds"]) == 2


async def test_a_step_out_of_order_needs_a_reason(running: Running) -> None:
    status, problem = await post(running, "/advance-phase", {"new_phase": "full_migration"})
    assert status == 409
    assert "after preparation comes testing" in problem["detail"]

    status, _ = await post(running, "/advance-phase", {"new_phase": "full_migration", "reason": "rehearsal"})
    assert status == 200


def tokens(plan: Plan) -> Plan:
    import hashlib

    made = tuple(
        Token(role, role, hashlib.sha256(f"secret-{role}".encode()).hexdigest())
        for role in ("ingest", "viewer", "operator", "admin")
    )
    return dataclasses.replace(plan, tokens=made)


REQUESTS = {
    "ingest": ("/track-request", {**event()}),
    "operator": ("/advance-phase", {"new_phase": "testing"}),
    "admin": ("/cost/budget", {"period": "daily", "limit": 5}),
}


@pytest.mark.parametrize("needed", REQUESTS)
@pytest.mark.parametrize("role", ["ingest", "viewer", "operator", "admin", "nobody", None])
async def test_each_role_may_do_what_it_is_for_and_no_more(running: Running, needed: str, role: str | None) -> None:
    await running.restart(tokens(running.plan))
    path, body = REQUESTS[needed]
    headers = {} if role is None else {"Authorization": f"Bearer secret-{role}"}
    status, _ = await post(running, path, body, **headers)
    allowed = {"ingest": {"ingest", "admin"}, "operator": {"operator", "admin"}, "admin": {"admin"}}[needed]

    assert status == (401 if role in (None, "nobody") else 200 if role in allowed else 403)


async def test_refused_tokens_are_counted_and_the_audit_names_who_changed(running: Running) -> None:
    await running.restart(tokens(running.plan))
    await post(running, "/cost/budget", {"period": "daily", "limit": 5})
    await post(running, "/cost/budget", {"period": "daily", "limit": 5}, Authorization="Bearer wrong")
    await post(running, "/cost/budget", {"period": "daily", "limit": 5}, Authorization="Bearer secret-viewer")
    _, body = await post(running, "/cost/budget", {"period": "daily", "limit": 5}, Authorization="Bearer secret-admin")

    assert body["updated_by"] == "admin"
    for reason in ("missing", "unknown", "forbidden"):
        assert await running.total("llm_exporter_auth_failures_total", reason=reason) == 1


async def test_a_foreign_page_in_a_browser_cannot_change_anything(running: Running) -> None:
    status, _ = await post(running, "/cost/budget", {"period": "daily", "limit": 5}, Origin="https://evil.example")

    assert status == 403
    assert await running.total("llm_budget_limit_usd", period="daily") == 100


def test_without_tokens_only_loopback_is_served(plan: Plan, tmp_path: Path) -> None:
    check_exposure(plan, Settings(tmp_path, (("127.0.0.1", 1), ("::1", 1), ("localhost", 1))))
    check_exposure(plan, Settings(tmp_path, (("0.0.0.0", 1),), allow_unauthenticated=True))
    check_exposure(tokens(plan), Settings(tmp_path, (("0.0.0.0", 1),)))
    for host in ("0.0.0.0", "192.0.2.7", "::", "exporter.example"):
        with pytest.raises(UserError, match="loopback"):
            check_exposure(plan, Settings(tmp_path, ((host, 1),)))


async def test_a_second_exporter_on_a_ledger_is_refused_and_told_who_has_it(running: Running) -> None:
    import os

    with pytest.raises(LedgerLocked, match=str(os.getpid())):
        await Exporter(running.plan, Settings(running.folder, ())).start()
