"""`serve`: run the exporter."""

from __future__ import annotations

import asyncio
import re
from pathlib import Path

import click

from exporter import log, runtime
from exporter.cli.options import DEFAULT_PORT, address, config_file, url
from exporter.plan.load import load
from exporter.plan.model import CONTROL, MODES
from exporter.settings import MAX_REQUESTS, Settings


@click.command()
@config_file
@click.option(
    "--mode",
    type=click.Choice(MODES),
    default=CONTROL,
    show_default=True,
    envvar="LLM_MIGRATION_MODE",
    help="Of several exporters one is the control, at which changes are made; the others are shards, which only count.",
)
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
    "--web.config.file",
    "web_config",
    type=click.Path(path_type=Path),
    envvar="LLM_MIGRATION_WEB_CONFIG_FILE",
    help="TLS, passwords, headers and a rate limit, in the format of Prometheus's exporter-toolkit.",
)
@click.option(
    "--web.external-url",
    "external_url",
    default="",
    envvar="LLM_MIGRATION_WEB_EXTERNAL_URL",
    help="Address under which people reach the exporter; wins over urls.external of the configuration.",
)
@click.option(
    "--web.enable-lifecycle",
    "lifecycle",
    is_flag=True,
    envvar="LLM_MIGRATION_WEB_ENABLE_LIFECYCLE",
    help="Allow reloads by POST or PUT to /-/reload; SIGHUP always reloads.",
)
@click.option(
    "--web.max-requests",
    "max_requests",
    type=click.IntRange(min=0),
    default=MAX_REQUESTS,
    show_default=True,
    envvar="LLM_MIGRATION_WEB_MAX_REQUESTS",
    help="Scrapes answered at the same time; more are refused with 503. 0: no limit.",
)
@click.option(
    "--web.systemd-socket",
    "systemd_socket",
    is_flag=True,
    envvar="LLM_MIGRATION_WEB_SYSTEMD_SOCKET",
    help="Listen on the sockets that systemd opened instead of --web.listen-address.",
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
    mode: str,
    storage_path: Path,
    listen: tuple[str, ...],
    telemetry_path: str,
    allow_unauthenticated: bool,
    web_config: Path | None,
    external_url: str,
    lifecycle: bool,
    max_requests: int,
    systemd_socket: bool,
    log_level: str,
    log_format: str,
) -> None:
    """Take events, store them, publish metrics."""
    log.configure(log_level, log_format)
    if not re.fullmatch(r"/[\w./-]*[\w]", telemetry_path) or telemetry_path.startswith(("/-/", "/api/")):
        raise click.BadParameter(f"--web.telemetry-path {telemetry_path!r} is no path of its own, such as /metrics")
    settings = Settings(
        storage_path=storage_path,
        listen=tuple(address(value) for value in listen),
        mode=mode,
        telemetry_path=telemetry_path,
        allow_unauthenticated=allow_unauthenticated,
        web_config=web_config,
        external_url=url(external_url, "--web.external-url"),
        lifecycle=lifecycle,
        max_requests=max_requests,
        systemd_socket=systemd_socket,
    )
    asyncio.run(runtime.serve(load(config_file), settings))
