from __future__ import annotations

import os
import re
import socket
from pathlib import Path

import pytest

from exporter import systemd
from exporter.errors import UserError


def test_systemd_hears_states_and_with_a_reload_the_time(tmp_path: Path) -> None:
    address = str(tmp_path / "notify")
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as listener:
        listener.bind(address)
        for state in ("READY=1", "RELOADING=1", "STOPPING=1"):
            systemd.notify(state, {"NOTIFY_SOCKET": address})

        assert listener.recv(200) == b"READY=1"
        assert re.fullmatch(rb"RELOADING=1\nMONOTONIC_USEC=\d+", listener.recv(200))
        assert listener.recv(200) == b"STOPPING=1"


def test_systemd_hears_on_an_abstract_socket() -> None:
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as listener:
        listener.bind(f"\0llm-migration-test-{os.getpid()}")
        systemd.notify("READY=1", {"NOTIFY_SOCKET": f"@llm-migration-test-{os.getpid()}"})

        assert listener.recv(200) == b"READY=1"


@pytest.mark.parametrize("address", ["", "relative", "/nowhere/at/all"])
def test_nobody_listening_is_no_failure(address: str) -> None:
    systemd.notify("READY=1", {"NOTIFY_SOCKET": address})


@pytest.mark.parametrize(
    "environment", [{}, {"LISTEN_FDS": "1"}, {"LISTEN_FDS": "1", "LISTEN_PID": "1"}, {"LISTEN_FDS": "x"}]
)
def test_no_socket_from_systemd_is_an_error_that_says_what_is_missing(environment: dict[str, str]) -> None:
    with pytest.raises(UserError, match=r"needs a \.socket unit"):
        systemd.sockets(environment)
