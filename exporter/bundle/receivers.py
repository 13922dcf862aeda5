"""Channels of the plan as integrations of Alertmanager.

Secrets stay in files: Alertmanager reads them when it notifies, from paths relative to its working directory.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping

from exporter.errors import UserError
from exporter.plan.model import Channel

Integration = dict[str, object]

COLOUR = (
    '{{ if eq .Status "resolved" }}good'
    '{{ else if eq .CommonLabels.severity "critical" }}danger{{ else }}warning{{ end }}'
)
# PagerDuty knows critical, error, warning and info; a group of mixed severities has none in common.
PAGERDUTY_SEVERITY = (
    '{{ if eq .CommonLabels.severity "critical" "warning" "info" }}{{ .CommonLabels.severity }}{{ else }}error{{ end }}'
)
DISCORD_SECRET_FILES = (0, 28)  # first version whose Discord integration reads its address from a file
WEBHOOK_SECRET_FILES = (0, 26)  # and whose webhook does


def integration(channel: Channel, version: tuple[int, int]) -> tuple[str, Integration]:
    """The key in a receiver (`slack_configs`, …) and the integration of a channel.

    Args:
        channel: a channel whose options were checked by the loader.
        version: of the Alertmanager that will read it.

    Raises:
        UserError: this version of Alertmanager cannot do it without a secret in its configuration.
    """
    build = _BUILDERS.get(channel.type)
    if build is None:
        raise UserError(
            f"channel {channel.name}: type {channel.type} cannot be generated; "
            f"use one of {', '.join(sorted(_BUILDERS))}"
        )
    return build(channel, version)


def webhook(url: str) -> tuple[str, Integration]:
    """A plain webhook, for tests and demonstrations."""
    return "webhook_configs", {"url": url, "send_resolved": True}


def _slack(channel: Channel, version: tuple[int, int]) -> tuple[str, Integration]:
    return "slack_configs", {**_given(channel, "api_url_file", "channel", "username"), **_slack_message()}


def _slack_message() -> Integration:
    return {
        "send_resolved": True,
        "color": COLOUR,
        "title": '{{ template "llm.title" . }}',
        "title_link": '{{ template "llm.link" . }}',
        "fallback": '{{ template "llm.title" . }}',
        "text": '{{ template "llm.text" . }}',
    }


def _email(channel: Channel, version: tuple[int, int]) -> tuple[str, Integration]:
    options = channel.options
    to = options.get("to", ())
    settings = _given(
        channel, "from", "smarthost", "hello", "auth_username", "auth_identity", "auth_password_file", "require_tls"
    )
    # Without a user name Alertmanager would not log in at all, password or not.
    if "auth_password_file" in settings:
        settings.setdefault("auth_username", str(options.get("from", "")))
    return "email_configs", {
        "to": to if isinstance(to, str) else ", ".join(str(address) for address in _items(to)),
        **settings,
        "send_resolved": True,
        "headers": {"Subject": '{{ template "llm.title" . }}'},
        "text": '{{ template "llm.text" . }}',
        "html": '{{ template "llm.html" . }}',
    }


def _pagerduty(channel: Channel, version: tuple[int, int]) -> tuple[str, Integration]:
    return "pagerduty_configs", {
        **_given(channel, "routing_key_file", "service_key_file", "url"),
        "send_resolved": True,
        "severity": PAGERDUTY_SEVERITY,
        "class": "{{ .CommonLabels.signal }}",
        "group": "{{ .CommonLabels.migration }}",
        "client": "llm-migration-exporter",
        "client_url": '{{ template "llm.link" . }}',
        "description": '{{ template "llm.title" . }}',
        "details": {"text": '{{ template "llm.text" . }}'},
    }


def _discord(channel: Channel, version: tuple[int, int]) -> tuple[str, Integration]:
    if "webhook_url_file" not in channel.options or version >= DISCORD_SECRET_FILES:
        return "discord_configs", {
            **_given(channel, "webhook_url_file", "webhook_url"),
            "send_resolved": True,
            "title": '{{ template "llm.title" . }}',
            "message": '{{ template "llm.text" . }}',
        }
    # Older Alertmanagers read Slack's address from a file but not Discord's, and Discord understands Slack's messages
    # at its webhook's address with `/slack` behind it: that is what the file must hold.
    return "slack_configs", {"api_url_file": channel.options["webhook_url_file"], **_slack_message()}


def _webhook(channel: Channel, version: tuple[int, int]) -> tuple[str, Integration]:
    options = channel.options
    if "url_file" in options and version < WEBHOOK_SECRET_FILES:
        raise UserError(
            f"channel {channel.name}: Alertmanager {version[0]}.{version[1]} cannot read a webhook's address from a "
            "file; use `url` with `token_file`, or set `targets.alertmanager_version` to 0.26 or later"
        )
    settings: Integration = {**_given(channel, "url", "url_file", "max_alerts"), "send_resolved": True}
    if "token_file" in options:
        settings["http_config"] = {"authorization": {"credentials_file": options["token_file"]}}
    return "webhook_configs", settings


_BUILDERS: Mapping[str, Callable[[Channel, tuple[int, int]], tuple[str, Integration]]] = {
    "slack": _slack,
    "email": _email,
    "pagerduty": _pagerduty,
    "discord": _discord,
    "webhook": _webhook,
}


def _given(channel: Channel, *names: str) -> Integration:
    return {name: channel.options[name] for name in names if name in channel.options}


def _items(value: object) -> tuple[object, ...]:
    return tuple(value) if isinstance(value, list | tuple) else (value,)
