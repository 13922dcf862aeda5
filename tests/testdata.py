"""Public data sets that are not part of this repository: found through LLM_TEST_DATA, or the test is skipped."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

_DEFAULT = Path(__file__).parent.parent.parent / "shared" / "data"


def dataset(name: str) -> Path:
    """The path of a data set's file."""
    path = Path(os.environ.get("LLM_TEST_DATA") or _DEFAULT) / name
    if not path.exists():
        pytest.skip(f"{name} is not there: set LLM_TEST_DATA to the folder that has it")
    return path
