"""Calls as a Prometheus records them: counters and histograms with the contract's names, one value a scrape.

Series are rows of one matrix: `Series.labels[i]` belongs to `Series.values[i]`, one column a scrape. NaN is a scrape
without the series. Bucket bounds and label names are the contract's, written here a second time on purpose.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from tests.scenarios.calls import ERROR_TYPES, ROLES, Calls, Floats, Ints, Names
from tests.scenarios.incidents import RECORDED, Incident
from tests.scenarios.plan import gauges
from tests.scenarios.settings import DAY, Setting

Labels = dict[str, str]
DURATIONS = (0.05, 0.1, 0.25, 0.5, 1.0, 2.0, 3.0, 5.0, 8.0, 10.0, 15.0, 20.0, 30.0, 60.0, 120.0, 300.0)
SCORES = (0.1, 0.2, 0.3, 0.4, 0.5, 0.6, 0.7, 0.8, 0.9, 0.95, 1.0)
JOB = "llm-migration-exporter"
Row = tuple[str, Labels, Floats]


@dataclass(frozen=True, slots=True)
class Series:
    """Series over scrapes at `begin + step * column`; labels hold `__name__`."""

    begin: float
    step: float
    labels: list[Labels]
    values: NDArray[np.float64]

    def __len__(self) -> int:
        return len(self.labels)

    @property
    def times(self) -> Floats:
        """Unix seconds of the scrapes."""
        return self.begin + self.step * np.arange(self.values.shape[1])

    def total(self, name: str, **matchers: str) -> Floats:
        """The sum of all series of a name, scrape by scrape."""
        chosen = [
            row
            for row, labels in enumerate(self.labels)
            if labels["__name__"] == name and all(labels.get(key) == value for key, value in matchers.items())
        ]
        return np.asarray(np.nansum(self.values[chosen], axis=0))


def record(
    setting: Setting,
    calls: Calls,
    days: float,
    step: float = 60.0,
    incidents: Sequence[Incident] = (),
    rng: np.random.Generator | None = None,
) -> Series:
    """Every series of every exporter, with `job` and `instance`, and `up`; the first scrape is at the begin.

    Args:
        setting: what was simulated.
        calls: its rows.
        days: the span.
        step: seconds between scrapes.
        incidents: `exporter_death` and `scrape_loss` among them cost scrapes; the rest is in the calls.
        rng: which scrapes `scrape_loss` takes.
    """
    scrapes = round(days * DAY / step) + 1
    times = setting.begin + step * np.arange(scrapes)
    names = Names.of(setting)
    labels: list[Labels] = []
    rows: list[Floats] = []
    chance = np.random.default_rng(0) if rng is None else rng
    for number in range(setting.exporters):
        seen = _seen(times, incidents, chance)
        mine = calls.where(calls.application % setting.exporters == number)
        instance = {"job": JOB, "instance": f"exporter-{number}"}
        labels.append({"__name__": "up", **instance})
        rows.append(seen.astype(float))
        for name, own, values in _exporter(setting, names, mine, calls, times, control=number == 0):
            labels.append({"__name__": name, **own, **instance})
            rows.append(np.where(seen, values, np.nan))
    labels.append({"__name__": "up", "job": "prometheus", "instance": "localhost:9090"})
    rows.append(np.ones(scrapes))
    return Series(setting.begin, step, labels, np.array(rows))


def _seen(times: Floats, incidents: Sequence[Incident], rng: np.random.Generator) -> NDArray[np.bool_]:
    seen = np.ones(len(times), bool)
    for incident in incidents:
        if incident.kind in RECORDED:
            during = (times >= incident.start) & (times < incident.end)
            seen &= ~(during & (rng.random(len(times)) < incident.strength))
    return seen


def _exporter(
    setting: Setting, names: Names, mine: Calls, everything: Calls, times: Floats, *, control: bool
) -> Iterator[Row]:
    yield from counters(setting, names, mine, times)
    yield from gauges(setting, names, mine, everything, times, control=control)


def counters(setting: Setting, names: Names, calls: Calls, times: Floats) -> Iterator[Row]:
    """All that only grows: a value of a scrape holds what ended up to it."""
    slot = np.searchsorted(times, calls.at, side="left")
    inside = slot < len(times)
    calls, slot = calls.where(inside), slot[inside]
    wide = _Cells(names, calls, slot, times, setting.hold, ("migration", "role", "model", "application", "category"))
    high = _Cells(names, calls, slot, times, setting.hold, ("migration", "role", "model", "category"))
    failed = (~calls.success).astype(float)
    yield from wide.sums("llm_requests_total", np.ones(len(calls)))
    yield from wide.sums("llm_request_errors_total", failed, calls.success == False)  # noqa: E712 - an array
    yield from wide.sums("llm_cost_usd_total", calls.cost)
    yield from wide.sums("llm_counterfactual_cost_usd_total", calls.counterfactual)
    for index, error in enumerate(ERROR_TYPES):
        kind = ~calls.success & (calls.error_type == index)
        yield from high.sums("llm_request_errors_by_type_total", kind.astype(float), kind, error_type=error)
    for kind_, amount in (
        ("input", calls.input - calls.cached),
        ("cached_input", calls.cached),
        ("output", calls.output),
    ):
        yield from high.sums("llm_tokens_total", amount, amount > 0, type=kind_)
    yield from high.histogram("llm_request_duration_seconds", calls.latency, DURATIONS)
    yield from high.histogram("llm_quality_score", calls.quality, SCORES, evaluator="judge")
    ended = np.full(len(names.applications), np.nan)
    accepted = np.bincount(slot, minlength=len(times)).cumsum().astype(float)
    yield "llm_exporter_events_total", {"result": "accepted"}, accepted
    for index, application in enumerate(names.applications):
        own = calls.at[calls.application == index]
        if len(own):
            last = np.searchsorted(own, times, side="right") - 1
            ended = np.where(last >= 0, own[np.maximum(last, 0)], np.nan)
            yield "llm_exporter_last_event_timestamp_seconds", {"application": application}, ended


class _Cells:
    """Label sets of calls, and sums over them."""

    def __init__(
        self, names: Names, calls: Calls, slot: Ints, times: Floats, hold: float, columns: tuple[str, ...]
    ) -> None:
        self._slot = slot
        self._times = times
        self._hold = hold
        known = {
            "migration": names.migrations,
            "role": ROLES,
            "model": names.models,
            "application": names.applications,
            "category": names.categories,
        }
        sizes = [len(known[column]) for column in columns]
        flat = np.ravel_multi_index([getattr(calls, column) for column in columns], sizes)
        cells, self._cell = np.unique(flat, return_inverse=True)
        parts = np.unravel_index(cells, sizes)
        self._labels = [
            {column: known[column][part[row]] for column, part in zip(columns, parts, strict=True)}
            for row in range(len(cells))
        ]

    def sums(self, name: str, amounts: Floats, chosen: NDArray[np.bool_] | None = None, **more: str) -> Iterator[Row]:
        """A counter a label set; `chosen` are the calls that make the series appear, else all."""
        values = self._folded(amounts)
        born = self._born(chosen)
        for row, labels in enumerate(self._labels):
            if born[row] < len(self._times):
                yield name, {**labels, **more}, self._held(values[row], int(born[row]))

    def histogram(self, name: str, observed: Floats, bounds: Sequence[float], **more: str) -> Iterator[Row]:
        """Buckets, count and sum of each label set; NaN is no observation."""
        real = ~np.isnan(observed)
        value = np.where(real, observed, 0.0)
        born = self._born(real)
        bucket = np.searchsorted(np.array(bounds), value, side="left")
        within = np.zeros((len(self._labels), len(self._times)))
        parts: list[tuple[str, Floats]] = []
        for index, bound in enumerate((*bounds, np.inf)):
            within = within + self._folded((real & (bucket == index)).astype(float))
            parts.append(("+Inf" if bound == np.inf else repr(float(bound)), within))
        total = self._folded(value)
        for row, labels in enumerate(self._labels):
            start = int(born[row])
            if start == len(self._times):
                continue
            own = {**labels, **more}
            for bound_, counts in parts:
                yield f"{name}_bucket", {**own, "le": bound_}, self._held(counts[row], start)
            yield f"{name}_count", own, self._held(within[row], start)
            yield f"{name}_sum", own, self._held(total[row], start)

    def _folded(self, amounts: Floats) -> Floats:
        width = len(self._times)
        flat = np.bincount(self._cell * width + self._slot, weights=amounts, minlength=len(self._labels) * width)
        return np.asarray(flat.reshape(len(self._labels), width).cumsum(axis=1))

    def _born(self, chosen: NDArray[np.bool_] | None) -> Ints:
        """The first scrape of each label set: 0 for what happens on the first day, as after a long time before."""
        cell, slot = (self._cell, self._slot) if chosen is None else (self._cell[chosen], self._slot[chosen])
        first = np.full(len(self._labels), len(self._times))
        np.minimum.at(first, cell, slot)
        return np.where(self._times[np.minimum(first, len(self._times) - 1)] < self._times[0] + DAY, 0, first)

    def _held(self, values: Floats, born: int) -> Floats:
        """Nothing before birth, 0 for `hold` seconds after it, then the truth."""
        if born == 0:
            return values
        young = self._times <= self._times[born] + self._hold
        held = np.where(young, 0.0, values)
        held[:born] = np.nan
        return held
