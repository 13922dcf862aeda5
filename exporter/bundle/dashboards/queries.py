"""Targets: a panel's queries as Grafana's Prometheus data source reads them."""

from __future__ import annotations

from string import ascii_uppercase

from exporter.bundle.dashboards.vocabulary import JsonObject, datasource
from exporter.errors import UserError
from exporter.layouts import Panel, Query


def ref_id(number: int) -> str:
    """The letter of a query: A for the first, B for the second."""
    return ascii_uppercase[number]


def targets(panel: Panel) -> list[JsonObject]:
    """All queries of a panel.

    Raises:
        UserError: there are more of them than letters.
    """
    if len(panel.queries) > len(ascii_uppercase):
        raise UserError(f"panel {panel.id}: at most {len(ascii_uppercase)} queries fit, it has {len(panel.queries)}")
    return [_target(query, ref_id(number), panel) for number, query in enumerate(panel.queries)]


def _target(query: Query, ref: str, panel: Panel) -> JsonObject:
    target: JsonObject = {
        "datasource": datasource(),
        "editorMode": "code",
        "expr": query.expr.strip(),
        "format": "table" if panel.type == "table" else "time_series",
        "instant": query.instant,
        "legendFormat": query.legend,
        "range": not query.instant,
        "refId": ref,
    }
    if query.interval:
        target["interval"] = query.interval
    return target
