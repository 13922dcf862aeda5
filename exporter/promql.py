"""Small pieces of PromQL text: quoted values, selectors, durations, name checks."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping

METRIC_NAME = re.compile(r"[a-zA-Z_:][a-zA-Z0-9_:]*\Z")
LABEL_NAME = re.compile(r"[a-zA-Z_][a-zA-Z0-9_]*\Z")
_UNITS = (("w", 604800), ("d", 86400), ("h", 3600), ("m", 60), ("s", 1))


def quote(value: str) -> str:
    """A string literal: JSON's escapes are a subset of PromQL's."""
    return json.dumps(value, ensure_ascii=False)


def selector(metric: str, matchers: Mapping[str, str] | None = None) -> str:
    """`metric{label="value",…}`, labels in the order given."""
    if not matchers:
        return metric
    return metric + "{" + ",".join(f"{label}={quote(value)}" for label, value in matchers.items()) + "}"


def duration(seconds: float) -> str:
    """A Prometheus duration in the largest unit that divides it: 5400 is `90m`; below one second in `ms`."""
    if seconds != int(seconds) or seconds == 0:
        return f"{round(seconds * 1000)}ms" if seconds else "0s"
    for unit, size in _UNITS:
        if seconds % size == 0:
            return f"{int(seconds) // size}{unit}"
    raise AssertionError("unreachable: every whole number of seconds divides by one second")
