"""Channels in `migration.yaml`: what each type needs and allows. Secrets come from files only."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from exporter.plan import nodes
from exporter.plan.nodes import Kind, Node, Scalar, shown
from exporter.plan.reading import ListOf, One, Place, Report, Row, Unreadable, refusal
from exporter.plan.schema import Record, key, optional, required, rows
from exporter.plan.values import Boolean, Text, Url, did_you_mean, integer

SECRET_FILE = One(
    Text("path", r"[^\s:]+", "write the path of a file that holds nothing but the secret, without spaces")
)
_MAIL = r"([^<>@]* <)?[^\s@<>,]+@[^\s@<>,]+>?"
MAIL = One(Text("e-mail address", _MAIL, "write name@host"))
HOST_PORT = One(
    Text("mail server", r"(\[[0-9a-fA-F:]+\]|[A-Za-z0-9.-]+):\d{1,5}", "write host:port, such as smtp.example.com:587")
)
SLACK_CHANNEL = One(
    Text(
        "Slack channel",
        r"[#@]\S{1,80}|[A-Z][A-Z0-9]{7,20}",
        "write '#channel', '@member' or a channel's id, in quotes",
    )
)


class ChannelSpec(Record):
    """What channels of all types have."""

    TITLE = "channel"
    type = required(One(Text()), "What kind of channel it is.")
    enabled = key(One(Boolean()), "Whether anything is sent there.", default="true")
    rate_limit = optional(
        One(integer("whole number above 0", 1)), "Notifications in an hour, at most.", absent="no limit"
    )


class SlackSpec(ChannelSpec):
    """A Slack channel, by incoming webhook."""

    api_url_file = required(SECRET_FILE, "File that holds the webhook's URL.")
    channel = optional(
        SLACK_CHANNEL, "Channel or member; quote it, a bare # begins a comment.", absent="the webhook's own"
    )
    username = optional(One(Text(max_length=80)), "Name under which messages appear.", absent="the webhook's own")


class EmailSpec(ChannelSpec):
    """E-mail."""

    smarthost = required(HOST_PORT, "Mail server that takes the message.")
    from_ = required(MAIL, "Sender.", name="from")
    to = required(ListOf(MAIL, least=1, bare=True), "Recipients.")
    auth_username = optional(One(Text()), "User at the mail server.", absent="as `from`, where a password is given")
    auth_password_file = optional(SECRET_FILE, "File that holds the password.", absent="no authentication")
    require_tls = key(One(Boolean()), "Whether the connection must be encrypted.", default="true")


class PagerDutySpec(ChannelSpec):
    """PagerDuty, by Events API v2."""

    routing_key_file = required(SECRET_FILE, "File that holds the integration's routing key.")


class DiscordSpec(ChannelSpec):
    """A Discord channel, by webhook."""

    webhook_url_file = required(SECRET_FILE, "File that holds the webhook's URL.")


class WebhookSpec(ChannelSpec):
    """A program of your own, such as an SMS gateway; exactly one of `url` and `url_file`."""

    url = optional(
        One(Url(allow_empty=False)), "Address: https, or http on the loopback interface.", absent="from `url_file`"
    )
    url_file = optional(SECRET_FILE, "File that holds the address.", absent="from `url`")
    token_file = optional(SECRET_FILE, "File that holds a bearer token.", absent="no authentication")


CHANNEL_TYPES: dict[str, type[ChannelSpec]] = {
    "slack": SlackSpec,
    "email": EmailSpec,
    "pagerduty": PagerDutySpec,
    "discord": DiscordSpec,
    "webhook": WebhookSpec,
}
_NOT_YET = ("telegram", "msteams", "sns", "sms", "opsgenie", "victorops", "pushover", "wechat", "webex", "teams")


@dataclass(frozen=True)
class _ByType:
    """A channel: its key `type` decides which other keys there are."""

    name: str = "channel"

    def read(self, node: Node, key: str, report: Report) -> ChannelSpec:
        """The channel."""
        if not isinstance(node, nodes.Mapping):
            raise refusal(node, key, report, "a channel", "write its keys, indented, `type` first")
        types = ", ".join(CHANNEL_TYPES)
        written = node.entries.get("type")
        place = Place(nodes.child(key, "type"), written.value.mark if written else node.mark)
        if written is None:
            if node.complete:
                report.add(place, "the key is missing", f"add `type`: one of {types}")
            raise Unreadable
        value = written.value
        if not isinstance(value, Scalar) or value.kind is not Kind.TEXT:
            raise refusal(value, place.key, report, "a type of channel", f"write one of {types}")
        if value.text in _NOT_YET:
            report.add(place, f"channels of type `{value.text}` are not supported", f"write one of {types}")
            raise Unreadable
        if value.text not in CHANNEL_TYPES:
            remedy = did_you_mean(value.text, list(CHANNEL_TYPES))
            report.add(place, f"there is no channel type `{shown(value.text)}`", remedy)
            raise Unreadable
        return CHANNEL_TYPES[value.text].read(node, key, report)

    def keys(self, path: str) -> Iterator[Row]:
        """The keys of all types, those that all have first."""
        for row in rows(ChannelSpec, path):
            words = " or ".join(f"`{word}`" for word in CHANNEL_TYPES)
            yield Row(row.path, words, row.default, row.meaning) if row.path.endswith(".type") else row
        for name, record in CHANNEL_TYPES.items():
            for attribute, row in zip(record.KEYS, rows(record, path), strict=True):
                if attribute not in ChannelSpec.KEYS:
                    yield Row(f"{row.path} ({name})", row.type, row.default, row.meaning)


CHANNEL = _ByType()
