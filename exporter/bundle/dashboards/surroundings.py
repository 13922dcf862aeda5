"""What a dashboard has around its panels: variables, annotations, links."""

from __future__ import annotations

from collections.abc import Mapping

from exporter.bundle.dashboards.vocabulary import COLOURS, JsonObject, datasource
from exporter.catalog import BUNDLE, EXPORTER_BUILD_INFO, MIGRATION_INFO, PHASE_ENTERED, REQUESTS, plan_fact
from exporter.layouts import Layout
from exporter.plan.model import Plan

TAG = BUNDLE

# Variable -> (label, query, whether several values and All may be chosen). Executive figures are about one migration.
_QUERIES: Mapping[str, tuple[str, str, bool]] = {
    "job": ("Job", f"label_values({EXPORTER_BUILD_INFO.name}, job)", True),
    "migration": ("Migration", f'label_values({MIGRATION_INFO.name}{{job=~"$job"}}, migration)', False),
    "model": ("Model", f'label_values({REQUESTS.name}{{job=~"$job",migration=~"$migration"}}, model)', True),
}


def variables(layout: Layout) -> list[JsonObject]:
    """The data source, then the layout's own variables."""
    return [_datasource_variable(), *(_query_variable(name, *_QUERIES[name]) for name in layout.header.variables)]


def event_lines() -> list[JsonObject]:
    """Vertical lines: starts of phases at their exact time, and critical alerts while they fire."""
    phases = f'{plan_fact(PHASE_ENTERED)}{{migration=~"$migration"}} * 1000'
    critical = f'ALERTS{{alertstate="firing",bundle="{BUNDLE}",severity="critical",migration=~"$migration|"}}'
    return [
        {
            "builtIn": 1,
            "datasource": {"type": "grafana", "uid": "-- Grafana --"},
            "enable": True,
            "hide": True,
            "iconColor": "rgba(0, 211, 255, 1)",
            "name": "Annotations & Alerts",
            "type": "dashboard",
        },
        {
            **_annotation("Phases", phases, COLOURS["target"]),
            "tagKeys": "migration",
            "textFormat": "{{migration}}",
            "titleFormat": "Phase {{phase}}",
            "useValueForTime": True,
        },
        {
            **_annotation("Critical alerts", critical, COLOURS["bad"]),
            "tagKeys": "severity,urgency",
            "textFormat": "{{model}} {{application}} {{period}}",
            "titleFormat": "{{alertname}}",
        },
    ]


def links(plan: Plan) -> list[JsonObject]:
    """The other dashboards, with the same time and variables; then the programs whose address the plan knows."""
    others: JsonObject = {
        **_link("LLM migration", "dashboards", ""),
        "asDropdown": True,
        "includeVars": True,
        "keepTime": True,
        "tags": [TAG],
    }
    programs = (("Exporter", plan.urls.external), ("Alertmanager", plan.urls.alertmanager))
    return [others, *({**_link(title, "link", url), "targetBlank": True} for title, url in programs if url)]


def _datasource_variable() -> JsonObject:
    return {
        "current": {},
        "hide": 0,
        "includeAll": False,
        "label": "Data source",
        "multi": False,
        "name": "datasource",
        "options": [],
        "query": "prometheus",
        "refresh": 1,
        "regex": "",
        "skipUrlSync": False,
        "type": "datasource",
    }


def _query_variable(name: str, label: str, query: str, many: bool) -> JsonObject:
    return {
        "allValue": ".+" if many else None,
        "current": {"selected": True, "text": ["All"], "value": ["$__all"]} if many else {},
        "datasource": datasource(),
        "definition": query,
        "hide": 0,
        "includeAll": many,
        "label": label,
        "multi": many,
        "name": name,
        "options": [],
        "query": query,
        "refresh": 2,
        "regex": "",
        "skipUrlSync": False,
        "sort": 1,
        "type": "query",
    }


def _annotation(name: str, expr: str, colour: str) -> JsonObject:
    return {
        "datasource": datasource(),
        "enable": True,
        "expr": expr,
        "hide": False,
        "iconColor": colour,
        "name": name,
        "step": "60s",
    }


def _link(title: str, kind: str, url: str) -> JsonObject:
    return {
        "asDropdown": False,
        "icon": "external link",
        "includeVars": False,
        "keepTime": False,
        "tags": [],
        "targetBlank": False,
        "title": title,
        "tooltip": "",
        "type": kind,
        "url": url,
    }
