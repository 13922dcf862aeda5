"""Label sets that exist from the start, at zero, because the plan makes them known."""

from __future__ import annotations

from exporter.plan.model import Plan
from exporter.totals import GroupKey


def planned_groups(plan: Plan) -> list[GroupKey]:
    """Label sets H of each migration: its models in their roles, by the categories in its scope."""
    groups: list[GroupKey] = []
    for migration in plan.migrations:
        pairs = [("source", model) for model in migration.sources]
        pairs += [(role, model) for role in ("target", "shadow") for model in migration.targets]
        categories = [c for c in plan.categories if not migration.scope.categories or c in migration.scope.categories]
        if "category" in plan.labels.drop:
            categories = ["other"]
        groups += [GroupKey(migration.name, role, model, category) for role, model in pairs for category in categories]
    return groups
