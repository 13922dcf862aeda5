from __future__ import annotations

from typing import Any

import yaml

from exporter.plan.load import parse
from exporter.plan.redact import HIDDEN, redacted
from tests.configs import SHIPPED

DIGEST = "9f86d081884c7d659a2feaa0c55ad015a3bf4f1b2b0b822cd15d6c15b0f00a08"


def shown(text: str) -> Any:
    return yaml.safe_load(redacted(text))


def test_the_shipped_file_is_shown_with_all_that_it_says() -> None:
    text = SHIPPED.read_text(encoding="utf-8")

    assert shown(text) == yaml.safe_load(text)


def test_what_is_shown_can_be_read_again_and_means_the_same() -> None:
    plan = parse(SHIPPED.read_text(encoding="utf-8"), SHIPPED)

    assert parse(redacted(plan.text), SHIPPED) == plan


def test_hashes_of_tokens_are_hidden_and_paths_of_secrets_shown() -> None:
    result = shown(
        f"tokens:\n- {{name: ci, role: admin, sha256: {DIGEST}}}\n"
        "channels:\n  slack: {type: slack, api_url_file: secrets/slack}\n"
    )

    assert result["tokens"] == [{"name": "ci", "role": "admin", "sha256": HIDDEN}]
    assert result["channels"]["slack"]["api_url_file"] == "secrets/slack"


def test_comments_are_left_out_for_they_may_hold_anything() -> None:
    assert "hunter2" not in redacted("version: 1  # the old password was hunter2\n")


def test_texts_under_telling_keys_and_generated_texts_are_hidden_and_numbers_shown() -> None:
    result = shown(
        "thresholds: {token_efficiency: {warning: 0.8}}\n"
        "alerts: {LLMWatchdog: {labels: {team_token: abc, team: web}}}\n"
        "channels: {sms: {type: webhook, url: 'https://gateway.example/send/aB3dE5fG7hI9kL1mN3oP5qR7sT9uV1wX'}}\n"
    )

    assert result["thresholds"]["token_efficiency"]["warning"] == 0.8
    assert result["alerts"]["LLMWatchdog"]["labels"] == {"team_token": HIDDEN, "team": "web"}
    assert result["channels"]["sms"]["url"] == HIDDEN


def test_texts_that_look_like_something_else_stay_texts() -> None:
    text = "a: 'yes'\nb: '1'\nc: ''\nd: null\ne: 2025-01-01\nf: '2025-01-01'\ng: [x, 'no']\nh: 0.10\ni: 'größer'\n"

    assert shown(text) == yaml.safe_load(text)
    assert "0.10" in redacted(text)
