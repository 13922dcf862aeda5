"""Who may do what: bearer tokens with roles, and the guard against other people's pages in a browser."""

from __future__ import annotations

import hashlib
import hmac
import ipaddress
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
USER = web.RequestKey("user", str)  # who gave a right password of the web configuration


class Guard:
    """Decides whether a request may pass; without tokens everybody who reaches the socket may."""

    def __init__(
        self, tokens: Sequence[Token], on_failure: Callable[[str], None], *, loopback_only: bool = False
    ) -> None:
        """`loopback_only` refuses requests that name another host than this machine."""
        self._loopback_only = loopback_only
        self._tokens = [(bytes.fromhex(token.sha256), token) for token in tokens]
        self._on_failure = on_failure

    def admit_anybody(self, request: web.Request) -> None:
        """Let a request to an open page pass.

        Raises:
            RequestError: 403 for a foreign name of a loopback address.
        """
        if self._loopback_only:
            _refuse_foreign_names(request)

    def admit(self, request: web.Request, role: str) -> str:
        """The name of who asks. Users of the web configuration may do everything, as with other exporters.

        Raises:
            RequestError: 401 without a known token, 403 when its role does not suffice or a foreign page asks.
        """
        self.admit_anybody(request)
        _refuse_foreign_pages(request)
        if USER in request:
            return request[USER]
        if not self._tokens:
            return ANONYMOUS
        scheme, _, secret = request.headers.get("Authorization", "").partition(" ")
        if scheme.lower() != "bearer" or not secret:
            self._on_failure("missing")
            raise RequestError(401, "a bearer token is needed: Authorization: Bearer …", reason="missing")
        found = self.find(secret)
        if found is None:
            self._on_failure("unknown")
            raise RequestError(401, "this token is not known", reason="unknown")
        if role not in _GRANTS[found.role]:
            self._on_failure("forbidden")
            raise RequestError(403, f"this needs the role {role}; the token {found.name} has {found.role}")
        return found.name

    @property
    def open(self) -> bool:
        """Whether no tokens are declared."""
        return not self._tokens

    def find(self, secret: str) -> Token | None:
        """The token that a text is."""
        digest = hashlib.sha256(secret.strip().encode(errors="surrogateescape")).digest()
        found: Token | None = None
        for known, token in self._tokens:  # all of them, so that time tells nothing
            if hmac.compare_digest(known, digest):
                found = token
        return found


def _refuse_foreign_pages(request: web.Request) -> None:
    """A page of another site, open in somebody's browser, must not change anything through their loopback address."""
    if request.method in ("GET", "HEAD", "OPTIONS"):
        return
    origin = request.headers.get("Origin")
    if origin is None:
        return
    try:
        same = urlsplit(origin).netloc == request.headers.get("Host")
    except ValueError:
        same = False
    if not same:
        raise RequestError(403, "requests from pages of other sites are refused", reason="foreign_origin")


def _refuse_foreign_names(request: web.Request) -> None:
    """Loopback by its own names only: a name of somebody else's that resolves to it comes from a page that lies."""
    host = request.headers.get("Host", "")
    name = host.partition("]")[0].lstrip("[") if host.startswith("[") else host.partition(":")[0]
    if not is_loopback(name.lower()):
        raise RequestError(403, "without tokens the exporter answers to names of loopback only", reason="foreign_host")


def is_loopback(host: str) -> bool:
    """Whether an address or name is this machine's own, whatever a resolver says."""
    if host == "localhost":
        return True
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False
