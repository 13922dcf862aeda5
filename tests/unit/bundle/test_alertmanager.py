"""Alertmanager's configuration: who is told, and what stays quiet."""

from __future__ import annotations

import dataclasses
import json
import subprocess
from pathlib import Path
from typing import Any

import pytest

from exporter import catalog
from exporter.bundle.alertmanager import alertmanager_config, inhibit_rules, message_templates
from exporter.errors import UserError
from exporter.plan.model import Channel, Plan, Targets
from tests.plans import plan
from tests.programs import program
from tests.unit.bundle.plans import CHANNELS, ROOT, parsed, with_channels

OURS = "bundle=llm-migration"


def receivers(config: Plan, **overrides: Any) -> dict[str, dict[str, list[dict[str, Any]]]]:
    document = parsed(alertmanager_config(config, **overrides))
    return {receiver.pop("name"): receiver for receiver in document["receivers"]}


def write(folder: Path, content: bytes) -> Path:
    (folder / "templates").mkdir(exist_ok=True)
    (folder / "templates" / "llm.tmpl").write_bytes(message_templates())
    path = folder / "alertmanager.yml"
    path.write_bytes(content)
    return path


@pytest.mark.parametrize("config", [plan(), with_channels()], ids=["no channels", "every kind of channel"])
def test_amtool_accepts_the_configuration_though_no_secret_file_exists(tmp_path: Path, config: Plan) -> None:
    done = amtool("check-config", str(write(tmp_path, alertmanager_config(config))))
    assert "SUCCESS" in done
    assert "FAILED" not in done


def test_amtool_accepts_the_committed_configuration() -> None:
    assert "SUCCESS" in amtool("check-config", str(ROOT / "alertmanager" / "alertmanager.yml"))


@pytest.mark.parametrize(
    ("labels", "receiver"),
    [
        ((OURS, "severity=info", "alertname=LLMBudgetThreshold"), "info"),
        ((OURS, "severity=warning", "alertname=LLMUnpricedUsage"), "warning"),
        ((OURS, "severity=critical", "alertname=LLMBudgetExceeded"), "critical"),
        ((OURS, "severity=critical", "urgency=emergency", "alertname=LLMDeadlineNear"), "emergency"),
        ((OURS, "severity=none", "alertname=LLMWatchdog"), "watchdog"),
        ((OURS, "severity=none", "alertname=LLMPhaseGateReady"), "none"),
        (("severity=critical", "alertname=SomebodyElses"), "warning"),
        (("alertname=WithoutASeverity",), "warning"),
    ],
)
def test_each_severity_reaches_its_receiver_and_nothing_falls_through(
    tmp_path: Path, labels: tuple[str, ...], receiver: str
) -> None:
    path = write(tmp_path, alertmanager_config(with_channels()))
    assert amtool("config", "routes", "test", f"--config.file={path}", *labels).split() == [receiver]


def test_receivers_hold_the_channels_that_the_plan_routes_and_no_disabled_one() -> None:
    found = {name: sorted(integrations) for name, integrations in receivers(with_channels()).items()}
    assert found == {
        "info": [],
        "warning": ["slack_configs"],
        "critical": ["email_configs", "slack_configs"],
        "emergency": ["email_configs", "pagerduty_configs", "slack_configs", "webhook_configs"],
        "watchdog": [],
        "none": [],
    }
    assert [slack["api_url_file"] for slack in receivers(with_channels())["warning"]["slack_configs"]] == [
        "secrets/slack"
    ]


def test_mail_logs_in_as_the_sender_when_only_a_password_is_given() -> None:
    (mail,) = receivers(with_channels())["critical"]["email_configs"]
    assert mail["to"] == "team@example.com, boss@example.com"
    assert mail["auth_username"] == "alerts@example.com"
    assert mail["auth_password_file"] == "secrets/smtp"


def test_discord_is_spoken_to_as_slack_until_its_secret_may_lie_in_a_file() -> None:
    old = receivers(with_channels())["critical"]
    assert "discord_configs" not in old
    assert {slack["api_url_file"] for slack in old["slack_configs"]} == {"secrets/slack", "secrets/discord"}
    new = receivers(with_channels(targets=Targets(alertmanager_version=(0, 28))))["critical"]
    assert [discord["webhook_url_file"] for discord in new["discord_configs"]] == ["secrets/discord"]


def test_a_webhook_sends_its_token_from_a_file() -> None:
    (hook,) = receivers(with_channels())["emergency"]["webhook_configs"]
    assert hook["url"] == "https://sms.example.com/send"
    assert hook["http_config"]["authorization"]["credentials_file"] == "secrets/sms"


def test_a_webhook_address_in_a_file_is_refused_for_an_alertmanager_that_cannot_read_it() -> None:
    channels = {"hook": Channel("hook", "webhook", {"url_file": "secrets/hook"})}
    routing = {"warning": ("hook",)}
    with pytest.raises(UserError, match=r"channel hook: Alertmanager 0\.25 cannot read .* set `targets"):
        alertmanager_config(plan(channels=channels, routing=routing))
    newer = plan(channels=channels, routing=routing, targets=Targets(alertmanager_version=(0, 26)))
    assert receivers(newer)["warning"]["webhook_configs"][0]["url_file"] == "secrets/hook"


def test_an_undeclared_channel_is_named() -> None:
    with pytest.raises(UserError, match="names the channel pager, which is not declared"):
        alertmanager_config(plan(routing={"critical": ("pager",)}))


def test_a_channel_called_watchdog_gets_the_heartbeat_and_no_end_of_it() -> None:
    channels = {**CHANNELS, "watchdog": Channel("watchdog", "webhook", {"url": "https://beat.example/x"})}
    (beat,) = receivers(with_channels(channels=channels))["watchdog"]["webhook_configs"]
    assert (beat["url"], beat["send_resolved"]) == ("https://beat.example/x", False)


def test_webhooks_take_the_place_of_all_channels() -> None:
    found = receivers(with_channels(), webhooks={"critical": "http://127.0.0.1:1/c"}, group_wait=0, group_interval=1)
    assert found["critical"] == {"webhook_configs": [{"url": "http://127.0.0.1:1/c", "send_resolved": True}]}
    assert all(not integrations for name, integrations in found.items() if name != "critical")


def test_given_times_hold_for_all_severities_and_the_more_urgent_is_never_slower_otherwise() -> None:
    fast = parsed(alertmanager_config(plan(), group_wait=0, group_interval=2, repeat_interval=60))["route"]
    routes = [route for route in fast["routes"] if route["receiver"] in {"emergency", "critical", "warning", "info"}]
    times = {(route["group_wait"], route["group_interval"], route["repeat_interval"]) for route in (fast, *routes)}
    assert times == {("0s", "2s", "1m")}
    shipped = {route["receiver"]: route for route in parsed(alertmanager_config(plan()))["route"]["routes"]}
    waits = [shipped[name]["group_wait"] for name in ("emergency", "critical", "warning", "info")]
    assert waits == ["0s", "10s", "30s", "1m"]


def test_every_inhibition_is_bound_to_the_bundle_on_both_sides_and_to_labels_that_decide() -> None:
    for rule in inhibit_rules():
        assert 'bundle="llm-migration"' in rule.source
        assert 'bundle="llm-migration"' in rule.target
        assert rule.equal
        assert "alertname" in rule.equal or any(matcher.startswith("alertname=") for matcher in rule.source)


def test_secrets_are_never_in_the_configuration() -> None:
    text = alertmanager_config(with_channels()).decode()
    assert "password:" not in text
    assert "routing_key:" not in text
    assert "api_url:" not in text


def test_messages_say_what_how_bad_since_when_and_where_to_look(tmp_path: Path) -> None:
    template = tmp_path / "llm.tmpl"
    template.write_bytes(message_templates())
    alert = {
        "status": "firing",
        "labels": {"alertname": "LLMBudgetExceeded", "severity": "critical", "migration": "m"},
        "annotations": {
            "summary": "A budget is used up.",
            "description": "The daily budget of m is 110% used.",
            "runbook_url": "https://docs.example/LLMBudgetExceeded.md",
            "dashboard_url": "https://grafana.example/d/llm-migration-executive",
        },
        "startsAt": "2025-03-01T10:20:30Z",
        "endsAt": "2025-03-01T11:20:30Z",
        "generatorURL": "https://prometheus.example/graph",
    }
    data = {
        "status": "firing",
        "alerts": [alert],
        "groupLabels": {"alertname": "LLMBudgetExceeded"},
        "commonLabels": alert["labels"],
        "commonAnnotations": alert["annotations"],
        "externalURL": "https://alertmanager.example",
    }

    def render(name: str, **changes: Any) -> str:
        file = tmp_path / "data.json"
        file.write_text(json.dumps({**data, **changes}))
        text = f'{{{{ template "{name}" . }}}}'
        kind = "html" if name == "llm.html" else "text"
        return amtool(
            "template", "render", f"--template.glob={template}", f"--template.data={file}",
            f"--template.text={text}", f"--template.type={kind}",
        )  # fmt: skip

    assert render("llm.title").strip() == "[CRITICAL] m: A budget is used up."
    resolved = {**alert, "status": "resolved"}
    assert render("llm.title", status="resolved").strip() == "[RESOLVED] m: A budget is used up."
    assert render("llm.title", alerts=[alert, alert]).strip() == "[CRITICAL ×2] m: A budget is used up."
    urgent = {**data["commonLabels"], "urgency": "emergency"}  # type: ignore[dict-item]
    assert render("llm.title", commonLabels=urgent).strip() == "[EMERGENCY] m: A budget is used up."
    assert render("llm.link").strip() == "https://grafana.example/d/llm-migration-executive"
    text = render("llm.text")
    for part in (
        "The daily budget of m is 110% used.",
        "Since 2025-03-01 10:20 UTC ·",
        "What to do: https://docs.example/LLMBudgetExceeded.md",
        "Dashboard: https://grafana.example/d/llm-migration-executive",
        "Query: https://prometheus.example/graph",
        "https://alertmanager.example/#/silences/new",
    ):
        assert part in text
    assert "over at 2025-03-01 11:20 UTC" in render("llm.text", status="resolved", alerts=[resolved])
    assert '<a href="https://docs.example/LLMBudgetExceeded.md">What to do</a>' in render("llm.html")


def test_the_labels_that_inhibition_compares_are_those_that_identify_an_alert() -> None:
    assert inhibit_rules()[0].equal == catalog.ALERT_LABELS


def test_channels_of_an_unknown_type_are_refused_with_what_there_is() -> None:
    fax = dataclasses.replace(CHANNELS["slack"], name="fax", type="fax")
    with pytest.raises(UserError, match="type fax cannot be generated; use one of discord, email, pagerduty"):
        alertmanager_config(plan(channels={"fax": fax}, routing={"info": ("fax",)}))


def amtool(*arguments: str) -> str:
    done = subprocess.run([program("amtool"), *arguments], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout
