"""Prometheus' own configuration: what to scrape, which rules to evaluate, whom to tell."""

from __future__ import annotations

from collections.abc import Sequence

from exporter import catalog
from exporter.bundle.objects import Document
from exporter.bundle.yamlwriter import write_yaml
from exporter.plan.model import Plan
from exporter.promql import duration

RULE_INTERVAL = 30.0
"""Seconds between evaluations: two scrapes of 15 s, so that a round sees new samples and money spent is judged within a
minute; half of what people's dashboards refresh at; the whole bundle takes milliseconds a round."""

RULE_FILES = ("recording.yml", "alerts.yml")
COMPOSE_EXPORTERS = (("exporter", "exporter:10410"),)
COMPOSE_ALERTMANAGERS = ("alertmanager:9093",)


def prometheus_config(
    plan: Plan,
    *,
    exporters: Sequence[tuple[str, str]] | None = None,
    alertmanagers: Sequence[str] = COMPOSE_ALERTMANAGERS,
    rule_files: Sequence[str] = RULE_FILES,
    scrape_interval: float | None = None,
    evaluation_interval: float = RULE_INTERVAL,
    prometheus: str = "localhost:9090",
) -> bytes:
    """The configuration file.

    Args:
        plan: gives the scrape interval, unless `scrape_interval` (seconds) is given.
        exporters: (instance, host:port) of each, when not those of the plan, or the one of the compose file where it
            names none. The instance names the exporter for ever, whatever address it has: money is bridged and summed
            by instance, so that a new name would count it twice for 15 minutes.
        alertmanagers: host:port of each.
        rule_files: paths, relative to the configuration file or absolute.
        scrape_interval: seconds, when not the plan's.
        evaluation_interval: seconds, for rules of others; the generated groups name their own.
        prometheus: host:port under which Prometheus scrapes itself, for the alerts about rules and notifications.
    """
    interval = plan.targets.scrape_interval if scrape_interval is None else scrape_interval
    document: Document = {
        "global": {"scrape_interval": duration(interval), "evaluation_interval": duration(evaluation_interval)},
        "rule_files": list(rule_files),
        "alerting": {"alertmanagers": [{"static_configs": [{"targets": list(alertmanagers)}]}]},
        "scrape_configs": [
            {
                "job_name": catalog.JOB,
                "static_configs": _planned(plan) if exporters is None else _static(exporters),
            },
            {"job_name": "prometheus", "static_configs": [{"targets": [prometheus]}]},
            {"job_name": "alertmanager", "static_configs": [{"targets": list(alertmanagers)}]},
        ],
    }
    if not alertmanagers:
        del document["alerting"]
        document["scrape_configs"].pop()
    return write_yaml(document, ("Rule files are looked up beside this file.",))


def _planned(plan: Plan) -> list[Document]:
    """The plan's exporters, each with its own scheme; the compose file's one where the plan names none."""
    named = plan.targets.exporters
    if not named:
        return _static(COMPOSE_EXPORTERS)
    configs = _static([(exporter.instance, exporter.address) for exporter in named])
    for exporter, config in zip(named, configs, strict=True):
        if exporter.scheme != "http":
            config["labels"]["__scheme__"] = exporter.scheme
    return configs


def _static(exporters: Sequence[tuple[str, str]]) -> list[Document]:
    return [{"targets": [target], "labels": {"instance": instance}} for instance, target in exporters]
