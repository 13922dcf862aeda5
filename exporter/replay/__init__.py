"""Send a recorded trace of model calls to a running exporter."""

from __future__ import annotations

from exporter.replay.mapping import LatencyFormula, Mapping
from exporter.replay.sender import ReplayOptions, ReplaySummary, replay

__all__ = ["LatencyFormula", "Mapping", "ReplayOptions", "ReplaySummary", "replay"]
