"""The past as a test for promtool, and what promtool says."""

from __future__ import annotations

import json
import os
import re
import shutil
import subprocess
import tempfile
from collections.abc import Iterator, Sequence
from pathlib import Path

import yaml

from exporter.backtest.episodes import Episode, Firing, episodes
from exporter.backtest.history import History, LabelSet, Value, labelset
from exporter.backtest.rulefiles import RuleSet
from exporter.errors import UserError

_QUERY = 'ALERTS{alertstate="firing"}'
_TIMES = "_timestamp_seconds"
_FOUND = re.compile(r'^ +expr: ".*", time: (?P<time>\S+),$')
_GOT = re.compile(r"^ +got:(?P<samples>.*)$")
_ALERT = re.compile(r'\{(?P<labels>(?:[a-zA-Z_][a-zA-Z0-9_]*="(?:\\.|[^"\\])*"(?:, )?)*)\} [0-9.E+]+')
_LABEL = re.compile(r'([a-zA-Z_][a-zA-Z0-9_]*)=("(?:\\.|[^"\\])*")')
_DURATION = re.compile(r"(\d+)(y|w|d|h|ms|m|s)")
_SECONDS = {"y": 31536000.0, "w": 604800.0, "d": 86400.0, "h": 3600.0, "m": 60.0, "s": 1.0, "ms": 0.001}
# Garbage of ten thousand evaluations is cheaper collected seldom: a fifth less time for some hundred megabytes.
_ENVIRONMENT = {"GOGC": "400"}


def evaluate(rules: RuleSet, history: History) -> list[Episode]:
    """The spans in which alerts would have fired, ordered by start.

    Raises:
        UserError: promtool is not installed, or the rules fail on this history.
    """
    program = shutil.which("promtool")
    if program is None:
        raise UserError("backtest needs promtool, which comes with Prometheus (apt-get install prometheus)")
    needed = rules.needed()
    with tempfile.TemporaryDirectory(prefix="backtest-") as name:
        folder = Path(name)
        (folder / "rules.yml").write_text(yaml.safe_dump(needed.document(), sort_keys=False), encoding="utf-8")
        shift = origin(history, needed.alignment)
        with (folder / "test.yml").open("w", encoding="utf-8") as file:
            file.writelines(_test(needed, history, shift))
        ended = subprocess.run(
            [program, "test", "rules", str(folder / "test.yml")],
            capture_output=True,
            text=True,
            check=False,
            env={**os.environ, **_ENVIRONMENT},
        )
    firing = list(_firing(ended.stdout + "\n" + ended.stderr, shift))
    if ended.returncode and not firing:
        raise UserError(f"promtool cannot evaluate the rules:\n{_complaint(ended.stdout + ended.stderr)}")
    return episodes(firing, history.step, history.end)


def origin(history: History, alignment: float) -> float:
    """Unix seconds that become 1970: the begin, or earlier where the hour or the weekday must be right."""
    return history.begin - (history.begin % alignment if alignment else 0.0)


def _test(rules: RuleSet, history: History, shift: float) -> Iterator[str]:
    step = f"{round(history.step * 1000)}ms"
    names = [group["name"] for group in rules.groups]
    before = round((history.begin - shift) / history.step)
    yield f"rule_files: [rules.yml]\nevaluation_interval: {step}\ngroup_eval_order: {json.dumps(names)}\n"
    yield f"tests:\n- interval: {step}\n  input_series:\n"
    read = rules.read
    for labels, row in history.rows.items():
        named = dict(labels)
        metric = named.pop("__name__", "")
        if metric in read:
            selector = metric + "{" + ",".join(f"{key}={json.dumps(value)}" for key, value in named.items()) + "}"
            values = _sequence(row, shift if metric.endswith(_TIMES) else 0.0, before)
            yield f"  - series: {_quoted(selector)}\n    values: '{values}'\n"
    yield "  promql_expr_test:\n"
    for index in range(history.steps):
        at = round((history.step * (before + index)) * 1000)
        yield f"  - {{expr: '{_QUERY}', eval_time: {at}ms}}\n"


def _quoted(text: str) -> str:
    return "'" + text.replace("'", "''") + "'"


def _sequence(row: Sequence[Value], shift: float, before: int) -> str:
    """Values in promtool's notation, equal neighbours as one."""
    parts: list[str] = [f"_x{before}"] if before else []
    word, count = "", 0
    for value in row:
        following = "_" if value is None else _number(value - shift)
        if following == word and word != "stale":
            count += 1
            continue
        if count:
            parts.append(_repeated(word, count))
        word, count = following, 1
    parts.append(_repeated(word, count))
    return " ".join(parts)


def _repeated(word: str, count: int) -> str:
    if count == 1:
        return word
    return f"_x{count}" if word == "_" else f"{word}x{count - 1}"


def _number(value: float) -> str:
    if value != value:  # noqa: PLR0124 - NaN
        return "stale"
    if value in (float("inf"), float("-inf")):
        return "Inf" if value > 0 else "-Inf"
    return str(int(value)) if value == int(value) and abs(value) < 1e15 else repr(value)


def _firing(output: str, shift: float) -> Iterator[Firing]:
    """What the failed expectations of "nothing fires" name: one line a step."""
    at = 0.0
    for line in output.splitlines():
        found = _FOUND.match(line)
        if found:
            at = shift + sum(int(count) * _SECONDS[unit] for count, unit in _DURATION.findall(found["time"]))
            continue
        got = _GOT.match(line)
        if got:
            yield Firing(at, tuple(_labels(match["labels"]) for match in _ALERT.finditer(got["samples"])))


def _labels(text: str) -> LabelSet:
    pairs = ((key, str(json.loads(value))) for key, value in _LABEL.findall(text))
    return labelset((key, value) for key, value in pairs if key not in ("__name__", "alertstate"))


def _complaint(output: str) -> str:
    lines = [line for line in output.splitlines() if line.strip() and not line.startswith("Unit Testing")]
    return "\n".join(lines[:20]) or "(it gave no reason)"
