"""Options that several commands share."""

from __future__ import annotations

from pathlib import Path

import click

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
    if not separator or not port.isdigit() or int(port) > 65535:
        raise click.BadParameter(f"{value!r} is not host:port")
    return host.strip("[]") or "0.0.0.0", int(port)  # noqa: S104 - asked for by `:port`, as other exporters read it
