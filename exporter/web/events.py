"""Pushing events: batches, and one at a time."""

from __future__ import annotations

from datetime import UTC, datetime

from aiohttp import web

from exporter.errors import RequestError
from exporter.events import Decoded, Event, decode, decode_one
from exporter.ingest.pipeline import Receipt
from exporter.money import nano_to_usd
from exporter.web.bodies import NDJSON, answer, read
from exporter.web.problems import problem
from exporter.web.services import CLIENT, migration_of, services


async def post_events(request: web.Request) -> web.Response:
    """`POST /api/v1/events`: one object, an array, or NDJSON."""
    service = services(request)
    body = await _read(request, ndjson=True)
    try:
        decoded = decode(body, ndjson=request.content_type in NDJSON, max_events=service.plan.limits.batch)
    except RequestError as error:
        service.metrics.rejected(error.reason)
        raise
    count = len(decoded.events) + len(decoded.rejected)
    service.configuration.limits.events(request[CLIENT], count)
    receipt = await service.ingest.submit(decoded)
    if receipt.rejected and not receipt.accepted and not receipt.duplicates:
        return _nothing_valid(receipt)
    return answer(_tracked(receipt))


async def track_request(request: web.Request) -> web.Response:
    """`POST /api/v1/{migration}/track-request`: one object, answered with its cost."""
    service = services(request)
    migration = migration_of(request)
    body = await _read(request, ndjson=False)
    try:
        service.configuration.limits.events(request[CLIENT], 1)
        event = decode_one(body)
    except RequestError as error:
        service.metrics.rejected(error.reason)
        raise
    if not isinstance(event, Event):
        return _nothing_valid(await service.ingest.submit(Decoded((), (), (event,))))
    receipt = await service.ingest.submit(Decoded((event,), (0,), ()), migration.name)
    if receipt.rejected:
        return _nothing_valid(receipt)
    at = receipt.at if receipt.at is not None else service.clock.now()
    return answer(
        {
            **_tracked(receipt),
            "cost": None if receipt.cost is None else nano_to_usd(receipt.cost),
            "model": event.model,
            "tokens": event.input_tokens + event.output_tokens,
            "latency": event.latency,
            "success": event.success,
            "timestamp": datetime.fromtimestamp(at, UTC),
        }
    )


async def _read(request: web.Request, *, ndjson: bool) -> bytes:
    metrics = services(request).metrics
    try:
        services(request).configuration.limits.ingest(request[CLIENT])
        return await read(request, ndjson=ndjson)
    except RequestError as error:
        metrics.rejected(error.reason or "malformed")
        raise
    except web.HTTPRequestEntityTooLarge:
        metrics.rejected("too_large")
        raise


def _tracked(receipt: Receipt) -> dict[str, object]:
    return {
        "status": "tracked",
        "accepted": receipt.accepted,
        "duplicates": receipt.duplicates,
        "rejected": receipt.rejected,
    }


def _nothing_valid(receipt: Receipt) -> web.Response:
    first = receipt.rejected[0]
    where = f"{first.field}: " if first.field else ""
    return problem(
        422, f"no event could be accepted; the first: {where}{first.message}", rejected=list(receipt.rejected)
    )
