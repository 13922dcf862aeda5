"""Durations on the command line, written as Prometheus writes them: `90s`, `1h30m`."""

from __future__ import annotations

import re
from typing import Any

import click

_UNITS = {"ms": 0.001, "s": 1.0, "m": 60.0, "h": 3600.0, "d": 86400.0, "w": 604800.0}
_PART = re.compile(r"(\d+(?:\.\d+)?)(ms|[smhdw])")
_WHOLE = re.compile(rf"(?:{_PART.pattern})+\Z")


class Duration(click.ParamType[float]):
    """Seconds as a float; a number without a unit is seconds."""

    name = "duration"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> float:
        """Read `90s`, `1h30m`, `250ms` or `90`."""
        if isinstance(value, int | float):
            return float(value)
        text = str(value).strip()
        if _WHOLE.match(text):
            return sum(float(number) * _UNITS[unit] for number, unit in _PART.findall(text))
        try:
            seconds = float(text)
        except ValueError:
            seconds = -1.0
        if not 0 <= seconds < float("inf"):
            self.fail(f"{value!r} is no duration; write it like 90s, 5m or 1h30m", param, ctx)
        return seconds


DURATION = Duration()
