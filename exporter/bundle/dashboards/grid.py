"""Where panels stand: each at the highest, then leftmost free place of a grid of 24 columns, in the layout's order."""

from __future__ import annotations

from collections.abc import Sequence

from exporter.layouts import COLUMNS, Panel


def place(panels: Sequence[Panel]) -> list[dict[str, int]]:
    """Grafana's `gridPos` for each panel. A row starts below everything before it, and nothing rises above it."""
    skyline = [0] * COLUMNS  # the first free line of each column
    positions: list[dict[str, int]] = []
    for panel in panels:
        if panel.type == "row":
            x, y = 0, max(skyline)
        else:
            y, x = min((max(skyline[left : left + panel.width]), left) for left in range(COLUMNS - panel.width + 1))
        skyline[x : x + panel.width] = [y + panel.height] * panel.width
        positions.append({"h": panel.height, "w": panel.width, "x": x, "y": y})
    return positions
