"""All generated files of a plan: in memory, on disk, and compared with what is on disk."""

from __future__ import annotations

import difflib
import os
import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path

from exporter.bundle import dashboards
from exporter.bundle.alerting import alert_groups
from exporter.bundle.alertmanager import alertmanager_config, message_templates
from exporter.bundle.objects import RuleGroup
from exporter.bundle.prometheus import RULE_INTERVAL, prometheus_config
from exporter.bundle.recordings import recording_groups
from exporter.bundle.yamlwriter import MARK, write_yaml
from exporter.plan.model import Plan

Files = dict[str, bytes]
FOLDERS = ("rules", "alertmanager", "dashboards")
GENERATED_SUFFIXES = (".yml", ".tmpl", ".json")


def rules(plan: Plan, rule_interval: float = RULE_INTERVAL) -> Files:
    """Recording and alerting rules."""
    return {
        "rules/recording.yml": _rule_file(recording_groups(rule_interval)),
        "rules/alerts.yml": _rule_file(alert_groups(plan, rule_interval)),
    }


def scraping(plan: Plan) -> Files:
    """Prometheus' configuration for the compose file."""
    return {"rules/prometheus.yml": prometheus_config(plan)}


def notification(plan: Plan) -> Files:
    """Alertmanager's configuration and message templates."""
    return {
        "alertmanager/alertmanager.yml": alertmanager_config(plan),
        "alertmanager/templates/llm.tmpl": message_templates(),
    }


PRODUCERS: tuple[Callable[[Plan], Files], ...] = (rules, scraping, notification, dashboards.build)


def render(plan: Plan) -> Files:
    """Every generated file: relative path, with `/`, -> content; in the order of the paths.

    Raises:
        UserError: the plan asks for something that cannot be generated.
    """
    files: Files = {}
    for produce in PRODUCERS:
        files |= produce(plan)
    return dict(sorted(files.items()))


def write(plan: Plan, out: Path) -> tuple[str, ...]:
    """Bring a folder up to date, each file in one step; what was generated once and is no longer goes.

    Returns:
        The relative paths of what was written or removed; empty when all was up to date.

    Raises:
        OSError: a file cannot be written.
    """
    files = render(plan)
    changed = [path for path, content in files.items() if _read(out / path) != content]
    for path in changed:
        _replace(out / path, files[path])
    stale = list(_stale(files, out))
    for path in stale:
        (out / path).unlink()
    return tuple(sorted((*changed, *stale)))


def check(plan: Plan, out: Path) -> str:
    """A unified diff from what is on disk to what the plan gives; empty when nothing differs.

    Files that carry our header and are not generated any more appear as removed.
    """
    files = render(plan)
    expected: dict[str, bytes] = {**files, **dict.fromkeys(_stale(files, out), b"")}
    return "".join(_diff(path, _read(out / path), content) for path, content in sorted(expected.items()))


def _rule_file(groups: tuple[RuleGroup, ...]) -> bytes:
    return write_yaml({"groups": [group.document() for group in groups if group.rules]})


def _diff(path: str, old: bytes | None, new: bytes) -> str:
    if old == new:
        return ""
    return "".join(
        line if line.endswith("\n") else f"{line}\n\\ No newline at end of file\n"
        for line in difflib.unified_diff(
            (old or b"").decode(errors="replace").splitlines(keepends=True),
            new.decode().splitlines(keepends=True),
            "/dev/null" if old is None else f"a/{path}",
            f"b/{path}" if new else "/dev/null",
        )
    )


def _stale(files: Files, out: Path) -> Iterator[str]:
    """Generated files, known by their header, that the plan does not give any more."""
    for folder in FOLDERS:
        for file in sorted((out / folder).rglob("*")):
            path = file.relative_to(out).as_posix()
            if path not in files and file.suffix in GENERATED_SUFFIXES and file.is_file() and _is_ours(file):
                yield path


def _is_ours(file: Path) -> bool:
    """Whether we generated a file: by the header in its first lines, or by the identity of a dashboard."""
    content = file.read_bytes()
    if file.suffix == ".json":
        return f'"uid": "{dashboards.dashboard_uid(file.stem)}"'.encode() in content
    return MARK.encode() in content[:200]


def _read(file: Path) -> bytes | None:
    try:
        return file.read_bytes()
    except FileNotFoundError:
        return None


def _replace(file: Path, content: bytes) -> None:
    """Write beside the file and rename: a reader sees the old content or the new, never a part."""
    file.parent.mkdir(parents=True, exist_ok=True)
    handle, name = tempfile.mkstemp(dir=file.parent, prefix=f".{file.name}.")
    temporary = Path(name)
    try:
        with os.fdopen(handle, "wb") as stream:
            stream.write(content)
            os.fchmod(stream.fileno(), 0o644)  # containers read them under another user
        temporary.replace(file)
    except BaseException:
        temporary.unlink(missing_ok=True)
        raise
