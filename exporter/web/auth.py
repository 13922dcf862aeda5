"""Who may do what: bearer tokens with roles, and the guard against other people's pages in a browser."""

from __future__ import annotations

import hashlib
import hmac
from collections.abc import Callable, Sequence
from urllib.parse import urlsplit

from aiohttp import web

from exporter.errors import RequestError
from exporter.plan.model import Token

_GRANTS = {
    "ingest": {"ingest"},
    "viewer": {"viewer"},
    "operator": {"viewer", "operator"},
    "admin": {"viewer", "operator", "admin", "ingest"},
}
ANONYMOUS = "anonymous"


class Guard:
    """Decides whether a request may pass; without tokens everybody who reaches the socket may."""

    def __init__(self, tokens: Sequence[Token], on_failure: Callable[[str], None]) -> None:
        self._tokens = [(bytes.fromhex(token.sha256), token) for token in tokens]
        self._on_failure = on_failure

    def admit(self, request: web.Request, role: str) -> str:
        """The name of who asks.

        Raises:
            RequestError: 401 without a known token, 403 when its role does not suffice or a foreign page asks.
        """
        _refuse_foreign_pages(request)
        if not self._tokens:
            return ANONYMOUS
        scheme, _, secret = request.headers.get("Authorization", "").partition(" ")
        if scheme.lower() != "bearer" or not secret:
            self._on_failure("missing")
            raise RequestError(401, "a bearer token is needed: Authorization: Bearer …", reason="missing")
        digest = hashlib.sha256(secret.strip().encode()).digest()
        found: Token | None = None
        for known, token in self._tokens:  # all of them, so that time tells nothing
            if hmac.compare_digest(known, digest):
                found = token
        if found is None:
            self._on_failure("unknown")
            raise RequestError(401, "this token is not known", reason="unknown")
        if role not in _GRANTS[found.role]:
            self._on_failure("forbidden")
            raise RequestError(403, f"this needs the role {role}; the token {found.name} has {found.role}")
        return found.name


def _refuse_foreign_pages(request: web.Request) -> None:
    """A page of another site, open in somebody's browser, must not change anything through their loopback address."""
    if request.method in ("GET", "HEAD", "OPTIONS"):
        return
    origin = request.headers.get("Origin")
    if origin is not None and urlsplit(origin).netloc != request.headers.get("Host"):
        raise RequestError(403, f"requests from pages of {origin} are refused", reason="foreign_origin")
