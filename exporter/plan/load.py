"""From a file to a plan, or to the list of everything that is wrong with it."""

from __future__ import annotations

import dataclasses
from collections.abc import Collection
from pathlib import Path

from exporter.errors import ConfigError, Problem
from exporter.plan import nodes
from exporter.plan.build import build
from exporter.plan.check import check, check_alert_names
from exporter.plan.inline_secrets import scan
from exporter.plan.model import Plan
from exporter.plan.reading import Report
from exporter.plan.spec import FileSpec
from exporter.plan.strictyaml import compose


def load(path: Path, *, alert_names: Collection[str] | None = None) -> Plan:
    """Read a plan from a file.

    Args:
        path: The file.
        alert_names: Names that `alerts` may override; the catalogue's when not given.

    Raises:
        ConfigError: The file cannot be read or used; it holds all problems, in the order of the file.
    """
    try:
        data = path.read_bytes()
    except OSError as error:
        remedy = "write the right path, or make a new file with `llm-migration-exporter init`"
        message = f"the file cannot be read: {error.strerror or error}"
        raise ConfigError([Problem(str(path), 0, 0, "", message, remedy)]) from None
    try:
        text = data.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        before = data[: error.start]
        line, column = before.count(b"\n") + 1, error.start - before.rfind(b"\n")
        message = f"the byte 0x{data[error.start]:02x} is not UTF-8"
        raise ConfigError([Problem(str(path), line, column, "", message, "save the file as UTF-8")]) from None
    return parse(text, path, alert_names=alert_names)


def parse(text: str, path: Path, *, alert_names: Collection[str] | None = None) -> Plan:
    """Read a plan from text; `path` is where it came from, for messages.

    Raises:
        ConfigError: The text cannot be used; it holds all problems, in the order of the text.
    """
    root, problems = compose(text, str(path))
    report = Report(str(path), problems)
    if root is None:
        raise ConfigError(report.problems)
    if not isinstance(root, nodes.Mapping):
        message = "the file must be a mapping with the keys version, migrations, …"
        problem = Problem(
            str(path), root.mark.line, root.mark.column, "", message, "start from the shipped migration.yaml"
        )
        raise ConfigError([*report.problems, problem])
    scan(root, report)
    spec = FileSpec.read(root, "", report)
    check(spec, check_alert_names(alert_names), report)
    if report.problems:
        raise ConfigError(report.problems)
    return dataclasses.replace(build(spec, path), text=text)
