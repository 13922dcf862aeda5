"""The compose file: it parses, mounts what exists, and opens nothing to the network."""

from __future__ import annotations

import re
import shutil
import subprocess
from pathlib import Path
from typing import Any

import pytest
import yaml

from exporter.bundle import dashboards
from exporter.bundle.prometheus import COMPOSE_ALERTMANAGERS, COMPOSE_EXPORTERS
from exporter.plan.load import load as load_plan

ROOT = Path(__file__).resolve().parents[2]
COMPOSE: dict[str, Any] = yaml.safe_load((ROOT / "docker-compose.yml").read_text(encoding="utf-8"))
SERVICES: dict[str, dict[str, Any]] = COMPOSE["services"]
PROVISIONING = ROOT / "dashboards" / "provisioning"

every_service = pytest.mark.parametrize("service", SERVICES.values(), ids=SERVICES)


def mounts(service: dict[str, Any]) -> dict[str, tuple[str, bool]]:
    """Where in the container -> (what, whether it is read only)."""
    found = {}
    for mount in service["volumes"]:
        what, where, *options = mount.split(":")
        found[where] = (what, options == ["ro"])
    return found


def test_a_compose_parser_accepts_it() -> None:
    compose = shutil.which("docker-compose")
    if compose is None:
        pytest.skip("docker-compose is missing: apt-get install docker-compose")
    done = subprocess.run([compose, "config", "--quiet"], cwd=ROOT, capture_output=True, text=True, check=False)
    assert (done.returncode, done.stderr) == (0, "")


def test_it_has_the_four_programs() -> None:
    assert set(SERVICES) == {"exporter", "prometheus", "alertmanager", "grafana"}


@every_service
def test_every_path_that_is_mounted_exists_and_is_read_only(service: dict[str, Any]) -> None:
    for what, read_only in mounts(service).values():
        if what.startswith("."):
            assert (ROOT / what).exists(), what
            assert read_only, what
        else:
            assert what in COMPOSE["volumes"]


@every_service
def test_ports_are_open_to_this_machine_only(service: dict[str, Any]) -> None:
    assert all(re.fullmatch(r"127\.0\.0\.1:(\d+):\1", port) for port in service["ports"])


@every_service
def test_images_are_pinned_to_a_version(service: dict[str, Any]) -> None:
    assert "build" in service or re.fullmatch(r"[\w./-]+:v?\d+\.\d+\.\d+", service["image"])


@every_service
def test_a_container_can_do_no_more_than_it_must(service: dict[str, Any]) -> None:
    assert service["read_only"] is True
    assert service["cap_drop"] == ["ALL"]
    assert service["security_opt"] == ["no-new-privileges:true"]
    assert "privileged" not in service


@every_service
def test_each_says_whether_it_is_well(service: dict[str, Any]) -> None:
    check = service["healthcheck"]
    port = service["ports"][0].split(":")[-1]
    assert check["test"][0] == "CMD", "without a shell, so that nothing needs one"
    assert f"http://127.0.0.1:{port}/" in check["test"][-1]


def test_no_password_stands_in_the_file() -> None:
    environment = SERVICES["grafana"]["environment"]
    assert "GF_SECURITY_ADMIN_PASSWORD" not in environment
    assert environment["GF_SECURITY_ADMIN_PASSWORD__FILE"].startswith("/var/lib/grafana/")
    assert environment["GF_AUTH_ANONYMOUS_ENABLED"] == "false"


def test_grafanas_first_start_makes_a_password_and_later_ones_keep_it(tmp_path: Path) -> None:
    *shell, script = SERVICES["grafana"]["entrypoint"]
    script = script.replace("$$", "$").replace("/var/lib/grafana", str(tmp_path)).replace("exec /run.sh", "true")
    kept = tmp_path / "admin-password"
    subprocess.run([*shell, script], check=True)
    first = kept.read_text()
    assert re.fullmatch(r"[A-Za-z0-9+/]{24}\n", first)
    assert kept.stat().st_mode & 0o777 == 0o600
    subprocess.run([*shell, script], check=True)
    assert kept.read_text() == first


def test_services_find_each_other_under_the_names_in_the_generated_files() -> None:
    for host in [address for _, address in COMPOSE_EXPORTERS] + list(COMPOSE_ALERTMANAGERS):
        name, port = host.split(":")
        assert SERVICES[name]["ports"] == [f"127.0.0.1:{port}:{port}"]
    configuration = yaml.safe_load((ROOT / "rules" / "prometheus.yml").read_text(encoding="utf-8"))
    rules = mounts(SERVICES["prometheus"])["/etc/prometheus/rules"][0]
    assert "--config.file=/etc/prometheus/rules/prometheus.yml" in SERVICES["prometheus"]["command"]
    assert all((ROOT / rules / name).is_file() for name in configuration["rule_files"])


def test_alertmanager_finds_its_templates_and_secrets_beside_its_configuration() -> None:
    service = SERVICES["alertmanager"]
    assert service["working_dir"] == "/etc/alertmanager"
    assert mounts(service)["/etc/alertmanager"][0] == "./alertmanager"
    configuration = yaml.safe_load((ROOT / "alertmanager" / "alertmanager.yml").read_text(encoding="utf-8"))
    for pattern in configuration["templates"]:
        assert list((ROOT / "alertmanager").glob(pattern)), pattern


def test_the_exporter_is_told_by_the_names_that_its_command_line_reads() -> None:
    from exporter.cli.serve import serve

    known = {option.envvar for option in serve.params if getattr(option, "envvar", None)}
    assert set(SERVICES["exporter"]["environment"]) <= known


def test_grafana_is_provisioned_with_the_dashboards_and_their_data_source() -> None:
    where = mounts(SERVICES["grafana"])
    assert where["/etc/grafana/provisioning"][0] == "./dashboards/provisioning"
    (provider,) = yaml.safe_load((PROVISIONING / "dashboards" / "llm-migration.yaml").read_text())["providers"]
    assert where[provider["options"]["path"]][0] == "./dashboards"
    assert provider["allowUiUpdates"] is False
    home = Path(SERVICES["grafana"]["environment"]["GF_DASHBOARDS_DEFAULT_HOME_DASHBOARD_PATH"])
    assert str(home.parent) == provider["options"]["path"]
    assert f"{dashboards.FOLDER}/{home.name}" in dashboards.build(load_plan(ROOT / "migration.yaml"))


def test_the_data_source_knows_the_scrape_interval_of_the_plan() -> None:
    (source,) = yaml.safe_load((PROVISIONING / "datasources" / "prometheus.yaml").read_text())["datasources"]
    interval = load_plan(ROOT / "migration.yaml").targets.scrape_interval
    assert source["jsonData"]["timeInterval"] == f"{interval:g}s"
    assert (source["uid"], source["type"], source["url"]) == ("prometheus", "prometheus", "http://prometheus:9090")


def test_the_image_runs_as_a_numbered_user_and_starts_the_exporter() -> None:
    lines = (ROOT / "exporter" / "Dockerfile").read_text(encoding="utf-8").replace("\\\n", " ").splitlines()
    final = lines[max(number for number, line in enumerate(lines) if line.startswith("FROM")) :]
    found = {line.split()[0]: line.split(maxsplit=1)[1] for line in final if line.strip() and not line.startswith("#")}
    assert re.fullmatch(r"[1-9]\d*:[1-9]\d*", found["USER"])
    assert found["ENTRYPOINT"] == '["llm-migration-exporter"]'
    assert found["CMD"] == '["serve"]'
    assert found["VOLUME"] == "/data"
    assert "HEALTHCHECK" not in found, "compose and Kubernetes have their own"


def test_what_the_image_is_made_of_reaches_the_builder() -> None:
    text = (ROOT / "exporter" / "Dockerfile").read_text(encoding="utf-8").replace("\\\n", " ")
    copied = [
        source
        for line in text.splitlines()
        if line.startswith("COPY ") and "--from" not in line
        for source in line.split()[1:-1]
    ]
    let_through = {
        line[1:] for line in (ROOT / ".dockerignore").read_text(encoding="utf-8").splitlines() if line.startswith("!")
    }
    assert set(copied) == let_through
    assert all((ROOT / source).exists() for source in copied)
