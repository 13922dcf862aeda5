"""`backtest SOURCE`: when would the alerts have fired?"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import click

from exporter import backtest as backtesting
from exporter.backtest import sources
from exporter.backtest.episodes import moment
from exporter.bundle import files
from exporter.cli.durations import DURATION
from exporter.cli.options import config_file
from exporter.plan.load import load


class _Moment(click.ParamType[float]):
    """RFC 3339 or Unix seconds."""

    name = "time"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> float:
        if isinstance(value, float):
            return value
        try:
            return moment(value)
        except ValueError:
            return self.fail(f"{value!r} is no time; write 2025-05-31T12:00:00Z or Unix seconds", param, ctx)


@click.command(
    epilog="""
    SOURCE is an OpenMetrics file with timestamps, the data folder of a Prometheus, or the URL of one with --start and
    --end. Nothing in it is changed.

    A label file is CSV with the columns start, end and name, and where wanted signals: those of the alerts that would
    tell of the incident, separated by spaces. An alert is right when it begins to fire during an incident or within
    the grace after it.

    Alerts are judged by promtool, which comes with Prometheus, with the samples of SOURCE at each step: a week at one
    minute takes minutes.
    """
)
@click.argument("source")
@config_file
@click.option(
    "--rules",
    "rule_files",
    multiple=True,
    type=click.Path(path_type=Path),
    help="Rule file; repeatable.  [default: the rules of the configuration]",
)
@click.option(
    "--labels", "label_file", type=click.Path(path_type=Path), help="CSV of the incidents that there really were."
)
@click.option("--start", type=_Moment(), help="First evaluation.  [default: the first sample]")
@click.option("--end", type=_Moment(), help="Last evaluation.  [default: the last sample]")
@click.option("--step", type=DURATION, default="1m", show_default=True, help="Time between evaluations.")
@click.option(
    "--grace",
    type=DURATION,
    default="10m",
    show_default=True,
    help="How late after an incident alerts still tell of it.",
)
@click.option("--json", "json_file", type=click.Path(path_type=Path), help="File for all that was found, as JSON.")
def backtest(
    source: str,
    config_file: Path,
    rule_files: tuple[Path, ...],
    label_file: Path | None,
    start: float | None,
    end: float | None,
    step: float,
    grace: float,
    json_file: Path | None,
) -> None:
    """Say when the alerts would have fired in the past that SOURCE has recorded."""
    if step < 1:
        raise click.BadParameter("an evaluation needs at least a second", param_hint="--step")
    contents = {str(path): path.read_bytes() for path in rule_files} or files.rules(load(config_file))
    rules = backtesting.RuleSet.parse(contents)
    incidents = backtesting.read_incidents(label_file) if label_file else []
    history = sources.read(source, rules.needed().read, step, start, end)
    found = backtesting.evaluate(rules, history)
    if json_file is not None:
        document = backtesting.as_json(found, incidents, history, grace)
        json_file.write_text(json.dumps(document, indent=2) + "\n", encoding="utf-8")
    click.echo(backtesting.as_table(found, incidents, history, grace))
