"""Documents say what the program does, links lead somewhere, and nothing private is in the tree."""

from __future__ import annotations

import re
import subprocess
from pathlib import Path

import pytest
from click.testing import CliRunner

from exporter import catalog
from exporter.cli import cli

ROOT = Path(__file__).parent.parent.parent
REFERENCE = ROOT / "exporter" / "REFERENCE.md"
DOCUMENTS = sorted(
    path
    for path in ROOT.rglob("*.md")
    if not any(part.startswith(".") or part == "node_modules" for part in path.relative_to(ROOT).parts)
)


def test_the_reference_is_what_the_program_says(pytestconfig: pytest.Config) -> None:
    result = CliRunner().invoke(cli, ["reference"])
    assert result.exit_code == 0
    if pytestconfig.getoption("--update-cases"):
        REFERENCE.write_text(result.output, encoding="utf-8")

    assert result.output == REFERENCE.read_text(encoding="utf-8"), (
        "run pytest tests/unit/test_documents.py --update-cases"
    )


def test_every_metric_and_command_is_in_the_reference() -> None:
    text = REFERENCE.read_text(encoding="utf-8")

    for metric in catalog.METRICS:
        assert f"`{metric.name}`" in text
    for name, command in cli.commands.items():
        assert command.hidden or f"`{name}" in text


@pytest.mark.parametrize("document", DOCUMENTS, ids=lambda path: str(path.relative_to(ROOT)))
def test_links_lead_to_files_that_exist(document: Path) -> None:
    text = document.read_text(encoding="utf-8")
    for target in re.findall(r"\]\(([^)\s]+)\)", text):
        if "://" in target or target.startswith("#"):
            continue
        path, _, anchor = target.partition("#")
        linked = document.parent / path
        assert linked.exists(), f"{document.name} links to {target}"
        if anchor:
            headings = re.findall(r"(?m)^#+ (.+)$", linked.read_text(encoding="utf-8"))
            slugs = {re.sub(r"[^\w\- ]", "", heading.lower()).replace(" ", "-") for heading in headings}
            assert anchor in slugs, f"{document.name} links to {target}"


def test_the_readme_begins_with_the_two_commands() -> None:
    first_screen = (ROOT / "README.md").read_text(encoding="utf-8").splitlines()[:20]

    assert any("make demo" in line for line in first_screen)
    assert any("make test" in line for line in first_screen)


def test_no_tracked_text_has_a_path_of_somebodys_machine() -> None:
    listed = subprocess.run(["git", "ls-files"], cwd=ROOT, capture_output=True, text=True, check=False)
    if listed.returncode:
        pytest.skip("not a git checkout")
    private = re.compile(r"(?<![\w.])/(?:home|root|Users)/\w")
    for name in listed.stdout.splitlines():
        path = ROOT / name
        if not path.is_file() or path.suffix in (".png", ".lock"):
            continue
        for number, line in enumerate(path.read_text(encoding="utf-8", errors="replace").splitlines(), start=1):
            assert not private.search(line), f"{name}:{number}: {line}"


@pytest.mark.parametrize("module", sorted((ROOT / "exporter").rglob("*.py")), ids=lambda path: path.stem)
def test_modules_are_small(module: Path) -> None:
    lines = len(module.read_text(encoding="utf-8").splitlines())

    # The client is one file on purpose: it is copied into applications.
    assert lines <= (1200 if module.name == "client.py" else 350)
