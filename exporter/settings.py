"""How a process runs, as opposed to what its plan says: the flags of `serve`. They change with a restart only."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from exporter.errors import UserError
from exporter.plan.model import CONTROL, Plan
from exporter.web.auth import is_loopback
from exporter.web.webconfig import WebConfig

MAX_REQUESTS = 40


@dataclass(frozen=True, slots=True)
class Settings:
    """The flags."""

    storage_path: Path
    listen: tuple[tuple[str, int], ...]
    mode: str = CONTROL  # or shard: of several exporters exactly one is the control
    telemetry_path: str = "/metrics"
    allow_unauthenticated: bool = False
    web_config: Path | None = None
    external_url: str = ""  # wins over the plan's
    lifecycle: bool = False
    max_requests: int = MAX_REQUESTS  # scrapes at the same time; 0: no limit
    systemd_socket: bool = False  # listen on what systemd opened, not on `listen`


def check_exposure(plan: Plan, settings: Settings, web: WebConfig | None = None) -> None:
    """Refuse to show a company's spending to a network where nothing guards it.

    Raises:
        UserError: an address that others can reach, and neither tokens nor passwords nor client certificates.
    """
    if plan.tokens or settings.allow_unauthenticated or (web is not None and web.guarded):
        return
    for host, _ in settings.listen:
        if not is_loopback(host):
            raise UserError(
                f"without tokens the exporter listens on loopback only, not on {host}; declare `tokens` in "
                f"{plan.path.name}, or pass --web.allow-unauthenticated where something else guards the port"
            )
