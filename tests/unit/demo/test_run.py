from __future__ import annotations

import os
import re
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from exporter.demo.loopback import NoAnswer, ask
from exporter.demo.processes import ALERTMANAGER, PROMETHEUS, Children, DemoFailed, program

ROOT = Path(__file__).parents[3]
DEMO = [sys.executable, "-m", "exporter", "demo"]


def start(tmp_path: Path, *args: str, path: str | None = None) -> subprocess.Popen[str]:
    environment = {**os.environ, "TMPDIR": str(tmp_path), "PATH": path or os.environ["PATH"]}
    return subprocess.Popen(
        [*DEMO, *args], cwd=ROOT, env=environment, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    )


def test_a_child_that_ends_is_told_with_the_end_of_its_log(tmp_path):
    children = Children(tmp_path)
    children.start("broken", [sys.executable, "-c", "print('no such luck'); raise SystemExit(3)"], tmp_path)
    with pytest.raises(DemoFailed, match=r"broken ended with 3:\n  no such luck"):
        children.wait_for("broken", lambda: ask(1, "/"))


def test_a_child_that_does_not_answer_is_told_and_can_be_stopped(tmp_path):
    children = Children(tmp_path)
    children.start("mute", [sys.executable, "-c", "import time; time.sleep(60)"], tmp_path)
    with pytest.raises(DemoFailed, match="mute is not ready"):
        children.wait_for("mute", lambda: ask(1, "/"), seconds=0.2)
    begun = time.monotonic()
    children.stop_all()
    assert time.monotonic() - begun < 5


def test_a_program_that_cannot_be_started_is_told(tmp_path):
    with pytest.raises(DemoFailed, match="cannot be started"):
        Children(tmp_path).start("absent", [str(tmp_path / "absent")], tmp_path)


def test_without_prometheus_the_exporter_runs_and_what_is_missing_is_told(tmp_path):
    demo = start(tmp_path, "--check", path=str(tmp_path))
    out, err = demo.communicate(timeout=60)
    assert demo.returncode == 1
    assert "events accepted by the exporter" in out
    assert "Prometheus and Alertmanager not found" in err
    assert "apt-get install prometheus prometheus-alertmanager" in err
    assert "Traceback" not in err


@pytest.mark.parametrize("signum", [signal.SIGINT, signal.SIGTERM])
def test_a_signal_ends_everything_and_leaves_nothing_behind(tmp_path, signum):
    demo = start(tmp_path)
    assert demo.stdout is not None
    ports = []
    for line in demo.stdout:
        ports += [int(port) for port in re.findall(r"http://127\.0\.0\.1:(\d+)/$", line)]
        if "plan" in line:
            break
    for port in ports:
        ask(port, "/-/ready")
    demo.send_signal(signum)
    _, err = demo.communicate(timeout=30)
    assert (demo.returncode, err) == (0, "")
    for port in ports:
        with pytest.raises(NoAnswer):
            ask(port, "/-/ready")
    assert list(tmp_path.iterdir()) == []


@pytest.mark.slow
@pytest.mark.skipif(
    not (program(PROMETHEUS) and program(ALERTMANAGER)), reason="needs prometheus and prometheus-alertmanager"
)
def test_the_demo_fires_and_delivers_an_alert(tmp_path):
    demo = start(tmp_path, "--check", "--keep")
    out, err = demo.communicate(timeout=180)
    assert (demo.returncode, err) == (0, ""), out
    assert "ok   LLMBudgetExceeded delivered by Alertmanager" in out
    (folder,) = tmp_path.iterdir()
    assert (folder / "rules" / "alerts.yml").is_file()
    assert (folder / "migration.yaml").is_file()
