"""From what an event says of itself to the labels that its series have, decided once and stored with it."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from exporter.catalog import ERROR_TYPES, ERRORS_BY_TYPE, REQUESTS, ROUTE_REQUESTS
from exporter.events import Event
from exporter.ingest.names import Names
from exporter.plan.model import Migration, Plan
from exporter.pricing.book import PriceBook
from exporter.totals import CellKey, GroupKey, RouteKey

OTHER = "other"
MODEL_NAMES = 5_000  # raw model names kept beside events
UNPRICED_NAMES = 50  # models named by the unpriced metrics
EVALUATORS = 50
_CACHE = 20_000


class UnknownMigrationError(Exception):
    """The event names a migration that the plan does not have."""


@dataclass(frozen=True, slots=True)
class Resolution:
    """Everything about an event that does not depend on its numbers."""

    cell: int
    group: GroupKey
    route: int
    model: int
    counterpart: str | None  # the model on the other side of the migration, at whose price the call is compared
    folded: tuple[str, ...]  # labels whose value was beyond the known ones


class Resolver:
    """The plan's view of events. Owned by the event loop; a new plan needs a new resolver over the same names."""

    def __init__(
        self, plan: Plan, book: PriceBook, names: Names, on_dropped: Callable[[str], None] = lambda metric: None
    ) -> None:
        """`on_dropped` is told the metric that had no room for another label set."""
        self._plan = plan
        self._on_dropped = on_dropped
        self._book = book
        self._names = names
        self._categories = frozenset(plan.categories) | {OTHER}
        self._migrations = {migration.name: migration for migration in plan.migrations}
        self._models = _spellings(plan, book)
        self._scope_applications = frozenset().union(*(m.scope.applications for m in plan.migrations))
        self._scope_endpoints = frozenset().union(*(m.scope.endpoints for m in plan.migrations))
        self._cache: dict[tuple[str, str, str, str, str | None, str | None, bool], Resolution] = {}

    def resolve(self, event: Event) -> Resolution:
        """The event's place.

        Raises:
            UnknownMigrationError: it names a migration that the plan does not have.
        """
        key = (
            event.model,
            event.application,
            event.category,
            event.endpoint,
            event.migration,
            event.replaces,
            event.shadow,
        )
        known = self._cache.get(key)
        if known is None:
            known = self._resolve(event)
            if len(self._cache) >= _CACHE:
                self._cache.clear()
            self._cache[key] = known
        return known

    def unpriced(self, name: str) -> tuple[int, bool]:
        """The dictionary entry under which a model without a price is counted, and whether it was folded."""
        admitted = self._names.admit("unpriced_name", name, UNPRICED_NAMES)
        return self._names.id("unpriced", (name if admitted else OTHER,)), not admitted

    def evaluator(self, name: str, group: GroupKey) -> tuple[int, bool]:
        """The dictionary entry under which an evaluator's scores of a label set count, and whether it was folded."""
        known = self._names.find("evaluator", (name,)) is not None or self._names.count("evaluator") < EVALUATORS
        if known and self._room("scored", (*group, name), 1):
            self._names.id("scored", (*group, name))
            return self._names.id("evaluator", (name,)), False
        return self._names.id("evaluator", (OTHER,)), True

    def _resolve(self, event: Event) -> Resolution:
        folded: list[str] = []
        model = self._model(event.model)
        migration = self._migration(event, model or event.model)
        if model is None:
            folded.append("model")
        category = event.category
        if category not in self._categories:
            folded.append("category")
            category = OTHER
        application = event.application
        if not self._admits("application", application, self._scope_applications, self._plan.limits.applications):
            folded.append("application")
            application = OTHER
        route = event.endpoint
        if not self._admits("endpoint", route, self._scope_endpoints, self._plan.limits.endpoints):
            folded.append("route")
            route = OTHER
        drop = self._plan.labels.drop
        name = migration.name if migration else ""
        role = _role(migration, model or event.model, event.shadow)
        cell_key = CellKey(
            name,
            role,
            model or OTHER,
            "" if "application" in drop else application,
            OTHER if "category" in drop else category,
        )
        group_key = GroupKey(name, role, cell_key.model, cell_key.category)
        route_key = RouteKey(name, role, cell_key.application, route)
        if not self._room("group", group_key, len(ERROR_TYPES)):
            self._on_dropped(ERRORS_BY_TYPE.name)
            group_key = GroupKey(name, role, OTHER, OTHER)
            cell_key = CellKey(name, role, OTHER, cell_key.application, OTHER)
        if not self._room("cell", cell_key, 1):
            self._on_dropped(REQUESTS.name)
            group_key = GroupKey(name, role, OTHER, OTHER)
            cell_key = CellKey(name, role, OTHER, OTHER, OTHER)
        if not self._room("route", route_key, 1):
            self._on_dropped(ROUTE_REQUESTS.name)
            route_key = RouteKey(name, role, OTHER, OTHER)
        self._names.id("group", group_key)
        raw = event.model if self._names.admit("model", event.model, MODEL_NAMES) else OTHER
        return Resolution(
            cell=self._names.id("cell", cell_key),
            group=group_key,
            route=self._names.id("route", route_key),
            model=self._names.id("model", (raw,)),
            counterpart=_counterpart(migration, role, model or event.model, event.replaces),
            folded=tuple(folded),
        )

    def _model(self, name: str) -> str | None:
        """The label of a model: as the plan spells it, else as the price book does, else none."""
        planned = self._models.get(name)
        if planned is not None:
            return planned
        canonical = self._book.canonical(name)
        return None if canonical is None else self._models.get(canonical, canonical)

    def _migration(self, event: Event, model: str) -> Migration | None:
        if event.migration is not None:
            migration = self._migrations.get(event.migration)
            if migration is None:
                raise UnknownMigrationError(event.migration)
            return migration
        for migration in self._plan.migrations:
            if (model in migration.models or model in migration.targets) and migration.scope.covers(
                event.application, event.category, event.endpoint
            ):
                return migration
        return None

    def _admits(self, kind: str, value: str, declared: frozenset[str], limit: int) -> bool:
        return value in ("", OTHER) or value in declared or self._names.admit(kind, value, limit)

    def _room(self, kind: str, key: tuple[str, ...], label_sets: int) -> bool:
        """Whether an entry, of which a metric makes so many label sets, is there or fits."""
        known = self._names.find(kind, key) is not None
        return known or (self._names.count(kind) + 1) * label_sets <= self._plan.limits.series_per_metric


def _spellings(plan: Plan, book: PriceBook) -> dict[str, str]:
    """Names -> the plan's own spelling: as it stands, and as the book calls the same model where that is not taken."""
    planned = [model for m in plan.migrations for model in (*m.sources, *m.targets)]
    spellings = {model: model for model in planned}
    for model in planned:
        spellings.setdefault(book.canonical(model) or model, model)
    return spellings


def _role(migration: Migration | None, model: str, shadow: bool) -> str:
    if migration is None:
        return OTHER
    if model in migration.models:
        return OTHER if shadow else "source"
    if model in migration.targets:
        return "shadow" if shadow else "target"
    return OTHER


def _counterpart(migration: Migration | None, role: str, model: str, replaces: str | None) -> str | None:
    if migration is None:
        return None
    if role == "source":
        return migration.models[model]
    if role in ("target", "shadow"):
        return replaces or migration.predecessor(model)
    return None
