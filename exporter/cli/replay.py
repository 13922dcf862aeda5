"""`replay FILE`: send a recorded trace of model calls to a running exporter."""

from __future__ import annotations

import sys
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import click

from exporter.cli.durations import DURATION
from exporter.errors import UserError
from exporter.replay import LatencyFormula, Mapping, ReplayOptions
from exporter.replay import replay as run_replay
from exporter.replay.formats import FORMATS
from exporter.replay.mapping import TRACE_MODELS
from exporter.replay.sender import MAX_BATCH, ReplayStopped

_DEFAULT = LatencyFormula()
_KNOWN = ", ".join(f"{name} becomes {model}" for name, model in TRACE_MODELS.items())


class EventsRejected(UserError):
    """Everything was sent, but not everything was taken."""

    exit_code = 1


class _Speed(click.ParamType[float | None]):
    """`max`, or how many times as fast as the trace; None is max."""

    name = "speed"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> float | None:
        if value is None or value == "max":
            return None
        try:
            return float(value)
        except ValueError:
            return self.fail(f"{value!r} is neither max nor a number", param, ctx)


class _Moment(click.ParamType[float | None]):
    """`now`, RFC 3339 or Unix seconds; None is now."""

    name = "moment"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> float | None:
        if value is None or isinstance(value, float) or value == "now":
            return value if isinstance(value, float) else None
        try:
            return float(value)
        except ValueError:
            pass
        try:
            when = datetime.fromisoformat(value)
        except ValueError:
            return self.fail(f"{value!r} is no time; write now, 2025-05-31T12:00:00Z or Unix seconds", param, ctx)
        return (when if when.tzinfo else when.replace(tzinfo=UTC)).timestamp()


def _models(_ctx: click.Context, _param: click.Parameter, values: tuple[str, ...]) -> dict[str, str]:
    models: dict[str, str] = {}
    for value in values:
        name, equals, model = value.partition("=")
        if not (name and equals and model):
            raise click.BadParameter(f"{value!r}: write NAME=MODEL, such as ChatGPT=gpt-4o-mini")
        models[name] = model
    return models


def _latency(
    fixed: float | None, base: float | None, per_input: float | None, per_output: float | None, jitter: float | None
) -> float | LatencyFormula | None:
    formula = {"base": base, "per_input_token": per_input, "per_output_token": per_output, "jitter": jitter}
    said = {name: value for name, value in formula.items() if value is not None}
    if fixed is not None and said:
        raise click.UsageError("--latency is fixed; it does not go with the options of the formula")
    return LatencyFormula(**said) if said else fixed


def read_token(file: Path | None) -> str | None:
    """A token from its file, without the white space around it.

    Raises:
        UserError: the file cannot be read or is empty.
    """
    if file is None:
        return None
    try:
        token = file.read_text(encoding="utf-8").strip()
    except (OSError, UnicodeDecodeError) as error:
        raise UserError(f"--token-file {file}: {error}") from error
    if not token:
        raise UserError(f"--token-file {file}: the file is empty")
    return token


@click.command(
    epilog=f"""
    The format is known by the file's first line: CSV of the Azure LLM inference traces (TIMESTAMP, ContextTokens,
    GeneratedTokens), CSV of BurstGPT ({_KNOWN}; no response tokens mean a failed call), or events as applications
    send them, one JSON object a line.

    The latency of a call is the trace's own where it has one, else
    (base + per-input-token × input + per-output-token × output) × spread, in seconds, where spread lies between
    1 - jitter and 1 + jitter and is the same for the same row in every replay.

    Each event's id is made from the file's content, the mapping (model, category, application, endpoint, migration,
    shadow, latency) and the row. So a replay may be interrupted and run again: what was counted is answered as
    duplicate. Another mapping gives other events. Exit code 1: something was rejected, or the exporter stayed away.
    """
)
@click.argument("file", type=click.Path(path_type=Path))
@click.option("--url", default="http://127.0.0.1:10410", show_default=True, help="Where the exporter listens.")
@click.option("--token-file", type=click.Path(path_type=Path), help="File with a token of the role ingest.")
@click.option("--format", "format_", type=click.Choice(FORMATS), help="Format of the file, when not by its first line.")
@click.option("--model", help="Model of all calls; needed where the trace names none.")
@click.option(
    "--map-model",
    "models",
    multiple=True,
    callback=_models,
    metavar="NAME=MODEL",
    help="Model for a name in the trace; repeatable.",
)
@click.option("--category", help="Category of all calls.")
@click.option("--application", help="Application of all calls.")
@click.option("--endpoint", help="Endpoint of all calls.")
@click.option("--migration", help="Migration of all calls, where model and scope do not decide.")
@click.option("--shadow", is_flag=True, help="Calls whose answer no user saw.")
@click.option("--latency", type=float, metavar="SECONDS", help="The same latency for all calls.")
@click.option("--latency-base", type=float, metavar="SECONDS", help=f"Formula: base.  [default: {_DEFAULT.base:g}]")
@click.option(
    "--latency-per-input-token",
    type=float,
    metavar="SECONDS",
    help=f"Formula: seconds for an input token.  [default: {_DEFAULT.per_input_token:g}]",
)
@click.option(
    "--latency-per-output-token",
    type=float,
    metavar="SECONDS",
    help=f"Formula: seconds for an output token.  [default: {_DEFAULT.per_output_token:g}]",
)
@click.option(
    "--latency-jitter", type=float, metavar="SHARE", help=f"Formula: jitter, 0 to 1.  [default: {_DEFAULT.jitter:g}]"
)
@click.option(
    "--speed",
    type=_Speed(),
    metavar="max|FACTOR",
    default="max",
    show_default=True,
    help="max: all at once, dated so that the trace ends at --end-at. 1, 10, …: at the trace's pace, so many "
    "times as fast, dated when sent.",
)
@click.option(
    "--end-at",
    type=_Moment(),
    metavar="now|TIME",
    default="now",
    show_default=True,
    help="When the trace's last call ended.",
)
@click.option("--span", type=DURATION, help="Squeeze or stretch the trace's times to this length.")
@click.option("--limit", type=int, metavar="ROWS", help="Send only the first rows.")
@click.option("--batch", type=click.IntRange(1, MAX_BATCH), default=1000, show_default=True, help="Events per request.")
@click.option(
    "--wait", type=DURATION, default="60s", show_default=True, help="How long to try while the exporter is away."
)
def replay(
    file: Path,
    url: str,
    token_file: Path | None,
    format_: str | None,
    model: str | None,
    models: dict[str, str],
    category: str | None,
    application: str | None,
    endpoint: str | None,
    migration: str | None,
    shadow: bool,
    latency: float | None,
    latency_base: float | None,
    latency_per_input_token: float | None,
    latency_per_output_token: float | None,
    latency_jitter: float | None,
    speed: float | None,
    end_at: float | None,
    span: float | None,
    limit: int | None,
    batch: int,
    wait: float,
) -> None:
    """Send the trace in FILE to a running exporter, each call counted once however often it is sent."""
    options = ReplayOptions(
        file=file,
        url=url,
        token=read_token(token_file),
        format=format_,
        mapping=Mapping(
            model=model,
            models=models,
            category=category,
            application=application,
            endpoint=endpoint,
            migration=migration,
            shadow=shadow,
            latency=_latency(latency, latency_base, latency_per_input_token, latency_per_output_token, latency_jitter),
        ),
        speed=speed,
        end_at=end_at,
        span=span,
        limit=limit,
        batch=batch,
        wait=wait,
    )
    try:
        summary = run_replay(options, progress=sys.stderr)
    except ReplayStopped as stopped:
        click.echo(stopped.summary)
        raise
    click.echo(summary)
    if summary.rejected:
        raise EventsRejected(f"{summary.rejected:,} of {summary.sent:,} events were rejected")
