"""A scrape as Prometheus makes it."""

from __future__ import annotations

import gzip
import http.client
import time

HEADERS = {
    "Accept": "application/openmetrics-text;version=1.0.0;q=0.5,text/plain;version=0.0.4;q=0.3",
    "Accept-Encoding": "gzip",
    "X-Prometheus-Scrape-Timeout-Seconds": "10",
}


def scrape(port: int) -> tuple[float, bytes]:
    """Seconds until the last byte, and the page's text."""
    begun = time.perf_counter()
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=60)
    connection.request("GET", "/metrics", headers=HEADERS)
    body = connection.getresponse().read()
    seconds = time.perf_counter() - begun
    connection.close()
    return seconds, gzip.decompress(body)


def series(page: bytes) -> int:
    """How many samples a page has."""
    return sum(1 for line in page.splitlines() if line and not line.startswith(b"#"))
