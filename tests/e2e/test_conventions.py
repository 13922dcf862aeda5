"""The command as those who run other exporters expect it: flags, environment, exit codes, logs."""

from __future__ import annotations

import json
import re
import signal
import subprocess
import sys
from collections.abc import Mapping
from datetime import datetime
from pathlib import Path

import bcrypt
import click
import pytest

from exporter.cli import cli
from tests.commands import run
from tests.configs import SHIPPED, variant
from tests.processes import Process, free_port, get, is_up, post, wait_for

PAIR = re.compile(r'([a-z_]+)=(?:"((?:[^"\\]|\\.)*)"|([^\s"=]*))(?: |$)')
BROKEN = "version: 1\nmigrations: []\nsurprise: 1\n"


def options(command: str) -> list[click.Option]:
    return [option for option in cli.commands[command].params if isinstance(option, click.Option)]


def test_every_flag_of_serve_has_its_variable() -> None:
    named = {option.opts[0]: option.envvar for option in options("serve")}

    assert named.keys() >= {
        *("--web.listen-address", "--web.external-url", "--web.telemetry-path", "--web.config.file"),
        *("--web.enable-lifecycle", "--config.file", "--storage.path", "--log.level", "--log.format"),
    }
    for flag, variable in named.items():
        assert variable == "LLM_MIGRATION_" + re.sub(r"[.-]", "_", flag[2:]).upper()


def start(folder: Path, environment: Mapping[str, str], *flags: str) -> Process:
    return Process([sys.executable, "-m", "exporter", "serve", *flags], folder / "log", environment)


def test_all_of_it_can_be_set_by_variables_and_a_flag_wins(tmp_path: Path) -> None:
    password = bcrypt.hashpw(b"sesame", bcrypt.gensalt(4)).decode()
    (tmp_path / "web.yml").write_text(f"basic_auth_users: {{alice: '{password}'}}\n")
    ports = [free_port() for _ in range(3)]
    variables = {
        "CONFIG_FILE": str(variant(tmp_path)),
        "STORAGE_PATH": str(tmp_path / "elsewhere"),
        "WEB_LISTEN_ADDRESS": f"127.0.0.1:{ports[0]} 127.0.0.1:{ports[1]}",
        "WEB_TELEMETRY_PATH": "/numbers",
        "WEB_CONFIG_FILE": str(tmp_path / "web.yml"),
        "WEB_EXTERNAL_URL": "https://exporter.example/llm",
        "WEB_ENABLE_LIFECYCLE": "true",
        "WEB_MAX_REQUESTS": "3",
        "LOG_LEVEL": "info",
        "LOG_FORMAT": "json",
    }
    environment = {f"LLM_MIGRATION_{name}": value for name, value in variables.items()}
    alice = {"Authorization": "Basic YWxpY2U6c2VzYW1l"}

    process = start(tmp_path, environment)
    try:
        wait_for(lambda: (tmp_path / "log").read_text().count('"listening"') == 2, "it listens at both addresses")
        for port in ports[:2]:
            assert b"llm_requests_total" in get(f"http://127.0.0.1:{port}/numbers", alice)
            assert not is_up(f"http://127.0.0.1:{port}/numbers")  # without a password
        url = f"http://127.0.0.1:{ports[0]}"
        assert b"https://exporter.example/llm/" in get(f"{url}/", alice)
        assert (tmp_path / "elsewhere" / "ledger.sqlite").is_file()
        assert all(json.loads(line)["level"] for line in (tmp_path / "log").read_text().splitlines())
    finally:
        assert process.end() == 0

    (tmp_path / "log").unlink()
    process = start(tmp_path, environment, "--web.listen-address", f"127.0.0.1:{ports[2]}", "--log.format", "logfmt")
    try:
        wait_for(lambda: "event=listening" in (tmp_path / "log").read_text(), "it listens")
        assert f"127.0.0.1:{ports[2]}" in (tmp_path / "log").read_text()
        assert f"127.0.0.1:{ports[0]}" not in (tmp_path / "log").read_text()
    finally:
        assert process.end() == 0


def parse_logfmt(line: str) -> dict[str, str]:
    """A line of logfmt, or an assertion."""
    fields: dict[str, str] = {}
    at = 0
    while at < len(line):
        match = PAIR.match(line, at)
        assert match, f"no logfmt from {at} on: {line}"
        assert match[1] not in fields
        fields[match[1]] = match[3] if match[2] is None else match[2]
        at = match.end()
    return fields


@pytest.mark.parametrize("form", ["logfmt", "json"])
def test_every_line_of_the_log_can_be_read_by_a_program(tmp_path: Path, form: str) -> None:
    config = variant(tmp_path)
    port = free_port()
    flags = ("--config.file", str(config), "--storage.path", str(tmp_path / "data"), "--log.format", form)
    process = start(tmp_path, {}, *flags, "--web.listen-address", f"127.0.0.1:{port}")
    try:
        wait_for(lambda: is_up(f"http://127.0.0.1:{port}/-/ready"), "it is ready")
        config.write_text(BROKEN + 'odd: "a=b \\"c\\"\\n"\n')
        process.popen.send_signal(signal.SIGHUP)
        wait_for(lambda: "error" in (tmp_path / "log").read_text(), "the failed reload is logged")
    finally:
        assert process.end() == 0

    read = json.loads if form == "json" else parse_logfmt
    lines = [read(line) for line in (tmp_path / "log").read_text().splitlines()]
    assert {line["level"] for line in lines} == {"info", "warning", "error"}
    for line in lines:
        assert datetime.fromisoformat(line["ts"]).tzinfo is not None
        assert line["event"]
    (failed,) = [line for line in lines if line["level"] == "error"]
    assert "surprise" in failed["error"]


def test_a_level_leaves_out_what_is_below_it(tmp_path: Path) -> None:
    port = free_port()
    flags = (
        "--config.file",
        str(variant(tmp_path)),
        "--storage.path",
        str(tmp_path / "data"),
        "--log.level",
        "warning",
    )
    process = start(tmp_path, {}, *flags, "--web.listen-address", f"127.0.0.1:{port}")
    try:
        wait_for(lambda: is_up(f"http://127.0.0.1:{port}/-/ready"), "it is ready")
        assert post(f"http://127.0.0.1:{port}/api/v1/events", b"[")[0] == 400
    finally:
        assert process.end() == 0
    assert {parse_logfmt(line)["level"] for line in (tmp_path / "log").read_text().splitlines()} == {"warning"}


@pytest.mark.parametrize(
    ("arguments", "code"),
    [
        (("--version",), 0),
        (("version",), 0),
        (("-h",), 0),
        (("serve", "--help"), 0),
        (("check", "GOOD"), 0),
        (("check", "BROKEN"), 2),
        (("check", "GOOD", "BROKEN"), 2),
        (("check", "nowhere.yaml"), 2),
        (("check",), 2),
        (("generate", "--config.file", "GOOD", "--out", "OUT"), 0),
        (("generate", "--config.file", "GOOD", "--out", "OUT", "--check"), 0),
        (("generate", "--config.file", "CHANGED", "--out", "OUT", "--check"), 1),
        (("generate", "--config.file", "GOOD", "--out", "EMPTY", "--check"), 1),
        (("generate", "--config.file", "BROKEN", "--out", "OUT"), 2),
        (("serve", "--config.file", "BROKEN"), 2),
        (("serve", "--no-such-flag"), 2),
        (("serve", "--log.level", "loud"), 2),
        (("no-such-command",), 2),
        (("export", "--storage.path", "EMPTY"), 2),
        (("init", "GOOD"), 2),
    ],
    ids=lambda value: " ".join(value) if isinstance(value, tuple) else None,
)
def test_exit_codes_are_0_done_1_check_failed_2_usage(tmp_path: Path, arguments: tuple[str, ...], code: int) -> None:
    (tmp_path / "broken.yaml").write_text(BROKEN)
    (tmp_path / "good.yaml").write_bytes(SHIPPED.read_bytes())
    changed = variant(
        tmp_path, lambda document: document["channels"].pop("pagerduty"), routing={"emergency": ["slack"]}
    )
    changed.write_text(changed.read_text().replace("- pagerduty\n  - email", "- email"))
    (tmp_path / "empty").mkdir()
    names = {
        "GOOD": tmp_path / "good.yaml",
        "BROKEN": tmp_path / "broken.yaml",
        "CHANGED": changed,
        "OUT": tmp_path / "out",
        "EMPTY": tmp_path / "empty",
    }
    if "--check" in arguments:
        assert run("generate", "--config.file", str(names["GOOD"]), "--out", str(names["OUT"]))[0] == 0

    ended, out, err = run(*(str(names.get(argument, argument)) for argument in arguments))

    assert ended == code, out + err
    assert "Traceback" not in out + err
    assert bool(err.strip()) == (code != 0)  # what was asked for goes to standard output, mistakes to standard error


def test_help_and_version_go_to_standard_output_of_the_program() -> None:
    for flags, words in {
        ("--version",): "llm-migration-exporter, version ",
        ("serve", "-h"): "--web.config.file",
    }.items():
        command = [sys.executable, "-m", "exporter", *flags]
        ended = subprocess.run(command, capture_output=True, text=True, timeout=30, check=True)
        assert words in ended.stdout
        assert ended.stderr == ""
