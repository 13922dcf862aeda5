"""What `check` prints for a good file, and the reference table made from the shape."""

from __future__ import annotations

from datetime import UTC, datetime
from pathlib import Path

import yaml

from exporter.plan.describe import describe
from exporter.plan.load import load, parse
from exporter.plan.reference import table

SHIPPED = Path(__file__).parents[3] / "migration.yaml"
NOW = datetime(2025, 6, 15, 12, 0, tzinfo=UTC).timestamp()

SUMMARY = """\
migration.yaml: 1 migration, days in Europe/Berlin

move: Leave it
  models      gpt-4  → gpt-4.1
              gpt-4o → gpt-4.1, compared with this one
  covers      only the applications chat, search
  deadline    2025-07-15 00:00 CEST, 29 days left; done when 90% of live requests are on target models
  phases      testing  until 2025-03-31  1 task
              rollout  until 2025-06-30  share up to 50%, left after 1d of: share 90%; no worse in errors (live)
  budgets     1,000.00 USD a month; people are told from 50% on
  thresholds  error_ratio: warning 0.02
              deadline_days: info 60

notifications
  info        nobody is told
  warning     nobody is told
  critical    team (#alerts)
  emergency   team (#alerts), hook (https://example.com; switched off)
  escalation  unacknowledged for 15m (critical) or 5m (emergency), and again for 1h: team (#alerts)

exporter
  exporters   control at http://a.example:10410, control
              shard-1 at https://b.example:10410, shard
  access      ci as ingest
  keeps       events 35 days, sums by hour 90 days, by day 1 year; at most 20 GiB
  changes     own prices for gpt-4.1
              alerts switched off: LLMWatchdog
              own rules: Mine
"""

EXPORTERS = (
    "{instance: control, address: 'a.example:10410', mode: control}, "
    "{instance: shard-1, address: 'https://b.example:10410', mode: shard}"
)
TEXT = f"""
version: 1
timezone: Europe/Berlin
migrations:
  - name: move
    description: Leave it
    models: {{gpt-4: gpt-4.1, gpt-4o: gpt-4.1}}
    default_predecessor: {{gpt-4.1: gpt-4o}}
    scope: {{applications: [search, chat]}}
    start: 2025-01-21
    deadline: 2025-07-14
    goal_share: 0.9
    phases:
      - {{name: testing, planned_end: 2025-03-31, tasks: [Compare]}}
      - name: rollout
        planned_end: 2025-06-30
        share_plan: [{{date: 2025-05-01, share: 0.5}}]
        gate: {{min_share: 0.9, soak: 24h, verdicts: [errors]}}
    budgets: {{monthly: 1000, alert_threshold: 0.5}}
    thresholds: {{error_ratio: {{warning: 0.02}}, latency_seconds: {{}}, quality_score: {{}}, token_efficiency: {{}}}}
    deadline_warnings_days: {{info: 60}}
prices: {{gpt-4.1: {{input: 2, output: 8}}}}
channels:
  team: {{type: slack, api_url_file: secrets/slack, channel: '#alerts'}}
  hook: {{type: webhook, url: 'https://example.com', enabled: false}}
routing: {{critical: [team], emergency: [team, hook]}}
escalation: {{to: [team]}}
alerts: {{LLMWatchdog: {{enabled: false}}}}
rules: [{{alert: Mine, expr: vector(1)}}]
targets: {{exporters: [{EXPORTERS}]}}
tokens: [{{name: ci, role: ingest, sha256: '{"0a" * 32}'}}]
retention: {{daily: 1y}}
"""


def test_the_summary_says_who_is_told_what_is_left_and_what_is_changed() -> None:
    plan = parse(TEXT, Path("migration.yaml"), alert_names=["LLMWatchdog"])

    assert describe(plan, NOW) == SUMMARY


def test_without_tokens_the_summary_says_that_the_exporter_listens_on_loopback_only() -> None:
    assert "no tokens: the exporter listens on loopback only" in describe(load(SHIPPED), NOW)


def test_a_deadline_that_has_passed_is_said_to_have_passed() -> None:
    later = datetime(2025, 7, 17, 12, 0, tzinfo=UTC).timestamp()

    assert "passed 2 days ago" in describe(load(SHIPPED), later)


def test_the_reference_has_every_key_of_the_shipped_file() -> None:
    listed = {line.split("`")[1] for line in table().splitlines()[2:]}

    for path in _paths(yaml.safe_load(SHIPPED.read_text(encoding="utf-8")), ""):
        assert path in listed


def test_every_row_of_the_reference_has_a_type_a_default_and_a_sentence() -> None:
    for line in table().splitlines()[2:]:
        _, _, kind, default, meaning, _ = (cell.strip() for cell in line.split("|"))
        assert kind
        assert default
        assert meaning.endswith(".")


def test_a_default_of_the_reference_can_be_written_into_a_file() -> None:
    rows = [[cell.strip() for cell in line.split("|")] for line in table().splitlines()[2:]]
    defaults = {row[1].strip("`"): row[3] for row in rows}

    assert defaults["limits.hold"] == "`150s`"
    assert defaults["migrations[].name"] == "required"
    assert defaults["migrations[].budgets.daily"] == "no limit"
    for section in ("limits", "retention", "escalation", "labels", "targets", "urls"):
        keys = {
            path.removeprefix(f"{section}."): cell
            for path, cell in defaults.items()
            if path.startswith(f"{section}.") and cell.startswith("`")  # without them: what happens without the key
        }
        assert keys
        lines = "".join(f"  {key}: {cell.strip('`')}\n" for key, cell in keys.items())
        text = f"{TEXT.replace(f'{section}:', f'ignored-{section}:')}"
        kept = "".join(line for line in text.splitlines(keepends=True) if not line.startswith("ignored-"))
        parse(f"{kept}{section}:\n{lines}", Path("migration.yaml"), alert_names=["LLMWatchdog"])


def _paths(node: object, path: str) -> list[str]:
    """Key paths as the reference writes them; names of the user's own become `<name>`."""
    if isinstance(node, list):
        return [found for item in node for found in _paths(item, f"{path}[]")]
    if not isinstance(node, dict):
        return []
    free = path in ("channels", "migrations[].models", "migrations[].default_predecessor")
    found: list[str] = []
    for key, value in node.items():
        inner = f"{path}.<name>" if free else f"{path}.{key}".lstrip(".")
        found += [] if free else [inner]
        found += _paths(value, inner)
    return found
