"""The ledger's content as flat records, one after the other, never all at once.

An event has the fields of the wire format, and beside them what was decided when it came: its role, the label under
which its model counts, its price and the version of the price book. Money is in USD for people and in integer
nano-dollars (`…_nanousd`) for sums. Of an id the ledger keeps a hash only, which is what an import recognises it by.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from datetime import UTC, datetime

from exporter.catalog import DURATION_BUCKETS, ERROR_TYPES, TOKEN_TYPES
from exporter.events import TIERS
from exporter.ledger.reader import View
from exporter.money import nano_to_usd
from exporter.totals.rollups import DAY, HOUR

Value = str | int | float | bool | None
Record = Mapping[str, Value]

EVENT_FIELDS = (
    "seq",
    "id_hash",
    "timestamp",
    "migration",
    "role",
    "model",
    "model_label",
    "application",
    "category",
    "endpoint",
    "input_tokens",
    "output_tokens",
    "cached_input_tokens",
    "cache_write_tokens",
    "reasoning_tokens",
    "latency",
    "time_to_first_token",
    "success",
    "error_type",
    "tier",
    "shadow",
    "quality_score",
    "evaluator",
    "cost_usd",
    "priced_usd",
    "priced_nanousd",
    "counterfactual_nanousd",
    "price_version",
    "pair_id",
    "prompt_hash",
    "trace_id",
)
SUM_FIELDS = (
    "start",
    "migration",
    "role",
    "model_label",
    "application",
    "category",
    "requests",
    "errors",
    "cost_usd",
    "cost_nanousd",
    "counterfactual_nanousd",
    "reported_difference_nanousd",
    "unpriced",
)
SHAPE_FIELDS = (
    "start",
    "migration",
    "role",
    "model_label",
    "category",
    *(f"{name}_tokens" for name in TOKEN_TYPES),
    *(f"{name}_errors" for name in ERROR_TYPES),
    *(f"duration_le_{bound:g}" for bound in DURATION_BUCKETS),
    "duration_le_inf",
    "duration_seconds",
)
CHANGE_FIELDS = (
    "seq",
    "timestamp",
    "migration",
    "actor",
    "source",
    "kind",
    "key",
    "before",
    "after",
    "reason",
    "previous",
    "seal",
)


def events(view: View, start: float, end: float) -> Iterator[Record]:
    """Single calls that ended in [start, end), Unix seconds, in the order in which they came."""
    cells, routes = view.names("cell"), view.names("route")
    models, evaluators = _texts(view, "model"), _texts(view, "evaluator")
    versions = _texts(view, "price_version")
    for seq, row in view.rows(start, end):
        migration, role, label, application, category = cells[row.cell]
        cost = row.cost
        yield {
            "seq": seq,
            "id_hash": None if row.id_hash is None else row.id_hash.hex(),
            "timestamp": _moment(row.at_us),
            "migration": migration,
            "role": role,
            "model": models[row.model],
            "model_label": label,
            "application": application,
            "category": category,
            "endpoint": routes[row.route][3],
            "input_tokens": row.input_tokens + row.cached_input_tokens + row.cache_write_tokens,
            "output_tokens": row.output_tokens + row.reasoning_tokens,
            "cached_input_tokens": row.cached_input_tokens,
            "cache_write_tokens": row.cache_write_tokens,
            "reasoning_tokens": row.reasoning_tokens,
            "latency": row.latency_us / 1_000_000,
            "time_to_first_token": None if row.first_token_us is None else row.first_token_us / 1_000_000,
            "success": row.error == 0,
            "error_type": ERROR_TYPES[row.error - 1] if row.error else None,
            "tier": TIERS[row.tier],
            "shadow": role == "shadow",
            "quality_score": None if row.quality is None else row.quality / 1000,
            "evaluator": None if row.evaluator is None else evaluators[row.evaluator],
            "cost_usd": None if row.reported is None else nano_to_usd(row.reported),
            "priced_usd": None if cost is None else nano_to_usd(cost),
            "priced_nanousd": cost,
            "counterfactual_nanousd": row.counterfactual,
            "price_version": versions[row.price_version],
            "pair_id": row.pair,
            "prompt_hash": row.prompt_hash,
            "trace_id": row.trace_id,
        }


def _sums(level: str) -> Callable[[View, float, float], Iterator[Record]]:
    def records(view: View, start: float, end: float) -> Iterator[Record]:
        cells = view.names("cell")
        for at, key, (requests, errors, cost, counterfactual, difference, unpriced) in view.usage(level, start, end):
            migration, role, label, application, category = cells[key]
            yield {
                "start": _moment(at * 1_000_000),
                "migration": migration,
                "role": role,
                "model_label": label,
                "application": application,
                "category": category,
                "requests": requests,
                "errors": errors,
                "cost_usd": nano_to_usd(cost),
                "cost_nanousd": cost,
                "counterfactual_nanousd": counterfactual,
                "reported_difference_nanousd": difference,
                "unpriced": unpriced,
            }

    return records


def _shapes(level: str) -> Callable[[View, float, float], Iterator[Record]]:
    def records(view: View, start: float, end: float) -> Iterator[Record]:
        groups = view.names("group")
        for at, key, values in view.shape(level, start, end):
            *counts, microseconds = values
            labels = groups.get(key, ("", "", "", ""))
            yield dict(
                zip(SHAPE_FIELDS, (_moment(at * 1_000_000), *labels, *counts, microseconds / 1_000_000), strict=True)
            )

    return records


def changes(view: View, start: float, end: float) -> Iterator[Record]:
    """The audit log of [start, end), newest first; values as they were stored, budgets in nano-dollars."""
    for sealed in view.changes():
        change = sealed.change
        if start <= change.at_us / 1_000_000 < end:
            yield {
                "seq": sealed.seq,
                "timestamp": _moment(change.at_us),
                "migration": change.migration,
                "actor": change.actor,
                "source": change.source,
                "kind": change.kind,
                "key": change.key,
                "before": change.before,
                "after": change.after,
                "reason": change.reason,
                "previous": sealed.previous,
                "seal": sealed.seal,
            }


KINDS: dict[str, tuple[tuple[str, ...], Callable[[View, float, float], Iterator[Record]]]] = {
    "events": (EVENT_FIELDS, events),
    "hourly": (SUM_FIELDS, _sums(HOUR)),
    "daily": (SUM_FIELDS, _sums(DAY)),
    "hourly-tokens": (SHAPE_FIELDS, _shapes(HOUR)),
    "daily-tokens": (SHAPE_FIELDS, _shapes(DAY)),
    "changes": (CHANGE_FIELDS, changes),
}
"""What can be exported: its fields in their order, and the records of a time."""


def _texts(view: View, kind: str) -> dict[int, str]:
    return {number: value[0] for number, value in view.names(kind).items()}


def _moment(at_us: int) -> str:
    seconds, rest = divmod(at_us, 1_000_000)
    text = datetime.fromtimestamp(seconds, UTC).strftime("%Y-%m-%dT%H:%M:%S")
    return f"{text}.{rest:06d}Z" if rest else f"{text}Z"
