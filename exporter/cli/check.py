"""`check`: is this configuration right, and what does it say?"""

from __future__ import annotations

from pathlib import Path

import click

from exporter.clock import SystemClock
from exporter.ledger.checkup import examine, is_ledger
from exporter.plan.describe import describe
from exporter.plan.load import load


@click.command()
@click.argument("files", nargs=-1, required=True, type=click.Path(path_type=Path))
def check(files: tuple[Path, ...]) -> int:
    """Check configuration FILES; print their problems and exit 2, or print what each says.

    A ledger is checked too (its pages, events, ids, sums and audit log), also while an exporter uses it; exit 1 when
    something is wrong with it.
    """
    wrong = 0
    for path in files:
        if is_ledger(path):
            report = examine(path)
            for line in (*report.facts, *(f"problem: {problem}" for problem in report.problems)):
                click.echo(f"{path}: {line}")
            wrong += len(report.problems)
            continue
        plan = load(path)
        click.echo(describe(plan, SystemClock().now()), nl=False)
    return int(wrong > 0)
