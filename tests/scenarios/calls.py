"""Rows of calls: one array per column, ordered by time."""

from __future__ import annotations

from dataclasses import dataclass, fields, replace

import numpy as np
from numpy.typing import NDArray

from tests.scenarios.settings import Setting

Floats = NDArray[np.float64]
Ints = NDArray[np.int64]
Bools = NDArray[np.bool_]

ROLES = ("source", "target", "shadow")
SOURCE, TARGET, SHADOW = range(3)
ERROR_TYPES = (
    "timeout",
    "rate_limit",
    "server_error",
    "model_not_found",
    "content_filter",
    "invalid_request",
    "authentication",
    "other",
)


@dataclass(frozen=True, slots=True)
class Names:
    """What the numbers in the columns stand for."""

    migrations: tuple[str, ...]
    applications: tuple[str, ...]
    categories: tuple[str, ...]
    models: tuple[str, ...]

    @classmethod
    def of(cls, setting: Setting) -> Names:
        """The names of a setting, in a fixed order."""
        applications = [app for migration in setting.migrations for app in migration.applications]
        return cls(
            tuple(migration.name for migration in setting.migrations),
            tuple(dict.fromkeys(app.name for app in applications)),
            tuple(dict.fromkeys(category for app in applications for category in app.categories)),
            tuple(setting.models),
        )


@dataclass(frozen=True, slots=True)
class Calls:
    """Calls, ordered by `at`; all columns have the same length."""

    at: Floats  # Unix seconds of the end
    migration: Ints
    application: Ints
    category: Ints
    role: Ints
    model: Ints
    other_model: Ints  # on the other side of the migration: successor or predecessor
    input: Floats  # tokens, cached ones included
    cached: Floats
    output: Floats
    latency: Floats  # seconds
    success: Bools
    error_type: Ints  # index into ERROR_TYPES; meaningless where success
    cost: Floats  # USD
    counterfactual: Floats  # USD
    quality: Floats  # 0..1, NaN where not evaluated

    def __len__(self) -> int:
        return len(self.at)

    def where(self, chosen: Bools | Ints) -> Calls:
        """The rows that a mask or index chooses."""
        return Calls(**{field.name: getattr(self, field.name)[chosen] for field in fields(self)})

    def changed(self, **columns: NDArray[np.generic]) -> Calls:
        """The same rows with other columns."""
        return replace(self, **columns)  # type: ignore[arg-type]


def joined(*parts: Calls) -> Calls:
    """All rows in order of time."""
    columns = {field.name: np.concatenate([getattr(part, field.name) for part in parts]) for field in fields(Calls)}
    return Calls(**columns).where(np.argsort(columns["at"], kind="stable"))


def price(setting: Setting, model: Ints, input_: Floats, cached: Floats, output: Floats) -> Floats:
    """USD of calls at the setting's prices."""
    table = np.array([(m.price.input, m.price.cached_input, m.price.output) for m in setting.models.values()])
    chosen = table[model]
    return ((input_ - cached) * chosen[:, 0] + cached * chosen[:, 1] + output * chosen[:, 2]) / 1e6
