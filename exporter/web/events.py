"""Pushing events: batches, and one at a time. Each way is a `Push`, which the express lane takes as well."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import NamedTuple

import msgspec
from aiohttp import web

from exporter.errors import RequestError
from exporter.events import Decoded, Event, Rejection, decode, decode_one
from exporter.ingest.pipeline import Receipt
from exporter.money import nano_to_usd
from exporter.plan.model import Plan
from exporter.web.bodies import NDJSON, read
from exporter.web.replies import Reply, problem_reply
from exporter.web.services import CLIENT, Services, migration_of, services


@dataclass(frozen=True, slots=True)
class Push:
    """A way of pushing events: from a body to events, and from what became of them to an answer."""

    decode: Callable[[Services, str, bytes, bool], Decoded]  # for a client, from its body, which may be lines
    reply: Callable[[Services, Decoded, Receipt], Reply]


async def post_events(request: web.Request) -> web.Response:
    """`POST /api/v1/events`: one object, an array, or NDJSON."""
    return await _push(request, EVENTS, ndjson=True)


async def track_request(request: web.Request) -> web.Response:
    """`POST /api/v1/{migration}/track-request`: one object, answered with its cost."""
    return await _push(request, CALL, migration_of(request).name)


class Path(NamedTuple):
    """A path to push to, and the migration that it names."""

    name: str
    push: Push
    migration: str | None


def paths(plan: Plan) -> list[Path]:
    """All of them."""
    calls = [Path(f"/api/v1/{migration.name}/track-request", CALL, migration.name) for migration in plan.migrations]
    return [Path("/api/v1/events", EVENTS, None), *calls]


def count_refused(service: Services, error: RequestError) -> None:
    """Count a request that was refused for its body, or for a client's limit."""
    service.metrics.rejected(error.reason or "malformed")


async def _push(
    request: web.Request, push: Push, migration: str | None = None, *, ndjson: bool = False
) -> web.Response:
    service = services(request)
    client = request[CLIENT]
    try:
        service.configuration.limits.ingest(client)
        body = await read(request, ndjson=ndjson)
        decoded = push.decode(service, client, body, request.content_type in NDJSON)
    except RequestError as error:
        count_refused(service, error)
        raise
    except web.HTTPRequestEntityTooLarge:
        service.metrics.rejected("too_large")
        raise
    return push.reply(service, decoded, await service.ingest.submit(decoded, migration)).response()


def _decode_events(service: Services, client: str, body: bytes, ndjson: bool) -> Decoded:
    decoded = decode(body, ndjson=ndjson, max_events=service.plan.limits.batch)
    service.configuration.limits.events(client, len(decoded.events) + len(decoded.rejected))
    return decoded


def _decode_call(service: Services, client: str, body: bytes, _: bool) -> Decoded:
    service.configuration.limits.events(client, 1)
    event = decode_one(body)
    return Decoded((event,), (0,), ()) if isinstance(event, Event) else Decoded((), (), (event,))


class _Tracked(msgspec.Struct, tag_field="status", tag="tracked"):
    """The answer to events of which at least one was right."""

    accepted: int
    duplicates: int
    rejected: Sequence[Rejection]


class _TrackedCall(_Tracked, kw_only=True):
    """The answer to a call: `cost` in USD, None where its model has no price."""

    cost: float | None
    model: str
    tokens: int
    latency: float
    success: bool
    timestamp: datetime


def _reply_events(_: Services, __: Decoded, receipt: Receipt) -> Reply:
    if receipt.rejected and not receipt.accepted and not receipt.duplicates:
        return _nothing_valid(receipt)
    return Reply(200, msgspec.json.encode(_Tracked(receipt.accepted, receipt.duplicates, receipt.rejected)))


def _reply_call(service: Services, decoded: Decoded, receipt: Receipt) -> Reply:
    if receipt.rejected:
        return _nothing_valid(receipt)
    (event,) = decoded.events
    at = receipt.at if receipt.at is not None else service.clock.now()
    tracked = _TrackedCall(
        receipt.accepted,
        receipt.duplicates,
        receipt.rejected,
        cost=None if receipt.cost is None else nano_to_usd(receipt.cost),
        model=event.model,
        tokens=event.input_tokens + event.output_tokens,
        latency=event.latency,
        success=event.success,
        timestamp=datetime.fromtimestamp(at, UTC),
    )
    return Reply(200, msgspec.json.encode(tracked))


def _nothing_valid(receipt: Receipt) -> Reply:
    first = receipt.rejected[0]
    where = f"{first.field}: " if first.field else ""
    detail = f"no event could be accepted; the first: {where}{first.message}"
    return problem_reply(422, detail, rejected=list(receipt.rejected))


EVENTS = Push(_decode_events, _reply_events)
CALL = Push(_decode_call, _reply_call)
