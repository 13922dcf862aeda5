"""`GET /metrics`."""

from __future__ import annotations

from aiohttp import web

from exporter.web.services import services

SCRAPER_HEADER = "X-Prometheus-Scrape-Timeout-Seconds"  # only Prometheus and its kin send it


async def metrics(request: web.Request) -> web.Response:
    """The page, in the format and encoding that the scraper accepts."""
    service = services(request)
    service.metrics.queue(service.queued())
    page = await service.exposition.page(
        accept=request.headers.get("Accept", ""),
        scraper=SCRAPER_HEADER in request.headers,
        compress="gzip" in request.headers.get("Accept-Encoding", ""),
    )
    headers = {"Content-Type": page.content_type, "Vary": "Accept, Accept-Encoding"}
    if page.encoding:
        headers["Content-Encoding"] = page.encoding
    return web.Response(body=page.body, headers=headers)
