"""Every command of the README works as written, one after the other, in an empty folder."""

from __future__ import annotations

import os
import re
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from tests.processes import is_up

ROOT = Path(__file__).parent.parent.parent


@pytest.mark.slow
def test_the_commands_of_the_readme_work_in_their_order(tmp_path: Path) -> None:
    for port in (10410, 10411):
        if is_up(f"http://127.0.0.1:{port}/-/ready"):
            pytest.skip(f"port {port}, which the README names, is in use")
    blocks = re.findall(r"(?ms)^```sh\n(.*?)^```", (ROOT / "README.md").read_text(encoding="utf-8"))
    assert len(blocks) >= 5
    script = "set -euxo pipefail\n" + "\n".join(blocks)
    env = {**os.environ, "PATH": f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}"}
    process = subprocess.Popen(
        ["bash", "-c", script],
        cwd=tmp_path,
        env=env,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        start_new_session=True,
    )
    try:
        # The server stays in the background and holds the pipe open: read until the script itself has ended.
        code = process.wait(60)
    finally:
        os.killpg(process.pid, signal.SIGTERM)
    output = process.communicate(timeout=15)[0]

    assert code == 0, output
    assert '"status":"tracked"' in output
    assert '"limit":120.0' in output
    assert '"migration_phase":"testing"' in output
    assert '"control":"http://127.0.0.1:10410"' in output
    assert '"exporters":["shard-1"]' in output
    scraped = (tmp_path / "generated" / "rules" / "prometheus.yml").read_text(encoding="utf-8")
    assert "127.0.0.1:10411" in scraped
    assert "accepted    1" in output
    assert (tmp_path / "generated" / "rules" / "alerts.yml").is_file()
