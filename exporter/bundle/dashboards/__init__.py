"""Grafana dashboards from layouts: classic model, one file each, the same bytes for the same plan and layouts."""

from __future__ import annotations

from exporter.bundle.dashboards.build import FOLDER, build, dashboard, dashboard_uid, panel_id

__all__ = ["FOLDER", "build", "dashboard", "dashboard_uid", "panel_id"]
