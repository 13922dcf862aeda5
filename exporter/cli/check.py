"""`check`: is this configuration right, and what does it say?"""

from __future__ import annotations

from pathlib import Path

import click

from exporter.clock import SystemClock
from exporter.plan.describe import describe
from exporter.plan.load import load


@click.command()
@click.argument("files", nargs=-1, required=True, type=click.Path(path_type=Path))
def check(files: tuple[Path, ...]) -> None:
    """Check configuration FILES; print their problems and exit 2, or print what each says."""
    for path in files:
        plan = load(path)
        click.echo(describe(plan, SystemClock().now()), nl=False)
