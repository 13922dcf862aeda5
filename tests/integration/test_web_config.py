"""The web configuration on real sockets: encryption, passwords, headers, the rate limit."""

from __future__ import annotations

import asyncio
import dataclasses
import os
import ssl
from collections.abc import AsyncIterator, Callable
from pathlib import Path
from typing import Any

import aiohttp
import bcrypt
import pytest
import trustme

from exporter.errors import ConfigError, UserError
from exporter.plan.model import Plan, Token
from exporter.reloading import read_web
from exporter.runtime import Exporter
from exporter.settings import Settings, check_exposure
from tests.certificates import Certificates
from tests.certificates import certificates as make_certificates
from tests.serving import serve

TLS = {"cert_file": "server.pem", "key_file": "server.key"}
HASH = bcrypt.hashpw(b"sesame", bcrypt.gensalt(4)).decode()


class Served:
    """An exporter on a port of its own, with a web configuration."""

    def __init__(self, folder: Path, plan: Plan) -> None:
        self.folder = folder
        self.plan = plan
        self.exporter: Exporter | None = None

    async def start(self, config: str, **settings: Any) -> str:
        path = self.folder / "web.yml"
        path.write_text(config)
        self.exporter = Exporter(self.plan, Settings(self.folder / "data", (), web_config=path, **settings))
        services = await self.exporter.start()
        self.served = await serve(services, self.exporter.tls)
        return f"{'https' if self.exporter.tls else 'http'}://localhost:{self.served.port}"

    async def stop(self) -> None:
        if self.exporter is not None:
            await self.served.close()
            await self.exporter.stop()


@pytest.fixture
async def served(tmp_path: Path, plan: Plan) -> AsyncIterator[Served]:
    serving = Served(tmp_path, plan)
    yield serving
    await serving.stop()


@pytest.fixture
def certificates(tmp_path: Path) -> Certificates:
    return make_certificates(tmp_path)


async def get(url: str, ssl_context: ssl.SSLContext | None = None, **options: Any) -> tuple[int, Any]:
    """Status and headers, on a connection of its own."""
    connector = aiohttp.TCPConnector(ssl=ssl_context or True, force_close=True)
    async with aiohttp.ClientSession(connector=connector) as session, session.get(url, **options) as answer:
        await answer.read()
        return answer.status, answer.headers


def tls(**keys: str) -> str:
    lines = [f"  {key}: {value}" for key, value in {**TLS, **keys}.items()]
    return "\n".join(["tls_server_config:", *lines]) + "\n"


async def first_byte(url: str, context: ssl.SSLContext) -> bytes:
    """What a client that asks once reads first; nothing when the connection ends."""
    reader, writer = await asyncio.open_connection("localhost", int(url.rpartition(":")[2]), ssl=context)
    try:
        writer.write(b"GET /metrics HTTP/1.1\r\nHost: localhost\r\n\r\n")
        return await reader.read(1)
    except OSError:
        return b""
    finally:
        writer.close()


async def serial(url: str, context: ssl.SSLContext) -> str:
    """The serial number of the certificate that the server shows."""
    port = int(url.rpartition(":")[2])
    _, writer = await asyncio.open_connection("localhost", port, ssl=context)
    try:
        return str(writer.get_extra_info("peercert")["serialNumber"])
    finally:
        writer.close()


async def test_metrics_come_encrypted_and_not_in_the_clear(served: Served, certificates: Certificates) -> None:
    url = await served.start(tls())

    status, _ = await get(f"{url}/metrics", certificates.client())
    assert status == 200
    with pytest.raises(aiohttp.ClientError):
        await get(f"{url}/metrics".replace("https", "http"))


async def test_a_renewed_certificate_is_shown_to_the_next_connection(
    served: Served, certificates: Certificates
) -> None:
    url = await served.start(tls())
    client = certificates.client()
    before = await serial(url, client)

    certificates.issue("server", "localhost")

    after = await serial(url, client)
    assert after != before
    assert await serial(url, client) == after


async def test_a_pair_that_does_not_fit_leaves_the_last_certificate_until_it_does(
    served: Served, certificates: Certificates
) -> None:
    url = await served.start(tls())
    client = certificates.client()
    before = await serial(url, client)
    certificates.issue("next", "localhost")

    os.replace(served.folder / "next.pem", served.folder / "server.pem")
    assert await serial(url, client) == before
    (served.folder / "server.key").unlink()
    assert await serial(url, client) == before
    os.replace(served.folder / "next.key", served.folder / "server.key")
    assert await serial(url, client) != before


async def test_a_client_without_a_certificate_is_refused_and_counted(
    served: Served, certificates: Certificates
) -> None:
    url = await served.start(tls(client_auth_type="RequireAndVerifyClientCert", client_ca_file="ca.pem"))

    assert (await get(f"{url}/metrics", certificates.client("prometheus.example")))[0] == 200
    for context in (certificates.client(), certificates.client("prometheus.example", authority=trustme.CA())):
        assert await first_byte(url, context) == b""
    assert served.exporter is not None
    failures = served.exporter.metrics.registry.get_sample_value(
        "llm_exporter_auth_failures_total", {"reason": "certificate"}
    )
    assert failures == 2


async def test_only_certificates_with_an_allowed_name_pass(served: Served, certificates: Certificates) -> None:
    url = await served.start(
        tls(
            client_auth_type="RequireAndVerifyClientCert",
            client_ca_file="ca.pem",
            client_allowed_sans="[prometheus.example, '::1', 'spiffe://cluster/prometheus']",
        )
    )

    for identity in ("prometheus.example", "::1"):
        assert (await get(f"{url}/metrics", certificates.client(identity)))[0] == 200
    for identity in ("grafana.example", "Prometheus.example.org", "127.0.0.1"):
        with pytest.raises((aiohttp.ClientError, OSError)):
            await get(f"{url}/metrics", certificates.client(identity))


async def test_a_certificate_that_need_not_be_shown_is_still_checked(
    served: Served, certificates: Certificates
) -> None:
    url = await served.start(tls(client_auth_type="VerifyClientCertIfGiven", client_ca_file="ca.pem"))

    assert (await get(f"{url}/metrics", certificates.client()))[0] == 200
    with pytest.raises((aiohttp.ClientError, OSError)):
        await get(f"{url}/metrics", certificates.client("a.example", authority=trustme.CA()))


async def test_an_authority_that_was_removed_vouches_for_nobody_any_more(
    served: Served, certificates: Certificates
) -> None:
    url = await served.start(tls(client_auth_type="RequireAndVerifyClientCert", client_ca_file="ca.pem"))
    client = certificates.client("prometheus.example")
    assert (await get(f"{url}/metrics", client))[0] == 200

    trustme.CA().cert_pem.write_to_path(served.folder / "ca.pem")

    with pytest.raises((aiohttp.ClientError, OSError)):
        await get(f"{url}/metrics", client)


@pytest.mark.parametrize(
    ("keys", "version", "cipher"),
    [
        ({"max_version": "TLS12"}, "TLSv1.2", None),
        ({"min_version": "TLS13"}, "TLSv1.3", None),
        (
            {"max_version": "TLS12", "cipher_suites": "[TLS_ECDHE_ECDSA_WITH_CHACHA20_POLY1305_SHA256]"},
            "TLSv1.2",
            "ECDHE-ECDSA-CHACHA20-POLY1305",
        ),
        ({"cipher_suites": "[TLS_AES_128_GCM_SHA256]", "curve_preferences": "[CurveP384]"}, "TLSv1.3", None),
    ],
)
async def test_versions_and_suites_are_those_of_the_file(
    served: Served, certificates: Certificates, keys: dict[str, str], version: str, cipher: str | None
) -> None:
    url = await served.start(tls(**keys))
    _, writer = await asyncio.open_connection("localhost", int(url.rpartition(":")[2]), ssl=certificates.client())

    negotiated = writer.get_extra_info("ssl_object")
    assert negotiated.version() == version
    assert cipher is None or negotiated.cipher()[0] == cipher
    writer.close()


async def test_without_the_right_password_nothing_is_shown_not_even_to_probes(served: Served) -> None:
    url = await served.start(f"basic_auth_users: {{alice: '{HASH}'}}\n")

    for path in ("/", "/metrics", "/-/healthy", "/-/ready", "/config", "/nowhere"):
        status, headers = await get(url + path)
        assert status == 401, path
        assert headers["WWW-Authenticate"].startswith("Basic ")
        assert (await get(url + path, headers=basic("alice", "wrong")))[0] == 401
        assert (await get(url + path, headers=basic("alice", "x" * 100)))[0] == 401
        right = (await get(url + path, headers=basic("alice", "sesame")))[0]
        assert right == (404 if path == "/nowhere" else 200), path


def basic(user: str, password: str) -> dict[str, str]:
    return {"Authorization": aiohttp.encode_basic_auth(user, password)}


async def test_a_user_may_do_everything_and_is_named_in_the_audit_log(served: Served) -> None:
    url = await served.start(f"basic_auth_users: {{alice: '{HASH}'}}\n")
    async with aiohttp.ClientSession(headers=basic("alice", "sesame")) as session:
        body = {"period": "daily", "limit": 5}
        async with session.post(f"{url}/api/v1/gpt4-migration/cost/budget", json=body) as answer:
            assert answer.status == 200
            assert (await answer.json())["updated_by"] == "alice"
        headers = {"Origin": "https://elsewhere.example"}  # a page of another site, in a browser that knows alice
        async with session.post(f"{url}/api/v1/gpt4-migration/cost/budget", json=body, headers=headers) as answer:
            assert answer.status == 403


async def test_a_known_token_passes_instead_of_a_password_for_what_its_role_allows(served: Served) -> None:
    digest = "9f86d081884c7d659a2feaa0c55ad015a3bf4f1b2b0b822cd15d6c15b0f00a08"  # SHA-256 of "test"
    served.plan = dataclasses.replace(served.plan, tokens=(Token("prometheus", "viewer", digest),))
    url = await served.start(f"basic_auth_users: {{alice: '{HASH}'}}\n")

    known = {"Authorization": "Bearer test"}
    assert (await get(f"{url}/metrics", headers=known))[0] == 200
    assert (await get(f"{url}/config", headers=known))[0] == 200
    assert (await get(f"{url}/metrics", headers={"Authorization": "Bearer guess"}))[0] == 401
    async with aiohttp.ClientSession() as session:
        async with session.post(f"{url}/api/v1/events", json=[], headers=known) as answer:
            assert answer.status == 403
        async with session.post(f"{url}/api/v1/events", json=[], headers=basic("alice", "sesame")) as answer:
            assert answer.status not in (401, 403)


async def test_headers_of_the_file_are_on_every_answer_and_win_over_ours(served: Served) -> None:
    url = await served.start(
        "http_server_config:\n  headers:\n    X-Frame-Options: sameorigin\n"
        "    Strict-Transport-Security: max-age=60\n    Content-Security-Policy: ''\n"
    )

    for path, status in (("/", 200), ("/metrics", 200), ("/nowhere", 404)):
        answered, headers = await get(url + path)
        assert answered == status
        assert headers["X-Frame-Options"] == "sameorigin"
        assert headers["Strict-Transport-Security"] == "max-age=60"
        assert headers["X-Content-Type-Options"] == "nosniff"
        assert "Content-Security-Policy" not in headers


async def test_requests_beyond_the_rate_limit_are_told_when_to_come_again(served: Served) -> None:
    url = await served.start("rate_limit: {interval: 1h, burst: 3}\n")

    assert [(await get(f"{url}/metrics"))[0] for _ in range(3)] == [200] * 3
    status, headers = await get(f"{url}/metrics")
    assert status == 429
    assert 3590 <= int(headers["Retry-After"]) <= 3600


async def test_a_file_that_cannot_be_used_ends_the_start_before_the_ledger_is_touched(served: Served) -> None:
    with pytest.raises(ConfigError):
        await served.start("basic_auth_users: {alice: sesame}\n")

    assert not (served.folder / "data").exists()


@pytest.mark.parametrize(
    ("config", "guarded"),
    [
        (lambda: f"basic_auth_users: {{alice: '{HASH}'}}\n", True),
        (lambda: tls(client_auth_type="RequireAndVerifyClientCert", client_ca_file="ca.pem"), True),
        (lambda: tls(client_auth_type="VerifyClientCertIfGiven", client_ca_file="ca.pem"), False),
        (tls, False),
        (lambda: "rate_limit: {interval: 1s, burst: 5}\n", False),
    ],
)
@pytest.mark.usefixtures("certificates")
def test_beyond_loopback_something_must_guard(
    tmp_path: Path, plan: Plan, config: Callable[[], str], guarded: bool
) -> None:
    path = tmp_path / "web.yml"
    path.write_text(config())
    settings = Settings(tmp_path, (("0.0.0.0", 10410),), web_config=path)

    if guarded:
        check_exposure(plan, settings, read_web(settings))
    else:
        with pytest.raises(UserError, match="loopback only"):
            check_exposure(plan, settings, read_web(settings))
