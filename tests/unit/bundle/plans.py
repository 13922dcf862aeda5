"""A plan with every kind of channel, made by hand."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import yaml

from exporter.plan.model import Channel, Plan
from tests.plans import plan

ROOT = Path(__file__).parents[3]

CHANNELS = {
    "slack": Channel("slack", "slack", {"api_url_file": "secrets/slack", "channel": "#llm", "username": "LLM"}),
    "email": Channel(
        "email",
        "email",
        {
            "smarthost": "smtp.example.com:587",
            "from": "alerts@example.com",
            "to": ("team@example.com", "boss@example.com"),
            "auth_password_file": "secrets/smtp",
        },
    ),
    "pagerduty": Channel("pagerduty", "pagerduty", {"routing_key_file": "secrets/pagerduty"}),
    "discord": Channel("discord", "discord", {"webhook_url_file": "secrets/discord"}),
    "gateway": Channel("gateway", "webhook", {"url": "https://sms.example.com/send", "token_file": "secrets/sms"}),
    "off": Channel("off", "slack", {"api_url_file": "secrets/off"}, enabled=False),
}
ROUTING = {
    "info": (),
    "warning": ("slack", "off"),
    "critical": ("slack", "email", "discord"),
    "emergency": ("slack", "email", "pagerduty", "gateway"),
}


def with_channels(**changes: Any) -> Plan:
    """A plan whose severities are routed to different channels."""
    return plan(**{"channels": CHANNELS, "routing": ROUTING, **changes})


def parsed(content: bytes) -> Mapping[str, Any]:
    """A generated YAML file as data."""
    document = yaml.safe_load(content)
    assert isinstance(document, dict)
    return document
