"""`python -m tests.mutation`: mutants of the committed rules against the committed tests."""

from __future__ import annotations

import os
import random
import shutil
import sys
from pathlib import Path

import click

from tests.mutation.running import Outcome, Runner, killed_share, reasons, report
from tests.mutation.suite import Suite

ROOT = Path(__file__).parent.parent.parent
STATE = ROOT / ".proofs" / "mutation.jsonl"
EQUIVALENT = Path(__file__).parent / "equivalent.yml"
FLOOR = 0.90


def shipped() -> Suite:
    """The committed rules and tests."""
    rules = ROOT / "rules"
    return Suite.read((rules / "recording.yml", rules / "alerts.yml"), (rules / "tests").glob("*.yml"))


@click.command()
@click.option("--rule", "names", multiple=True, help="Only rules of this name; repeatable.")
@click.option("--sample", type=int, help="Only so many mutants, drawn with --seed.")
@click.option("--seed", type=int, default=0, show_default=True)
@click.option("--minutes", type=float, default=float("inf"), help="End after so long; the next run goes on.")
def main(names: tuple[str, ...], sample: int | None, seed: int, minutes: float) -> None:
    """Change the rules, one small thing at a time, and see whether a test notices. Exit 1 below 90 %."""
    promtool = shutil.which("promtool")
    if promtool is None:
        raise click.ClickException("promtool is not installed: apt-get install prometheus")
    os.nice(10)
    suite = shipped()
    runner = Runner(promtool, suite, STATE)
    chosen = [
        (number, mutant) for number, mutant in runner.all_mutants() if not names or suite.rules[number].name in names
    ]
    if sample is not None:
        chosen = sorted(random.Random(seed).sample(chosen, min(sample, len(chosen))), key=lambda pair: pair[0])
    outcomes: list[Outcome] = []
    for outcome in runner.run(chosen, minutes):
        outcomes.append(outcome)
        click.echo(f"\r{len(outcomes)} of {len(chosen)}, {killed_share(outcomes):.1%} killed", err=True, nl=False)
    click.echo("", err=True)
    click.echo(report(outcomes, reasons(EQUIVALENT)))
    if len(outcomes) < len(chosen):
        click.echo(f"{len(chosen) - len(outcomes)} mutants are left: run again to go on")
    sys.exit(killed_share(outcomes) < FLOOR)


if __name__ == "__main__":
    main()
