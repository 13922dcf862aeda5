"""Variants of the shipped `migration.yaml`, written for a test."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import yaml

SHIPPED = Path(__file__).parent.parent / "migration.yaml"


def variant(
    folder: Path, change: Callable[[dict[str, Any]], None] | None = None, **sections: Mapping[str, object]
) -> Path:
    """A copy of the shipped file with keys of top-level sections replaced, and `change` applied; its path."""
    document = yaml.safe_load(SHIPPED.read_text())
    for section, values in sections.items():
        document.setdefault(section, {}).update(values)
    if change is not None:
        change(document)
    path = folder / "migration.yaml"
    path.write_text(yaml.safe_dump(document, sort_keys=False))
    return path
