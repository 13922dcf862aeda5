from __future__ import annotations

import platform
import sqlite3

from click.testing import CliRunner

from exporter import __version__
from exporter.cli import cli


def test_the_version_goes_to_standard_output_with_what_it_runs_on() -> None:
    result = CliRunner().invoke(cli, ["--version"])

    assert result.exit_code == 0
    assert result.stdout.splitlines()[0] == f"llm-migration-exporter, version {__version__}"
    assert f"python:    {platform.python_version()}" in result.stdout
    assert f"sqlite:    {sqlite3.sqlite_version}" in result.stdout
    assert result.stderr == ""
