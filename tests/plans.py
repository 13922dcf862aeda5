"""Plans made by hand, for tests that need no file."""

from __future__ import annotations

from datetime import UTC, datetime
from pathlib import Path
from typing import Any
from zoneinfo import ZoneInfo

from exporter.money import usd_to_nano
from exporter.plan.model import Budgets, Migration, Phase, Plan, Scope, SharePoint, Threshold

CATEGORIES = ("content_generation", "educational_support", "testing_validation", "analysis", "monitoring", "other")


def at(text: str) -> float:
    """Unix seconds of a date or time in UTC."""
    return datetime.fromisoformat(text).replace(tzinfo=UTC).timestamp()


def migration(name: str = "gpt4-migration", *, daily: float = 100, **changes: Any) -> Migration:
    """The GPT-4.1 migration, as the shipped file has it."""
    values: dict[str, Any] = {
        "name": name,
        "description": "Move to GPT-4.1",
        "models": {
            "gpt-4": "gpt-4.1",
            "gpt-4o": "gpt-4.1",
            "gpt-4o-mini": "gpt-4.1-mini",
            "gpt-4.5-preview": "gpt-4.1",
        },
        "default_predecessor": {"gpt-4.1": "gpt-4o"},
        "scope": Scope(),
        "deadline": at("2025-07-14T23:59:59"),
        "goal_share": 1.0,
        "start": at("2025-01-21"),
        "phases": (
            Phase("preparation", at("2025-03-01"), tasks=("Monitoring system setup", "Baseline establishment")),
            Phase("testing", at("2025-04-01")),
            Phase(
                "gradual_rollout",
                at("2025-06-01"),
                share_plan=(SharePoint(at("2025-04-15"), 0.1), SharePoint(at("2025-05-01"), 0.5)),
            ),
            Phase("completed", at("2025-07-15")),
        ),
        "auto_advance": False,
        "budgets": Budgets(
            {"daily": usd_to_nano(daily), "weekly": usd_to_nano(600), "monthly": usd_to_nano(2500)}, 0.8
        ),
        "thresholds": (
            Threshold("error_ratio", "warning", 0.05),
            Threshold("error_ratio", "critical", 0.1),
            Threshold("latency_mean_seconds", "warning", 5),
        ),
        "latency_statistic": "mean",
    }
    return Migration(**{**values, **changes})


def plan(*migrations: Migration, **changes: Any) -> Plan:
    """A plan over these migrations, the GPT-4.1 one when none is given."""
    values: dict[str, Any] = {
        "path": Path("migration.yaml"),
        "timezone": ZoneInfo("UTC"),
        "migrations": migrations or (migration(),),
        "categories": CATEGORIES,
    }
    return Plan(**{**values, **changes})
