"""Logs to standard error: logfmt or JSON, one event a line."""

from __future__ import annotations

import contextlib
import logging
import sys
from typing import TextIO, cast

import structlog

_SHOWN = 500  # characters of what a library says


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
        logger_factory=structlog.PrintLoggerFactory(cast(TextIO, _Unfailing(sys.stderr))),
        cache_logger_on_first_use=False,
    )
    # Libraries log through the standard module; only their warnings matter here.
    logging.basicConfig(level=logging.WARNING, handlers=[_Forward()], force=True)


class _Unfailing:
    """A stream whose writes never fail: a full disk under the log must not fail the request that is logged."""

    def __init__(self, stream: TextIO) -> None:
        self._stream = stream

    def write(self, text: str) -> int:
        """Write what can be written."""
        with contextlib.suppress(OSError, ValueError):
            return self._stream.write(text)
        return 0

    def flush(self) -> None:
        """Flush what can be flushed."""
        with contextlib.suppress(OSError, ValueError):
            self._stream.flush()


class _Forward(logging.Handler):
    """Records of the standard module, in our format."""

    def emit(self, record: logging.LogRecord) -> None:
        """Log a record; a failure has its type and the begin of its text, no traceback that strangers could ask for.

        A request that is no HTTP is the sender's mistake, not ours: it shows at the level debug only, and without what
        was sent, which may be long, a password, or both. Otherwise whoever reaches the port could fill the disk.
        """
        error = record.exc_info[1] if record.exc_info else None
        if isinstance(getattr(error, "code", None), int):  # what aiohttp raises for bytes that it cannot read
            structlog.get_logger(record.name).debug("not HTTP", logger=record.name, error=type(error).__name__)
            return
        extra = {"error": repr(error)[:_SHOWN]} if error else {}
        structlog.get_logger(record.name).log(record.levelno, record.getMessage()[:_SHOWN], logger=record.name, **extra)
