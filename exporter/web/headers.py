"""The headers that every answer has: those that guard people's browsers, and those of the web configuration."""

from __future__ import annotations

from collections.abc import Mapping, MutableMapping

from exporter import __version__

_SERVER = {"Server": f"llm-migration-exporter/{__version__}"}
_OURS = {
    "X-Content-Type-Options": "nosniff",
    "X-Frame-Options": "DENY",
    "Referrer-Policy": "no-referrer",
    "Content-Security-Policy": "default-src 'none'; style-src 'unsafe-inline'; frame-ancestors 'none'",
}


class AnswerHeaders:
    """What is added to answers; made once for each web configuration."""

    def __init__(self, configured: Mapping[str, str]) -> None:
        """`configured` wins over ours and over an answer's own; an empty text leaves a header out."""
        self._always = {name: value for name, value in configured.items() if value} | _SERVER
        self._unless_set = {name: value for name, value in _OURS.items() if name not in configured}
        lines = (self._always | self._unless_set).items()
        self.lines = "".join(f"{name}: {value}\r\n" for name, value in lines).encode("ascii")  # as they are sent

    def dress(self, headers: MutableMapping[str, str]) -> None:
        """Add them to an answer's own."""
        for name, value in self._unless_set.items():
            headers.setdefault(name, value)
        headers.update(self._always)
