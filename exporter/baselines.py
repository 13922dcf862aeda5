"""Baselines: what calls of a model were like before something changed, as figures to compare later ones with.

A baseline of a model is computed from its live calls (roles `source` and `target`; shadow calls are left out) since its
last baseline was taken, or since the ledger began. Everything comes from sums and buckets, so that several exporters
are merged by adding; percentiles are interpolated within buckets exactly as PromQL's `histogram_quantile` does, so that
a figure equals what a recording rule over the same calls gives.

Baselines are changes of the kind `baseline`, with keys `<model>/<name>`; beside the figures stand `samples`,
`timestamp_seconds`, and `totals`: the sums at the time of taking, from which the next window is counted.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Annotated

import msgspec

from exporter.catalog import DURATION_BUCKETS, TOKEN_TYPES
from exporter.control import Author, Change, Control
from exporter.errors import RequestError
from exporter.money import NANO
from exporter.plan.model import Migration
from exporter.totals import Totals

KIND = "baseline"
NAMES = (
    "latency_mean_seconds",
    "latency_p50_seconds",
    "latency_p95_seconds",
    "error_ratio",
    "cost_per_request_usd",
    "tokens_per_request",
    "output_tokens_per_usd",
)
SAMPLES = "samples"
TIMESTAMP = "timestamp_seconds"
TOTALS = "totals"
MIN_SAMPLES = 20  # calls of a model below which nothing is said about it
LIVE = ("source", "target")
HERE = ""  # this exporter among those that are merged
Counted = Mapping[str, Mapping[str, "Sums"]]
"""What further exporters counted: exporter, by a name that stays the same from taking to taking -> model -> sums."""

_Count = Annotated[int, msgspec.Meta(ge=0)]
_BUCKETS = len(DURATION_BUCKETS) + 1
_Buckets = Annotated[tuple[_Count, ...], msgspec.Meta(min_length=_BUCKETS, max_length=_BUCKETS)]
_ABSURD = 2**100  # beyond what any number of calls adds up to
_OUTPUT, _REASONING = TOKEN_TYPES.index("output"), TOKEN_TYPES.index("reasoning")


class Sums(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """What the calls of one model add up to. Exact: integers only; sums of several exporters are added.

    The order of the fields is used: see `measure`.
    """

    requests: _Count = 0
    errors: _Count = 0
    unpriced: _Count = 0  # calls without a known price
    cost_nanousd: _Count = 0
    tokens: _Count = 0
    output_tokens: _Count = 0  # reasoning included, as providers count
    duration_us: _Count = 0
    duration_counts: _Buckets = (0,) * _BUCKETS  # calls by bucket, the last one above all bounds

    @classmethod
    def of(cls, numbers: Sequence[int]) -> Sums:
        """The sums whose `numbers` these are."""
        requests, errors, unpriced, cost, tokens, output, duration, *buckets = numbers
        return cls(requests, errors, unpriced, cost, tokens, output, duration, tuple(buckets))

    @property
    def numbers(self) -> list[int]:
        """All fields in their order, the buckets last."""
        *plain, buckets = msgspec.structs.astuple(self)
        return [*plain, *buckets]

    def __add__(self, other: Sums) -> Sums:
        return Sums.of([a + b for a, b in zip(self.numbers, other.numbers, strict=True)])

    def since(self, earlier: Sums) -> Sums:
        """What came after `earlier`; everything, where these sums are of a ledger that was begun anew."""
        grown = [now - then for now, then in zip(self.numbers, earlier.numbers, strict=True)]
        return self if min(grown) < 0 else Sums.of(grown)

    @property
    def consistent(self) -> bool:
        """Whether the parts fit together, as they do when an exporter made them."""
        return (
            sum(self.duration_counts) == self.requests
            and max(self.errors, self.unpriced) <= self.requests
            and self.output_tokens <= self.tokens
            and max(self.numbers) < _ABSURD
        )

    def figures(self) -> dict[str, float]:
        """The baseline's figures by name, seconds and USD; what these calls cannot say is absent."""
        if self.requests == 0:
            return {}
        figures = {
            "latency_mean_seconds": self.duration_us / (self.requests * 1_000_000),
            "latency_p50_seconds": quantile(0.5, self.duration_counts, DURATION_BUCKETS),
            "latency_p95_seconds": quantile(0.95, self.duration_counts, DURATION_BUCKETS),
            "error_ratio": self.errors / self.requests,
            "tokens_per_request": self.tokens / self.requests,
        }
        if self.unpriced == 0:  # a sum that leaves out calls is no cost of all of them
            figures["cost_per_request_usd"] = self.cost_nanousd / (self.requests * NANO)
            if self.cost_nanousd:
                figures["output_tokens_per_usd"] = self.output_tokens * NANO / self.cost_nanousd
        return figures


def quantile(q: float, counts: Sequence[int], bounds: Sequence[float]) -> float:
    """The quantile `q` in (0, 1] of observations by bucket, as PromQL's `histogram_quantile` computes it.

    Args:
        q: Which quantile: 0.95 for the 95th percentile.
        counts: Observations in each bucket, not cumulative; at least one. The last bucket has no upper bound.
        bounds: Upper bounds of all buckets but the last, ascending and positive.

    Returns:
        The linear interpolation within its bucket; the highest bound for what lies above all bounds.
    """
    rank = q * sum(counts)
    below = 0
    lower = 0.0
    for count, upper in zip(counts, bounds, strict=False):
        if below + count >= rank:
            return lower + (upper - lower) * ((rank - below) / count)
        below += count
        lower = upper
    return float(bounds[-1])


def models_of(migration: Migration) -> tuple[str, ...]:
    """The models that a migration has baselines of: sources, then targets."""
    return tuple(dict.fromkeys((*migration.sources, *migration.targets)))


def measure(totals: Totals, migration: Migration) -> dict[str, Sums]:
    """What this exporter has counted of each of the migration's models, live calls of all time."""
    numbers = {model: Sums().numbers for model in models_of(migration)}
    for cell in totals.cells.values():
        owner, role, model, _, _ = cell.key
        if owner == migration.name and role in LIVE and model in numbers:
            calls, errors, cost, _, _, unpriced = cell.values
            sums = numbers[model]
            sums[0] += calls
            sums[1] += errors
            sums[2] += unpriced
            sums[3] += cost
    for group in totals.groups.values():
        owner, role, model, _ = group.key
        if owner == migration.name and role in LIVE and model in numbers:
            output = group.tokens[_OUTPUT] + group.tokens[_REASONING]
            counts = (sum(group.tokens), output, group.duration.total, *group.duration.counts)
            for index, count in enumerate(counts, start=4):
                numbers[model][index] += count
    return {model: Sums.of(sums) for model, sums in numbers.items()}


@dataclass(frozen=True, slots=True)
class Taking:
    """Baselines taken at one time: the changes to make, and of which models nothing (or not all) could be said."""

    changes: tuple[Change, ...]
    taken: tuple[str, ...]
    missing: Mapping[str, str]  # model -> why


def take(
    control: Control,
    totals: Totals,
    migration: Migration,
    by: Author,
    others: Counted | None = None,
    without: Sequence[str] = (),
) -> Taking:
    """Baselines of all models of a migration from the calls since the last taking.

    A model with fewer than `MIN_SAMPLES` calls keeps the baseline that it has, and its calls stay for the next taking.

    Args:
        control: The state, which knows the last taking.
        totals: What this exporter counted.
        migration: The migration.
        by: Who takes them, when, and why.
        others: What further exporters counted.
        without: Exporters that are left out, which the audit log then says; their calls stay for the next taking.

    Raises:
        RequestError: 422 when the sums of another exporter are about an unknown model or contradict themselves.
    """
    measured = {HERE: measure(totals, migration), **(others or {})}
    _refuse_nonsense(migration, others or {})
    if without:
        by = replace(by, reason="; ".join(filter(None, (by.reason, f"without {', '.join(without)}"))))
    changes: list[Change] = []
    taken: list[str] = []
    missing: dict[str, str] = {}
    for model in models_of(migration):
        marks = _marks(control, migration.name, model)
        now = {name: sums[model] for name, sums in measured.items() if model in sums}
        window = Sums()
        for name, sums in now.items():
            window += sums.since(marks.get(name, Sums()))
        if window.requests < MIN_SAMPLES:
            since = "since the last baseline" if marks else "so far"
            missing[model] = f"{window.requests} live calls {since}; a baseline needs {MIN_SAMPLES}"
            continue
        if window.unpriced:
            missing[model] = (
                f"{window.unpriced} of {window.requests} calls have no known price: no figures of cost; "
                "give the model a price under `prices:` and take the baseline again when new calls have come"
            )
        taken.append(model)
        figures = window.figures()
        values = {
            **{name: figures.get(name) for name in NAMES},
            SAMPLES: window.requests,
            TIMESTAMP: by.at_us / 1_000_000,
            TOTALS: msgspec.json.encode({**marks, **now}).decode(),
        }
        for name, value in values.items():
            key = f"{model}/{name}"
            if value is not None or control.values.get((KIND, migration.name, key)) is not None:
                changes.append(control.change(KIND, migration.name, key, value, by))
    return Taking(tuple(changes), tuple(taken), missing)


def advance(
    control: Control,
    totals: Totals,
    migration: Migration,
    to: str,
    by: Author,
    others: Counted | None = None,
    without: Sequence[str] = (),
) -> tuple[list[Change], Taking | None]:
    """The step into another phase, with baselines when it leaves the first one; `others` and `without` as in `take`.

    Raises:
        RequestError: the step is refused, as `Control.advance` says.
    """
    step = control.advance(migration, to, by)
    if not in_first_phase(control, migration):
        return [step], None
    taking = take(control, totals, migration, by, others, without)
    return [step, *taking.changes], taking


def in_first_phase(control: Control, migration: Migration) -> bool:
    """Whether the next step takes baselines."""
    return control.phase(migration) == migration.phases[0].name


def _refuse_nonsense(migration: Migration, others: Counted) -> None:
    known = models_of(migration)
    for exporter, models in others.items():
        if exporter == HERE:
            raise RequestError(422, "another exporter needs a name: write what its `instance` label says")
        for model, sums in models.items():
            if model not in known:
                raise RequestError(422, f"exporter {exporter}: {migration.name} has no model {model}")
            if not sums.consistent:
                raise RequestError(
                    422, f"exporter {exporter}, {model}: the sums contradict each other; send them as its GET gave them"
                )


def _marks(control: Control, migration: str, model: str) -> dict[str, Sums]:
    """What each exporter had counted of a model when its baseline was last taken."""
    text = control.values.get((KIND, migration, f"{model}/{TOTALS}"))
    return msgspec.json.decode(text, type=dict[str, Sums]) if isinstance(text, str) else {}
