"""Every broken file under tests/cases/check is answered with exactly the expected text."""

from __future__ import annotations

from pathlib import Path

import pytest

from exporter.errors import ConfigError
from exporter.plan.load import parse

CASES = Path(__file__).parents[2] / "cases" / "check"
# What the shipped alerts are is not the matter of these cases: they must not change when an alert is added.
ALERTS = ("LLMLatencyHigh", "LLMErrorRatioHigh", "LLMWatchdog")


def _cases() -> list[Path]:
    return sorted(path.parent for path in CASES.glob("*/migration.yaml"))


@pytest.mark.parametrize("case", _cases(), ids=lambda case: case.name)
def test_a_broken_file_is_answered_with_every_problem_and_its_remedy(
    case: Path, request: pytest.FixtureRequest
) -> None:
    text = (case / "migration.yaml").read_text(encoding="utf-8")

    with pytest.raises(ConfigError) as caught:
        parse(text, Path("migration.yaml"), alert_names=ALERTS)

    said = f"{caught.value}\n"
    expected = case / "expected.txt"
    if request.config.getoption("--update-cases"):
        expected.write_text(said, encoding="utf-8")
    assert said == expected.read_text(encoding="utf-8")


def test_there_are_at_least_twenty_four_cases_and_each_problem_has_a_place_and_a_remedy() -> None:
    cases = _cases()
    assert len(cases) >= 24
    for case in cases:
        for line in (case / "expected.txt").read_text(encoding="utf-8").splitlines():
            file, row, column, _ = line.split(":", 3)
            assert file == "migration.yaml"
            assert int(row) >= 1
            assert int(column) >= 1
            assert "; " in line, f"{case.name}: no remedy in {line}"
