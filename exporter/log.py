"""Logs to standard error: logfmt or JSON, one event a line."""

from __future__ import annotations

import logging
import sys

import structlog


def configure(level: str, fmt: str) -> None:
    """Set up structured logs; `level` is a name such as `info`, `fmt` is `logfmt` or `json`."""
    renderer: structlog.typing.Processor
    if fmt == "json":
        renderer = structlog.processors.JSONRenderer()
    else:
        renderer = structlog.processors.LogfmtRenderer(key_order=["ts", "level", "event"], bool_as_flag=False)
    structlog.configure(
        processors=[
            structlog.processors.add_log_level,
            structlog.processors.TimeStamper(fmt="iso", utc=True, key="ts"),
            structlog.processors.format_exc_info,
            renderer,
        ],
        wrapper_class=structlog.make_filtering_bound_logger(logging.getLevelNamesMapping()[level.upper()]),
        logger_factory=structlog.PrintLoggerFactory(sys.stderr),
        cache_logger_on_first_use=False,
    )
    # Libraries log through the standard module; only their warnings matter here.
    logging.basicConfig(level=logging.WARNING, stream=sys.stderr, format="level=%(levelname)s event=%(message)r")
    # Bytes that are no HTTP get a 400 from the server below our handlers; a traceback for each would only fill the log.
    logging.getLogger("aiohttp.server").setLevel(logging.CRITICAL)
