"""A good file becomes the plan that it says, with the model's defaults; secrets and unreadable files are refused."""

from __future__ import annotations

from datetime import date
from decimal import Decimal
from pathlib import Path
from zoneinfo import ZoneInfo

import pytest

from exporter import catalog
from exporter.errors import ConfigError
from exporter.plan.load import load, parse
from exporter.plan.model import (
    Escalation,
    ExporterTarget,
    Gate,
    LabelOptions,
    Limits,
    Plan,
    Retention,
    SharePoint,
    Targets,
    Threshold,
    Urls,
)

SHIPPED = Path(__file__).parents[3] / "migration.yaml"
MINIMAL = """
version: 1
migrations:
  - name: move
    models: {gpt-4: gpt-4.1}
    start: 2025-01-21
    deadline: 2025-07-14
    phases:
      - {name: testing, planned_end: 2025-03-31}
      - {name: rollout, planned_end: 2025-06-30}
"""


def _plan(tail: str = "", *, text: str = MINIMAL) -> Plan:
    return parse(text + tail, Path("migration.yaml"))


def _problems(tail: str = "", *, text: str = MINIMAL) -> list[str]:
    with pytest.raises(ConfigError) as caught:
        _plan(tail, text=text)
    return [str(problem) for problem in caught.value.problems]


def test_the_shipped_file_says_what_the_contract_says() -> None:
    plan = load(SHIPPED)
    migration = plan.migrations[0]

    assert plan.timezone == ZoneInfo("UTC")
    assert migration.name == "gpt4-migration"
    assert migration.sources == ("gpt-4", "gpt-4o", "gpt-4o-mini", "gpt-4.5-preview")
    assert migration.targets == ("gpt-4.1", "gpt-4.1-mini")
    assert migration.predecessor("gpt-4.1") == "gpt-4o"
    assert migration.predecessor("gpt-4.1-mini") == "gpt-4o-mini"
    assert migration.deadline == 1752537599  # date -u -d 2025-07-14T23:59:59Z +%s
    assert migration.start == 1737417600  # date -u -d 2025-01-21 +%s
    assert migration.goal_share == 1
    assert [(phase.name, phase.planned_end, len(phase.tasks)) for phase in migration.phases] == [
        ("preparation", 1740787200, 5),  # date -u -d 2025-03-01 +%s
        ("testing", 1743465600, 4),
        ("gradual_rollout", 1748736000, 4),
        ("full_migration", 1751328000, 3),
        ("completed", 1752537600, 3),
    ]
    assert migration.phases[1].gate == Gate(
        compare="shadow",
        min_requests=1000,
        max_error_ratio=0.05,
        verdicts=("errors", "latency", "cost", "quality"),
        soak=3600,
        tasks_done=True,
        no_critical_alerts=True,
    )
    assert migration.phases[2].share_plan == (
        SharePoint(1744675200, 0.1),
        SharePoint(1746057600, 0.5),
        SharePoint(1748649600, 0.9),
    )
    assert migration.phases[3].gate == Gate(min_share=1.0, soak=259200)
    assert not migration.auto_advance
    assert migration.budgets.limits == {"daily": 100 * 10**9, "weekly": 600 * 10**9, "monthly": 2500 * 10**9}
    assert migration.budgets.alert_threshold == 0.8
    assert migration.latency_statistic == "mean"
    assert set(migration.thresholds) == {
        Threshold("error_ratio", "warning", 0.05),
        Threshold("error_ratio", "critical", 0.1),
        Threshold("latency_mean_seconds", "warning", 5),
        Threshold("latency_mean_seconds", "critical", 10),
        Threshold("daily_cost_usd", "warning", 100),
        Threshold("daily_cost_usd", "critical", 200),
        Threshold("quality_score", "warning", 0.8),
        Threshold("token_efficiency_ratio", "warning", 0.8),
        Threshold("deadline_days", "info", 90),
        Threshold("deadline_days", "warning", 30),
        Threshold("deadline_emergency_days", "critical", 7),
    }
    assert plan.categories == (
        "content_generation",
        "educational_support",
        "testing_validation",
        "analysis",
        "monitoring",
        "other",
    )
    assert plan.channels["slack"].options == {
        "api_url_file": "secrets/slack",
        "channel": "#gpt-migration-alerts",
        "username": "GPT Migration Monitor",
    }
    assert plan.channels["slack"].rate_limit == 50
    assert plan.channels["email"].options == {
        "smarthost": "smtp.example.com:587",
        "from": "alerts@example.com",
        "to": ["team@example.com"],
        "auth_username": "alerts@example.com",
        "auth_password_file": "secrets/smtp",
        "require_tls": True,
    }
    assert plan.routing == {
        "info": (),
        "warning": ("slack",),
        "critical": ("slack", "email"),
        "emergency": ("slack", "email", "pagerduty"),
    }
    assert plan.escalation == Escalation(900, 300, 3600, ("pagerduty", "email"))


def test_several_exporters_are_one_control_and_shards_with_paths_beside_the_file(tmp_path: Path) -> None:
    tail = """
targets:
  exporter_token_file: secrets/viewer
  exporter_ca_file: /etc/ssl/ca.pem
  exporters:
    - {instance: shard-1, address: 'https://[::1]:10411', mode: shard}
    - {instance: control, address: localhost:10410, mode: control}
"""
    targets = parse(MINIMAL + tail, tmp_path / "migration.yaml").targets

    assert targets.control == ExporterTarget("control", "http", "localhost:10410", "control")
    assert [shard.url for shard in targets.shards] == ["https://[::1]:10411"]
    assert targets.exporter_token_file == tmp_path / "secrets" / "viewer"
    assert targets.exporter_ca_file == Path("/etc/ssl/ca.pem")
    assert _plan().targets.control is None


def test_a_minimal_file_has_the_defaults_of_the_model_and_those_of_the_shipped_file() -> None:
    plan, shipped = _plan(), load(SHIPPED)

    assert plan.limits == shipped.limits == Limits()
    assert plan.labels == shipped.labels == LabelOptions()
    assert plan.urls == shipped.urls == Urls()
    assert plan.targets == shipped.targets == Targets()
    assert plan.retention == shipped.retention == Retention()
    assert plan.escalation == Escalation()
    assert plan.timezone.key == "UTC"
    assert plan.categories == ("other",)
    assert plan.migrations[0].budgets.limits == {}
    assert plan.migrations[0].budgets.alert_threshold == 0.8
    assert set(plan.routing) == {"info", "warning", "critical", "emergency"}


def test_days_are_those_of_the_time_zone_also_when_the_clock_changes_between() -> None:
    migration = _plan("timezone: America/New_York\n").migrations[0]

    # TZ=America/New_York date -d '<day> 00:00' +%s
    assert migration.start == 1737435600  # 2025-01-21, winter time
    assert migration.phases[1].planned_end == 1751342400  # end of 2025-06-30, summer time
    assert migration.deadline == 1752552000  # end of 2025-07-14


def test_other_is_always_a_category_and_stands_last_when_it_is_not_written() -> None:
    assert _plan("categories: [analysis]\n").categories == ("analysis", "other")


def test_a_threshold_that_is_written_replaces_its_default_as_a_whole() -> None:
    text = MINIMAL.replace(
        "    start:",
        "    thresholds:\n"
        "      error_ratio: {critical: 0.2}\n"
        "      quality_score: {}\n"
        "      latency_seconds: {warning: 3, statistic: p95}\n"
        "    deadline_warnings_days: {info: 60}\n"
        "    start:",
    )
    migration = _plan(text=text).migrations[0]

    assert set(migration.thresholds) == {
        Threshold("error_ratio", "critical", 0.2),
        Threshold("latency_p95_seconds", "warning", 3),
        Threshold("token_efficiency_ratio", "warning", 0.8),
        Threshold("deadline_days", "info", 60),
    }
    assert migration.latency_statistic == "p95"


def test_prices_may_be_one_mapping_or_a_dated_list_and_stay_exact() -> None:
    plan = _plan(
        "prices:\n"
        "  gpt-4.1-mini: {input: 0.0375, output: 0.15, cached_input: 0}\n"
        "  gpt-4.1:\n"
        "    - {from: 2025-06-01, input: 1.8, output: 7.2}\n"
        "    - {input: 2, output: 8}\n"
    )

    assert [(price.model, price.start, price.rates) for price in plan.prices] == [
        (
            "gpt-4.1-mini",
            None,
            {"input": Decimal("0.0375"), "output": Decimal("0.15"), "cached_input": Decimal(0)},
        ),
        ("gpt-4.1", None, {"input": Decimal(2), "output": Decimal(8)}),
        ("gpt-4.1", date(2025, 6, 1), {"input": Decimal("1.8"), "output": Decimal("7.2")}),
    ]


def test_money_is_exact_to_the_nano_dollar() -> None:
    text = MINIMAL.replace("    start:", "    budgets: {daily: 0.000000001, monthly: 33333333.333333333}\n    start:")

    assert _plan(text=text).migrations[0].budgets.limits == {"daily": 1, "monthly": 33_333_333_333_333_333}


def test_channels_of_every_type_are_read() -> None:
    plan = _plan(
        "channels:\n"
        "  a: {type: slack, api_url_file: s/a}\n"
        "  b: {type: email, smarthost: 'mail:25', from: 'Alerts <a@b.c>', to: x@y.z, auth_password_file: s/b}\n"
        "  c: {type: pagerduty, routing_key_file: s/c, enabled: false}\n"
        "  d: {type: discord, webhook_url_file: s/d}\n"
        "  e: {type: webhook, url: 'http://127.0.0.1:8080/hook', token_file: s/e, rate_limit: 5}\n"
        "  f: {type: webhook, url: 'https://sms.example.com/'}\n"
        "  g: {type: webhook, url_file: s/g}\n"
        "targets: {alertmanager_version: '0.28.1'}\n"
    )

    assert plan.channels["b"].options["to"] == ["x@y.z"]
    assert plan.channels["b"].options["auth_username"] == "a@b.c"
    assert not plan.channels["c"].enabled
    assert plan.channels["e"].options == {"url": "http://127.0.0.1:8080/hook", "token_file": "s/e"}
    assert plan.channels["e"].rate_limit == 5
    assert plan.targets.alertmanager_version == (0, 28)


def test_rules_are_kept_as_mappings_with_their_tests_as_written() -> None:
    plan = _plan(
        "rules:\n"
        "  - alert: Mine\n"
        "    expr: vector(1) > 0\n"
        "    for: 5m\n"
        "    labels: {severity: critical, urgency: emergency, signal: cost}\n"
        "    annotations: {summary: It is mine.}\n"
        "    tests:\n"
        "      - {input: ['x 1+1x5'], fires: true, at: 10m, value: 1.5, day: 2025-01-01, none: ~, count: 3}\n"
    )

    assert plan.rules == (
        {
            "alert": "Mine",
            "expr": "vector(1) > 0",
            "for": 300.0,
            "labels": {"severity": "critical", "urgency": "emergency", "signal": "cost"},
            "annotations": {"summary": "It is mine."},
            "tests": [
                {
                    "input": ["x 1+1x5"],
                    "fires": True,
                    "at": "10m",
                    "value": 1.5,
                    "day": "2025-01-01",
                    "none": None,
                    "count": 3,
                }
            ],
        },
    )


def test_alerts_of_the_catalogue_can_be_changed_and_no_others() -> None:
    name = catalog.ALERTS[0].name
    plan = _plan(f"alerts:\n  {name}: {{for: 10m, severity: emergency, labels: {{team: platform}}}}\n")

    override = plan.alerts[name]
    assert (override.enabled, override.for_seconds, override.severity) == (True, 600, "emergency")
    assert override.labels == {"team": "platform"}
    assert "there is no alert `LLMNothing`" in _problems("alerts: {LLMNothing: {}}\n")[0]


def test_two_migrations_may_share_models_when_their_scopes_are_disjoint() -> None:
    migrations = MINIMAL.replace("    start:", "    scope: {applications: [chat, search]}\n    start:")
    second = (
        "  - name: second\n    models: {gpt-4: gpt-4.1}\n    scope: {applications: [SCOPE]}\n    start: 2025-01-21\n"
        "    deadline: 2025-07-14\n    phases: [{name: testing, planned_end: 2025-03-31}]\n"
    )

    assert len(_plan(second.replace("SCOPE", "mail"), text=migrations).migrations) == 2
    assert "claims gpt-4 and gpt-4.1 too" in _problems(second.replace("SCOPE", "mail, chat"), text=migrations)[0]


def test_problems_come_in_the_order_of_the_file() -> None:
    text = MINIMAL.replace("version: 1", "version: 9").replace("2025-06-30", "2026-06-30")

    assert [line.split(":")[1] for line in _problems("limits: {hold: 1}\nzone: UTC\n", text=text)] == [
        "2",
        "10",
        "11",
        "12",
    ]


@pytest.mark.parametrize(
    "secret",
    [
        "sk-abcdefghijklmnop",
        "xoxb-1234567890-abcdef",
        "https://hooks.slack.com/services/T0/B0/abc",
        "https://discord.com/api/webhooks/1/abc",
        "ghp_0123456789abcdefghijABCDEFGHIJ",
        "AKIAIOSFODNN7EXAMPLE",
        "https://user:hunter22@example.com/",
    ],
)
def test_a_secret_is_refused_wherever_it_stands_and_never_repeated(secret: str) -> None:
    lines = _problems(f"urls: {{grafana: '{secret}'}}\n")

    assert len(lines) == 1
    assert "this looks like" in lines[0]
    assert secret not in lines[0]


@pytest.mark.parametrize(
    "path", ["secrets/pagerduty", "/run/secrets/pagerduty-routing-key-for-production-2024", "S3/Key"]
)
def test_a_path_to_a_secret_is_no_secret(path: str) -> None:
    plan = _plan(f"channels: {{p: {{type: pagerduty, routing_key_file: {path}}}}}\n")

    assert plan.channels["p"].options == {"routing_key_file": path}


def test_a_random_looking_value_of_a_telling_key_is_refused_also_behind_file() -> None:
    for value in ("0123456789abcdef0123456789abcdef", "hJ7kQ2mZx9LpV4tRw8NyB3cF6dGs1aEu"):
        lines = _problems(f"channels: {{p: {{type: pagerduty, routing_key_file: {value}}}}}\n")
        assert len(lines) == 1
        assert value not in lines[0]


def test_a_file_that_is_not_there_is_a_message(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="the file cannot be read: No such file or directory; write the right path"):
        load(tmp_path / "migration.yaml")


def test_a_folder_is_a_message(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="the file cannot be read: Is a directory"):
        load(tmp_path)


def test_bytes_that_are_not_utf8_are_named_with_their_place(tmp_path: Path) -> None:
    path = tmp_path / "migration.yaml"
    path.write_bytes(b"version: 1\ntimezone: M\xfcnchen\n")

    with pytest.raises(ConfigError) as caught:
        load(path)

    problem = caught.value.problems[0]
    assert (problem.line, problem.column) == (2, 12)
    assert problem.message == "the byte 0xfc is not UTF-8"


def test_a_byte_order_mark_is_no_mistake(tmp_path: Path) -> None:
    path = tmp_path / "migration.yaml"
    path.write_bytes(b"\xef\xbb\xbf" + MINIMAL.encode())

    assert load(path).migrations[0].name == "move"
