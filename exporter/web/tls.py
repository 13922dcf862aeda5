"""Encryption: from what the web configuration says to contexts that follow their files when these change."""

from __future__ import annotations

import ipaddress
import ssl
from collections.abc import Callable, Collection, Mapping
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import structlog

log = structlog.get_logger("tls")

CLIENT_AUTH = {
    "NoClientCert": ssl.CERT_NONE,
    "VerifyClientCertIfGiven": ssl.CERT_OPTIONAL,
    "RequireAndVerifyClientCert": ssl.CERT_REQUIRED,
}
VERSIONS = {"TLS12": ssl.TLSVersion.TLSv1_2, "TLS13": ssl.TLSVersion.TLSv1_3}
# The names of TLS 1.2 suites as Go has them, which the file uses, and as OpenSSL has them.
CIPHERS = {
    "TLS_ECDHE_ECDSA_WITH_AES_128_GCM_SHA256": "ECDHE-ECDSA-AES128-GCM-SHA256",
    "TLS_ECDHE_ECDSA_WITH_AES_256_GCM_SHA384": "ECDHE-ECDSA-AES256-GCM-SHA384",
    "TLS_ECDHE_ECDSA_WITH_CHACHA20_POLY1305_SHA256": "ECDHE-ECDSA-CHACHA20-POLY1305",
    "TLS_ECDHE_RSA_WITH_AES_128_GCM_SHA256": "ECDHE-RSA-AES128-GCM-SHA256",
    "TLS_ECDHE_RSA_WITH_AES_256_GCM_SHA384": "ECDHE-RSA-AES256-GCM-SHA384",
    "TLS_ECDHE_RSA_WITH_CHACHA20_POLY1305_SHA256": "ECDHE-RSA-CHACHA20-POLY1305",
    "TLS_ECDHE_ECDSA_WITH_AES_128_CBC_SHA": "ECDHE-ECDSA-AES128-SHA",
    "TLS_ECDHE_ECDSA_WITH_AES_256_CBC_SHA": "ECDHE-ECDSA-AES256-SHA",
    "TLS_ECDHE_RSA_WITH_AES_128_CBC_SHA": "ECDHE-RSA-AES128-SHA",
    "TLS_ECDHE_RSA_WITH_AES_256_CBC_SHA": "ECDHE-RSA-AES256-SHA",
}
TLS13_CIPHERS = ("TLS_AES_128_GCM_SHA256", "TLS_AES_256_GCM_SHA384", "TLS_CHACHA20_POLY1305_SHA256")  # always on
CURVES = {"CurveP256": "prime256v1", "CurveP384": "secp384r1", "CurveP521": "secp521r1", "X25519": "X25519"}


_Stamps = tuple[tuple[int, int, int] | None, ...]


@dataclass(frozen=True, slots=True)
class TlsConfig:
    """What `tls_server_config` says; names are those of the file, paths are resolved."""

    cert_file: Path
    key_file: Path
    client_auth: str = "NoClientCert"
    client_ca_file: Path | None = None
    client_allowed_sans: tuple[str, ...] = ()
    min_version: str = "TLS12"
    max_version: str = "TLS13"
    ciphers: tuple[str, ...] = ()  # none: what OpenSSL offers by default
    prefer_server_ciphers: bool = True
    curve: str | None = None

    @property
    def files(self) -> tuple[Path, ...]:
        """The files that a context is made of."""
        return (self.cert_file, self.key_file, *([self.client_ca_file] if self.client_ca_file else []))


class UnusableFile(Exception):
    """A certificate or key that cannot be used: the configuration's key for it, what is wrong, and what helps."""

    def __init__(self, key: str, message: str, remedy: str) -> None:
        super().__init__(message)
        self.key = key
        self.message = message
        self.remedy = remedy


def build_context(config: TlsConfig, on_refused: Callable[[], None] = lambda: None) -> ssl.SSLContext:
    """A context over the files as they are now.

    Args:
        config: What the file says.
        on_refused: Called for each client whose certificate is missing, invalid or not among the allowed names.

    Raises:
        UnusableFile: one of the files cannot be used.
    """
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.set_alpn_protocols(["http/1.1"])
    context.minimum_version = VERSIONS[config.min_version]
    context.maximum_version = VERSIONS[config.max_version]
    _choose_ciphers(context, config)
    _load_certificate(context, config)
    context.verify_mode = CLIENT_AUTH[config.client_auth]
    if config.client_ca_file is not None:
        _load_authorities(context, config.client_ca_file)
    if context.verify_mode is not ssl.CERT_NONE:
        # A ticket would outlive the removal of the authority that vouched for its holder.
        context.num_tickets = 0
        context.options |= ssl.OP_NO_TICKET
        context.sslobject_class = _checking(config.client_allowed_sans, on_refused)
    return context


def _choose_ciphers(context: ssl.SSLContext, config: TlsConfig) -> None:
    if config.prefer_server_ciphers:
        context.options |= ssl.OP_CIPHER_SERVER_PREFERENCE
    else:
        context.options &= ~ssl.OP_CIPHER_SERVER_PREFERENCE
    names = [CIPHERS[name] for name in config.ciphers if name in CIPHERS]
    if names:
        context.set_ciphers(":".join(names))
    elif config.ciphers:  # suites of TLS 1.3 alone
        context.minimum_version = ssl.TLSVersion.TLSv1_3
    if config.curve is not None:
        context.set_ecdh_curve(CURVES[config.curve])


def _load_certificate(context: ssl.SSLContext, config: TlsConfig) -> None:
    certificate = _text("cert_file", config.cert_file)
    key = _text("key_file", config.key_file)
    if "-----BEGIN CERTIFICATE-----" not in certificate:
        raise UnusableFile("cert_file", f"{config.cert_file} holds no certificate", "write it in PEM form")
    if "PRIVATE KEY-----" not in key:
        raise UnusableFile("key_file", f"{config.key_file} holds no private key", "write it in PEM form")
    if "ENCRYPTED" in key:
        message = f"the key in {config.key_file} is encrypted"
        raise UnusableFile("key_file", message, "store it without a passphrase, readable by the exporter alone")
    try:
        # Without a password OpenSSL would ask for one on the terminal.
        context.load_cert_chain(config.cert_file, config.key_file, password="")
    except ssl.SSLError as error:
        if error.reason in ("KEY_VALUES_MISMATCH", "KEY_TYPE_MISMATCH"):
            message = f"the key in {config.key_file} does not belong to the certificate in {config.cert_file}"
            raise UnusableFile("key_file", message, "name the key that the certificate was made with") from None
        what = error.reason.replace("_", " ").lower() if error.reason else "the PEM text is damaged"
        message = f"{config.cert_file} and {config.key_file} cannot be used: {what}"
        raise UnusableFile("cert_file", message, "make the pair anew") from None
    except OSError as error:
        message = f"{config.cert_file} or {config.key_file} cannot be read: {error.strerror}"
        raise UnusableFile("cert_file", message, "name files that the exporter may read") from None


def _load_authorities(context: ssl.SSLContext, path: Path) -> None:
    text = _text("client_ca_file", path)
    try:
        context.load_verify_locations(cadata=text)
    except (ssl.SSLError, ValueError):
        message = f"{path} holds no certificates that can be used"
        raise UnusableFile("client_ca_file", message, "write the authorities' certificates in PEM form") from None


def _text(key: str, path: Path) -> str:
    try:
        return path.read_bytes().decode("ascii", errors="replace")
    except (OSError, ValueError) as error:
        words = error.strerror if isinstance(error, OSError) else str(error)
        raise UnusableFile(key, f"{path} cannot be read: {words}", "name a file that the exporter may read") from None


def _checking(sans: Collection[str], on_refused: Callable[[], None]) -> type[ssl.SSLObject]:
    """The kind of connection that tells when a client is refused, and refuses names that are not allowed."""

    class CheckedConnection(ssl.SSLObject):
        def do_handshake(self) -> None:
            try:
                super().do_handshake()
                if sans and not allowed(self.getpeercert() or {}, sans):
                    raise ssl.SSLCertVerificationError("the client's certificate has none of the allowed names")
            except (ssl.SSLWantReadError, ssl.SSLWantWriteError):
                raise
            except ssl.SSLError as error:
                if isinstance(error, ssl.SSLCertVerificationError) or "CERTIFICATE" in (error.reason or ""):
                    on_refused()
                raise

    return CheckedConnection


def allowed(certificate: Mapping[str, Any], sans: Collection[str]) -> bool:
    """Whether one of a certificate's alternative names is among these, letter by letter; addresses in any spelling."""
    addresses = {_address(san) for san in sans} - {None}
    for kind, value in certificate.get("subjectAltName", ()):
        if value in sans or (kind == "IP Address" and _address(value) in addresses):
            return True
    return False


def _address(text: str) -> ipaddress.IPv4Address | ipaddress.IPv6Address | None:
    try:
        return ipaddress.ip_address(text)
    except ValueError:
        return None


class LiveContext(ssl.SSLContext):
    """The context that the server listens with: each new connection gets one over the files as they are then.

    Files that cannot be used, as happens while a pair is being replaced, leave the last usable context in place.
    """

    def __new__(cls, config: TlsConfig, on_refused: Callable[[], None] = lambda: None) -> LiveContext:  # noqa: D102
        return super().__new__(cls, ssl.PROTOCOL_TLS_SERVER)

    def __init__(self, config: TlsConfig, on_refused: Callable[[], None] = lambda: None) -> None:
        """Build the first context.

        Raises:
            UnusableFile: one of the files cannot be used.
        """
        self._on_refused = on_refused
        self.prepare(config)()

    def prepare(self, config: TlsConfig) -> partial[None]:
        """The step that makes every later connection use another configuration; it cannot fail.

        Raises:
            UnusableFile: one of the files cannot be used.
        """
        stamps = _stamps(config)
        return partial(self._adopt, config, stamps, build_context(config, self._on_refused))

    def _adopt(self, config: TlsConfig, stamps: _Stamps, context: ssl.SSLContext) -> None:
        self._config = config
        self._stamps = stamps
        self._current = context

    def current(self) -> ssl.SSLContext:
        """The context for a new connection."""
        stamps = _stamps(self._config)
        if stamps != self._stamps:
            self._stamps = stamps  # one attempt for each state of the files
            try:
                self._current = build_context(self._config, self._on_refused)
            except UnusableFile as error:
                log.error("certificate not taken over, the last one stays in use", error=error.message)
            else:
                log.info("certificate taken over", path=str(self._config.cert_file))
        return self._current

    def wrap_bio(
        self,
        incoming: ssl.MemoryBIO,
        outgoing: ssl.MemoryBIO,
        server_side: bool = False,
        server_hostname: str | bytes | None = None,
        session: ssl.SSLSession | None = None,
    ) -> ssl.SSLObject:
        """A new connection."""
        return self.current().wrap_bio(incoming, outgoing, server_side, server_hostname, session)


def _stamps(config: TlsConfig) -> _Stamps:
    """What tells one state of the files from the next."""
    stamps: list[tuple[int, int, int] | None] = []
    for path in config.files:
        try:
            stat = path.stat()
        except (OSError, ValueError):
            stamps.append(None)
        else:
            stamps.append((stat.st_mtime_ns, stat.st_size, stat.st_ino))
    return tuple(stamps)
