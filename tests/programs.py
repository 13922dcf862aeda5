"""Programs that tests run: found on PATH, or the test is skipped with what to install; under CI it fails instead."""

from __future__ import annotations

import os
import shutil

import pytest

_NAMES = {
    "alertmanager": ("prometheus-alertmanager", "alertmanager"),
}
_PACKAGES = {
    "prometheus": "prometheus",
    "promtool": "prometheus",
    "alertmanager": "prometheus-alertmanager",
    "amtool": "prometheus-alertmanager",
    "docker-compose": "docker-compose",
}


def program(name: str) -> str:
    """The path of a program."""
    for candidate in _NAMES.get(name, (name,)):
        path = shutil.which(candidate)
        if path is not None:
            return path
    message = f"{name} is not installed: apt-get install {_PACKAGES.get(name, name)}"
    if os.environ.get("CI"):
        pytest.fail(message)
    pytest.skip(message)
