"""The web configuration, in the format that Prometheus's exporter-toolkit gave all exporters, read strictly.

What that format allows and this server cannot do is refused with a remedy, never ignored: inline certificates and
keys, client certificates that nobody checks, TLS before 1.2, more than one curve. `http2` is taken and changes nothing.
"""

from __future__ import annotations

import difflib
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import bcrypt

from exporter.errors import ConfigError, Problem
from exporter.plan import nodes
from exporter.plan.nodes import Kind, Scalar, shown
from exporter.plan.reading import ListOf, MapOf, One, Report
from exporter.plan.schema import Nested, Record, key, optional, required
from exporter.plan.strictyaml import compose
from exporter.plan.values import Boolean, Choice, Duration, Text, WrongValue, did_you_mean, integer
from exporter.web.tls import (
    CIPHERS,
    CLIENT_AUTH,
    CURVES,
    TLS13_CIPHERS,
    VERSIONS,
    TlsConfig,
    UnusableFile,
    build_context,
)

MAX_COST = 18  # a login at a higher cost takes longer than anybody waits
_HASH = re.compile(r"\$2[aby]\$(\d\d)\$([./A-Za-z0-9]{22})[./A-Za-z0-9]{31}\Z")
_FILE = One(Text("path", rule="write the path of a file"))
_UNCHECKED = ("RequestClientCert", "RequireAnyClientCert", "RequireClientCert")
_HASH_REMEDY = "write what `htpasswd -nBC 10 \"\" | tr -d ':'` prints"


@dataclass(frozen=True, slots=True)
class WebConfig:
    """What the file says. A header with an empty text is left out of all answers; `interval` is seconds, 0 for none."""

    tls: TlsConfig | None = None
    headers: Mapping[str, str] = field(default_factory=dict)
    users: Mapping[str, bytes] = field(default_factory=dict)  # name -> bcrypt hash
    interval: float = 0.0
    burst: int = 0

    @property
    def guarded(self) -> bool:
        """Whether nobody gets past it without a password or a certificate."""
        return bool(self.users) or (self.tls is not None and self.tls.client_auth == "RequireAndVerifyClientCert")


class _ClientAuth:
    """Whether clients show certificates."""

    name = " or ".join(f"`{word}`" for word in CLIENT_AUTH)

    def parse(self, scalar: Scalar) -> str:
        if scalar.kind is Kind.TEXT and scalar.text in CLIENT_AUTH:
            return scalar.text
        if scalar.text in _UNCHECKED:
            message = f"`{scalar.text}` would take certificates that nobody checks, which is not offered"
            raise WrongValue(message, "write RequireAndVerifyClientCert")
        raise WrongValue(f"`{shown(scalar.text)}` is not known here", did_you_mean(scalar.text, list(CLIENT_AUTH)))


class _Suite:
    """A cipher suite."""

    name = "cipher suite"

    def parse(self, scalar: Scalar) -> str:
        known = (*CIPHERS, *TLS13_CIPHERS)
        if scalar.text in known:
            return scalar.text
        near = difflib.get_close_matches(scalar.text.upper(), known, n=1, cutoff=0.9)
        remedy = f"did you mean `{near[0]}`?" if near else "delete the key: what OpenSSL offers by itself is safe"
        raise WrongValue(f"`{shown(scalar.text)}` is not offered", remedy)


class _Version:
    """A version of TLS."""

    name = " or ".join(f"`{word}`" for word in VERSIONS)

    def parse(self, scalar: Scalar) -> str:
        if scalar.text in VERSIONS:
            return scalar.text
        if scalar.text in ("TLS10", "TLS11"):
            raise WrongValue(f"`{scalar.text}` is no longer safe and not offered", "write TLS12 or TLS13")
        raise WrongValue(f"`{shown(scalar.text)}` is not a version of TLS", "write TLS12 or TLS13")


class _Hash:
    """A bcrypt hash. What stands there is never repeated: it may be the password."""

    name = "bcrypt hash"

    def parse(self, scalar: Scalar) -> bytes:
        match = _HASH.match(scalar.text)
        if match is None:
            raise WrongValue("this is not a bcrypt hash", _HASH_REMEDY)
        if not 4 <= int(match[1]) <= MAX_COST:
            raise WrongValue(f"the cost {match[1]} of the hash is out of range", f"hash with a cost of 4 to {MAX_COST}")
        try:  # a salt with stray bits at its end matches no password
            bcrypt.hashpw(b"", b"$2b$04$" + match[2].encode())
        except ValueError:
            raise WrongValue("this is not a bcrypt hash", _HASH_REMEDY) from None
        return scalar.text.encode()


class _User:
    """A user's name."""

    name = "user"

    def parse(self, scalar: Scalar) -> str:
        if not scalar.text or ":" in scalar.text or not scalar.text.isprintable():
            raise WrongValue(f"`{shown(scalar.text)}` cannot be a user's name", "write a name without a colon")
        return scalar.text


class _Interval:
    """A duration, or 0 for none."""

    name = "duration, or 0"

    def parse(self, scalar: Scalar) -> float:
        return 0.0 if scalar.text == "0" else Duration(most=86400.0, rule="write at most 1d").parse(scalar)


@dataclass(frozen=True)
class _HeaderValue:
    """A header's value; an empty one leaves the header out."""

    values: Sequence[str] = ()

    @property
    def name(self) -> str:
        """The values, or text."""
        return " or ".join(f"`{value}`" for value in self.values) or "text"

    def parse(self, scalar: Scalar) -> str:
        text = Text(max_length=4000, allow_empty=True).parse(scalar)
        if text and self.values and text not in self.values:
            raise WrongValue(f"`{shown(text)}` is not known here", did_you_mean(text, self.values))
        if not ((text.isascii() and text.isprintable()) or text == ""):
            raise WrongValue(
                "the header holds characters that no header may hold", "write printable ASCII, on one line"
            )
        return text


class TlsSpec(Record):
    """Encryption."""

    TITLE = "tls_server_config"
    cert_file = required(_FILE, "File with the server's certificate and its chain, PEM.")
    key_file = required(_FILE, "File with the certificate's private key, PEM.")
    client_auth_type = key(One(_ClientAuth()), "Whether clients show certificates.", default="NoClientCert")
    client_ca_file = optional(_FILE, "File with the authorities of clients' certificates, PEM.")
    client_allowed_sans = key(ListOf(One(Text())), "Names of which a client's certificate has one.", default="[]")
    min_version = key(One(_Version()), "Oldest version of TLS.", default="TLS12")
    max_version = key(One(_Version()), "Newest version of TLS.", default="TLS13")
    cipher_suites = key(ListOf(One(_Suite())), "Suites up to TLS 1.2.", default="[]")
    prefer_server_cipher_suites = key(One(Boolean()), "Whether the server's order of suites counts.", default="true")
    curve_preferences = key(ListOf(One(Choice(tuple(CURVES)))), "The curve; one at most.", default="[]")

    @classmethod
    def _unknown(cls, name: str, known: Sequence[str]) -> str:
        if f"{name}_file" in known:
            return f"certificates and keys are not written here: put it into a file, and write `{name}_file: <path>`"
        return super()._unknown(name, known)


class HeadersSpec(Record):
    """Headers of all answers."""

    TITLE = "headers"
    csp = optional(One(_HeaderValue()), "What pages may load.", name="Content-Security-Policy")
    frames = optional(
        One(_HeaderValue(("deny", "sameorigin"))), "Who may show pages in a frame.", name="X-Frame-Options"
    )
    sniffing = optional(One(_HeaderValue(("nosniff",))), "That types are not guessed.", name="X-Content-Type-Options")
    xss = optional(One(_HeaderValue()), "A filter of old browsers.", name="X-XSS-Protection")
    hsts = optional(One(_HeaderValue()), "That browsers come by https only.", name="Strict-Transport-Security")


class HttpSpec(Record):
    """HTTP."""

    TITLE = "http_server_config"
    http2 = key(One(Boolean()), "Taken for compatibility; the server speaks HTTP/1.1.", default="true")
    headers = key(Nested(HeadersSpec), "Headers of all answers.", default="{}")


class RateSpec(Record):
    """A limit on requests of all clients together."""

    TITLE = "rate_limit"
    interval = key(One(_Interval()), "Time between two requests; 0: no limit.", default="0")
    burst = key(One(integer("whole number", 0)), "Requests that may come at once.", default="0")


class FileSpec(Record):
    """The file."""

    TITLE = "web configuration"
    tls_server_config = optional(Nested(TlsSpec), "Encryption.", absent="none")
    http_server_config = key(Nested(HttpSpec), "HTTP.", default="{}")
    basic_auth_users = key(MapOf(_User(), One(_Hash())), "Users and their passwords' bcrypt hashes.", default="{}")
    rate_limit = key(Nested(RateSpec), "A limit on requests.", default="{}")


def load(path: Path) -> WebConfig:
    """Read the file, and check the certificates that it names.

    Raises:
        ConfigError: it cannot be read or used; holds all problems.
    """
    try:
        text = path.read_bytes().decode("utf-8-sig")
    except OSError as error:
        message = f"the file cannot be read: {error.strerror or error}"
        raise ConfigError([Problem(str(path), 0, 0, "", message, "write the right path")]) from None
    except UnicodeDecodeError:
        raise ConfigError([Problem(str(path), 0, 0, "", "the file is not UTF-8", "save it as UTF-8")]) from None
    return parse(text, path)


def parse(text: str, path: Path) -> WebConfig:
    """Read the configuration from text; `path` is where it came from: files are named relative to its folder.

    Raises:
        ConfigError: the text cannot be used; holds all problems.
    """
    if all(not line.strip() or line.lstrip().startswith("#") for line in text.splitlines()):
        return WebConfig()
    root, problems = compose(text, str(path))
    report = Report(str(path), problems)
    if root is not None and not isinstance(root, nodes.Mapping):
        remedy = "write keys such as tls_server_config"
        problems.append(Problem(str(path), root.mark.line, root.mark.column, "", "the file is not a mapping", remedy))
    if not isinstance(root, nodes.Mapping):
        raise ConfigError(report.problems)
    spec = FileSpec.read(root, "", report)
    config = _build(spec, path.parent, report)
    if report.problems or config is None:
        raise ConfigError(report.problems)
    return config


def _build(spec: FileSpec, folder: Path, report: Report) -> WebConfig | None:
    tls = _tls(spec.tls_server_config, folder, report) if spec.ok("tls_server_config") else None
    if spec.ok("rate_limit"):
        rate = spec.rate_limit
        if rate.ok("interval", "burst") and rate.interval and not rate.burst:
            report.add(rate.at("burst"), "with a burst of 0 every request is refused", "write at least 1")
    if report.problems:
        return None
    headers = spec.http_server_config.headers
    return WebConfig(
        tls=tls,
        headers={
            declared.name: getattr(headers, attribute)
            for attribute, declared in HeadersSpec.KEYS.items()
            if getattr(headers, attribute) is not None
        },
        users=spec.basic_auth_users.values,
        interval=spec.rate_limit.interval,
        burst=spec.rate_limit.burst,
    )


def _tls(spec: TlsSpec | None, folder: Path, report: Report) -> TlsConfig | None:
    if spec is None or not spec.ok(*TlsSpec.KEYS):
        return None
    _check(spec, report)
    config = TlsConfig(
        cert_file=folder / spec.cert_file,
        key_file=folder / spec.key_file,
        client_auth=spec.client_auth_type,
        client_ca_file=None if spec.client_ca_file is None else folder / spec.client_ca_file,
        client_allowed_sans=spec.client_allowed_sans.values,
        min_version=spec.min_version,
        max_version=spec.max_version,
        ciphers=spec.cipher_suites.values,
        prefer_server_ciphers=spec.prefer_server_cipher_suites,
        curve=next(iter(spec.curve_preferences.values), None),
    )
    if report.problems:
        return None
    try:
        build_context(config)
    except UnusableFile as error:
        report.add(spec.at(error.key), error.message, error.remedy)
    return config


def _check(spec: TlsSpec, report: Report) -> None:
    """What keys say together."""
    verifies = spec.client_auth_type != "NoClientCert"
    if spec.client_ca_file is not None and not verifies:
        remedy = "write `client_auth_type: RequireAndVerifyClientCert`"
        report.add(spec.at("client_ca_file"), "authorities are named, but no client is asked for a certificate", remedy)
    if spec.client_ca_file is None and verifies:
        message = f"{spec.client_auth_type} needs authorities to check certificates with"
        report.add(spec.at("client_auth_type"), message, "add `client_ca_file`")
    if spec.client_allowed_sans.values and spec.client_auth_type != "RequireAndVerifyClientCert":
        message = "names are only checked where a certificate is required"
        report.add(spec.at("client_allowed_sans"), message, "write `client_auth_type: RequireAndVerifyClientCert`")
    if spec.min_version > spec.max_version:
        message = f"the oldest version {spec.min_version} is newer than the newest, {spec.max_version}"
        report.add(spec.at("min_version"), message, "write `max_version: TLS13`")
    if spec.cipher_suites.values and spec.max_version == "TLS12" and not set(spec.cipher_suites.values) & set(CIPHERS):
        message = "none of these suites belongs to TLS 1.2"
        report.add(spec.at("cipher_suites"), message, "add a TLS_ECDHE_… suite, or write `max_version: TLS13`")
    if len(spec.curve_preferences.values) > 1:
        message = "several curves cannot be offered in an order"
        report.add(spec.at("curve_preferences"), message, "name one, or delete the key")
