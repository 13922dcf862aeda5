"""What systemd offers to a service that it started: to hear from it, and sockets that it opened."""

from __future__ import annotations

import os
import socket
import time
from collections.abc import Mapping

from exporter.errors import UserError

_FIRST_SOCKET = 3  # after standard input, output and error


def notify(state: str, environment: Mapping[str, str] = os.environ) -> None:
    """Tell systemd a state such as `READY=1`; says nothing where nobody listens.

    `RELOADING=1` gets the time that systemd wants to see with it.
    """
    address = environment.get("NOTIFY_SOCKET", "")
    if not address.startswith(("/", "@")):
        return
    if state == "RELOADING=1":
        state += f"\nMONOTONIC_USEC={time.clock_gettime_ns(time.CLOCK_MONOTONIC) // 1000}"
    name = "\0" + address[1:] if address.startswith("@") else address  # an abstract socket
    try:
        with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM | socket.SOCK_CLOEXEC) as channel:
            channel.setblocking(False)
            channel.sendto(state.encode(), name)
    except OSError:
        return  # a service does not fail for want of an audience


def sockets(environment: Mapping[str, str] = os.environ) -> list[socket.socket]:
    """The listening sockets that systemd passed.

    Raises:
        UserError: there are none.
    """
    count = environment.get("LISTEN_FDS", "")
    if environment.get("LISTEN_PID") != str(os.getpid()) or not count.isdigit() or count == "0":
        raise UserError("systemd passed no socket; --web.systemd-socket needs a .socket unit beside the service")
    passed = [socket.socket(fileno=_FIRST_SOCKET + index) for index in range(int(count))]
    for listener in passed:
        listener.set_inheritable(False)
    return passed
