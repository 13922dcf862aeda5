"""Layouts to files."""

from __future__ import annotations

import json
from collections.abc import Sequence
from zlib import crc32

from exporter.bundle.dashboards.grid import place
from exporter.bundle.dashboards.panels import panel
from exporter.bundle.dashboards.surroundings import TAG, event_lines, links, variables
from exporter.bundle.dashboards.thresholds import steps
from exporter.bundle.dashboards.vocabulary import JsonObject
from exporter.errors import UserError
from exporter.layouts import Layout, load_all
from exporter.plan.model import Plan

FOLDER = "dashboards"
# Grafana migrates any older classic model up; 39 means the same under 39 to 42 with what is written here.
SCHEMA_VERSION = 39


def build(plan: Plan, layouts: Sequence[Layout] | None = None) -> dict[str, bytes]:
    """File name -> content of each dashboard. Layouts beside the plan's file win over the shipped ones.

    Raises:
        UserError: a layout cannot be used.
    """
    if layouts is None:
        layouts = load_all(plan.path.parent / FOLDER / "layouts")
    return {f"{FOLDER}/{layout.name}.json": _bytes(dashboard(layout, plan)) for layout in layouts}


def dashboard_uid(layout: str) -> str:
    """The identity of a dashboard in every Grafana: links and alerts may rely on it."""
    return f"{TAG}-{layout}"


def panel_id(name: str) -> int:
    """A panel's number, from its name alone: it stays when other panels come, go or move."""
    return crc32(name.encode()) % 1_000_000 + 1


def dashboard(layout: Layout, plan: Plan) -> JsonObject:
    """One dashboard in Grafana's classic model.

    Raises:
        UserError: an unknown threshold scale, or two panels whose names give the same number.
    """
    header = layout.header
    taken: dict[int, str] = {}
    built: list[JsonObject] = []
    for spec, position in zip(layout.panels, place(layout.panels), strict=True):
        number = panel_id(spec.id)
        if number in taken:
            raise UserError(
                f"layout {layout.name}: panels {taken[number]} and {spec.id} would have the same number: rename one"
            )
        taken[number] = spec.id
        built.append(panel(spec, number, position, steps(layout, spec, plan)))
    return {
        "annotations": {"list": event_lines()},
        "description": header.description,
        "editable": False,
        "fiscalYearStartMonth": 0,
        "graphTooltip": 1,
        "links": links(plan),
        "panels": built,
        "refresh": header.refresh,
        "schemaVersion": SCHEMA_VERSION,
        "tags": [TAG],
        "templating": {"list": variables(layout)},
        "time": {"from": f"now-{header.range}", "to": "now"},
        "timepicker": {},
        "timezone": _timezone(layout, plan),
        "title": header.title,
        "uid": dashboard_uid(layout.name),
        "version": 1,
        "weekStart": "monday",
    }


def _timezone(layout: Layout, plan: Plan) -> str:
    if layout.header.timezone == "browser":
        return "browser"
    return "utc" if plan.timezone.key == "UTC" else plan.timezone.key


def _bytes(content: JsonObject) -> bytes:
    return (json.dumps(content, indent=2, ensure_ascii=False, sort_keys=True) + "\n").encode()
