"""The demo: exporter, Prometheus and Alertmanager over made-up traffic of a migration, with one incident.

It loads a day of history, restarts the exporter (so that history is no news: what a restarted exporter finds in its
ledger it shows at its true value at once), starts the other programs on the generated files, and sends live traffic.
"""

from __future__ import annotations

import contextlib
import json
import math
import shutil
import signal
import sys
import tempfile
import time
from collections.abc import Iterator
from dataclasses import dataclass
from itertools import islice
from pathlib import Path
from types import FrameType
from typing import Any, TextIO

from exporter.bundle import files
from exporter.bundle.alertmanager import alertmanager_config
from exporter.bundle.prometheus import prometheus_config
from exporter.client import Client
from exporter.demo.loopback import HOST, Inbox, NoAnswer, ask, free_ports
from exporter.demo.plan import PHASE, SCRAPE_SECONDS, demo_plan
from exporter.demo.processes import ALERTMANAGER, PROMETHEUS, Children, DemoFailed, program
from exporter.demo.traffic import Event, Incident, Traffic
from exporter.demo.view import Alert, Lines, Page, Screen, State
from exporter.plan.load import load
from exporter.plan.model import Plan

RULE_SECONDS = 2.0
LIVE_PER_SECOND = 12.0
INCIDENT_AFTER_SECONDS = 15.0  # of live traffic
INCIDENT_SECONDS = 45.0
INCIDENT_MODEL = "gpt-4.1"
HEADROOM_USD = 6.0  # between what today has cost when the budget is set, and the budget: the incident uses it up
CHECK_SECONDS = 150.0  # how long an unattended check may take, when nobody says
EXPECTED_ALERT = "LLMBudgetExceeded"
_HISTORY_BATCH = 2000
_TICK_SECONDS = 0.2
_REFRESH_SECONDS = 1.0
_INSTALL = "sudo apt-get install prometheus prometheus-alertmanager"


@dataclass(frozen=True, slots=True)
class DemoOptions:
    """How long, how thorough. `duration` in seconds, None: until Ctrl-C."""

    duration: float | None = None
    check: bool = False  # end as soon as everything was seen, fail when it was not
    keep: bool = False  # leave the folder behind


class _Ended(Exception):
    """Somebody asked the demo to end."""


def run(options: DemoOptions, stream: TextIO | None = None) -> None:
    """Run the demo until its time is over, or Ctrl-C, SIGTERM or SIGHUP; then nothing of it is left.

    Raises:
        DemoFailed: a program does not run; or with `check`, something was not seen.
    """
    stream = stream or sys.stdout
    folder = Path(tempfile.mkdtemp(prefix="llm-migration-demo-"))
    children = Children(folder)
    before = {signum: signal.signal(signum, _end) for signum in (signal.SIGTERM, signal.SIGINT, signal.SIGHUP)}
    view = Screen(stream) if stream.isatty() else Lines(stream)
    try:
        demo = _Demo(options, folder, children, view)
        with contextlib.closing(demo), contextlib.suppress(_Ended):
            demo.run()
    finally:
        for signum in before:
            signal.signal(signum, signal.SIG_IGN)  # a second Ctrl-C must not leave anything behind
        view.close()
        children.stop_all()
        for signum, handler in before.items():
            signal.signal(signum, handler)
        if options.keep:
            stream.write(f"everything is kept in {folder}\n")
        else:
            shutil.rmtree(folder, ignore_errors=True)
    if options.check:
        demo.verdict(stream)


def _end(_signum: int, _frame: FrameType | None) -> None:
    raise _Ended


class _Demo:
    """One run of the demo."""

    def __init__(self, options: DemoOptions, folder: Path, children: Children, view: Screen | Lines) -> None:
        self._options = options
        self._folder = folder
        self._children = children
        self._view = view
        self._prometheus = program(PROMETHEUS)
        self._alertmanager = program(ALERTMANAGER)
        self._ports = dict(zip(("exporter", "prometheus", "alertmanager", "inbox"), free_ports(4), strict=True))
        self._inbox = Inbox(self._ports["inbox"])
        self._client = Client(self._url("exporter"), flush_interval=0.3)
        now = time.time()
        self.state = State(now=now, begun=now, urls=self._urls(), missing=self._missing())

    def close(self) -> None:
        """Let go of what is not a program."""
        self._client.close(1.0)
        self._inbox.close()

    def run(self) -> None:
        """Everything in its order."""
        plan = self._write_plan()
        zone = plan.timezone
        traffic = Traffic(self.state.begun, zone=zone)
        self._doing("starting the exporter")
        self._start_exporter()
        self._load_history(traffic)
        self._doing("starting the exporter again over its ledger, and Prometheus and Alertmanager beside it")
        self._children.stop("exporter")
        self._write_bundle(plan)
        self._start_exporter(wait=False)
        self._start_prometheus()
        self._wait_for_all()
        self._set_the_scene()
        self._view.urls(self.state)
        self._live(traffic)

    def verdict(self, stream: TextIO) -> None:
        """Say what was seen.

        Raises:
            DemoFailed: something was not.
        """
        alerts = [alert for alert in self.state.alerts.values() if alert.title.startswith(EXPECTED_ALERT)]
        seen = {
            f"{self.state.accepted:,} events accepted by the exporter": self.state.accepted > 0,
            f"{self.state.scraped:,} of them scraped by Prometheus": self.state.scraped > 0,
            f"{EXPECTED_ALERT} fired in Prometheus": bool(alerts),
            f"{EXPECTED_ALERT} delivered by Alertmanager": any(alert.delivered for alert in alerts),
        }
        for what, was in seen.items():
            stream.write(f"{'ok  ' if was else 'NOT '} {what}\n")
        if not all(seen.values()):
            raise DemoFailed(self._missing() or "the demo did not show everything; with --keep its logs remain")

    def _write_plan(self) -> Plan:
        path = self._folder / "migration.yaml"
        hook = f"{self._url('inbox')}/notifications"
        path.write_text(demo_plan(self.state.now, hook, self._plan_urls()), encoding="utf-8")
        plan = load(path)
        self.state.migration = plan.migrations[0].name
        self.state.days_left = (plan.migrations[0].deadline - self.state.now) / 86400
        return plan

    def _write_bundle(self, plan: Plan) -> None:
        """The generated files, with short intervals."""
        exporters = [("demo", self._address("exporter"))]
        alertmanagers = [self._address("alertmanager")] if self._alertmanager else []
        written = {
            **files.rules(plan, RULE_SECONDS),
            **files.notification(plan),
            "rules/prometheus.yml": prometheus_config(
                plan,
                exporters=exporters,
                alertmanagers=alertmanagers,
                scrape_interval=SCRAPE_SECONDS,
                evaluation_interval=RULE_SECONDS,
                prometheus=self._address("prometheus"),
            ),
            "alertmanager/alertmanager.yml": alertmanager_config(plan, group_wait=1.0, group_interval=2.0),
        }
        for name, content in written.items():
            path = self._folder / name
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_bytes(content)

    def _start_exporter(self, *, wait: bool = True) -> None:
        command = [sys.executable, "-m", "exporter", "serve", "--config.file", str(self._folder / "migration.yaml")]
        command += ["--storage.path", str(self._folder / "ledger"), "--web.listen-address", self._address("exporter")]
        # Started where the package is found, whether it is installed or lies in a source tree.
        self._children.start("exporter", command, Path(__file__).parents[2])
        if wait:
            self._children.wait_for("exporter", lambda: ask(self._ports["exporter"], "/-/ready"))

    def _start_prometheus(self) -> None:
        if self._alertmanager:
            folder = self._folder / "alertmanager"
            command = [self._alertmanager, "--config.file=alertmanager.yml", f"--storage.path={folder / 'data'}"]
            command += [f"--web.listen-address={self._address('alertmanager')}", "--cluster.listen-address="]
            self._children.start("alertmanager", command, folder)
        if self._prometheus:
            folder = self._folder / "rules"
            command = [self._prometheus, "--config.file=prometheus.yml", f"--storage.tsdb.path={folder / 'data'}"]
            command += [f"--web.listen-address={self._address('prometheus')}", "--log.level=warn"]
            self._children.start("prometheus", command, folder)

    def _wait_for_all(self) -> None:
        for name in ("exporter", "alertmanager", "prometheus"):
            if name == "exporter" or getattr(self, f"_{name}"):
                port = self._ports[name]
                self._children.wait_for(name, lambda port=port: ask(port, "/-/ready"))  # type: ignore[misc]

    def _load_history(self, traffic: Traffic) -> None:
        events = traffic.history()
        self._doing("loading a day of history")
        while batch := list(islice(events, _HISTORY_BATCH)):
            self._client.post_events(batch)
            self._refresh()

    def _set_the_scene(self) -> None:
        """Bring the migration to its rollout, and set a budget that the day has nearly used up."""
        api = f"/api/v1/{self.state.migration}"
        for phase in ("testing", PHASE):
            body = {"new_phase": phase, "reason": "the demo begins in the rollout"}
            ask(self._ports["exporter"], f"{api}/advance-phase", body)
        self._refresh()
        limit = math.ceil(self.state.spent + HEADROOM_USD)
        budget = {"period": "daily", "limit": limit, "reason": "the demo's budget"}
        ask(self._ports["exporter"], f"{api}/cost/budget", budget)

    def _live(self, traffic: Traffic) -> None:
        begun = time.time()
        incident = Incident(
            INCIDENT_MODEL, begun + INCIDENT_AFTER_SECONDS, begun + INCIDENT_AFTER_SECONDS + INCIDENT_SECONDS
        )
        events = traffic.live(begun, LIVE_PER_SECOND, incident)
        due = next(events)
        refreshed = 0.0
        while not self._over():
            now = time.time()
            while due["timestamp"] <= now:
                self._track(due)
                due = next(events)
            if now - refreshed >= _REFRESH_SECONDS:
                refreshed = now
                self._children.check()
                self.state.rate = LIVE_PER_SECOND
                self._tell(incident, now)
                self._refresh()
            time.sleep(_TICK_SECONDS)

    def _track(self, event: Event) -> None:
        self._client.track_api_request(**event)

    def _tell(self, incident: Incident, now: float) -> None:
        if now < incident.start:
            story = "live traffic", f"an incident begins in {incident.start - now:.0f} s"
        elif now < incident.end:
            what = f"{incident.model} fails and is slow, its calls are repeated with {incident.fallback}"
            story = f"incident: {what}", f"{incident.end - now:.0f} s more"
        else:
            story = "live traffic after the incident", f"over for {now - incident.end:.0f} s"
        self.state.doing, self.state.detail = story

    def _over(self) -> bool:
        elapsed = time.time() - self.state.begun
        limit = self._options.duration
        if self._options.check:
            limit = limit or CHECK_SECONDS
            if not (self._prometheus and self._alertmanager):
                return self.state.accepted > 0
            arrived = any(a.delivered and a.title.startswith(EXPECTED_ALERT) for a in self.state.alerts.values())
            if arrived and self.state.scraped:
                return True
        return limit is not None and elapsed >= limit

    def _doing(self, what: str) -> None:
        self.state.doing, self.state.detail = what, ""
        self.state.now = time.time()
        self._view.show(self.state)

    def _refresh(self) -> None:
        """Look at everything and show it. A program that is busy for a moment is looked at again the next time."""
        self.state.now = time.time()
        with contextlib.suppress(NoAnswer):
            self._look_at_exporter()
        if self._prometheus and self.state.phase:
            with contextlib.suppress(NoAnswer):
                self._look_at_alerts()
        self._view.show(self.state)

    def _look_at_exporter(self) -> None:
        state, page = self.state, Page(ask(self._ports["exporter"], "/metrics"))
        state.source_calls = page.sum("llm_requests_total", role="source")
        state.target_calls = page.sum("llm_requests_total", role="target")
        state.accepted = int(sum(page.sum("llm_requests_total", role=role) for role in ("shadow", "other")))
        state.accepted += int(state.source_calls + state.target_calls)
        state.planned_share = page.sum("llm_migration_planned_share_ratio")
        state.spent = page.sum("llm_budget_spent_usd", period="daily")
        state.budget = page.sum("llm_budget_limit_usd", period="daily")
        state.phase = page.label_where("llm_migration_phase", "phase", 1)

    def _look_at_alerts(self) -> None:
        state = self.state
        answer = json.loads(ask(self._ports["prometheus"], "/api/v1/query?query=sum(llm_requests_total)"))
        state.scraped = sum(int(float(sample["value"][1])) for sample in answer["data"]["result"])
        for alert in _firing(json.loads(ask(self._ports["prometheus"], "/api/v1/alerts"))):
            labels = frozenset(alert["labels"].items())
            state.alerts.setdefault(labels, Alert(labels, state.now))
        arrived = self._inbox.arrived()
        quiet = self._quiet()
        for labels, seen in state.alerts.items():
            seen.delivered = arrived.get(labels)
            seen.quiet = labels in quiet

    def _quiet(self) -> set[frozenset[tuple[str, str]]]:
        if not self._alertmanager:
            return set()
        alerts = json.loads(ask(self._ports["alertmanager"], "/api/v2/alerts?active=false&silenced=false"))
        return {frozenset(alert["labels"].items()) for alert in alerts if alert["status"]["inhibitedBy"]}

    def _address(self, name: str) -> str:
        return f"{HOST}:{self._ports[name]}"

    def _url(self, name: str) -> str:
        return f"http://{self._address(name)}"

    def _plan_urls(self) -> dict[str, str]:
        running = {"prometheus": self._prometheus, "alertmanager": self._alertmanager}
        return {name: self._url(name) for name, path in running.items() if path}

    def _urls(self) -> dict[str, str]:
        urls = {"exporter": self._url("exporter") + "/", "metrics": self._url("exporter") + "/metrics"}
        if self._prometheus:
            urls["Prometheus"] = self._url("prometheus") + "/alerts"
        if self._alertmanager:
            urls["Alertmanager"] = self._url("alertmanager") + "/"
        return {**urls, "plan": str(self._folder / "migration.yaml")}

    def _missing(self) -> str:
        programs = {"Prometheus": self._prometheus, "Alertmanager": self._alertmanager}
        missing = " and ".join(name for name, path in programs.items() if not path)
        return f"{missing} not found: no alerts are shown. To install: {_INSTALL}" if missing else ""


def _firing(answer: Any) -> Iterator[dict[str, Any]]:
    """The alerts that people should hear of; the heartbeat is not one."""
    for alert in answer["data"]["alerts"]:
        if alert["state"] == "firing" and alert["labels"].get("severity") != "none":
            yield alert
