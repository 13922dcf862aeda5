"""Thresholds at run time: how they may be spelled, and what makes sense.

A threshold is stored under the name of its series (`exporter.plan.model.Threshold`). People write it as the file does,
structured (`error_ratio: {warning: 0.03}`), with its name and severity in one word (`error_ratio_warning: 0.03`), or
by the short names that dashboards and scripts like (`error_rate_warning: 3.0`, which is per cent; `latency_warning`,
seconds; `daily_cost_warning`, USD). An answer has every spelling but the second, and may be sent back as it is.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from decimal import Decimal
from itertools import pairwise

from exporter.control import Author, Change, Control
from exporter.errors import RequestError
from exporter.plan.model import Migration
from exporter.plan.values import did_you_mean

KIND = "threshold"
_LARGEST = 1e9
_LATENCY = "latency_seconds"


@dataclass(frozen=True, slots=True)
class _Sort:
    """One kind of threshold: its name in the file, and what values it takes."""

    name: str
    more_is_worse: bool
    least: float = 0.0
    most: float = _LARGEST
    above_least: bool = False
    unit: str = ""
    short: str = ""  # the short name of its flat spelling
    percent: bool = False  # the short name is in per cent
    severities: tuple[str, ...] = ("warning", "critical")
    whole: bool = False
    strict: bool = False  # severities may not be equal

    def key(self, migration: Migration, severity: str) -> str:
        """Where a change keeps the value: `name/severity` of its series."""
        if self.name == _LATENCY:
            return f"latency_{migration.latency_statistic}_seconds/{severity}"
        if self.name == "token_efficiency":
            return f"token_efficiency_ratio/{severity}"
        if self.name == "deadline_warnings_days":
            return "deadline_emergency_days/critical" if severity == "emergency" else f"deadline_days/{severity}"
        return f"{self.name}/{severity}"


_SORTS = (
    _Sort("error_ratio", True, most=1, unit="a share from 0 to 1", short="error_rate", percent=True),
    _Sort(_LATENCY, True, above_least=True, unit="seconds above 0", short="latency"),
    _Sort("daily_cost_usd", True, above_least=True, unit="US dollars above 0", short="daily_cost"),
    _Sort("quality_score", False, most=1, unit="a score from 0 to 1"),
    _Sort("token_efficiency", False, above_least=True, unit="a ratio to the baseline above 0"),
    _Sort(
        "deadline_warnings_days",
        False,
        most=3650,
        unit="whole days from 0 to 3650",
        severities=("info", "warning", "emergency"),
        whole=True,
        strict=True,
    ),
)
_BY_NAME = {sort.name: sort for sort in _SORTS}
_FLAT: dict[str, tuple[_Sort, str, bool]] = {  # flat spelling -> kind, severity, whether in per cent
    f"{prefix}_{severity}": (sort, severity, percent)
    for sort in _SORTS
    for prefix, percent in ((sort.name, False), (sort.short, sort.percent))
    if prefix
    for severity in sort.severities
}
_Wanted = dict[tuple[_Sort, str], tuple[str, float | None]]  # what is asked for, and how it was spelled


def in_force(control: Control, migration: Migration) -> dict[str, object]:
    """All thresholds of a migration, by short names and structured; None for one that is switched off."""
    flat: dict[str, object] = {}
    structured: dict[str, object] = {}
    for sort in _SORTS:
        levels: dict[str, object] = {}
        for severity in sort.severities:
            value = _value(control, migration, sort, severity)
            levels[severity] = int(value) if value is not None and sort.whole else value
            if sort.short:
                flat[f"{sort.short}_{severity}"] = _percent(value) if sort.percent else value
        if sort.name == _LATENCY:
            levels["statistic"] = migration.latency_statistic
        structured[sort.name] = levels
    return {**flat, **structured}


def change(control: Control, migration: Migration, wanted: Mapping[str, object], by: Author) -> list[Change]:
    """The changes that a request asks for; what it does not name stays, null switches a threshold off.

    Raises:
        RequestError: 422, with everything that is wrong: an unknown name, a value that cannot be meant, two spellings
            that contradict each other, severities in the wrong order.
    """
    problems: list[str] = []
    asked: _Wanted = {}
    for name, value in wanted.items():
        for sort, severity, spelled, number, percent in _read(migration, name, value, problems):
            _ask(asked, sort, severity, spelled, number, percent, problems)
    if not asked and not problems:
        problems.append(f"no threshold is named; known are {', '.join(_BY_NAME)} and {', '.join(_short_names())}")
    if not problems:
        problems += _disorder(control, migration, asked)
    if problems:
        raise RequestError(422, "; ".join(problems))
    return [
        control.change(KIND, migration.name, sort.key(migration, severity), value, by)
        for (sort, severity), (_, value) in asked.items()
        if _value(control, migration, sort, severity) != value
    ]


def _read(
    migration: Migration, name: str, value: object, problems: list[str]
) -> Iterator[tuple[_Sort, str, str, object, bool]]:
    """(kind, severity, spelling, value, whether in per cent) of one member of the request."""
    if name in _FLAT:
        sort, severity, percent = _FLAT[name]
        yield sort, severity, name, value, percent
        return
    known_sort = _BY_NAME.get(name)
    if known_sort is None:
        problems.append(f"{name} is no threshold; {did_you_mean(name, [*_short_names(), *_BY_NAME, *_FLAT])}")
        return
    if not isinstance(value, dict):
        example = ", ".join(f'"{severity}": …' for severity in known_sort.severities)
        problems.append(f"{name} takes an object: {{{example}}}")
        return
    for severity, number in value.items():
        if severity in known_sort.severities:
            yield known_sort, severity, f"{name}.{severity}", number, False
        elif severity == "statistic" and name == _LATENCY:
            if number != migration.latency_statistic:
                problems.append(
                    f"the statistic of {name} is {migration.latency_statistic}; it is changed in migration.yaml"
                )
        else:
            problems.append(f"{name} has no {severity}; {did_you_mean(severity, known_sort.severities)}")


def _ask(
    asked: _Wanted, sort: _Sort, severity: str, spelled: str, number: object, percent: bool, problems: list[str]
) -> None:
    if number is None:
        value = None
    elif isinstance(number, bool) or not isinstance(number, int | float):
        problems.append(f"{spelled} is not a number; write {_unit(sort, percent)}, or null to switch it off")
        return
    elif not -_LARGEST <= number <= _LARGEST:
        problems.append(f"{spelled} is out of all bounds; write {_unit(sort, percent)}")
        return
    else:
        value = float(Decimal(repr(number)) / 100) if percent else float(number)
        too_small = value <= sort.least if sort.above_least else value < sort.least
        if too_small or value > sort.most or (sort.whole and value != int(value)):
            problems.append(f"{spelled} cannot be {number:g}; write {_unit(sort, percent)}")
            return
    earlier = asked.get((sort, severity))
    if earlier is not None and earlier[1] != value:
        problems.append(f"{earlier[0]} and {spelled} are the same threshold with different values; write one of them")
        return
    asked[sort, severity] = spelled, value


def _disorder(control: Control, migration: Migration, asked: _Wanted) -> Iterator[str]:
    """What the severities would contradict, those in force and those asked for taken together."""
    for sort in dict.fromkeys(sort for sort, _ in asked):
        levels: list[tuple[str, float]] = []
        for severity in sort.severities:
            _, value = asked.get((sort, severity), ("", _value(control, migration, sort, severity)))
            if value is not None:
                levels.append((severity, value))
        for (milder, first), (graver, second) in pairwise(levels):
            worse = "more" if sort.more_is_worse else "less"
            limit = "least" if sort.more_is_worse else "most"
            if (first > second) if sort.more_is_worse else (first < second):
                side = "below" if sort.more_is_worse else "above"
                yield (
                    f"{sort.name}: {graver} {second:g} would be {side} {milder} {first:g}; {worse} is worse here, "
                    f"so {graver} must be at {limit} {milder}: change both"
                )
            elif sort.strict and first == second:
                yield f"{sort.name}: {milder} and {graver} would both be {first:g}; {graver} comes later: write less"


def _value(control: Control, migration: Migration, sort: _Sort, severity: str) -> float | None:
    value = control.values.get((KIND, migration.name, sort.key(migration, severity)))
    return float(value) if value is not None else None


def _percent(value: float | None) -> float | None:
    return None if value is None else float(Decimal(repr(value)) * 100)


def _unit(sort: _Sort, percent: bool) -> str:
    return "per cent from 0 to 100" if percent else sort.unit


def _short_names() -> list[str]:
    return [f"{sort.short}_{severity}" for sort in _SORTS if sort.short for severity in sort.severities]
