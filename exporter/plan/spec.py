"""The shape of `migration.yaml`, version 1: every key with its type, its default and one sentence about it.

What is written here is what the reference table shows. Whether values make sense together is `exporter.plan.check`'s.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from decimal import Decimal

from exporter.plan import nodes
from exporter.plan.model import SEVERITIES
from exporter.plan.nodes import Kind, Node, Scalar
from exporter.plan.reading import ListOf, MapOf, One, Report, Row, Unreadable, refusal
from exporter.plan.schema import Nested, Record, key, optional, required
from exporter.plan.spec_channels import CHANNEL, SECRET_FILE
from exporter.plan.spec_exporters import FILE, ExporterSpec
from exporter.plan.spec_migration import CATEGORY, COUNT, LIMIT, MODEL, TEXT, MigrationSpec
from exporter.plan.values import Boolean, Choice, Day, Duration, Number, Size, Text, Url, integer

ROLES = ("ingest", "viewer", "operator", "admin")
DROPPABLE_LABELS = ("application", "category")
EXTRA_HISTOGRAM_LABELS = ("application",)
CHANNEL_NAME = Text("channel name", "[a-z0-9_-]+", "write small letters, digits and hyphens, such as slack", 63)
LABEL = Text("label name", r"[a-zA-Z][a-zA-Z0-9_]*", "write letters, digits and underscores", 64)
ALERT = Text("alert name", r"[A-Za-z_][A-Za-z0-9_]*", "write letters and digits, such as LLMErrorRatioHigh", 100)
SHA256 = Text(
    "SHA-256",
    "[0-9a-f]{64}",
    "write the 64 small hex digits that `llm-migration-exporter hash-token` prints, not the token",
)
VERSION = Text("version", r"\d{1,3}\.\d{1,3}(\.\d{1,3})?", "write major and minor version in quotes, such as '0.25'")
PRICE = Number(Decimal, "price in USD per million tokens", Decimal(0), Decimal(10**6), decimals=6)
RATE = Number(float, "number, 0 for no limit")
KEEP = Duration(least=86400.0, rule="write 1d to 100y")


class PriceSpec(Record):
    """Prices of a model from a day on."""

    TITLE = "prices"
    start = optional(One(Day()), "First day at these prices, in UTC.", absent="always", name="from")
    input = required(One(PRICE), "Of input tokens.")
    output = required(One(PRICE), "Of output tokens, reasoning included.")
    cached_input = optional(One(PRICE), "Of input tokens read from the provider's cache.", absent="as `input`")
    cache_write = optional(One(PRICE), "Of input tokens written to the provider's cache.", absent="as `input`")


class LimitsSpec(Record):
    """Bounds that keep the exporter small whatever is sent to it."""

    TITLE = "limits"
    hold = key(
        One(LIMIT), "How long a new series shows its first value, so that Prometheus sees it grow.", default="150s"
    )
    expire_idle = key(One(Duration()), "Series silent for so long leave the page; 0s: never.", default="0s")
    series_per_metric = key(One(COUNT), "More label sets of a metric are dropped, and counted.", default="50000")
    applications = key(One(COUNT), "More applications fold into `other`.", default="200")
    endpoints = key(One(COUNT), "More endpoints fold into `other`.", default="100")
    body_bytes = key(One(Size()), "Larger request bodies are refused.", default="8MiB")
    batch = key(One(COUNT), "More events in one request are refused.", default="10000")
    ingest_per_second = key(One(RATE), "Events accepted a second from one client; 0: no limit.", default="0")
    api_per_minute = key(One(RATE), "Other requests a minute from one client; 0: no limit.", default="600")


class LabelsSpec(Record):
    """Which labels series have."""

    TITLE = "labels"
    drop = key(ListOf(One(Choice(DROPPABLE_LABELS))), "Labels to leave out of all series.", default="[]")
    histogram_extra = key(
        ListOf(One(Choice(EXTRA_HISTOGRAM_LABELS))),
        "Labels to add to histograms, from now on; exemplars then fall away.",
        default="[]",
    )


class RoutingSpec(Record):
    """Which channels are told, by severity."""

    TITLE = "routing"
    info = key(ListOf(TEXT), "Channels for information.", default="[]")
    warning = key(ListOf(TEXT), "Channels for warnings.", default="[]")
    critical = key(ListOf(TEXT), "Channels for critical alerts.", default="[]")
    emergency = key(ListOf(TEXT), "Channels for emergencies.", default="[]")


class EscalationSpec(Record):
    """When an alert that nobody acknowledges goes further."""

    TITLE = "escalation"
    critical = key(One(LIMIT), "After so long a critical alert goes further.", default="15m")
    emergency = key(One(LIMIT), "After so long an emergency goes further.", default="5m")
    second = key(One(LIMIT), "After so long it goes further again.", default="1h")
    to = key(ListOf(TEXT), "Channels that are told then.", default="[]")


class AlertSpec(Record):
    """What is changed of a shipped alert."""

    TITLE = "alert"
    enabled = key(One(Boolean()), "Whether the alert exists at all.", default="true")
    for_seconds = optional(One(Duration()), "How long it must hold before it fires.", absent="as shipped", name="for")
    severity = optional(One(Choice(SEVERITIES)), "How urgent it is.", absent="as shipped")
    labels = key(MapOf(LABEL, TEXT), "Labels of your own to add, for your own routing.", default="{}")


class TokenSpec(Record):
    """A bearer token that may call the exporter."""

    TITLE = "token"
    name = required(One(Text("token name", "[A-Za-z0-9_.-]+", "write letters, digits and hyphens", 63)), "Who has it.")
    role = required(One(Choice(ROLES)), "What it may do.")
    sha256 = required(One(SHA256), "Its SHA-256, as `llm-migration-exporter hash-token` prints it.")


class UrlsSpec(Record):
    """Where the other parts are reached."""

    TITLE = "addresses"
    external = key(One(Url()), "This exporter, as people reach it.", default="''")
    prometheus = key(One(Url()), "Prometheus, for values that only it knows.", default="''")
    alertmanager = key(One(Url()), "Alertmanager, for reloads and test alerts.", default="''")
    grafana = key(One(Url()), "Grafana, for links in notifications.", default="''")
    runbooks = key(One(Url()), "The folder of runbook pages, for links in notifications.", default="''")


class TargetsSpec(Record):
    """What the generated files are for."""

    TITLE = "targets"
    alertmanager_version = key(
        One(VERSION), "Alertmanager's version: newer features are used only where it has them.", default="'0.25'"
    )
    scrape_interval = key(
        One(
            Duration(
                least=1.0,
                most=60.0,
                rule="write 1s to 1m: rules over five minutes must outlive a failed scrape",
            )
        ),
        "How often Prometheus scrapes the exporter.",
        default="15s",
    )
    exporters = key(
        ListOf(Nested(ExporterSpec)), "All exporters, where there are several; `[]`: one, the control.", default="[]"
    )
    exporter_token_file = optional(
        SECRET_FILE,
        "File that holds a token of role viewer, with which the control asks the shards.",
        absent="no token",
    )
    exporter_ca_file = optional(
        FILE, "Authorities for the certificates of exporters at https.", absent="those of the machine"
    )


class RetentionSpec(Record):
    """How long the ledger keeps what."""

    TITLE = "retention"
    events = key(One(KEEP), "Single events; also how old an event may be when it arrives.", default="35d")
    size = key(One(Size()), "Largest size of the ledger; the oldest events go first.", default="20GiB")
    hourly = key(One(KEEP), "Sums by hour.", default="90d")
    daily = key(One(KEEP), "Sums by day.", default="3y")


@dataclass(frozen=True)
class Plain:
    """Any mapping, kept as it is; for the tests of users' own rules, which the generator understands."""

    name: str = "mapping"

    def read(self, node: Node, key: str, report: Report) -> dict[str, object]:
        """The mapping as Python data; dates stay text."""
        if not isinstance(node, nodes.Mapping):
            raise refusal(node, key, report, "a mapping", "write its keys, indented")
        return {name: _plain(entry.value, report) for name, entry in node.entries.items()}

    def keys(self, path: str) -> Iterator[Row]:
        """The keys are not the schema's."""
        return iter(())


def _plain(node: Node, report: Report) -> object:
    match node:
        case nodes.Mapping():
            return {name: _plain(entry.value, report) for name, entry in node.entries.items()}
        case nodes.Sequence():
            return [_plain(item, report) for item in node.items]
        case Scalar(kind=Kind.REFUSED):
            raise Unreadable
        case Scalar(kind=Kind.NULL):
            return None
        case Scalar(kind=Kind.BOOLEAN):
            return node.text == "true"
        case Scalar(kind=Kind.INTEGER):
            return int(node.text)
        case Scalar(kind=Kind.FLOAT):
            return float(node.text)
    return node.text


class RuleSpec(Record):
    """An alert of your own."""

    TITLE = "rule"
    alert = required(One(ALERT), "Its name.")
    expr = required(One(Text("PromQL expression", max_length=20_000)), "The PromQL expression that fires it.")
    for_seconds = key(One(Duration()), "How long it must hold before it fires.", default="0s", name="for")
    labels = key(MapOf(LABEL, TEXT), "Its labels; `severity` decides who is told.", default="{}")
    annotations = key(MapOf(LABEL, TEXT), "Its texts: `summary`, `description`.", default="{}")
    tests = key(ListOf(Plain()), "Its tests, run by `check`.", default="[]")


class FileSpec(Record):
    """The whole file."""

    TITLE = "plan"
    ELSEWHERE = dict.fromkeys(MigrationSpec.KEYS, "inside a migration")
    version = required(One(integer("whole number", 0)), "Version of this file's shape; always 1.")
    timezone = key(One(Text("time zone")), "Time zone of days, weeks and months.", default="UTC")
    migrations = required(ListOf(Nested(MigrationSpec), least=1), "The migrations, at least one.")
    categories = key(
        ListOf(One(CATEGORY)), "Kinds of calls that are told apart; `other` is always one of them.", default="[other]"
    )
    prices = key(
        MapOf(MODEL, ListOf(Nested(PriceSpec), least=1, bare=True)), "Negotiated or private prices.", default="{}"
    )
    limits = key(Nested(LimitsSpec), "Bounds that keep the exporter small whatever is sent to it.", default="{}")
    labels = key(Nested(LabelsSpec), "Which labels series have.", default="{}")
    channels = key(
        MapOf(CHANNEL_NAME, CHANNEL), "Places where people are told; declared here, used below.", default="{}"
    )
    routing = key(Nested(RoutingSpec), "Which channels are told, by severity.", default="{}")
    escalation = key(Nested(EscalationSpec), "When an alert that nobody acknowledges goes further.", default="{}")
    alerts = key(MapOf(ALERT, Nested(AlertSpec)), "What is changed of shipped alerts.", default="{}")
    rules = key(ListOf(Nested(RuleSpec)), "Alerts of your own.", default="[]")
    tokens = key(
        ListOf(Nested(TokenSpec)),
        "Who may call the exporter; without tokens it listens on loopback only.",
        default="[]",
    )
    urls = key(Nested(UrlsSpec), "Where the other parts are reached.", default="{}")
    targets = key(Nested(TargetsSpec), "What the generated files are for.", default="{}")
    retention = key(Nested(RetentionSpec), "How long the ledger keeps what.", default="{}")
