"""Options that several commands share."""

from __future__ import annotations

from pathlib import Path

import click

from exporter.plan.nodes import Kind, Mark, Scalar
from exporter.plan.values import Url, WrongValue

DEFAULT_PORT = 10410

config_file = click.option(
    "--config.file",
    "config_file",
    type=click.Path(path_type=Path),
    default="migration.yaml",
    show_default=True,
    envvar="LLM_MIGRATION_CONFIG_FILE",
    help="The one file that says everything.",
)


def address(value: str) -> tuple[str, int]:
    """`host:port`, `[v6]:port` or `:port` (all addresses) as a pair.

    Raises:
        click.BadParameter: it is none of these.
    """
    host, separator, port = value.rpartition(":")
    if not separator or not (port.isascii() and port.isdigit()) or int(port) > 65535:
        raise click.BadParameter(f"{value!r} is not host:port")
    return host.strip("[]") or "0.0.0.0", int(port)  # noqa: S104 - asked for by `:port`, as other exporters read it


def url(value: str, option: str) -> str:
    """The address of an HTTP service without a slash at its end, or an empty text.

    Raises:
        click.BadParameter: it is neither.
    """
    try:
        return Url().parse(Scalar(Mark(1, 1), Kind.TEXT, value))
    except WrongValue as wrong:
        raise click.BadParameter(f"{option}: {wrong.message}; {wrong.remedy}") from None
