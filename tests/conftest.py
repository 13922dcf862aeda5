"""What all tests share: golden files, and the option that rewrites them."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

CASES = Path(__file__).parent / "cases"


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.addoption(
        "--update-cases",
        action="store_true",
        help="write what the program says now into the expected files of all cases; read the difference then",
    )


@pytest.fixture
def golden(request: pytest.FixtureRequest) -> Callable[[str, str], None]:
    """Compare a text with a file below `tests/cases`, or rewrite the file with --update-cases."""

    def compare(name: str, text: str) -> None:
        path = CASES / name
        if request.config.getoption("--update-cases"):
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(text, encoding="utf-8")
        assert path.is_file(), f"{path} is missing; make it with --update-cases and read it"
        assert text == path.read_text(encoding="utf-8")

    return compare
