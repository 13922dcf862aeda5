"""Alertmanager's configuration: who is told about what, how often, and what stays quiet beside what."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from importlib import resources

from exporter import catalog
from exporter.bundle.objects import InhibitRule, Receiver, Route
from exporter.bundle.receivers import Integration, integration, webhook
from exporter.bundle.yamlwriter import write_yaml
from exporter.errors import UserError
from exporter.plan.model import SEVERITIES, Plan
from exporter.promql import quote

TEMPLATES = ("templates/*.tmpl",)
WATCHDOG = "watchdog"
UNROUTED = "warning"  # an alert that no route knows is still told to somebody
SILENT = "none"

GROUP_WAIT = {"emergency": 0.0, "critical": 10.0, "warning": 30.0, "info": 60.0}
GROUP_INTERVAL = {"emergency": 60.0, "critical": 120.0, "warning": 300.0, "info": 900.0}
REPEAT_INTERVAL = {"emergency": 3600.0, "critical": 4 * 3600.0, "warning": 12 * 3600.0, "info": 24 * 3600.0}

# What is measured from events, and therefore ends by itself when no exporter answers.
MEASURED = ("anomaly", "cost", "errors", "gate", "latency", "quality", "tokens")


def alertmanager_config(
    plan: Plan,
    *,
    webhooks: Mapping[str, str] | None = None,
    group_wait: float | None = None,
    group_interval: float | None = None,
    repeat_interval: float | None = None,
    templates: Sequence[str] = TEMPLATES,
) -> bytes:
    """The configuration file.

    Args:
        plan: its channels and routing, and the version of Alertmanager.
        webhooks: receiver (info, warning, critical, emergency, watchdog) -> URL that takes the place of its channels;
            the other receivers then tell nobody. For demonstrations and tests, which must reach no real person.
        group_wait: seconds, for all routes, instead of those by severity.
        group_interval: likewise.
        repeat_interval: likewise.
        templates: paths, relative to the configuration file or absolute.

    Raises:
        UserError: a routed channel cannot be expressed for this version of Alertmanager.
    """
    timing = (group_wait, group_interval, repeat_interval)
    document = {
        "templates": list(templates),
        "route": _route(timing).document(),
        "inhibit_rules": [rule.document() for rule in inhibit_rules()],
        "receivers": [receiver.document() for receiver in receivers(plan, webhooks)],
    }
    return write_yaml(
        document,
        (
            "Paths of secrets are relative to Alertmanager's working directory.",
            "Before Alertmanager 0.28 the secret of a Discord channel is the webhook's address followed by /slack.",
        ),
    )


def message_templates() -> bytes:
    """The message templates that the receivers name."""
    return resources.files("exporter.bundle").joinpath("llm.tmpl").read_bytes()


def receivers(plan: Plan, webhooks: Mapping[str, str] | None = None) -> tuple[Receiver, ...]:
    """One receiver a severity, the heartbeat's, and one that tells nobody."""
    names = (*SEVERITIES, WATCHDOG)
    if webhooks is None:
        return (*(_receiver(name, _channels(plan, _routed(plan, name))) for name in names), Receiver(SILENT))
    found = {name: webhook(url) for name, url in webhooks.items()}
    return (*(_receiver(name, [found[name]] if name in found else []) for name in names), Receiver(SILENT))


def inhibit_rules() -> tuple[InhibitRule, ...]:
    """What stays quiet while something worse says the same.

    All rules are bound to this bundle. Labels that both alerts lack count as equal, so that each list of equal labels
    identifies what the two alerts share: never only labels that some alerts do not have.
    """
    ours = _matcher("bundle", catalog.BUNDLE)
    budget = _matcher("alertname", "LLMBudgetThreshold")
    return (
        # The same alert about the same thing, at a milder severity.
        InhibitRule((ours, 'severity="critical"'), (ours, 'severity=~"warning|info"'), catalog.ALERT_LABELS),
        InhibitRule((ours, 'severity="warning"'), (ours, 'severity="info"'), catalog.ALERT_LABELS),
        # A higher threshold of the same budget; its own threshold may lie above or below the fixed one of 95 %.
        InhibitRule(
            (ours, 'alertname="LLMBudgetExceeded"'),
            (ours, budget),
            ("bundle", "migration", "period"),
        ),
        InhibitRule(
            (ours, budget, r'threshold=~"9[6-9]([.].+)?|95[.].+|100"'),
            (ours, budget, 'threshold="95"'),
            ("bundle", "migration", "period"),
        ),
        InhibitRule(
            (ours, budget, 'threshold="95"'),
            (ours, budget, r'threshold=~"([0-8]?[0-9]|9[0-4])([.].+)?"'),
            ("bundle", "migration", "period"),
        ),
        # No exporter answers: nothing that was measured from events can be known to be over.
        InhibitRule(
            (ours, 'alertname="LLMExporterDown"', 'quantity="all"'),
            (ours, f'signal=~"{"|".join(MEASURED)}"'),
            ("bundle",),
        ),
        # The plan is unknown: nothing that was compared with it can be known to be over.
        InhibitRule(
            (ours, 'alertname="LLMControlMissing"'),
            (ours, f'signal=~"{"|".join(MEASURED)}"'),
            ("bundle", "migration"),
        ),
    )


def _route(timing: tuple[float | None, float | None, float | None]) -> Route:
    ours = _matcher("bundle", catalog.BUNDLE)
    wait, interval, repeat = timing

    def by_severity(severity: str, *matchers: str) -> Route:
        return Route(
            receiver=severity,
            matchers=(ours, *matchers),
            group_wait=GROUP_WAIT[severity] if wait is None else wait,
            group_interval=GROUP_INTERVAL[severity] if interval is None else interval,
            repeat_interval=REPEAT_INTERVAL[severity] if repeat is None else repeat,
        )

    return Route(
        receiver=UNROUTED,
        group_by=("migration", "alertname"),
        group_wait=30.0 if wait is None else wait,
        group_interval=300.0 if interval is None else interval,
        repeat_interval=12 * 3600.0 if repeat is None else repeat,
        routes=(
            Route(
                receiver=WATCHDOG,
                matchers=(ours, 'alertname="LLMWatchdog"'),
                group_by=("alertname",),
                group_wait=0.0,
                group_interval=60.0,
                repeat_interval=300.0,
            ),
            by_severity("emergency", 'severity="critical"', 'urgency="emergency"'),
            by_severity("critical", 'severity="critical"'),
            by_severity("warning", 'severity="warning"'),
            by_severity("info", 'severity="info"'),
            Route(receiver=SILENT, matchers=(ours, 'severity="none"')),
        ),
    )


def _matcher(label: str, value: str) -> str:
    return f"{label}={quote(value)}"


def _routed(plan: Plan, name: str) -> tuple[str, ...]:
    """Channels of a receiver; the heartbeat goes to the channel called `watchdog`, where there is one."""
    if name == WATCHDOG:
        return (WATCHDOG,) if WATCHDOG in plan.channels else ()
    return plan.routing.get(name, ())


def _channels(plan: Plan, names: Sequence[str]) -> list[tuple[str, Integration]]:
    undeclared = [name for name in names if name not in plan.channels]
    if undeclared:
        raise UserError(f"routing names the channel {undeclared[0]}, which is not declared; add it to `channels`")
    channels = [plan.channels[name] for name in names]
    return [integration(channel, plan.targets.alertmanager_version) for channel in channels if channel.enabled]


def _receiver(name: str, found: Sequence[tuple[str, Integration]]) -> Receiver:
    integrations: dict[str, tuple[Integration, ...]] = {}
    for key, settings in found:
        kept = {**settings, "send_resolved": False} if name == WATCHDOG else settings
        integrations[key] = (*integrations.get(key, ()), kept)
    return Receiver(name, integrations)
