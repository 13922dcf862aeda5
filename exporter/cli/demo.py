"""`demo`: the running product over made-up traffic, within seconds."""

from __future__ import annotations

import click

from exporter.cli.durations import DURATION
from exporter.demo.run import CHECK_SECONDS, DemoOptions, run


@click.command()
@click.option("--duration", type=DURATION, help="End after so long; without it, Ctrl-C ends the demo.")
@click.option(
    "--check",
    is_flag=True,
    help="Unattended: end as soon as events were accepted and scraped, and an alert fired and was delivered; fail when "
    f"that does not happen within --duration ({CHECK_SECONDS:g} s when not given).",
)
@click.option("--keep", is_flag=True, help="Leave the folder with plan, generated files, ledger and logs behind.")
def demo(duration: float | None, check: bool, keep: bool) -> None:
    """Run exporter, Prometheus and Alertmanager over made-up traffic of a migration, with one incident."""
    run(DemoOptions(duration, check, keep))
