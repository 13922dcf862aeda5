"""Write a simulated span of time to files: `python -m tests.scenarios --days 1 --series series.txt`."""

from __future__ import annotations

import csv
import json
from pathlib import Path
from typing import cast

import click

from tests.scenarios.calls import Names
from tests.scenarios.drawing import draw
from tests.scenarios.incidents import KINDS, Incident
from tests.scenarios.recording import record
from tests.scenarios.seeds import Purpose, generator
from tests.scenarios.settings import Setting, large, moderate, small
from tests.scenarios.truth import truth
from tests.scenarios.writing import events, openmetrics

SETTINGS = {"small": small, "moderate": moderate, "large": large}


def _incidents(_context: click.Context, _option: click.Parameter, values: tuple[str, ...]) -> list[tuple[str, ...]]:
    found = [tuple(value.split(":")) for value in values]
    for parts in found:
        if len(parts) not in (4, 5) or parts[0] not in KINDS:
            raise click.BadParameter(f"write KIND:STRENGTH:HOUR:HOURS[:SUBJECT]; kinds: {', '.join(KINDS)}")
    return found


def _incident(setting: Setting, kind: str, strength: str, at: str, hours: str, subject: str = "") -> Incident:
    start = setting.begin + 3600 * float(at)
    return Incident(kind, start, start + 3600 * float(hours), float(strength), subject)


@click.command(help=__doc__)
@click.option("--setting", "name", type=click.Choice(list(SETTINGS)), default="moderate", show_default=True)
@click.option("--days", type=float, default=1.0, show_default=True)
@click.option("--step", type=float, default=60.0, show_default=True, help="Seconds between scrapes.")
@click.option("--purpose", type=click.Choice(["tuning", "judging"]), default="tuning", show_default=True)
@click.option("--seed", type=int, default=0, show_default=True)
@click.option(
    "--incident",
    "wanted",
    multiple=True,
    callback=_incidents,
    metavar="KIND:STRENGTH:HOUR:HOURS[:SUBJECT]",
    help="What goes wrong, how strongly, from which hour and for how many; repeatable.",
)
@click.option("--series", type=click.Path(path_type=Path), help="File for OpenMetrics with timestamps.")
@click.option("--labels", type=click.Path(path_type=Path), help="File for the incidents, as `backtest` reads them.")
@click.option("--events", "events_file", type=click.Path(path_type=Path), help="File for the calls as events, NDJSON.")
def main(
    name: str,
    days: float,
    step: float,
    purpose: str,
    seed: int,
    wanted: list[tuple[str, ...]],
    series: Path | None,
    labels: Path | None,
    events_file: Path | None,
) -> None:
    """Draw, record, write, and say what is known."""
    setting = SETTINGS[name]()
    drawn = cast("Purpose", purpose)
    incidents = [_incident(setting, *parts) for parts in wanted]
    calls = draw(setting, days, drawn, seed, incidents)
    if series is not None:
        recorded = record(setting, calls, days, step, incidents, generator(drawn, seed, 2))
        click.echo(f"{series}: {openmetrics(recorded, series):,} samples of {len(recorded)} series")
    if labels is not None:
        with labels.open("w", encoding="utf-8", newline="") as file:
            writer = csv.writer(file)
            writer.writerow(("start", "end", "name", "signals"))
            for incident in incidents:
                signals = " ".join(KINDS[incident.kind].signals)
                writer.writerow((incident.start, incident.end, f"{incident.kind} {incident.strength:g}", signals))
    if events_file is not None:
        with events_file.open("w", encoding="utf-8") as file:
            file.writelines(json.dumps(event) + "\n" for event in events(calls, Names.of(setting)))
    click.echo(truth(calls, setting.begin, setting.begin + days * 86400))


if __name__ == "__main__":
    main()
