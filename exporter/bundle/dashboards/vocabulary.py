"""Grafana's words for the layouts' words: units, colours, reducers, and the reference to the data source."""

from __future__ import annotations

JsonObject = dict[str, object]

UNITS = {
    "": "none",
    "usd": "currencyUSD",
    "ratio": "percentunit",
    "seconds": "s",
    "days": "suffix: days",  # Grafana's own `d` turns 51 days into 7 weeks
    "requests_per_second": "reqps",
    "tokens": "short",
    "count": "short",
    "score": "none",
    "timestamp": "dateTimeFromNow",
}

# Source and target have one colour each on every panel. Green, yellow, orange and red only ever judge.
COLOURS = {
    "source": "purple",
    "target": "blue",
    "shadow": "#8ab8ff",
    "plan": "#9a9aa5",
    "good": "green",
    "notice": "yellow",
    "warning": "orange",
    "bad": "red",
    "text": "text",
}

SEVERITIES = {"critical": "bad", "warning": "warning", "info": "notice"}

REDUCERS = {"last": "lastNotNull", "mean": "mean", "min": "min", "max": "max", "sum": "sum"}


def datasource() -> JsonObject:
    """The data source that the user chose in the dashboard's first variable."""
    return {"type": "prometheus", "uid": "${datasource}"}


def fixed(colour: str) -> JsonObject:
    """A colour mode that does not depend on the value."""
    return {"fixedColor": COLOURS[colour], "mode": "fixed"}
