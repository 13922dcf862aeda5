"""Simulated series and calls in the forms that others read: OpenMetrics, a page of one moment, events."""

from __future__ import annotations

from collections.abc import Collection, Iterator
from pathlib import Path
from typing import Any

import numpy as np

from tests.scenarios.calls import ERROR_TYPES, ROLES, SHADOW, Calls, Names
from tests.scenarios.recording import Labels, Series


def openmetrics(series: Series, path: Path, names: Collection[str] | None = None) -> int:
    """Write all samples with timestamps, as `promtool tsdb create-blocks-from openmetrics` takes them.

    Returns:
        The number of samples.
    """
    stamps = [f" {at:.3f}\n" for at in series.times]
    count = 0
    with path.open("w", encoding="utf-8") as file:
        for labels, values in zip(series.labels, series.values, strict=True):
            if names is not None and labels["__name__"] not in names:
                continue
            head = selector(labels) + " "
            present = np.flatnonzero(~np.isnan(values))
            file.write("".join([f"{head}{number(values[index])}{stamps[index]}" for index in present.tolist()]))
            count += len(present)
        file.write("# EOF\n")
    return count


def page(series: Series, column: int, instance: str) -> str:
    """The text that one exporter shows at one scrape: no target labels, no `up`."""
    lines = []
    for labels, values in zip(series.labels, series.values, strict=True):
        if labels.get("instance") != instance or labels["__name__"] == "up" or np.isnan(values[column]):
            continue
        own = {key: value for key, value in labels.items() if key not in ("job", "instance")}
        lines.append(f"{selector(own)} {number(values[column])}\n")
    return "".join(lines)


def events(calls: Calls, names: Names) -> Iterator[dict[str, Any]]:
    """Calls as an application would report them, in order; ids are the rows' numbers."""
    for row in range(len(calls)):
        event: dict[str, Any] = {
            "id": f"simulated-{row}",
            "timestamp": float(calls.at[row]),
            "model": names.models[calls.model[row]],
            "input_tokens": int(calls.input[row]),
            "cached_input_tokens": int(calls.cached[row]),
            "output_tokens": int(calls.output[row]),
            "latency": round(float(calls.latency[row]), 6),
            "success": bool(calls.success[row]),
            "category": names.categories[calls.category[row]],
            "application": names.applications[calls.application[row]],
            "migration": names.migrations[calls.migration[row]],
            "shadow": bool(calls.role[row] == SHADOW),
        }
        if ROLES[calls.role[row]] != "source":
            event["replaces"] = names.models[calls.other_model[row]]
        if not event["success"]:
            event["error_type"] = ERROR_TYPES[calls.error_type[row]]
        if not np.isnan(calls.quality[row]):
            event |= {"quality_score": float(calls.quality[row]), "evaluator": "judge"}
        yield event


def selector(labels: Labels) -> str:
    """`name{label="value",…}`."""
    pairs = ",".join(f'{key}="{value}"' for key, value in labels.items() if key != "__name__")
    return labels["__name__"] + (f"{{{pairs}}}" if pairs else "")


def number(value: float) -> str:
    """The shortest text that reads as this value."""
    whole = int(value)
    return str(whole) if whole == value else repr(float(value))
