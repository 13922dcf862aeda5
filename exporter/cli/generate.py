"""`generate`: rules, dashboards, Alertmanager and scrape configuration from the plan."""

from __future__ import annotations

from pathlib import Path

import click

from exporter.bundle import files
from exporter.cli.options import config_file
from exporter.errors import GenerationDrift
from exporter.plan.load import load


@click.command()
@config_file
@click.option("--out", type=click.Path(path_type=Path, file_okay=False), default=".", show_default=True)
@click.option("--check", is_flag=True, help="Write nothing; exit 1 with a diff when files are not what they should be.")
@click.option("--diff", is_flag=True, help="Write nothing; show what would change.")
def generate(config_file: Path, out: Path, check: bool, diff: bool) -> None:
    """Write the generated files below a folder."""
    plan = load(config_file)
    if check or diff:
        drift = files.check(plan, out)
        if drift and check:
            raise GenerationDrift(drift)
        click.echo(drift, nl=False)
        return
    for path in files.write(plan, out):
        click.echo(path)
