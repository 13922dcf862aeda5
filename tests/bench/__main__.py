"""Measure speed against baselines of the same run, and print one Markdown table.

    python -m tests.bench [NAMES…] [--quick]

Nothing here passes or fails: machines differ, ratios within one run say more than figures. Traffic stays on loopback.
"""

from __future__ import annotations

import platform
import sys
import time
from collections.abc import Callable

import click

from tests.bench import (
    client_call,
    decoding,
    disk,
    durable_ingest,
    loop_stall,
    machine,
    memory,
    rendering,
    reports,
    rule_cost,
    scenarios,
    single_events,
    start,
)
from tests.bench.results import Result, UnmeasurableError, table

MEASUREMENTS: dict[str, Callable[..., list[Result]]] = {
    "ingest": durable_ingest.measure,
    "single": single_events.measure,
    "render": rendering.measure,
    "stall": loop_stall.measure,
    "reports": reports.measure,
    "memory": memory.measure,
    "start": start.measure,
    "client": client_call.measure,
    "disk": disk.measure,
    "decode": decoding.measure,
    "rules": rule_cost.measure,
    "scenarios": scenarios.measure,
}
LONG = ("scenarios",)  # hours in full: so only when asked for by name


@click.command(help=f"Measure some or all of: {', '.join(MEASUREMENTS)}.")
@click.argument("names", nargs=-1, type=click.Choice(list(MEASUREMENTS)))
@click.option("--quick", is_flag=True, help="Smaller amounts: a look in about a minute, not figures to quote.")
def main(names: tuple[str, ...], quick: bool) -> None:
    """Measure, tell progress on standard error, print the table."""
    results: list[Result] = []
    begun = time.perf_counter()
    for name in names or MEASUREMENTS:
        click.echo(f"{name} …", err=True, nl=False)
        at = time.perf_counter()
        try:
            results += MEASUREMENTS[name](quick=quick or (name in LONG and name not in names))
        except UnmeasurableError as error:
            click.echo(f" no figure: {error};", err=True, nl=False)
        click.echo(f" {time.perf_counter() - at:.0f} s", err=True)
    click.echo(table(results))
    ours, load = machine.cores()
    where = f"server on core {ours}, load on core {load}" if ours != load else "server and load on one core"
    size = ", --quick" if quick else ""
    click.echo(f"\nPython {platform.python_version()}, {platform.machine()}, {where}{size}; all traffic on loopback.")
    click.echo(f"{time.perf_counter() - begun:.0f} s", err=True)


if __name__ == "__main__":
    sys.exit(main())
