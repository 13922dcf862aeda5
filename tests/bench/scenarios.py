"""Alerts over simulated weeks: how often they fire for nothing, what they find, and how fast.

In full some twenty-five weeks, minutes each. Each week's result is kept in `.proofs/scenarios` under a key of the rules
and of the simulator, so that a run that was ended goes on where it stood. LLM_MIGRATION_JOBS weeks are judged at a
time.
"""

from __future__ import annotations

import hashlib
import os
from pathlib import Path

import click

from exporter.backtest import RuleSet
from tests.bench.judging import Verdict, Week, judge, table, verdict, weeks
from tests.bench.results import Result
from tests.scenarios.incidents import Incident
from tests.scenarios.settings import Setting, small

ROOT = Path(__file__).parent.parent.parent
CACHE = ROOT / ".proofs" / "scenarios"
JOBS = int(os.environ.get("LLM_MIGRATION_JOBS", "1"))
QUIET_WEEKS = 20
BUSY_WEEKS = 7
HOUR = 3600.0
GOALS = {"errors": 10.0, "latency": 10.0, "cost": 60.0}  # minutes


def shipped_rules() -> RuleSet:
    """The committed rules."""
    return RuleSet.parse({name: (ROOT / "rules" / name).read_bytes() for name in ("recording.yml", "alerts.yml")})


def three_incidents(setting: Setting) -> list[Incident]:
    """What the short form has: one of each kind that alerts have always known."""
    begin = setting.begin
    return [
        Incident("error_burst", begin + 6 * HOUR, begin + 7.5 * HOUR, 0.2),
        Incident("latency_step", begin + 10 * HOUR, begin + 11.5 * HOUR, 3.0),
        Incident("exporter_death", begin + 14 * HOUR, begin + 14.5 * HOUR, 1.0),
    ]


def short(seed: int = 1) -> list[tuple[str, Week]]:
    """A quiet day, and the better part of one with three incidents."""
    rules, setting = shipped_rules(), small()
    return [
        ("quiet", judge(rules, "judging", seed, 1, (), setting)),
        ("busy", judge(rules, "judging", seed, 0.65, three_incidents(setting), setting)),
    ]


def full(quiet: int = QUIET_WEEKS, busy: int = BUSY_WEEKS) -> list[tuple[str, Week]]:
    """All weeks of the acceptance, those that are done already from the cache."""
    judged: list[tuple[str, Week]] = []
    for kind, week in weeks(shipped_rules(), "judging", quiet, busy, CACHE, _key(), JOBS):
        judged.append((kind, week))
        click.echo(f" {len(judged)}", err=True, nl=False)
    return judged


def _key() -> str:
    """What results depend on: the rules and the simulator."""
    digest = hashlib.sha256()
    folders = (Path(__file__).parent.parent / "scenarios", ROOT / "rules")
    for folder in folders:
        for path in sorted((*folder.glob("*.py"), *folder.glob("*.yml"))):
            if path.name != "prometheus.yml":
                digest.update(path.read_bytes())
    digest.update((Path(__file__).parent / "judging.py").read_bytes())
    return digest.hexdigest()[:12]


def measure(*, quick: bool) -> list[Result]:
    """Print the table by incident and strength; the figures of the acceptance as results."""
    os.nice(10)
    judged = short() if quick else full()
    click.echo("\n" + table(judged) + "\n")
    return _results(verdict(judged))


def _results(found: Verdict) -> list[Result]:
    quiet = f"{found.days:g} quiet days"
    results = [
        Result(name, value, "", floor=floor, goal=0, note=quiet, better="lower", judged="value")
        for name, value, floor in (
            ("false warnings a month", found.false_warnings_a_month, 1),
            ("false critical alerts", found.false_criticals, 0),
        )
    ]
    results.append(
        Result(
            "clear incidents detected",
            100 * found.detection,
            "%",
            floor=95,
            goal=100,
            judged="value",
            note=f"{found.detected} of {found.clear}",
        )
    )
    for what, minutes in found.delays.items():
        goal = GOALS.get(what)
        if goal is not None:
            results.append(
                Result(
                    f"median delay, {what}", minutes, "min", floor=goal, goal=goal / 2, better="lower", judged="value"
                )
            )
    return results
