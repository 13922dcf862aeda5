"""The fold of the ledger's events into totals."""

from exporter.totals.checkpoint import Checkpoint, restore
from exporter.totals.fold import Totals
from exporter.totals.labelsets import Cell, CellKey, Counts, Exemplar, Group, GroupKey, Histogram, Observed, RouteKey
from exporter.totals.rollups import Pending
from exporter.totals.rows import Row
from exporter.totals.views import View

__all__ = [
    "Cell",
    "CellKey",
    "Checkpoint",
    "Counts",
    "Exemplar",
    "Group",
    "GroupKey",
    "Histogram",
    "Observed",
    "Pending",
    "RouteKey",
    "Row",
    "Totals",
    "View",
    "restore",
]
