"""What the whole bundle costs a real Prometheus: seconds a group against its interval, samples that each rule reads.

Three migrations, ten models, six categories, twenty applications, behind one synthetic page on loopback. The history
that rules look back at is there from the start: raw series imported at the scrape interval, recorded series as a
straight line at the value that they have, so that no rule is cheap only because its past is missing.
"""

from __future__ import annotations

import json
import os
import statistics
import subprocess
import tempfile
import threading
import time
import urllib.parse
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import click
import yaml

from tests.bench.results import Result
from tests.bench.rule_reading import longest, reads
from tests.processes import PrometheusProcess, get, prometheus, wait_for
from tests.programs import program
from tests.scenarios.calls import Calls
from tests.scenarios.drawing import draw
from tests.scenarios.recording import JOB, Series, record
from tests.scenarios.settings import DAY, Setting, large
from tests.scenarios.writing import number, openmetrics, page, selector

ROOT = Path(__file__).parent.parent.parent
SCRAPE = 15.0
COARSE = 60.0  # between scrapes of what is looked back at for longer than DENSE
DENSE = 7200.0
CAP = DAY  # raw series are not simulated for longer; what looks farther back is named in the note
AHEAD = 1800.0
CALLS_PER_SECOND = 20.0  # enough that nearly every label set occurs within the history
TICKS = os.sysconf("SC_CLK_TCK")


class Bundle:
    """The committed rules, and how far they look back."""

    def __init__(self) -> None:
        self.files = [ROOT / "rules" / name for name in ("recording.yml", "alerts.yml")]
        groups = [group for file in self.files for group in yaml.safe_load(file.read_bytes())["groups"]]
        self.rules = [rule for group in groups for rule in group["rules"]]
        self.intervals = {group["name"]: _seconds(group["interval"]) for group in groups}
        self.recorded = {str(rule["record"]) for rule in self.rules if "record" in rule}
        back = longest([str(rule["expr"]) for rule in self.rules])
        self.raw = {name: seconds for name, seconds in back.items() if name not in self.recorded}
        self.past = {name: seconds for name, seconds in back.items() if name in self.recorded and seconds > 300}


def measure(*, quick: bool) -> list[Result]:
    """Print what each group and each rule costs; the bundle's share of its interval as the result."""
    os.nice(10)
    bundle = Bundle()
    rounds = 3 if quick else 8
    with tempfile.TemporaryDirectory(prefix="rule-cost-") as name:
        folder = Path(name)
        with _serving(bundle, folder) as port:
            config = _config(bundle, folder, port)
            with prometheus(folder / "server", config) as server:
                _settled(server, bundle, 2)
                _past(server, bundle, folder)
            with prometheus(folder / "server", config) as server:
                _settled(server, bundle, 1)
                before = _cpu(server)
                timed = _timed(server, bundle, rounds)
                cpu = (_cpu(server) - before) / (rounds * max(bundle.intervals.values()))
                touched = [(_name(rule), *_touched(server, str(rule["expr"]))) for rule in bundle.rules]
                status = json.loads(get(f"{server.url}/api/v1/status/tsdb"))["data"]
                total = int(status["headStats"]["numSeries"])
                failed = [rule for group in _rules(server) for rule in group["rules"] if rule["health"] != "ok"]
    click.echo("\n" + _tables(bundle, timed, touched) + "\n")
    share = sum(seconds / bundle.intervals[group] for group, seconds in timed["groups"].items())
    far = sorted(name for name, seconds in bundle.raw.items() if seconds > CAP)
    note = f"{len(bundle.rules)} rules, {total:,.0f} series in Prometheus"
    note += f"; simulated for a day only: {', '.join(far)}" if far else ""
    note += f"; {len(failed)} rules fail" if failed else ""
    return [
        Result(
            "rules, of their interval", 100 * share, "%", floor=10, goal=5, note=note, better="lower", judged="value"
        ),
        Result("Prometheus with scrapes, of one core", 100 * cpu, "%", note="processor time", judged="value"),
    ]


@contextmanager
def _serving(bundle: Bundle, folder: Path) -> Iterator[int]:
    """Import the raw past, and serve the page of the present; gives the port."""
    now = time.time() // SCRAPE * SCRAPE
    for longer in (False, True):
        names = {name: min(s, CAP) for name, s in bundle.raw.items() if (s > DENSE) == longer}
        step = COARSE if longer else SCRAPE
        back = (max(names.values(), default=0.0) // COARSE + 2) * COARSE
        setting, calls = _simulated(now - back, back + (0 if longer else AHEAD), step)
        if names:
            series = record(setting, calls, back / DAY, step)
            _import(series, folder, set(names))
        if not longer:
            live = record(setting, calls, (back + AHEAD) / DAY, SCRAPE)
    with _page(live) as port:
        yield port


def _simulated(begin: float, span: float, step: float) -> tuple[Setting, Calls]:
    """Fewer calls a second over a long span: it is label sets that cost, not calls."""
    setting = large(CALLS_PER_SECOND * step / COARSE if step == COARSE else CALLS_PER_SECOND, begin)
    return setting, draw(setting, span / DAY, "tuning", 1)


def _import(series: Series, folder: Path, names: set[str]) -> None:
    text = folder / "history.txt"
    openmetrics(series, text, names)
    _blocks(text, folder)


def _blocks(text: Path, folder: Path) -> None:
    target = folder / "server" / "tsdb"
    target.mkdir(parents=True, exist_ok=True)
    command = [program("promtool"), "tsdb", "create-blocks-from", "openmetrics", "-q", str(text), str(target)]
    subprocess.run(command, check=True, capture_output=True)
    text.unlink()


@contextmanager
def _page(series: Series) -> Iterator[int]:
    """An exporter's page of now."""

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            column = min(max(int((time.time() - series.begin) / series.step), 0), series.values.shape[1] - 1)
            body = page(series, column, "exporter-0").encode()
            self.send_response(200)
            self.send_header("Content-Type", "text/plain; version=0.0.4")
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, *_: object) -> None:
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    server.daemon_threads = True
    thread = threading.Thread(target=server.serve_forever, daemon=True)
    thread.start()
    try:
        yield server.server_port
    finally:
        server.shutdown()
        server.server_close()
        thread.join()


def _config(bundle: Bundle, folder: Path, port: int) -> Path:
    path = folder / "prometheus.yml"
    target = {"targets": [f"127.0.0.1:{port}"], "labels": {"instance": "exporter-0"}}
    document = {
        "global": {"scrape_interval": f"{SCRAPE:.0f}s"},
        "rule_files": [str(file) for file in bundle.files],
        "scrape_configs": [{"job_name": JOB, "static_configs": [target]}],
    }
    path.write_text(yaml.safe_dump(document), encoding="utf-8")
    return path


def _past(server: PrometheusProcess, bundle: Bundle, folder: Path) -> None:
    """Give recorded series that rules look back at the past that they would have."""
    lines = []
    now = time.time() // 30 * 30
    for name, seconds in bundle.past.items():
        for labels, value in server.query(name):
            head = selector(labels | {"__name__": name})
            steps = int(min(seconds, 14 * DAY) / 30)
            lines += [f"{head} {number(value)} {now - 600 - 30 * step:.0f}\n" for step in range(steps, 0, -1)]
    if lines:
        text = folder / "past.txt"
        text.write_text("".join(lines) + "# EOF\n", encoding="utf-8")
        _blocks(text, folder)


def _rules(server: PrometheusProcess) -> list[dict[str, Any]]:
    """Groups as Prometheus shows them."""
    return list(json.loads(get(f"{server.url}/api/v1/rules", seconds=60))["data"]["groups"])


def _settled(server: PrometheusProcess, bundle: Bundle, rounds: int) -> None:
    """Wait until every group has been evaluated so often."""
    seen: dict[str, set[str]] = {}

    def done() -> bool:
        for group in _rules(server):
            if group["evaluationTime"] > 0:
                seen.setdefault(group["name"], set()).add(group["lastEvaluation"])
        return len(seen) == len(bundle.intervals) and all(len(times) >= rounds for times in seen.values())

    wait_for(done, "all groups are evaluated", 60 + 2 * rounds * max(bundle.intervals.values()))


def _timed(server: PrometheusProcess, bundle: Bundle, rounds: int) -> dict[str, dict[str, float]]:
    """Median seconds by group, and by place of a rule within it."""
    groups: dict[str, list[float]] = {}
    rules: dict[str, list[float]] = {}
    for _ in range(rounds):
        time.sleep(max(bundle.intervals.values()))
        for group in _rules(server):
            groups.setdefault(group["name"], []).append(group["evaluationTime"])
            for index, rule in enumerate(group["rules"]):
                rules.setdefault(f"{group['name']}/{index}", []).append(rule["evaluationTime"])
    return {
        "groups": {name: statistics.median(times) for name, times in groups.items()},
        "rules": {name: statistics.median(times) for name, times in rules.items()},
    }


def _touched(server: PrometheusProcess, expression: str) -> tuple[int, int]:
    """Series that an expression selects, and samples that one evaluation of it reads."""
    query = urllib.parse.urlencode({"query": expression, "stats": "all"})
    stats = json.loads(get(f"{server.url}/api/v1/query?{query}", seconds=120))["data"]["stats"]["samples"]
    series = sum(server.value(f"count({read.selector}) or vector(0)") for read in reads(expression) if read.name)
    return int(series), int(stats["totalQueryableSamples"])


def _cpu(server: PrometheusProcess) -> float:
    """Processor seconds of the server so far."""
    fields = Path(f"/proc/{server.process.popen.pid}/stat").read_text(encoding="utf-8").rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / TICKS


def _tables(bundle: Bundle, timed: dict[str, dict[str, float]], touched: list[tuple[str, int, int]]) -> str:
    lines = ["| group | interval, s | evaluation, s | of the interval |", "|---|---:|---:|---:|"]
    for group, interval in bundle.intervals.items():
        seconds = timed["groups"].get(group, 0.0)
        lines.append(f"| {group} | {interval:g} | {seconds:.4f} | {seconds / interval:.2%} |")
    lines += ["", "| rule | series | samples | ms |", "|---|---:|---:|---:|"]
    ordered = [seconds for group in bundle.intervals for seconds in _of(timed["rules"], group)]
    costs = sorted(zip(touched, ordered, strict=True), key=lambda pair: -pair[0][2])
    lines += [f"| {name} | {series:,} | {samples:,} | {1000 * s:.1f} |" for (name, series, samples), s in costs]
    return "\n".join(lines)


def _of(rules: dict[str, float], group: str) -> list[float]:
    found = {int(key.rpartition("/")[2]): seconds for key, seconds in rules.items() if key.rpartition("/")[0] == group}
    return [found[index] for index in sorted(found)]


def _name(rule: dict[str, Any]) -> str:
    if "record" in rule:
        return str(rule["record"])
    return f"{rule['alert']} {rule.get('labels', {}).get('severity', '')}".strip()


def _seconds(duration: str) -> float:
    units = {"s": 1, "m": 60, "h": 3600}
    return float(duration[:-1]) * units[duration[-1]]
