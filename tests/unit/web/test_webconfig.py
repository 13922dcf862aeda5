"""The web configuration: what is taken, and the exact answer to each mistake."""

from __future__ import annotations

from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from exporter.errors import ConfigError
from exporter.web.webconfig import WebConfig, load, parse
from tests.certificates import certificates

CASES = Path(__file__).parents[2] / "cases" / "webconfig"
HASH = "$2y$10$X0h1gDsPszWURQaxFh.zoubFi6DXncSjhoQNJgRrnGs7EsimhC7zG"
FULL = f"""\
# What exporter-toolkit's documentation lists, as far as this server has it.
tls_server_config:
  cert_file: server.pem
  key_file: server.key
  client_auth_type: RequireAndVerifyClientCert
  client_ca_file: ca.pem
  client_allowed_sans: [prometheus.example, 10.0.0.1]
  min_version: TLS12
  max_version: TLS13
  cipher_suites: [TLS_ECDHE_RSA_WITH_AES_128_GCM_SHA256, TLS_AES_128_GCM_SHA256]
  prefer_server_cipher_suites: false
  curve_preferences: [CurveP256]
http_server_config:
  http2: true
  headers:
    Content-Security-Policy: default-src 'self'
    X-Frame-Options: sameorigin
    X-XSS-Protection: ''
    Strict-Transport-Security: max-age=31536000; includeSubDomains
basic_auth_users:
  alice: {HASH}
  bob: '{HASH.replace("$2y", "$2b")}'
rate_limit:
  interval: 1m30s
  burst: 20
"""


def _cases() -> list[Path]:
    return sorted(path.parent for path in CASES.glob("*/web.yml"))


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return certificates(tmp_path_factory.mktemp("certificates")).folder


@pytest.fixture(autouse=True)
def in_folder(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(folder)


@pytest.mark.parametrize("case", _cases(), ids=lambda case: case.name)
def test_a_broken_file_is_answered_with_every_problem_and_its_remedy(
    case: Path, request: pytest.FixtureRequest
) -> None:
    text = (case / "web.yml").read_text(encoding="utf-8")

    with pytest.raises(ConfigError) as caught:
        parse(text, Path("web.yml"))

    said = f"{caught.value}\n"
    expected = case / "expected.txt"
    if request.config.getoption("--update-cases"):
        expected.write_text(said, encoding="utf-8")
    assert said == expected.read_text(encoding="utf-8")


def test_every_problem_has_a_place_and_a_remedy_and_repeats_no_secret() -> None:
    cases = _cases()
    assert len(cases) >= 40
    for case in cases:
        for line in (case / "expected.txt").read_text(encoding="utf-8").splitlines():
            file, row, column, _ = line.split(":", 3)
            assert (file, int(row) >= 1, int(column) >= 1) == ("web.yml", True, True)
            assert "; " in line, f"{case.name}: no remedy in {line}"
            assert "$2" not in line
            assert "battery" not in line


def test_a_whole_file_is_read() -> None:
    config = parse(FULL, Path("web.yml"))

    assert config.tls is not None
    assert config.tls.cert_file == Path("server.pem")
    assert config.tls.client_auth == "RequireAndVerifyClientCert"
    assert config.tls.client_allowed_sans == ("prometheus.example", "10.0.0.1")
    assert config.tls.curve == "CurveP256"
    assert not config.tls.prefer_server_ciphers
    assert config.headers == {
        "Content-Security-Policy": "default-src 'self'",
        "X-Frame-Options": "sameorigin",
        "X-XSS-Protection": "",
        "Strict-Transport-Security": "max-age=31536000; includeSubDomains",
    }
    assert config.users == {"alice": HASH.encode(), "bob": HASH.replace("$2y", "$2b").encode()}
    assert (config.interval, config.burst) == (90.0, 20)
    assert config.guarded


@pytest.mark.parametrize("text", ["", "\n\n", "# nothing yet\n", "rate_limit: {interval: 0, burst: 0}\n"])
def test_a_file_that_says_nothing_configures_nothing(text: str) -> None:
    assert parse(text, Path("web.yml")) == WebConfig()


def test_files_are_named_relative_to_the_file_that_names_them(
    folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (folder / "web.yml").write_text("tls_server_config: {cert_file: server.pem, key_file: server.key}\n")
    monkeypatch.chdir(tmp_path)

    config = load(folder / "web.yml")

    assert config.tls is not None
    assert config.tls.key_file == folder / "server.key"


def test_a_file_that_cannot_be_read_is_a_problem_with_its_name(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match=r"nowhere\.yml: the file cannot be read: No such file"):
        load(tmp_path / "nowhere.yml")
    (tmp_path / "latin.yml").write_bytes(b"basic_auth_users: {m\xfcller: x}\n")
    with pytest.raises(ConfigError, match=r"latin\.yml: the file is not UTF-8"):
        load(tmp_path / "latin.yml")


def _outcome(text: str) -> None:
    try:
        parse(text, Path("web.yml"))
    except ConfigError as error:
        _check_problems(error)


def _check_problems(error: ConfigError) -> None:
    assert error.problems
    assert all(problem.line >= 1 and problem.message and problem.remedy for problem in error.problems)
    str(error).encode()  # can be printed


@given(st.text())
def test_arbitrary_text_gives_a_configuration_or_problems(text: str) -> None:
    _outcome(text)


@settings(max_examples=150, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(st.data())
def test_a_whole_file_with_some_characters_changed_gives_a_configuration_or_problems(data: st.DataObject) -> None:
    start = data.draw(st.integers(0, len(FULL)))
    length = data.draw(st.integers(0, 30))
    inserted = data.draw(st.text(max_size=8))

    _outcome(FULL[:start] + inserted + FULL[start + length :])
