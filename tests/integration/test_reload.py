"""Reading the configuration again while events come and pages are shown."""

from __future__ import annotations

import asyncio
import copy
from collections.abc import AsyncIterator, Callable
from pathlib import Path
from typing import Any

import bcrypt
import pytest
import yaml

from exporter.errors import ConfigError, LedgerError, UserError
from exporter.plan.load import load
from exporter.runtime import Exporter
from exporter.settings import Settings
from tests.certificates import certificates
from tests.configs import SHIPPED
from tests.integration.conftest import Running, event
from tests.serving import serve

ADMIN = {"Authorization": "Bearer test"}
DIGEST = "9f86d081884c7d659a2feaa0c55ad015a3bf4f1b2b0b822cd15d6c15b0f00a08"  # SHA-256 of "test"


class Configured(Running):
    """An exporter whose file the test may change."""

    def __init__(self, folder: Path, **settings: Any) -> None:
        self.path = folder / "migration.yaml"
        self.document: dict[str, Any] = yaml.safe_load(SHIPPED.read_text())
        self.write()
        super().__init__(folder / "data", load(self.path))
        self.settings = settings

    async def start(self) -> None:
        self.exporter = Exporter(
            load(self.path), Settings(self.folder, (), lifecycle=True, **self.settings), self.clock
        )
        self.services = await self.exporter.start()
        self.client = await serve(self.services)

    def write(self) -> None:
        self.path.write_text(yaml.safe_dump(self.document, sort_keys=False))

    async def reload(self, change: Callable[[dict[str, Any]], object]) -> tuple[int, dict[str, Any]]:
        """Change the file, and ask for a reload."""
        change(self.document)
        self.write()
        async with self.client.post("/-/reload") as answer:
            return answer.status, await answer.json(content_type=None)

    @property
    def migration(self) -> dict[str, Any]:
        migration: dict[str, Any] = self.document["migrations"][0]
        return migration


@pytest.fixture
async def configured(tmp_path: Path) -> AsyncIterator[Configured]:
    exporter = Configured(tmp_path)
    await exporter.start()
    yield exporter
    await exporter.stop()


async def test_a_changed_budget_is_in_force_and_in_the_audit_log(configured: Configured) -> None:
    configured.clock.advance(60)
    status, body = await configured.reload(lambda _: configured.migration["budgets"].update(daily=70))

    assert status == 200
    assert body == {"status": "reloaded", "changed": 1, "timestamp": "2025-05-20T10:01:00Z"}
    assert await configured.total("llm_budget_limit_usd", period="daily") == 70
    assert await configured.total("llm_exporter_config_last_reload_successful") == 1
    assert await configured.total("llm_exporter_config_last_reload_success_timestamp_seconds") == configured.clock.now()
    async with configured.client.get(f"{configured.api}/audit") as answer:
        changes = (await answer.json())["changes"]
    newest = max(changes, key=lambda change: change["seq"])
    assert (newest["kind"], newest["before"], newest["after"]) == ("budget_limit", 100, 70), newest
    assert newest["source"] == "file"


async def test_a_value_changed_over_the_api_outlives_a_reload_that_does_not_touch_it(configured: Configured) -> None:
    async with configured.client.post(f"{configured.api}/cost/budget", json={"period": "daily", "limit": 42}) as answer:
        assert answer.status == 200

    await configured.reload(lambda _: configured.migration["budgets"].update(weekly=650))
    assert await configured.total("llm_budget_limit_usd", period="daily") == 42
    assert await configured.total("llm_budget_limit_usd", period="weekly") == 650

    await configured.reload(lambda _: configured.migration["budgets"].update(daily=90))
    assert await configured.total("llm_budget_limit_usd", period="daily") == 90


def break_file(document: dict[str, Any]) -> None:
    document["categoris"] = []
    document["migrations"][0]["budgets"]["daily"] = -1


async def test_a_broken_file_leaves_everything_as_it_is_and_says_why(configured: Configured) -> None:
    before = await configured.page()
    status, body = await configured.reload(break_file)

    assert status == 422
    assert "the last configuration stays in use" in body["detail"]
    assert {problem["key"] for problem in body["problems"]} == {"categoris", "migrations[0].budgets.daily"}
    assert all(problem["line"] for problem in body["problems"])
    after = await configured.page()
    assert after["llm_exporter_config_last_reload_successful"] == {frozenset(): 0}
    name = "llm_exporter_config_last_reload_success_timestamp_seconds"
    assert after[name] == before[name]
    assert after["llm_budget_limit_usd"] == before["llm_budget_limit_usd"]

    status, _ = await configured.reload(lambda document: document.update(yaml.safe_load(SHIPPED.read_text())))
    assert status == 422  # the unknown key is still there
    status, _ = await configured.reload(lambda document: document.pop("categoris"))
    assert status == 200
    assert await configured.total("llm_exporter_config_last_reload_successful") == 1


async def test_a_file_without_the_phase_that_a_migration_is_in_is_refused(configured: Configured) -> None:
    status, body = await configured.reload(lambda _: configured.migration["phases"].pop(0))

    assert status == 422
    assert "is in phase preparation, which migration.yaml no longer has" in body["detail"]
    assert configured.services.plan.migrations[0].phases[0].name == "preparation"


async def test_a_ledger_that_cannot_be_written_leaves_the_old_plan_whole(
    configured: Configured, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(*_: object) -> asyncio.Future[None]:
        future: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        future.set_exception(LedgerError("disk full"))
        return future

    monkeypatch.setattr(configured.exporter.writer, "record", refuse)
    plan = configured.services.plan

    def change(document: dict[str, Any]) -> None:
        document["migrations"][0]["budgets"]["daily"] = 70
        document["migrations"][0]["models"]["gpt-3.5-turbo"] = "gpt-4.1"

    status, _ = await configured.reload(change)

    assert status == 503
    assert configured.services.plan is plan
    assert await configured.total("llm_budget_limit_usd", period="daily") == 100
    assert await configured.total("llm_exporter_config_last_reload_successful") == 0
    await configured.push(event(model="gpt-3.5-turbo"))
    assert await configured.total("llm_requests_total", role="source", model="gpt-3.5-turbo") == 0


async def test_events_keep_the_labels_and_the_price_that_they_came_with(configured: Configured) -> None:
    def change(document: dict[str, Any]) -> None:
        document["migrations"][0]["models"] = {"gpt-4": "gpt-5", "gpt-4o": "gpt-5"}
        document["migrations"][0]["default_predecessor"] = {"gpt-5": "gpt-4o"}
        document["prices"] = {"gpt-4.1": [{"input": 1000, "output": 1000}]}

    await configured.push(event(model="gpt-4.1"))  # 1000 x $2 + 500 x $8 a million
    cost = 0.006
    assert await configured.total("llm_cost_usd_total", role="target") == pytest.approx(cost)

    status, body = await configured.reload(change)
    assert status == 200, body
    await configured.push(event(model="gpt-4.1"))  # 1500 x $1000 a million

    assert await configured.total("llm_requests_total", role="target", model="gpt-4.1") == 1
    assert await configured.total("llm_cost_usd_total", role="target", model="gpt-4.1") == pytest.approx(cost)
    assert await configured.total("llm_requests_total", role="other", model="gpt-4.1") == 1
    assert await configured.total("llm_cost_usd_total", role="other", model="gpt-4.1") == pytest.approx(1.5)
    before = await configured.page()
    await configured.restart()
    after = await configured.page()
    assert before["llm_requests_total"] == after["llm_requests_total"]
    assert before["llm_cost_usd_total"] == after["llm_cost_usd_total"]


def second_migration(document: dict[str, Any]) -> None:
    second = copy.deepcopy(document["migrations"][0])
    second.update(name="claude", models={"claude-3-opus": "claude-3-5-sonnet"}, default_predecessor={})
    document["migrations"].append(second)


async def test_a_new_migration_appears_at_zero_and_its_first_events_are_held_back(configured: Configured) -> None:
    labels = {"migration": "claude", "role": "source", "model": "claude-3-opus", "category": "analysis"}
    await configured.page(scraper=True)
    assert frozenset(labels.items()) not in (await configured.page())["llm_request_duration_seconds_count"]

    status, body = await configured.reload(second_migration)
    assert status == 200, body
    await configured.push(event(model="claude-3-opus"))
    held = await configured.page(scraper=True)
    assert held["llm_request_duration_seconds_count"][frozenset(labels.items())] == 0
    assert await configured.total("llm_request_duration_seconds_count", **labels) == 1
    assert await configured.total("llm_migration_phase", migration="claude") == 1

    configured.clock.advance(151)
    assert await configured.total("llm_request_duration_seconds_count", scraper=True, **labels) == 1


async def test_a_removed_migration_keeps_its_counters_and_loses_its_plan(configured: Configured) -> None:
    await configured.reload(second_migration)
    await configured.push(event(model="claude-3-opus"))

    status, body = await configured.reload(lambda document: document["migrations"].pop())
    assert status == 200, body
    await configured.push(event(model="claude-3-opus"))

    assert await configured.total("llm_requests_total", migration="claude") == 1
    assert await configured.total("llm_requests_total", model="claude-3-opus", migration="") == 1
    page = await configured.page()
    for name in ("llm_migration_phase", "llm_budget_limit_usd", "llm_threshold", "llm_migration_info"):
        assert not [labels for labels in page[name] if ("migration", "claude") in labels], name
    async with configured.client.post("/api/v1/claude/track-request", json=event()) as answer:
        assert answer.status == 404


async def test_tokens_of_the_file_are_in_force_at_once(configured: Configured) -> None:
    async with configured.client.get("/config") as answer:
        assert answer.status == 200
    await configured.reload(
        lambda document: document.update(tokens=[{"name": "boss", "role": "admin", "sha256": DIGEST}])
    )

    async with configured.client.get("/config") as answer:
        assert answer.status == 401
    async with configured.client.get("/config", headers=ADMIN) as answer:
        shown = yaml.safe_load(await answer.text())
    assert shown["tokens"] == [{"name": "boss", "role": "admin", "sha256": "<secret>"}]
    async with configured.client.post("/-/reload") as answer:
        assert answer.status == 401
    async with configured.client.put("/-/reload", headers=ADMIN) as answer:
        assert answer.status == 200


async def test_limits_of_the_file_are_in_force_at_once(configured: Configured) -> None:
    await configured.reload(lambda document: document["limits"].update(body_bytes="1KiB", batch=2))

    body = await configured.push(event(), event(), event(), status=413)
    assert "batch" in body["detail"] or "2" in body["detail"]
    body = await configured.push(event(application="a" * 2000), status=413)
    assert body["reason"] == "too_large"


async def test_the_shown_configuration_is_the_one_in_force_not_the_one_on_disk(configured: Configured) -> None:
    await configured.reload(break_file)

    async with configured.client.get("/config") as answer:
        shown = yaml.safe_load(await answer.text())
    assert "categoris" not in shown
    assert shown["migrations"][0]["budgets"]["daily"] == 100


async def test_what_did_not_change_is_remembered_over_a_reload(configured: Configured) -> None:
    await configured.reload(lambda document: document["limits"].update(api_per_minute=2))
    async with configured.client.get("/config") as answer:
        assert answer.status == 200
    async with configured.client.post("/-/reload") as answer:
        assert answer.status == 200
    async with configured.client.get("/config") as answer:
        assert answer.status == 429


async def test_reloads_at_the_same_time_follow_each_other(configured: Configured) -> None:
    configured.migration["budgets"]["daily"] = 71
    configured.write()

    changed = await asyncio.gather(*(configured.exporter.reload(str(number)) for number in range(5)))

    assert sorted(changed) == [0, 0, 0, 0, 1]


async def test_no_page_and_no_event_sees_a_half_of_each_plan(configured: Configured) -> None:
    """The budget and the models change together, back and forth; whoever looks sees both old or both new."""
    seen: set[tuple[float, float]] = set()
    done = False

    async def look() -> None:
        while not done:
            page = await configured.page()
            limit = next(v for k, v in page["llm_budget_limit_usd"].items() if ("period", "daily") in k)
            models = sum(("role", "source") in labels for labels in page["llm_migration_model_info"])
            seen.add((limit, models))

    async def feed() -> None:
        while not done:
            await configured.push(*(event(model="gpt-3.5-turbo") for _ in range(20)))

    others = [asyncio.create_task(look()), asyncio.create_task(feed())]
    original = copy.deepcopy(configured.migration["models"])
    for number in range(6):
        budget, models = (70, {**original, "gpt-3.5-turbo": "gpt-4.1-mini"}) if number % 2 else (100, original)
        configured.migration["budgets"]["daily"] = budget
        configured.migration["models"] = models
        configured.migration["default_predecessor"] = {"gpt-4.1": "gpt-4o", "gpt-4.1-mini": "gpt-4o-mini"}
        configured.write()
        await configured.exporter.reload("test")
        await asyncio.sleep(0.02)
    done = True
    await asyncio.gather(*others)

    assert seen <= {(100, len(original)), (70, len(original) + 1)}
    assert len(seen) == 2


async def test_without_the_flag_nobody_reloads_over_http(running: Running) -> None:
    async with running.client.post("/-/reload") as answer:
        assert answer.status == 403
        assert "--web.enable-lifecycle" in (await answer.json(content_type=None))["detail"]


async def test_the_external_address_of_the_flag_wins_over_the_file_also_after_a_reload(tmp_path: Path) -> None:
    configured = Configured(tmp_path, external_url="https://exporter.example/llm")
    await configured.start()
    try:
        await configured.reload(lambda document: document["urls"].update(external="https://other.example"))
        async with configured.client.get("/") as answer:
            page = await answer.text()
        assert "https://exporter.example/llm/api/v1/events" in page
        assert 'href="metrics"' in page
    finally:
        await configured.stop()


async def test_the_web_configuration_is_read_again_too(tmp_path: Path) -> None:
    web = tmp_path / "web.yml"
    web.write_text("http_server_config: {headers: {X-Frame-Options: deny}}\n")
    configured = Configured(tmp_path, web_config=web)
    await configured.start()
    try:
        web.write_text("http_server_config: {headers: {X-Frame-Options: sameorigin}}\n")
        await configured.exporter.reload("test")
        async with configured.client.get("/metrics") as answer:
            assert answer.headers["X-Frame-Options"] == "sameorigin"

        hashed = bcrypt.hashpw(b"sesame", bcrypt.gensalt(4)).decode()
        web.write_text(f"basic_auth_users: {{alice: '{hashed}', bob: plain}}\n")
        with pytest.raises(ConfigError):
            await configured.exporter.reload("test")
        async with configured.client.get("/metrics") as answer:
            assert (answer.status, answer.headers["X-Frame-Options"]) == (200, "sameorigin")

        web.write_text(f"basic_auth_users: {{alice: '{hashed}'}}\n")
        await configured.exporter.reload("test")
        async with configured.client.get("/metrics") as answer:
            assert answer.status == 401
    finally:
        await configured.stop()


async def test_encryption_is_changed_at_run_time_but_neither_added_nor_removed(tmp_path: Path) -> None:
    certificates(tmp_path)
    web = tmp_path / "web.yml"
    web.write_text("tls_server_config: {cert_file: server.pem, key_file: server.key}\n")
    configured = Configured(tmp_path, web_config=web)
    await configured.start()
    try:
        tls = configured.exporter.tls
        assert tls is not None
        before = tls.current()
        web.write_text("tls_server_config: {cert_file: other.pem, key_file: other.key, min_version: TLS13}\n")
        await configured.exporter.reload("test")
        assert tls.current() is not before
        assert tls.current().minimum_version.name == "TLSv1_3"

        web.write_text("")
        with pytest.raises(UserError, match="added or removed only by a restart"):
            await configured.exporter.reload("test")
    finally:
        await configured.stop()


async def test_a_reload_may_not_open_to_the_network_what_tokens_guarded(tmp_path: Path) -> None:
    configured = Configured(tmp_path)
    configured.document["tokens"] = [{"name": "boss", "role": "admin", "sha256": DIGEST}]
    configured.write()
    exporter = Exporter(load(configured.path), Settings(tmp_path / "data", (("0.0.0.0", 1),)), configured.clock)
    await exporter.start()
    try:
        del configured.document["tokens"]
        configured.write()
        with pytest.raises(UserError, match="loopback only"):
            await exporter.reload("test")
        assert not exporter.services.guard.open
    finally:
        await exporter.stop()
