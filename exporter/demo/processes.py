"""The programs that the demo starts, and ends whatever happens."""

from __future__ import annotations

import contextlib
import shutil
import subprocess
import time
from collections.abc import Callable, Sequence
from pathlib import Path

from exporter.demo.loopback import NoAnswer
from exporter.errors import UserError

_STOP_SECONDS = 8.0
_POLL_SECONDS = 0.05
_LOG_LINES = 15

PROMETHEUS = ("prometheus",)
ALERTMANAGER = ("prometheus-alertmanager", "alertmanager")  # Debian's name, and everybody else's


class DemoFailed(UserError):
    """The demo cannot go on, or did not show what it should."""

    exit_code = 1


def program(names: Sequence[str]) -> str | None:
    """The path of the first of some programs that is installed."""
    return next((found for found in map(shutil.which, names) if found), None)


class Children:
    """Started programs by name. Each writes to a log of its own; each is known, and ended, by its process."""

    def __init__(self, logs: Path) -> None:
        self._logs = logs
        self._running: dict[str, subprocess.Popen[bytes]] = {}

    def start(self, name: str, command: Sequence[str], folder: Path) -> None:
        """Start a program in a session of its own, so that a Ctrl-C in the terminal reaches only the demo.

        Raises:
            DemoFailed: it cannot be started.
        """
        with self._log(name).open("ab") as log:
            try:
                self._running[name] = subprocess.Popen(
                    command, cwd=folder, stdin=subprocess.DEVNULL, stdout=log, stderr=log, start_new_session=True
                )
            except OSError as error:
                raise DemoFailed(f"{name} cannot be started: {error}") from error

    def wait_for(self, name: str, question: Callable[[], object], seconds: float = 30.0) -> None:
        """Wait until a question to a program is answered.

        Raises:
            DemoFailed: it ended, or did not answer in time; with the end of its log.
        """
        give_up = time.monotonic() + seconds
        while True:
            self.check(name)
            try:
                question()
            except NoAnswer as error:
                if time.monotonic() > give_up:
                    raise DemoFailed(f"{name} is not ready after {seconds:g} s: {error}\n{self._tail(name)}") from error
                time.sleep(_POLL_SECONDS)
            else:
                return

    def check(self, *names: str) -> None:
        """See that programs (all, when none is named) still run.

        Raises:
            DemoFailed: one has ended by itself; with the end of its log.
        """
        for name in names or tuple(self._running):
            code = self._running[name].poll()
            if code is not None:
                del self._running[name]
                raise DemoFailed(f"{name} ended with {code}:\n{self._tail(name)}")

    def stop(self, name: str) -> None:
        """End a program, in good order when it can, and wait until it has gone."""
        process = self._running.pop(name, None)
        if process is not None:
            process.terminate()
            _gone(process)

    def stop_all(self) -> None:
        """End all programs, the last started first; all are asked before any is waited for."""
        processes = [self._running.pop(name) for name in reversed(tuple(self._running))]
        for process in processes:
            with contextlib.suppress(ProcessLookupError):
                process.terminate()
        for process in processes:
            _gone(process)

    def _log(self, name: str) -> Path:
        return self._logs / f"{name}.log"

    def _tail(self, name: str) -> str:
        lines = self._log(name).read_text(encoding="utf-8", errors="replace").splitlines()
        return "\n".join(f"  {line}" for line in lines[-_LOG_LINES:])


def _gone(process: subprocess.Popen[bytes]) -> None:
    try:
        process.wait(_STOP_SECONDS)
    except subprocess.TimeoutExpired:
        process.kill()
        process.wait()
