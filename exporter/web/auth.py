"""Who may do what: bearer tokens with roles, and the guard against other people's pages in a browser."""

from __future__ import annotations

import hashlib
import ipaddress
from collections.abc import Callable, Mapping, Sequence
from functools import lru_cache
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
Headers = Mapping[str, str]  # of a request: asked for in lower case, which aiohttp's do not care about
USER = web.RequestKey("user", str)  # who gave a right password of the web configuration


class Guard:
    """Decides whether a request may pass; without tokens everybody who reaches the socket may."""

    def __init__(
        self, tokens: Sequence[Token], on_failure: Callable[[str], None], *, loopback_only: bool = False
    ) -> None:
        """`loopback_only` refuses requests that name another host than this machine."""
        self._loopback_only = loopback_only
        self._tokens = {bytes.fromhex(token.sha256): token for token in tokens}
        self._on_failure = on_failure

    def admit_anybody(self, headers: Headers) -> None:
        """Let a request to an open page pass.

        Raises:
            RequestError: 403 for a foreign name of a loopback address.
        """
        if self._loopback_only:
            _refuse_foreign_names(headers)

    def admit(self, method: str, headers: Headers, role: str, *, user: str | None = None) -> str:
        """The name of who asks. Users of the web configuration may do everything, as with other exporters.

        Args:
            method: The request's.
            headers: The request's.
            role: What is needed.
            user: Who gave a right password of the web configuration.

        Raises:
            RequestError: 401 without a known token, 403 when its role does not suffice or a foreign page asks.
        """
        self.admit_anybody(headers)
        _refuse_foreign_pages(method, headers)
        if user is not None:
            return user
        if not self._tokens:
            return ANONYMOUS
        scheme, _, secret = headers.get("authorization", "").partition(" ")
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
        # Time tells nothing: digests are compared only where Python's keyed hashes of them are equal.
        return self._tokens.get(hashlib.sha256(secret.strip().encode(errors="surrogateescape")).digest())


def client_name(actor: str, remote: str | None) -> str:
    """Whose limits a request counts against: a name's, else those of the address that it came from."""
    return actor if actor != ANONYMOUS else f"address {remote}"


def _refuse_foreign_pages(method: str, headers: Headers) -> None:
    """A page of another site, open in somebody's browser, must not change anything through their loopback address."""
    origin = headers.get("origin")
    if origin is None or method in ("GET", "HEAD", "OPTIONS"):
        return
    try:
        same = urlsplit(origin).netloc == headers.get("host")
    except ValueError:
        same = False
    if not same:
        raise RequestError(403, "requests from pages of other sites are refused", reason="foreign_origin")


def _refuse_foreign_names(headers: Headers) -> None:
    """Loopback by its own names only: a name of somebody else's that resolves to it comes from a page that lies."""
    if not _names_loopback(headers.get("host", "")):
        raise RequestError(403, "without tokens the exporter answers to names of loopback only", reason="foreign_host")


@lru_cache(maxsize=256)
def _names_loopback(host: str) -> bool:
    """Whether a `Host` header names this machine."""
    name = host.partition("]")[0].lstrip("[") if host.startswith("[") else host.partition(":")[0]
    return is_loopback(name.lower())


def is_loopback(host: str) -> bool:
    """Whether an address or name is this machine's own, whatever a resolver says."""
    if host == "localhost":
        return True
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False
