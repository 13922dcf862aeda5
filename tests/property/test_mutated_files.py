"""Configuration files with damaged bytes: read or refused in time, by the commands that read them, without a traceback.

A thousand or so in the ordinary run; `make prove` spends some minutes. What is accepted must also work: its files are
generated, and it is served.
"""

from __future__ import annotations

import asyncio
import contextlib
import dataclasses
import os
import re
import subprocess
import sys
from collections.abc import Callable, Hashable, Iterator
from pathlib import Path

import pytest

from exporter.bundle.files import render
from exporter.errors import ConfigError, UserError
from exporter.plan.load import load
from exporter.web import webconfig
from tests.certificates import certificates
from tests.commands import run
from tests.configs import SHIPPED
from tests.integration.conftest import Running, event
from tests.mutator import Mutator
from tests.proofs import deadline, memory, rounds, seed

CASES = Path(__file__).parent.parent / "cases"
SECONDS = 20.0  # for one input of at most 100 kB, on a machine that does other things too
PLACE = re.compile(r"\A[^:\n]+:(?:\d+:\d+:)? ")
YAML_TOKENS = tuple(
    token.encode()
    for token in (
        *(
            ": ",
            "- ",
            "\n",
            "\n  ",
            "? ",
            "{",
            "}",
            "[",
            "]",
            ", ",
            "&a ",
            "*a",
            "<<: *a",
            "!!python/object:os.system x",
        ),
        *(
            "!!binary ",
            "!!timestamp ",
            "|\n",
            ">-\n",
            "---\n",
            "...\n",
            "%YAML 1.1\n",
            "#",
            "'",
            '"',
            "\\",
            "~",
            "null",
        ),
        *("null", "true", "yes", "on", ".inf", ".nan", "0o7", "1e400", "2025-02-30", "99999-01-01", "0001-01-01", "5m"),
        *(
            "1e9d",
            "8MiB",
            "Europe/Berlin",
            "../../etc/passwd",
            "/dev/zero",
            "gpt-4",
            "gpt-4.1",
            "migrations:",
            "models:",
        ),
        *("budgets:", "phases:", "thresholds:", "limits:", "prices:", "tokens:", "channels:", "routing:", "alerts:"),
        *("tls_server_config:", "cert_file:", "key_file:", "client_ca_file:", "basic_auth_users:", "rate_limit:"),
        *("$2y$10$", "$2b$31$", "\u2028", "\U0001f642", "\u202e", "{{ x }}", "<< x >>"),
    )
)

HASH = b"$2y$10$X0h1gDsPszWURQaxFh.zoubFi6DXncSjhoQNJgRrnGs7EsimhC7zG"
SMALL = b"""version: 1
timezone: Europe/Berlin
migrations:
- name: move
  description: Move
  models: {gpt-4: gpt-4.1, gpt-4o: gpt-4.1}
  default_predecessor: {gpt-4.1: gpt-4o}
  start: 2025-01-21
  deadline: 2025-07-14T23:59:59Z
  phases:
  - {name: one, planned_end: 2025-02-28, tasks: [A task]}
  - {name: two, planned_end: 2025-05-31, share_plan: [{date: 2025-04-15, share: 0.1}]}
  budgets: {daily: 100, alert_threshold: 0.8}
categories: [analysis, other]
"""
CHANGES = (
    (b"categories:", b"limits: {hold: 0s, applications: 1, endpoints: 1, series_per_metric: 9, batch: 1}\ncategories:"),
    (
        b"categories:",
        b"prices: {gpt-4.1: [{from: 2025-01-01, input: 2, output: 0.0375}]}\ncategories:",
    ),
    (b"categories:", b"retention: {events: 1h}\nlabels: {drop: [application]}\ncategories:"),
    (b"categories:", b"alerts: {LLMLatencyHigh: {enabled: false, for: 1h, labels: {team: x}}}\ncategories:"),
    (b"categories:", b"channels: {hook: {type: webhook, url: 'https://a.example/x', rate_limit: 1}}\ncategories:"),
    (b"  budgets:", b"  thresholds: {error_ratio: {}, latency_seconds: {critical: 1e9, statistic: p95}}\n  budgets:"),
    (b"  budgets:", b"  scope: {applications: [a], categories: [analysis], endpoints: [/x]}\n  budgets:"),
)


def corpus(pattern: str) -> list[bytes]:
    files = sorted(CASES.glob(pattern))
    assert len(files) >= 40
    return [file.read_bytes() for file in files]


def shape(error: ConfigError) -> Hashable:
    """What a refusal says, without the names and numbers of this input."""
    return tuple(sorted({re.sub(r"`[^`]*`|\d+|'[^']*'", "…", problem.message)[:60] for problem in error.problems}))[:3]


def checked(error: ConfigError) -> ConfigError:
    """The refusal, which names what is wrong, can be printed, and repeats no password's hash."""
    assert error.problems
    assert all(problem.message for problem in error.problems)
    assert "Traceback" not in str(error)
    assert HASH not in str(error).encode()
    return error


def feed(mutator: Mutator, short: int, seconds: float, one: Callable[[bytes], Hashable]) -> Iterator[bytes]:
    """Run inputs through a program, each within its deadline; gives those that led to something new."""
    count = 0
    before = middle = memory_here()
    for count in rounds(short, seconds):
        data = mutator.next()
        try:
            with deadline(SECONDS, repr(data[:200])):
                outcome = one(data)
        except BaseException:
            print(f"the input: {data!r}")
            raise
        if mutator.learn(data, outcome):
            yield data
        if count == 2000:
            middle = memory_here()
    print(f"{count + 1:,} inputs, {len(mutator.outcomes):,} outcomes, {before:.0f} → {memory_here():.0f} MB")
    if count > 10_000:  # once what is cached is cached
        assert memory_here() < middle + 100


def memory_here() -> float:
    return memory(os.getpid())


@pytest.mark.proof
def test_no_plan_makes_check_fail_and_what_it_accepts_is_generated_and_served(tmp_path: Path) -> None:
    path = tmp_path / "migration.yaml"
    good = [SHIPPED.read_bytes(), SMALL, *(SMALL.replace(old, new) for old, new in CHANGES)]
    mutator = Mutator(seed(), [*good * 5, *corpus("check/*/migration.yaml")], YAML_TOKENS)
    accepted = 0

    def check(data: bytes) -> Hashable:
        path.write_bytes(data)
        try:
            load(path)
        except ConfigError as error:
            refusal = checked(error)
        else:
            refusal = None
        if refusal is not None:
            code, out, err = run("check", str(path))
            assert (code, out) == (2, "")
            assert err.startswith(f"{refusal}\nerror: {len(refusal.problems)} problem")
            return shape(refusal)
        code, out, err = run("check", str(path))
        assert (code, err) == (0, "")
        return re.sub(r"\d+", "#", out)

    for data in feed(mutator, 300, 150, check):
        path.write_bytes(data)
        with contextlib.suppress(ConfigError):
            plan = load(path)
            accepted += 1
            with contextlib.suppress(UserError), deadline(SECONDS, "the generated files"):
                assert render(plan)
            with deadline(SECONDS, "the served page"):
                asyncio.run(serve(Running(tmp_path / f"ledger-{accepted}", dataclasses.replace(plan, tokens=()))))
    print(f"{accepted} kinds of accepted plans, generated and served")
    assert accepted > 3


async def serve(running: Running) -> None:
    """Start, take an event, show the page."""
    await running.start()
    try:
        async with running.client.post("/api/v1/events", json=event()) as answer:
            assert answer.status == 200 or (answer.status == 413 and running.plan.limits.body_bytes < 1000)
        assert await running.total("llm_requests_total") == (answer.status == 200)
        assert "llm_migration_phase" in await running.page(scraper=True)
    finally:
        await running.stop()


@pytest.mark.proof
def test_no_web_configuration_makes_its_reader_fail(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    certificates(tmp_path)
    monkeypatch.chdir(tmp_path)
    path = tmp_path / "web.yml"
    good = [
        b"tls_server_config:\n  cert_file: server.pem\n  key_file: server.key\n  min_version: TLS12\n"
        b"  client_auth_type: RequireAndVerifyClientCert\n  client_ca_file: ca.pem\n  curve_preferences: []\n"
        b"  client_allowed_sans: [a.example, '::1']\n",
        b"basic_auth_users:\n  alice: " + HASH + b"\n"
        b"rate_limit: {interval: 1m30s, burst: 20}\nhttp_server_config:\n  http2: true\n  headers:\n"
        b"    X-Frame-Options: deny\n    Strict-Transport-Security: max-age=31536000\n",
    ]
    mutator = Mutator(seed(), [*good, *corpus("webconfig/*/web.yml")], YAML_TOKENS)

    def read(data: bytes) -> Hashable:
        path.write_bytes(data)
        try:
            config = webconfig.load(path)
        except ConfigError as error:
            return shape(checked(error))
        assert all(value.isascii() and "\n" not in value for value in config.headers.values())
        return config.tls is not None, len(config.headers), len(config.users), bool(config.interval)

    assert list(feed(mutator, 1000, 60, read))


@pytest.mark.proof
def test_serve_refuses_a_damaged_web_configuration_in_words(tmp_path: Path) -> None:
    """The command as a process, from its file to its exit code."""
    path = tmp_path / "web.yml"
    mutator = Mutator(seed(), corpus("webconfig/*/web.yml"), YAML_TOKENS)
    flags = ("--web.config.file", str(path), "--storage.path", str(tmp_path / "data"))
    for _ in rounds(6, 20):
        path.write_bytes(mutator.next())
        try:
            webconfig.load(path)
        except ConfigError:
            command = [sys.executable, "-m", "exporter", "serve", "--config.file", str(SHIPPED), *flags]
            ended = subprocess.run(command, capture_output=True, text=True, timeout=30, check=False)
            assert (ended.returncode, ended.stdout) == (2, "")
            assert f"{path}:" in ended.stderr
            assert "Traceback" not in ended.stderr
    assert not (tmp_path / "data").exists()
