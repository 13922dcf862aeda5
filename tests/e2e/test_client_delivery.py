"""The client in applications of their own, against a real exporter that is down, killed, strict or too small."""

from __future__ import annotations

import hashlib
import json
import signal
import subprocess
import sys
import time
from pathlib import Path

from exporter.client import Client
from tests.configs import SHIPPED, variant
from tests.processes import ExporterProcess, exporter, wait_for

TOKEN = "a-token-of-the-application"

# Three threads track while the exporter comes and goes; in the middle the process forks, and both go on.
APPLICATION = """
import json, os, sys, threading, time
from exporter.client import Client

url, folder, seconds = sys.argv[1], sys.argv[2], float(sys.argv[3])
client = Client(url, application="app", flush_interval=0.05, batch=50, timeout=2, spool=folder + "/spool")
ids, stop = [], threading.Event()

def work(number):
    while not stop.is_set():
        ids.append(client.track_api_request("gpt-4.1", 10 + number, 5, 0.1, True, category="analysis"))
        time.sleep(0.001)

def run(seconds, numbers):
    stop.clear()
    threads = [threading.Thread(target=work, args=(number,)) for number in numbers]
    for thread in threads:
        thread.start()
    time.sleep(seconds)
    return threads

threads = run(seconds / 2, range(3))
child = os.fork()
if child == 0:
    ids.clear()
    threads = []
run_more = run(seconds / 2, range(3, 5))
stop.set()
for thread in threads + run_more:
    thread.join()
left = not client.close(30)
with open(f"{folder}/ids-{os.getpid()}.json", "w") as file:
    json.dump({"ids": ids, "left": left, **{n: getattr(client.stats(), n) for n in ("dropped", "rejected")}}, file)
if child:
    assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 0
"""


def test_nothing_is_lost_and_nothing_counts_twice_while_the_exporter_is_killed(tmp_path: Path) -> None:
    running = ExporterProcess(tmp_path, SHIPPED)
    command = [sys.executable, "-W", "ignore", "-c", APPLICATION, running.url, str(tmp_path), "5"]
    application = subprocess.Popen(command)
    try:
        time.sleep(0.5)  # it is down when the application starts
        running.start()
        for pause in (0.4, 0.7):
            time.sleep(pause)
            running.end(signal.SIGKILL)
            running.start()
        assert application.wait(60) == 0
        # What one process left in the spool, the next client sends.
        with Client(running.url, spool=tmp_path / "spool", flush_interval=0.05):
            wait_for(lambda: not list((tmp_path / "spool").iterdir()), "the spool is empty")

        reports = [json.loads(file.read_text()) for file in tmp_path.glob("ids-*.json")]
        ids = [identity for report in reports for identity in report["ids"]]
        assert len(reports) == 2
        assert len(set(ids)) == len(ids) > 1000
        assert {report["dropped"] + report["rejected"] for report in reports} == {0}
        assert running.total("llm_requests_total") == len(ids)
        assert running.total("llm_requests_total", application="app", category="analysis") == len(ids)
    finally:
        application.kill()
        application.wait()
        running.end()


def test_events_wait_for_their_token_and_go_in_the_portions_and_at_the_pace_that_the_exporter_takes(
    tmp_path: Path,
) -> None:
    def tokens(*values: str) -> Path:
        entries = [
            {"name": f"t{place}", "role": "ingest", "sha256": hashlib.sha256(value.encode()).hexdigest()}
            for place, value in enumerate(values)
        ]
        return variant(
            tmp_path,
            lambda document: document.update(tokens=entries),
            limits={"batch": 40, "body_bytes": "4KiB", "ingest_per_second": 100},
        )

    with exporter(tmp_path, tokens("somebody-else's")) as running:
        client = Client(running.url, token=TOKEN, flush_interval=0.05)
        ids = [client.track_api_request("gpt-4.1", 10, 5, 0.1, True) for _ in range(300)]
        wait_for(lambda: "401" in client.stats().last_error, "the token is refused")
        assert client.stats().queued == 300

        tokens("somebody-else's", TOKEN)
        assert running.process is not None
        running.process.popen.send_signal(signal.SIGHUP)
        wait_for(lambda: client.stats().sent, "the token is taken")
        errors = set()

        def all_sent() -> bool:
            errors.add(client.stats().last_error)
            return client.stats().sent == len(ids)

        wait_for(all_sent, "everything is sent")
        assert any("429" in error for error in errors)
        stats = client.stats()
        assert (stats.duplicates, stats.rejected, stats.dropped, stats.queued) == (0, 0, 0, 0)
        assert client.close()
        assert running.total("llm_exporter_events_total", result="accepted") == len(ids)
        assert running.total("llm_exporter_events_rejected_total", reason="too_large") > 0
