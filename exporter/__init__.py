"""Prometheus exporter for migrations from one large language model to another."""

from __future__ import annotations

from importlib.metadata import PackageNotFoundError, version

try:
    __version__ = version("llm-migration-exporter")
except PackageNotFoundError:  # a source tree that was never installed
    __version__ = "0.0.0"
