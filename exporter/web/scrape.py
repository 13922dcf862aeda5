"""`GET /metrics`."""

from __future__ import annotations

import asyncio

from aiohttp import web

from exporter.errors import RequestError
from exporter.metrics.render import accepts_gzip
from exporter.web.services import Services, services

SEND_SECONDS = 60.0  # for a reader to take the page
SCRAPER_HEADER = "X-Prometheus-Scrape-Timeout-Seconds"  # only Prometheus and its kin send it


async def metrics(request: web.Request) -> web.Response:
    """The page, in the format and encoding that the scraper accepts."""
    service = services(request)
    if service.scrapes is None:
        return await _answer(request, service)
    if service.scrapes.locked():
        message = "too many scrapes at the same time; see --web.max-requests"
        raise RequestError(503, message, headers={"Retry-After": "5"})
    async with service.scrapes:
        return await _answer(request, service)


async def _answer(request: web.Request, service: Services) -> web.Response:
    service.metrics.queue(service.queued())
    page = await service.exposition.page(
        accept=request.headers.get("Accept", ""),
        scraper=SCRAPER_HEADER in request.headers,
        compress=accepts_gzip(request.headers.get("Accept-Encoding", "")),
    )
    headers = {"Content-Type": page.content_type, "Vary": "Accept, Accept-Encoding"}
    if page.encoding:
        headers["Content-Encoding"] = page.encoding
    response = web.Response(body=page.body, headers=headers)
    await _send(request, response)
    return response


async def _send(request: web.Request, response: web.Response) -> None:
    """Write the page here, where it counts as a scrape, and give up on whoever does not read it."""
    try:
        async with asyncio.timeout(SEND_SECONDS):
            await response.prepare(request)
            await response.write_eof()
    except TimeoutError:
        if request.transport is not None:
            request.transport.abort()
    except ConnectionError:
        pass  # the reader is gone
