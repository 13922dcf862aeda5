"""Generated files as a whole: the same every time, and drift is seen."""

from __future__ import annotations

import os
import subprocess
from pathlib import Path

import pytest
import yaml

from exporter.bundle import files
from exporter.bundle.prometheus import prometheus_config
from exporter.bundle.yamlwriter import NOTICE, write_yaml
from exporter.plan.load import load
from exporter.plan.model import AlertOverride, ExporterTarget, Targets
from tests.configs import SHIPPED
from tests.plans import migration, plan
from tests.programs import program
from tests.unit.bundle.plans import ROOT, parsed, with_channels


def test_the_same_plan_gives_the_same_bytes() -> None:
    assert files.render(with_channels()) == files.render(with_channels())


def test_paths_come_in_order_and_stay_in_their_folders() -> None:
    paths = list(files.render(plan()))
    assert paths == sorted(paths)
    assert {path.split("/")[0] for path in paths} == {"rules", "alertmanager", "dashboards"}
    assert {"rules/recording.yml", "rules/alerts.yml", "rules/prometheus.yml"} <= set(paths)
    assert {"alertmanager/alertmanager.yml", "alertmanager/templates/llm.tmpl", "dashboards/executive.json"} <= set(
        paths
    )


def test_what_was_written_has_no_drift_and_is_not_written_again(tmp_path: Path) -> None:
    written = files.write(plan(), tmp_path)
    assert set(written) == set(files.render(plan()))
    assert files.check(plan(), tmp_path) == ""
    assert files.write(plan(), tmp_path) == ()


def test_files_can_be_read_by_every_user_and_nothing_else_is_left(tmp_path: Path) -> None:
    files.write(plan(), tmp_path)
    found = {path.relative_to(tmp_path).as_posix(): path for path in tmp_path.rglob("*") if path.is_file()}
    assert set(found) == set(files.render(plan()))
    assert {path.stat().st_mode & 0o777 for path in found.values()} == {0o644}


def test_a_hand_edit_is_shown_as_a_diff_that_names_the_file_and_the_line(tmp_path: Path) -> None:
    files.write(plan(), tmp_path)
    alerts = tmp_path / "rules" / "alerts.yml"
    alerts.write_text(alerts.read_text().replace("  for: 10m", "  for: 99m", 1))
    diff = files.check(plan(), tmp_path)
    assert "--- a/rules/alerts.yml" in diff
    assert "+++ b/rules/alerts.yml" in diff
    assert "-        for: 99m" in diff
    assert "+        for: 10m" in diff
    assert "recording.yml" not in diff


def test_a_missing_file_is_shown_as_new(tmp_path: Path) -> None:
    files.write(plan(), tmp_path)
    (tmp_path / "rules" / "recording.yml").unlink()
    diff = files.check(plan(), tmp_path)
    assert diff.startswith("--- /dev/null\n+++ b/rules/recording.yml\n")


def test_an_empty_plan_folder_is_all_drift(tmp_path: Path) -> None:
    diff = files.check(plan(), tmp_path)
    assert all(f"+++ b/{path}" in diff for path in files.render(plan()))


def test_a_generated_file_that_nobody_generates_any_more_is_reported_and_removed(tmp_path: Path) -> None:
    files.write(plan(), tmp_path)
    old = tmp_path / "rules" / "old.yml"
    old.write_bytes(write_yaml({"groups": []}))
    dashboard = tmp_path / "dashboards" / "gone.json"
    dashboard.write_text('{\n  "uid": "llm-migration-gone"\n}\n')
    diff = files.check(plan(), tmp_path)
    assert "--- a/rules/old.yml\n+++ /dev/null\n" in diff
    assert "--- a/dashboards/gone.json\n+++ /dev/null\n" in diff
    assert files.write(plan(), tmp_path) == ("dashboards/gone.json", "rules/old.yml")
    assert not old.exists()


def test_files_of_others_are_left_alone_even_when_they_quote_the_header(tmp_path: Path) -> None:
    files.write(plan(), tmp_path)
    others = {
        "rules/mine.yml": "groups: []\n" + "# filler\n" * 40 + f"# not: {NOTICE}\n",
        "rules/README.md": f"Files begin with `# {NOTICE}`\n",
        "dashboards/mine.json": '{"uid": "mine"}\n',
    }
    for path, text in others.items():
        (tmp_path / path).write_text(text)
    assert files.check(plan(), tmp_path) == ""
    assert files.write(plan(), tmp_path) == ()
    assert {path: (tmp_path / path).read_text() for path in others} == others


def test_a_failed_write_leaves_the_old_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    files.write(plan(), tmp_path)
    changed = plan(alerts={"LLMWatchdog": AlertOverride(enabled=False)})
    before = (tmp_path / "rules" / "alerts.yml").read_bytes()

    def full(handle: int, mode: int) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(os, "fchmod", full)
    with pytest.raises(OSError, match="No space left"):
        files.write(changed, tmp_path)
    assert (tmp_path / "rules" / "alerts.yml").read_bytes() == before
    assert not list((tmp_path / "rules").glob(".*"))


def test_every_generated_text_file_says_so_in_its_first_line() -> None:
    for path, content in files.render(plan()).items():
        if not path.endswith(".json"):
            assert NOTICE in content.decode().splitlines()[0]


@pytest.mark.parametrize("folder", ["rules", "alertmanager"])
def test_the_committed_files_are_those_of_the_shipped_plan(folder: str) -> None:
    diff = files.check(load(SHIPPED), ROOT)
    assert f" b/{folder}/" not in diff
    assert f" a/{folder}/" not in diff


def test_two_migrations_need_no_other_rules_than_one() -> None:
    # Rules join by `migration`: they are about all migrations that publish, whatever the plan said when they were made.
    one, two = plan(), plan(migration("first"), migration("second"))
    assert files.rules(one) == files.rules(two)


def test_a_shorter_interval_can_be_asked_for() -> None:
    document = parsed(files.rules(plan(), rule_interval=2)["rules/alerts.yml"])
    assert {group["interval"] for group in document["groups"]} == {"2s"}


def test_yaml_is_written_as_it_reads_and_reads_as_it_was_written() -> None:
    document = {"b": "two\nlines", "a": ["50", "yes", 1, "{{ $value }} ü"], "long": "word " * 60 + "end"}
    content = write_yaml(document, ("More.",))
    assert yaml.safe_load(content) == document
    assert content.decode().startswith(f"# {NOTICE}\n# More.\n\nb: |-\n  two\n  lines\na:\n  - '50'\n  - 'yes'\n")


def test_promtool_accepts_the_committed_scrape_configuration_with_its_rules() -> None:
    promtool("check", "config", str(ROOT / "rules" / "prometheus.yml"))


def test_the_scrape_configuration_names_instances_that_do_not_depend_on_addresses(tmp_path: Path) -> None:
    content = prometheus_config(
        plan(targets=Targets(scrape_interval=30)),
        exporters=[("control", "127.0.0.1:1"), ("shard-1", "127.0.0.1:2")],
        alertmanagers=["127.0.0.1:3"],
        rule_files=[],
        evaluation_interval=2,
        prometheus="127.0.0.1:4",
    )
    path = tmp_path / "prometheus.yml"
    path.write_bytes(content)
    promtool("check", "config", str(path))
    document = parsed(content)
    assert document["global"] == {"scrape_interval": "30s", "evaluation_interval": "2s"}
    jobs = {job["job_name"]: job["static_configs"] for job in document["scrape_configs"]}
    assert jobs["llm-migration-exporter"] == [
        {"targets": ["127.0.0.1:1"], "labels": {"instance": "control"}},
        {"targets": ["127.0.0.1:2"], "labels": {"instance": "shard-1"}},
    ]
    assert document["alerting"]["alertmanagers"][0]["static_configs"] == [{"targets": ["127.0.0.1:3"]}]


def test_the_exporters_of_the_plan_are_scraped_each_by_its_name_and_scheme(tmp_path: Path) -> None:
    exporters = (
        ExporterTarget("control", "http", "control.example:10410", "control"),
        ExporterTarget("shard-1", "https", "[2001:db8::1]:10410", "shard"),
    )
    content = prometheus_config(plan(targets=Targets(exporters=exporters)), rule_files=[])
    path = tmp_path / "prometheus.yml"
    path.write_bytes(content)
    promtool("check", "config", str(path))
    (job, *_) = parsed(content)["scrape_configs"]
    assert job["static_configs"] == [
        {"targets": ["control.example:10410"], "labels": {"instance": "control"}},
        {"targets": ["[2001:db8::1]:10410"], "labels": {"instance": "shard-1", "__scheme__": "https"}},
    ]


def test_without_an_alertmanager_prometheus_only_looks(tmp_path: Path) -> None:
    content = prometheus_config(plan(), alertmanagers=[], rule_files=[])
    path = tmp_path / "prometheus.yml"
    path.write_bytes(content)
    promtool("check", "config", str(path))
    assert "alerting" not in parsed(content)


def promtool(*arguments: str) -> None:
    done = subprocess.run([program("promtool"), *arguments], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
