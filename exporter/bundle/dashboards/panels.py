"""One builder per panel type. Each returns what is its own; `panel` adds what all have in common."""

from __future__ import annotations

from collections.abc import Callable, Mapping

from exporter.bundle.dashboards.queries import ref_id, targets
from exporter.bundle.dashboards.vocabulary import (
    COLOURS,
    REDUCERS,
    SEVERITIES,
    UNITS,
    JsonObject,
    datasource,
    fixed,
)
from exporter.layouts import Panel


def panel(spec: Panel, number: int, position: dict[str, int], thresholds: JsonObject) -> JsonObject:
    """A whole panel; `number` is its id within the dashboard."""
    own = _BUILDERS[spec.type](spec)
    built: JsonObject = {
        "description": spec.description,
        "gridPos": position,
        "id": number,
        "title": spec.title,
        **own,
    }
    if spec.queries:
        built["datasource"] = datasource()
        built["targets"] = targets(spec)
        config = own.get("fieldConfig")
        given: Mapping[str, object] = config if isinstance(config, dict) else {}
        built["fieldConfig"] = {
            "defaults": _defaults(spec, thresholds, given.get("defaults")),
            "overrides": given.get("overrides", _series_overrides(spec)),
        }
    return built


def stat(spec: Panel) -> JsonObject:
    """Large numbers, or a large name (`show: name`)."""
    text_mode = {"value": "value", "name": "name", "value_and_name": "value_and_name"}[spec.show]
    built: JsonObject = {
        "type": "stat",
        "options": {
            "colorMode": "value",
            "graphMode": "area" if spec.sparkline else "none",
            "justifyMode": "auto" if len(spec.queries) > 1 else "center",
            # Several values stand below each other, so that they line up with bars beside them.
            "orientation": "horizontal" if len(spec.queries) > 1 else "auto",
            "percentChangeColorMode": "standard",
            "reduceOptions": _reduce(spec),
            "showPercentChange": False,
            "textMode": text_mode,
            "wideLayout": True,
        },
    }
    if spec.replace:
        built["transformations"] = [
            {"id": "renameByRegex", "options": {"regex": f"/{old}/g", "renamePattern": new}}
            for old, new in spec.replace.items()
        ]
    return built


def gauge(spec: Panel) -> JsonObject:
    """A circle that fills; Grafana before 12 draws it as an arc."""
    return {
        "type": "gauge",
        "options": {
            "minVizHeight": 75,
            "minVizWidth": 75,
            "orientation": "auto",
            "reduceOptions": _reduce(spec),
            "shape": "circle",
            "showThresholdLabels": False,
            "showThresholdMarkers": False,
            "sizing": "auto",
        },
    }


def timeseries(spec: Panel) -> JsonObject:
    """Lines over time."""
    return _over_time(spec, {"drawStyle": "line", "fillOpacity": 8, "lineInterpolation": "linear", "lineWidth": 2})


def bars(spec: Panel) -> JsonObject:
    """Bars over time."""
    return _over_time(spec, {"drawStyle": "bars", "fillOpacity": 80, "lineInterpolation": "linear", "lineWidth": 0})


def piechart(spec: Panel) -> JsonObject:
    """A ring of parts of a whole; each query's parts are shades of its colour."""
    overrides: list[JsonObject] = [
        {
            "matcher": {"id": "byFrameRefID", "options": ref_id(number)},
            "properties": [{"id": "color", "value": {"fixedColor": COLOURS[query.colour], "mode": "shades"}}],
        }
        for number, query in enumerate(spec.queries)
        if query.colour
    ]
    return {
        "type": "piechart",
        "options": {
            "displayLabels": ["percent"],
            "legend": {
                "calcs": [],
                "displayMode": spec.legend if spec.legend != "none" else "hidden",
                "placement": "bottom",
                "showLegend": spec.legend != "none",
                "values": [],  # with values, six models take six lines and the ring has no room
            },
            "pieType": "donut",
            "reduceOptions": _reduce(spec),
            "tooltip": {"hideZeros": True, "mode": "single", "sort": "none"},
        },
        "fieldConfig": {"defaults": {"color": {"mode": "palette-classic"}}, "overrides": overrides},
    }


def bargauge(spec: Panel) -> JsonObject:
    """Horizontal bars of single numbers, one per series."""
    return {
        "type": "bargauge",
        "options": {
            "displayMode": "basic",
            "legend": {"calcs": [], "displayMode": "list", "placement": "bottom", "showLegend": False},
            "maxVizHeight": 300,
            "minVizHeight": 16,
            "minVizWidth": 8,
            "namePlacement": "left",
            "orientation": "horizontal",
            "reduceOptions": _reduce(spec),
            "showUnfilled": True,
            "sizing": "auto",
            "valueMode": "color",
        },
    }


def table(spec: Panel) -> JsonObject:
    """Rows from the labels of one instant query; columns in the layout's order, all others left out."""
    fields = {column.field: "Value" if column.field == "value" else column.field for column in spec.columns}
    titles = {column.field: column.title for column in spec.columns}
    transformations: list[JsonObject] = [
        {"id": "merge", "options": {}},
        {"id": "filterFieldsByName", "options": {"include": {"names": list(fields.values())}}},
        {
            "id": "organize",
            "options": {
                "excludeByName": {},
                "includeByName": {},
                "indexByName": {name: number for number, name in enumerate(fields.values())},
                "renameByName": {name: titles[field] for field, name in fields.items()},
            },
        },
    ]
    if spec.sort in titles:
        transformations.append({"id": "sortBy", "options": {"fields": {}, "sort": [{"field": titles[spec.sort]}]}})
    overrides: list[JsonObject] = []
    for column in spec.columns:
        properties: list[JsonObject] = []
        if column.unit:
            properties.append({"id": "unit", "value": UNITS[column.unit]})
        if column.width is not None:
            properties.append({"id": "custom.width", "value": column.width})
        if column.style == "severity":
            properties += [
                {"id": "custom.cellOptions", "value": {"type": "color-text"}},
                {
                    "id": "mappings",
                    "value": [
                        {
                            "type": "value",
                            "options": {
                                name: {"color": COLOURS[colour], "index": index, "text": name}
                                for index, (name, colour) in enumerate(SEVERITIES.items())
                            },
                        }
                    ],
                },
            ]
        if properties:
            overrides.append({"matcher": {"id": "byName", "options": column.title}, "properties": properties})
    return {
        "type": "table",
        "options": {"cellHeight": "sm", "showHeader": True, "sortBy": []},
        "transformations": transformations,
        "fieldConfig": {
            "defaults": {
                "custom": {"align": "auto", "cellOptions": {"type": "auto", "wrapText": True}, "inspect": False}
            },
            "overrides": overrides,
        },
    }


def text(spec: Panel) -> JsonObject:
    """Words, in Markdown."""
    code = {"language": "plaintext", "showLineNumbers": False, "showMiniMap": False}
    return {"type": "text", "options": {"code": code, "content": spec.text.strip(), "mode": "markdown"}}


def row(_: Panel) -> JsonObject:
    """A heading across the dashboard, open from the start."""
    return {"type": "row", "collapsed": False, "panels": []}


_BUILDERS: Mapping[str, Callable[[Panel], JsonObject]] = {
    "stat": stat,
    "gauge": gauge,
    "timeseries": timeseries,
    "bars": bars,
    "piechart": piechart,
    "bargauge": bargauge,
    "table": table,
    "text": text,
    "row": row,
}


def _defaults(spec: Panel, thresholds: JsonObject, own: object) -> JsonObject:
    defaults: JsonObject = {
        "color": fixed(spec.colour) if spec.colour else {"mode": "thresholds"},
        "mappings": [],
        "noValue": spec.empty,
        "thresholds": thresholds,
        "unit": UNITS[spec.unit],
    }
    for key, value in (("decimals", spec.decimals), ("max", spec.maximum), ("min", spec.minimum)):
        if value is not None:
            defaults[key] = value
    return {**defaults, **(own if isinstance(own, dict) else {})}


def _reduce(spec: Panel) -> JsonObject:
    return {"calcs": [REDUCERS[spec.calculation]], "fields": "", "values": False}


def _over_time(spec: Panel, style: JsonObject) -> JsonObject:
    custom: JsonObject = {
        **style,
        "axisBorderShow": False,
        "axisLabel": "",
        "axisPlacement": "auto",
        "barAlignment": 0,
        "gradientMode": "none",
        "hideFrom": {"legend": False, "tooltip": False, "viz": False},
        "pointSize": 5,
        "scaleDistribution": {"type": "linear"},
        # A lone point between gaps would be invisible without its dot.
        "showPoints": "auto" if style["drawStyle"] == "line" else "never",
        "spanNulls": False,
        "stacking": {"group": "A", "mode": "normal" if spec.stack else "none"},
        "thresholdsStyle": {"mode": "off"},
    }
    built: JsonObject = {
        "type": "timeseries",
        "options": {
            "legend": {
                "calcs": [REDUCERS[value] for value in spec.legend_values],
                "displayMode": spec.legend if spec.legend != "none" else "hidden",
                "placement": "bottom",
                "showLegend": spec.legend != "none",
            },
            "tooltip": {"hideZeros": False, "mode": "multi", "sort": "none"},
        },
        "fieldConfig": {
            "defaults": {"color": {"mode": "palette-classic"}, "custom": custom},
            "overrides": _series_overrides(spec),
        },
    }
    if spec.points is not None:
        built["maxDataPoints"] = spec.points
    return built


def _series_overrides(spec: Panel) -> list[JsonObject]:
    """Colour and line of each query that has its own."""
    overrides: list[JsonObject] = []
    for number, query in enumerate(spec.queries):
        properties: list[JsonObject] = []
        if query.colour:
            properties.append({"id": "color", "value": fixed(query.colour)})
        if query.style == "dashed":
            properties += [
                {"id": "custom.lineStyle", "value": {"dash": [8, 8], "fill": "dash"}},
                {"id": "custom.lineWidth", "value": 1},
                {"id": "custom.fillOpacity", "value": 0},
            ]
        elif query.style == "area":
            properties.append({"id": "custom.fillOpacity", "value": 25})
        if properties:
            overrides.append({"matcher": {"id": "byFrameRefID", "options": ref_id(number)}, "properties": properties})
    return overrides
