"""The fold of the ledger's events into totals."""

from exporter.totals.fold import Totals
from exporter.totals.labelsets import Cell, CellKey, Counts, Exemplar, Group, GroupKey, Histogram, Observed, RouteKey
from exporter.totals.rows import Row

__all__ = [
    "Cell",
    "CellKey",
    "Counts",
    "Exemplar",
    "Group",
    "GroupKey",
    "Histogram",
    "Observed",
    "RouteKey",
    "Row",
    "Totals",
]
