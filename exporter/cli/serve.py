"""`serve`: run the exporter."""

from __future__ import annotations

import asyncio
from pathlib import Path

import click

from exporter import log, runtime
from exporter.cli.options import DEFAULT_PORT, address, config_file
from exporter.plan.load import load


@click.command()
@config_file
@click.option(
    "--storage.path",
    "storage_path",
    type=click.Path(path_type=Path),
    default="data",
    show_default=True,
    envvar="LLM_MIGRATION_STORAGE_PATH",
    help="Folder of the ledger.",
)
@click.option(
    "--web.listen-address",
    "listen",
    multiple=True,
    default=(f"127.0.0.1:{DEFAULT_PORT}",),
    show_default=True,
    envvar="LLM_MIGRATION_WEB_LISTEN_ADDRESS",
    help="host:port to listen on; may be given more than once. Port 0 takes a free one.",
)
@click.option(
    "--web.telemetry-path",
    "telemetry_path",
    default="/metrics",
    show_default=True,
    envvar="LLM_MIGRATION_WEB_TELEMETRY_PATH",
    help="Path of the metrics.",
)
@click.option(
    "--web.allow-unauthenticated",
    "allow_unauthenticated",
    is_flag=True,
    envvar="LLM_MIGRATION_WEB_ALLOW_UNAUTHENTICATED",
    help="Listen beyond loopback without tokens, where something else guards the port.",
)
@click.option(
    "--log.level",
    "log_level",
    type=click.Choice(["debug", "info", "warning", "error"]),
    default="info",
    show_default=True,
    envvar="LLM_MIGRATION_LOG_LEVEL",
)
@click.option(
    "--log.format",
    "log_format",
    type=click.Choice(["logfmt", "json"]),
    default="logfmt",
    show_default=True,
    envvar="LLM_MIGRATION_LOG_FORMAT",
)
def serve(
    config_file: Path,
    storage_path: Path,
    listen: tuple[str, ...],
    telemetry_path: str,
    allow_unauthenticated: bool,
    log_level: str,
    log_format: str,
) -> None:
    """Take events, store them, publish metrics."""
    log.configure(log_level, log_format)
    if not telemetry_path.startswith("/"):
        raise click.BadParameter("--web.telemetry-path must begin with /")
    settings = runtime.Settings(
        storage_path=storage_path,
        listen=tuple(address(value) for value in listen),
        telemetry_path=telemetry_path,
        allow_unauthenticated=allow_unauthenticated,
    )
    asyncio.run(runtime.serve(load(config_file), settings))
