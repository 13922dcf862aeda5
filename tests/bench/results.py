"""What a measurement found, and the table of them."""

from __future__ import annotations

import statistics
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Literal


class UnmeasurableError(Exception):
    """The machine was too busy with other things for a figure that means anything."""


@dataclass(frozen=True, slots=True)
class Result:
    """One line of the table.

    `floor` must hold and `goal` is reached for; both are about `ratio` where there is a baseline, else about `value`.
    """

    name: str
    value: float
    unit: str
    baseline: float | None = None  # in the same unit, measured in the same run
    ratio: float | None = None  # how many times better than the baseline
    floor: float | None = None
    goal: float | None = None
    note: str = ""
    better: Literal["higher", "lower"] = "higher"
    judged: Literal["ratio", "value"] = "ratio"

    @property
    def verdict(self) -> str:
        """Whether goal or floor is reached."""
        figure = self.ratio if self.judged == "ratio" else self.value
        if figure is None or self.floor is None or self.goal is None:
            return ""
        if self._reaches(figure, self.goal):
            return "goal"
        return "floor" if self._reaches(figure, self.floor) else "below"

    def _reaches(self, figure: float, target: float) -> bool:
        return figure <= target if self.better == "lower" and self.judged == "value" else figure >= target


def paired(ours: Sequence[float], theirs: Sequence[float]) -> float:
    """The median of round-by-round ratios: what is slow in one round is slow for both."""
    return statistics.median(a / b for a, b in zip(ours, theirs, strict=True))


def table(results: Iterable[Result]) -> str:
    """Markdown."""
    lines = [
        "| measured | value | baseline | ratio | floor | goal | reached | note |",
        "|---|---:|---:|---:|---:|---:|---|---|",
    ]
    for result in results:
        suffix = " x" if result.judged == "ratio" else f" {result.unit}"
        cells = (
            result.name,
            f"{number(result.value)} {result.unit}",
            "" if result.baseline is None else f"{number(result.baseline)} {result.unit}",
            "" if result.ratio is None else f"{number(result.ratio)} x",
            "" if result.floor is None else number(result.floor) + suffix,
            "" if result.goal is None else number(result.goal) + suffix,
            result.verdict,
            result.note,
        )
        lines.append(f"| {' | '.join(cells)} |")
    return "\n".join(lines)


def number(value: float) -> str:
    """Three significant digits; thousands in groups."""
    if abs(value) >= 1000:
        return f"{value:,.0f}"
    return f"{float(f'{value:.3g}'):g}"
