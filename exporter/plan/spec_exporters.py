"""Exporters in `migration.yaml`, where there are several: what each is called, where it is, and what it does."""

from __future__ import annotations

import re
from dataclasses import dataclass

from exporter.plan.model import MODES
from exporter.plan.nodes import Kind, Scalar, shown
from exporter.plan.reading import Items, One, Place, Report
from exporter.plan.schema import Record, required
from exporter.plan.values import Choice, Text, WrongValue

FILE = One(Text("path", r"[^\s:]+", "write the path of a file, without spaces"))
_ADDRESS = re.compile(r"(?:(https?)://)?((?:\[[0-9a-fA-F:.]+\]|[A-Za-z0-9._-]+):(\d{1,5}))\Z", re.ASCII)


@dataclass(frozen=True)
class Address:
    """Where Prometheus and the other exporters reach one: the scheme, `http` where none is written, and host:port."""

    name: str = "host:port, or https://host:port"

    def parse(self, scalar: Scalar) -> tuple[str, str]:
        """Scheme and host:port."""
        match = _ADDRESS.match(scalar.text) if scalar.kind is Kind.TEXT else None
        if match is None or not 1 <= int(match[3]) <= 65535:
            remedy = "write host:port or https://host:port, without a path, such as shard-1.example:10410"
            raise WrongValue(f"`{shown(scalar.text)}` is not the address of an exporter", remedy)
        return match[1] or "http", match[2]


class ExporterSpec(Record):
    """One of several exporters."""

    TITLE = "exporter"
    instance = required(
        One(Text("instance", "[A-Za-z0-9_.:-]+", "write letters, digits, hyphens and dots, such as shard-1", 100)),
        "Its label `instance`. It never changes, whatever address the exporter has.",
    )
    address = required(One(Address()), "Where Prometheus and the other exporters reach it.")
    mode = required(One(Choice(MODES)), "What it does: exactly one is the control.")


def check_exporters(exporters: Items[ExporterSpec], report: Report) -> None:
    """Report what several exporters cannot mean together: names or addresses twice, no control or two."""
    names: dict[str, int] = {}
    addresses: dict[str, int] = {}
    controls: list[Place] = []
    for item in exporters:
        exporter = item.value
        if exporter.ok("instance"):
            _refuse_second(names, exporter.instance, exporter.at("instance"), "are called", report)
        if exporter.ok("address"):
            _refuse_second(addresses, exporter.address[1].lower(), exporter.at("address"), "are at", report)
        if exporter.ok("mode") and exporter.mode == MODES[0]:
            controls.append(exporter.at("mode"))
    for second in controls[1:]:
        message = f"two exporters are the control, the first on line {controls[0].mark.line}"
        report.add(second, message, "write mode: shard for all but the one that changes are made at")
    readable = exporters.complete and all(item.value.ok("mode") for item in exporters)
    if exporters.items and readable and not controls:
        remedy = "write mode: control for the one that changes are made at"
        report.add(exporters.place, "none of the exporters is the control", remedy)


def _refuse_second(seen: dict[str, int], text: str, place: Place, verb: str, report: Report) -> None:
    if text in seen:
        message = f"two exporters {verb} `{text}`, the first on line {seen[text]}"
        report.add(place, message, "give each its own")
    seen.setdefault(text, place.mark.line)
