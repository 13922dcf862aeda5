"""Where the past comes from: an OpenMetrics file with timestamps, a data folder of Prometheus, or its HTTP API."""

from __future__ import annotations

import json
import os
import re
import shutil
import subprocess
import tempfile
import urllib.error
import urllib.parse
import urllib.request
from collections.abc import Collection, Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from exporter.backtest.history import History, LabelSet, Samples, labelset, on_grid
from exporter.errors import UserError

Series = dict[LabelSet, Samples]
_SERIES = re.compile(r"(?P<name>[a-zA-Z_:][a-zA-Z0-9_:]*)?(?:\{(?P<labels>.*)\})?\Z")
_LABEL = re.compile(r'\s*([a-zA-Z_][a-zA-Z0-9_]*)\s*=\s*"((?:\\.|[^"\\])*)"\s*(?:,|\Z)')
_ESCAPE = re.compile(r"\\(.)")
_CHUNK = 21600.0  # seconds of raw samples in one answer of the HTTP API
_PATIENCE = 120.0


def read(
    source: str, names: Collection[str], step: float, begin: float | None = None, end: float | None = None
) -> History:
    """The past of these metrics.

    Args:
        source: path of a file or folder, or the URL of a Prometheus; of a URL, begin and end must be given.
        names: metrics that are wanted; others are left aside.
        step: seconds between evaluations.
        begin: Unix seconds of the first; None is the first sample.
        end: of the last; None is the last sample.

    Raises:
        UserError: the source cannot be read, or has nothing of this.
    """
    if source.startswith(("http://", "https://")):
        if begin is None or end is None:
            raise UserError("of a running Prometheus, say from when to when: --start and --end")
        return on_grid(_from_url(source.rstrip("/"), names, begin, end), step, begin, end)
    path = Path(source)
    if path.is_dir():
        return on_grid(_from_folder(path, names, begin, end), step, begin, end)
    with path.open(encoding="utf-8") as file:
        return on_grid(parse_openmetrics(file, names, str(path)), step, begin, end)


def parse_openmetrics(lines: Iterable[str], names: Collection[str], where: str) -> Series:
    """Samples of an OpenMetrics text, each with its timestamp in seconds.

    Raises:
        UserError: a line is no sample, or has no timestamp.
    """
    wanted = frozenset(names)
    known: dict[str, Samples | None] = {}
    series: Series = {}
    for number, line in enumerate(_text(lines, where), start=1):
        if line.startswith("#") or line == "\n":
            continue
        sample = line.partition(" # ")[0] if " # " in line else line  # an exemplar comes after the sample
        parts = sample.rstrip("\n").rsplit(" ", 2)
        if len(parts) != 3 or not parts[0] or parts[0].endswith(","):
            raise UserError(f"{where}:{number}: no sample with a timestamp: {line.strip()[:100]!r}")
        head, value, at = parts
        if head not in known:
            labels = _labels(head, f"{where}:{number}")
            known[head] = series.setdefault(labels, Samples()) if dict(labels).get("__name__") in wanted else None
        samples = known[head]
        if samples is not None:
            try:
                samples.add(float(at), float(value))
            except ValueError:
                raise UserError(f"{where}:{number}: value or timestamp is no number: {line.strip()[:100]!r}") from None
    return series


def _text(lines: Iterable[str], where: str) -> Iterator[str]:
    try:
        yield from lines
    except UnicodeDecodeError as error:
        raise UserError(f"{where}: not a text file: {error}") from error


def _labels(head: str, where: str) -> LabelSet:
    found = _SERIES.match(head.strip())
    if found is None:
        raise UserError(f"{where}: no series: {head[:100]!r}")
    pairs = [("__name__", found["name"])] if found["name"] else []
    rest = found["labels"] or ""
    position = 0
    while position < len(rest):
        label = _LABEL.match(rest, position)
        if label is None:
            raise UserError(f"{where}: labels that cannot be read: {head[:100]!r}")
        pairs.append((label[1], _ESCAPE.sub(_unescaped, label[2])))
        position = label.end()
    return labelset(pair for pair in pairs if pair[1])


def _unescaped(escape: re.Match[str]) -> str:
    return {"n": "\n"}.get(escape[1], escape[1])


def _from_folder(folder: Path, names: Collection[str], begin: float | None, end: float | None) -> Series:
    program = shutil.which("promtool")
    if program is None:
        raise UserError(
            "reading a data folder needs promtool, which comes with Prometheus (apt-get install prometheus)"
        )
    command = [program, "tsdb", "dump", f"--match={_selector(names)}"]
    if begin is not None:
        command.append(f"--min-time={round(begin * 1000)}")
    if end is not None:
        command.append(f"--max-time={round(end * 1000)}")
    with tempfile.TemporaryFile() as complaints, _with_wal(folder) as place:
        arguments = [*command, str(place)]
        with subprocess.Popen(arguments, stdout=subprocess.PIPE, stderr=complaints, encoding="utf-8") as process:
            assert process.stdout is not None  # noqa: S101 - asked for above
            series = parse_openmetrics(map(_in_seconds, process.stdout), names, str(folder))
        complaints.seek(0)
        complaint = complaints.read().decode(errors="replace").strip()
    if process.returncode:
        raise UserError(f"{folder}: not a data folder of Prometheus: {complaint or 'promtool gave no reason'}")
    return series


@contextmanager
def _with_wal(folder: Path) -> Iterator[Path]:
    """The folder, or when it has only blocks (a snapshot, imported series) links to them beside an empty log.

    promtool reads no folder without a write-ahead log, and nothing may be written into a folder that is only read.
    """
    if (folder / "wal").is_dir():
        yield folder
        return
    with tempfile.TemporaryDirectory(prefix="backtest-") as name:
        place = Path(name) / "data"
        shutil.copytree(folder, place, copy_function=_link)
        (place / "wal").mkdir()
        yield place


def _link(source: str, target: str) -> None:
    try:
        os.link(source, target)
    except OSError:  # on another file system
        shutil.copyfile(source, target)


def _in_seconds(line: str) -> str:
    head, _, at = line.rstrip("\n").rpartition(" ")
    return f"{head} {int(at) / 1000}\n" if head and at.lstrip("-").isdigit() else line


def _selector(names: Collection[str]) -> str:
    return '{__name__=~"' + "|".join(sorted(names)) + '"}'


def _from_url(url: str, names: Collection[str], begin: float, end: float) -> Series:
    series: Series = {}
    for name in sorted(_known(url, names)):
        at = begin
        while at < end:
            until = min(at + _CHUNK, end)
            for result in _ask(url, "query", query=f"{name}[{max(round(until - at), 1)}s]", time=f"{until:.3f}"):
                labels = labelset((key, value) for key, value in result["metric"].items() if value)
                samples = series.setdefault(labels, Samples())
                for when, value in result["values"]:
                    if not samples.times or when > samples.times[-1]:  # both ends of a range belong to it before 3.0
                        samples.add(float(when), float(value))
            at = until
    return series


def _known(url: str, names: Collection[str]) -> set[str]:
    return set(names) & set(_ask(url, "label/__name__/values"))


def _ask(url: str, path: str, **parameters: str) -> list[Any]:
    address = f"{url}/api/v1/{path}" + (f"?{urllib.parse.urlencode(parameters)}" if parameters else "")
    try:
        with urllib.request.urlopen(address, timeout=_PATIENCE) as answer:  # noqa: S310 - http and https only
            data = json.loads(answer.read())["data"]
            return list(data["result"] if isinstance(data, dict) else data)
    except urllib.error.HTTPError as error:
        raise UserError(f"{address}: {error.code} {error.read().decode(errors='replace')[:300]}") from error
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise UserError(f"{address}: no Prometheus answers there: {error}") from error
