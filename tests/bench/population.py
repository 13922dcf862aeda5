"""A ledger whose page has 100,000 series within the limits that hold by default."""

from __future__ import annotations

import itertools
import json
from collections.abc import Iterator
from pathlib import Path

from exporter.events import decode
from exporter.plan.load import load
from tests.bench import ledgers
from tests.bench.machine import CONFIG
from tests.bench.traffic import CATEGORIES, MODELS, Traffic

_OTHERS = ("claude-3-5-sonnet", "claude-3-5-haiku", "gemini-1.5-pro", "gemini-1.5-flash")
_SIDES = ("gpt-4", "gpt-4.1")  # a source and a target: the routes of an application are counted for each
_APPLICATIONS = 200
_ENDPOINTS = 97
_PER_CELL = 5  # counters of a label set by application


def fill(folder: Path, series: int) -> None:
    """A ledger that shows about so many series: six in ten by application, the rest by route, and some histograms."""
    cells = itertools.islice(_cells(), round(series * 0.6 / _PER_CELL))
    routes = itertools.islice(_routes(), round(series * 0.38))
    traffic = Traffic(seed=3)
    lines = [json.dumps(traffic.event(**fields)).encode() for fields in itertools.chain(cells, routes)]
    every = decode(b"\n".join(lines), ndjson=True, max_events=len(lines)).events
    ledgers.build(folder, ledgers.Filling(load(CONFIG), every), len(every))


def _cells() -> Iterator[dict[str, str]]:
    models = (*MODELS, *_OTHERS)
    for application, model, category in itertools.product(range(_APPLICATIONS), models, CATEGORIES):
        yield _fields(application, model, category, 0)


def _routes() -> Iterator[dict[str, str]]:
    for application, model, endpoint in itertools.product(range(_APPLICATIONS), _SIDES, range(1, _ENDPOINTS)):
        yield _fields(application, model, CATEGORIES[0], endpoint)


def _fields(application: int, model: str, category: str, endpoint: int) -> dict[str, str]:
    return {
        "application": f"app-{application}",
        "model": model,
        "category": category,
        "endpoint": f"/v1/route-{endpoint}",
    }
