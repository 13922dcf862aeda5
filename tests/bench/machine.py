"""Children on a core of their own, and what they cost."""

from __future__ import annotations

import http.client
import os
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

ROOT = Path(__file__).parents[2]
CONFIG = ROOT / "migration.yaml"
_TICK = os.sysconf("SC_CLK_TCK")


def cores() -> tuple[int, int]:
    """The core of what is measured and the core of the load; the same one where there is no second."""
    usable = sorted(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else [0]
    return usable[0], usable[-1]


@contextmanager
def on_core(core: int) -> Iterator[None]:
    """Keep this process on one core."""
    if not hasattr(os, "sched_setaffinity"):
        yield
        return
    before = os.sched_getaffinity(0)
    os.sched_setaffinity(0, {core})
    try:
        yield
    finally:
        os.sched_setaffinity(0, before)


@contextmanager
def folder() -> Iterator[Path]:
    """A temporary folder."""
    with tempfile.TemporaryDirectory(prefix="llm-bench-") as path:
        yield Path(path)


def free_port() -> int:
    """A loopback port that nobody listens on."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


class Server:
    """A child process that serves HTTP on loopback."""

    def __init__(self, arguments: Sequence[str], port: int, log: Path, core: int | None = None) -> None:
        """Start `python -m ARGUMENTS`, on one core when `core` is given."""
        self.port = port
        self._log = log
        self._begun = time.perf_counter()
        with log.open("ab") as output:
            self.process = subprocess.Popen(
                [sys.executable, "-m", *arguments],
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=output,
                cwd=ROOT,
                text=True,
            )
        if core is not None and hasattr(os, "sched_setaffinity"):
            os.sched_setaffinity(self.process.pid, {core})

    def wait(self, path: str, seconds: float = 60) -> float:
        """Seconds from the start of the process until `path` answers 200."""
        while True:
            connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=10)
            try:
                connection.request("GET", path)
                if connection.getresponse().status == 200:
                    return time.perf_counter() - self._begun
            except OSError:
                pass
            finally:
                connection.close()
            if self.process.poll() is not None or time.perf_counter() - self._begun > seconds:
                self.end()
                raise RuntimeError(f"the server did not become ready:\n{self._log.read_text()[-2000:]}")
            time.sleep(0.005)

    def cpu(self) -> float:
        """Processor seconds used so far; NaN where the system does not tell."""
        try:
            text = Path(f"/proc/{self.process.pid}/stat").read_text()
        except OSError:
            return float("nan")
        fields = text.rpartition(")")[2].split()
        return (int(fields[11]) + int(fields[12])) / _TICK

    def memory(self, field: str = "VmRSS") -> float:
        """Resident memory in MB."""
        for line in Path(f"/proc/{self.process.pid}/status").read_text().splitlines():
            if line.startswith(field + ":"):
                return int(line.split()[1]) * 1024 / 1e6
        return float("nan")

    def ask(self, command: str) -> str:
        """Write a line to the child, read a line of its answer."""
        assert self.process.stdin is not None
        assert self.process.stdout is not None
        self.process.stdin.write(command + "\n")
        self.process.stdin.flush()
        return self.process.stdout.readline()

    def kill(self) -> None:
        """As a crash: no time to put anything in order."""
        self.process.kill()
        self.process.communicate()

    def end(self) -> None:
        """SIGTERM, and SIGKILL for who does not listen."""
        self.process.terminate()
        try:
            self.process.communicate(timeout=20)
        except subprocess.TimeoutExpired:
            self.kill()


class Neighbours:
    """What others than one server used of its core, since this was made.

    It does not cancel out in a ratio: a server with one thread loses half of a shared core, one with two threads less.
    """

    LIMIT = 0.15  # a round in which others had more than this is set aside, whatever it measured

    def __init__(self, server: Server, core: int) -> None:
        self._server = server
        self._core = core
        self._wall = time.perf_counter()
        self._before = self._foreign()

    def share(self) -> float:
        """0..1; 0 where the system does not tell."""
        used = self._foreign() - self._before
        return max(0.0, used / (time.perf_counter() - self._wall)) if used == used else 0.0

    def _foreign(self) -> float:
        try:
            lines = Path("/proc/stat").read_text().splitlines()
        except OSError:
            return float("nan")
        fields = next(line.split()[1:] for line in lines if line.startswith(f"cpu{self._core} "))
        user, nice, system, _, _, irq, softirq, steal = map(int, fields[:8])
        return (user + nice + system + irq + softirq + steal) / _TICK - self._server.cpu()


def exporter(data: Path, core: int | None, config: Path = CONFIG) -> Server:
    """The exporter as people run it, over a storage folder."""
    port = free_port()
    arguments = ("exporter", "serve", "--config.file", str(config), "--storage.path", str(data))
    return Server(
        [*arguments, "--web.listen-address", f"127.0.0.1:{port}", "--log.level", "warning"],
        port,
        data.with_suffix(".log"),
        core,
    )


def baseline(kind: str, core: int | None, log: Path, *arguments: str) -> Server:
    """One of the servers to compare with."""
    port = free_port()
    return Server(["tests.bench.servers", kind, str(port), *arguments], port, log, core)


@contextmanager
def running(server: Server, path: str = "/-/ready") -> Iterator[Server]:
    """A server that is ready, ended at the end."""
    server.wait(path)
    try:
        yield server
    finally:
        server.end()
