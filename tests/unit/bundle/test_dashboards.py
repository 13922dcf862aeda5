"""How layouts become dashboards: builders, grid, thresholds, and that the committed files are what they give."""

from __future__ import annotations

import json
import re
import subprocess
import sys
from dataclasses import replace
from pathlib import Path
from typing import Any
from zoneinfo import ZoneInfo

import pytest

from exporter import catalog
from exporter.bundle import dashboards
from exporter.bundle.dashboards.grid import place
from exporter.bundle.dashboards.thresholds import scales
from exporter.errors import UserError
from exporter.layouts import Layout, Panel, load_all, parse
from exporter.plan.load import load as load_plan
from exporter.plan.model import Threshold, Urls
from tests.plans import migration, plan

ROOT = Path(__file__).resolve().parents[3]
HEAD = """\
name: mine
title: Mine
question: Is it mine?
description: It is.
variables: [job, migration, model]
scales: {mine: [{colour: good}, {colour: bad, from: 3}], broken: [{colour: good}, {colour: bad}]}
panels:
"""


def layout(panels: str) -> Layout:
    return parse(HEAD + panels, "mine.yaml")


def widget(kind: str, more: str = "", queries: str = "[{expr: up, legend: Up}]") -> str:
    return (
        f"- {{id: a, type: {kind}, title: A, description: An a., width: 6, height: 4, empty: None{more},"
        f" queries: {queries}}}\n"
    )


def first_panel(panels: str, **changes: Any) -> dict[str, Any]:
    return json.loads(json.dumps(dashboards.dashboard(layout(panels), plan(**changes))))["panels"][0]


def test_the_committed_dashboards_are_what_the_shipped_plan_gives() -> None:
    for path, content in dashboards.build(load_plan(ROOT / "migration.yaml")).items():
        assert (ROOT / path).read_bytes() == content, f"{path}: run `llm-migration-exporter generate`"


def test_the_same_plan_gives_the_same_bytes_in_another_process() -> None:
    program = (
        "import sys, pathlib; from exporter.bundle import dashboards; from exporter.plan.load import load;"
        "sys.stdout.buffer.write(dashboards.build(load(pathlib.Path('migration.yaml')))['dashboards/executive.json'])"
    )
    made = [
        subprocess.run(
            [sys.executable, "-c", program], cwd=ROOT, env={"PYTHONHASHSEED": seed}, check=True, capture_output=True
        ).stdout
        for seed in ("1", "2")
    ]
    assert made[0] == made[1]
    assert made[0].endswith(b"}\n")
    assert made[0].startswith(b'{\n  "annotations"')


def test_the_identity_of_a_dashboard_and_of_its_panels_never_changes() -> None:
    # Links in people's mails and bookmarks hold these.
    built = json.loads(dashboards.build(plan())["dashboards/executive.json"])
    assert (built["uid"], built["schemaVersion"], built["editable"]) == ("llm-migration-executive", 39, False)
    assert dashboards.panel_id("migration_progress") == 637196
    assert dashboards.panel_id("active_alerts") == 227901
    by_id = {panel["id"]: panel["title"] for panel in built["panels"]}
    assert by_id[637196] == "Migration progress"
    assert by_id[227901] == "Firing alerts"


def test_a_new_panel_moves_no_number_of_another() -> None:
    old = layout(widget("stat"))
    new = layout(widget("stat").replace("id: a", "id: first") + widget("stat"))
    ids = [panel["id"] for panel in dashboards.dashboard(new, plan())["panels"]]  # type: ignore[attr-defined]
    assert ids[1] == dashboards.dashboard(old, plan())["panels"][0]["id"]  # type: ignore[index]
    assert ids[0] != ids[1]


def panels(*sizes: tuple[str, int, int]) -> list[Panel]:
    return [Panel(id=f"p{n}", type=kind, width=w, height=h) for n, (kind, w, h) in enumerate(sizes)]  # type: ignore[arg-type]


def test_panels_fill_the_highest_then_leftmost_place() -> None:
    positions = place(panels(("stat", 4, 8), ("stat", 8, 4), ("stat", 12, 8), ("stat", 5, 4), ("stat", 6, 2)))
    assert [(p["x"], p["y"]) for p in positions] == [(0, 0), (4, 0), (12, 0), (4, 4), (0, 8)]


def test_a_row_starts_below_everything_and_closes_what_is_above() -> None:
    positions = place(panels(("stat", 4, 8), ("row", 24, 1), ("stat", 24, 2)))
    assert [(p["x"], p["y"]) for p in positions] == [(0, 0), (0, 8), (0, 9)]


def test_no_panel_overlaps_another_or_leaves_the_grid() -> None:
    for shipped in load_all():
        taken: set[tuple[int, int]] = set()
        for position in place(shipped.panels):
            cells = {
                (x, y)
                for x in range(position["x"], position["x"] + position["w"])
                for y in range(position["y"], position["y"] + position["h"])
            }
            assert not cells & taken
            assert max(x for x, _ in cells) < 24
            taken |= cells


def test_the_executive_dashboard_has_no_holes_and_fits_a_full_hd_screen() -> None:
    (executive,) = (shipped for shipped in load_all() if shipped.name == "executive")
    *figures, about = place(executive.panels)
    assert about["y"] == 27 - 1, "a unit is 38 pixels: 26 of them are 988 of 1080"
    assert sum(position["w"] * position["h"] for position in figures) == 24 * about["y"]


@pytest.mark.parametrize(
    ("kind", "own"),
    [
        ("stat", "stat"),
        ("gauge", "gauge"),
        ("timeseries", "timeseries"),
        ("bars", "timeseries"),
        ("piechart", "piechart"),
        ("bargauge", "bargauge"),
    ],
)
def test_every_kind_of_panel_carries_its_words_and_its_source(kind: str, own: str) -> None:
    panel = first_panel(widget(kind, ", unit: usd, decimals: 2"))
    assert (panel["type"], panel["title"], panel["description"]) == (own, "A", "An a.")
    defaults = panel["fieldConfig"]["defaults"]
    assert (defaults["unit"], defaults["decimals"], defaults["noValue"]) == ("currencyUSD", 2, "None")
    assert panel["datasource"] == panel["targets"][0]["datasource"] == {"type": "prometheus", "uid": "${datasource}"}


def test_a_gauge_is_a_circle_of_one_colour() -> None:
    panel = first_panel(widget("gauge", ", colour: target, minimum: 0, maximum: 1"))
    assert panel["options"]["shape"] == "circle"
    assert panel["fieldConfig"]["defaults"]["color"] == {"mode": "fixed", "fixedColor": "blue"}
    assert (panel["fieldConfig"]["defaults"]["min"], panel["fieldConfig"]["defaults"]["max"]) == (0, 1)


def test_bars_are_stacked_only_when_asked() -> None:
    for stack, mode in (("", "none"), (", stack: true", "normal")):
        custom = first_panel(widget("bars", stack))["fieldConfig"]["defaults"]["custom"]
        assert (custom["drawStyle"], custom["stacking"]["mode"]) == ("bars", mode)


def test_source_and_target_keep_their_colours_by_query() -> None:
    panel = first_panel(
        widget("timeseries", queries="[{expr: a, colour: source}, {expr: b, colour: target, style: dashed}]")
    )
    found = {
        override["matcher"]["options"]: {item["id"]: item["value"] for item in override["properties"]}
        for override in panel["fieldConfig"]["overrides"]
    }
    assert found["A"]["color"] == {"mode": "fixed", "fixedColor": "purple"}
    assert found["B"]["color"] == {"mode": "fixed", "fixedColor": "blue"}
    assert found["B"]["custom.lineStyle"]["fill"] == "dash"


def test_parts_of_a_ring_are_shades_of_their_sides_colour() -> None:
    (override,) = first_panel(widget("piechart", queries="[{expr: a, colour: source}]"))["fieldConfig"]["overrides"]
    assert override["properties"] == [{"id": "color", "value": {"mode": "shades", "fixedColor": "purple"}}]


def test_a_table_shows_its_columns_in_order_under_their_titles() -> None:
    more = ", sort: s, columns: [{field: s, title: State, style: severity}, {field: value, title: Age, unit: seconds}]"
    panel = first_panel(widget("table", more, "[{expr: up, instant: true}]"))
    assert panel["targets"][0]["format"] == "table"
    steps = {step["id"]: step["options"] for step in panel["transformations"]}
    assert steps["organize"]["indexByName"] == {"s": 0, "Value": 1}
    assert steps["organize"]["renameByName"] == {"s": "State", "Value": "Age"}
    assert steps["sortBy"]["sort"] == [{"field": "State"}]
    assert [item["matcher"]["options"] for item in panel["fieldConfig"]["overrides"]] == ["State", "Age"]


def test_a_text_and_a_row_ask_nothing() -> None:
    built = dashboards.dashboard(
        layout(
            "- {id: r, type: row, title: R, width: 24, height: 1}\n"
            "- {id: t, type: text, text: Some **words**, width: 24, height: 3}\n"
        ),
        plan(),
    )
    row, text = built["panels"]  # type: ignore[misc]
    assert (row["type"], row["collapsed"]) == ("row", False)
    assert text["options"]["content"] == "Some **words**"
    assert "targets" not in row
    assert "targets" not in text


def steps(scale: str, *migrations: Any) -> list[tuple[str, float | None]]:
    panel = first_panel(widget("stat", f", thresholds: {scale}"), migrations=migrations or (migration(),))
    return [(step["color"], step["value"]) for step in panel["fieldConfig"]["defaults"]["thresholds"]["steps"]]


def test_colours_follow_the_plans_own_thresholds() -> None:
    assert steps("error_ratio") == [("green", None), ("orange", 0.05), ("red", 0.1)]
    assert steps("latency_mean_seconds") == [("green", None), ("orange", 5)]
    assert steps("budget") == [("green", None), ("orange", 0.8), ("red", 1.0)]
    assert steps("mine") == [("green", None), ("red", 3)]


def test_low_values_are_the_bad_ones_where_more_is_better() -> None:
    deadline = (
        Threshold("quality_score", "warning", 0.8),
        Threshold("deadline_days", "info", 90),
        Threshold("deadline_days", "warning", 30),
        Threshold("deadline_emergency_days", "critical", 7),
    )
    assert steps("quality_score", migration(thresholds=deadline)) == [("orange", None), ("green", 0.8)]
    assert steps("days_left", migration(thresholds=deadline)) == [
        ("red", None),
        ("orange", 7),
        ("yellow", 30),
        ("green", 90),
    ]


def test_the_strictest_of_several_migrations_counts() -> None:
    lax = migration(
        "lax", thresholds=(Threshold("error_ratio", "warning", 0.2), Threshold("quality_score", "warning", 0.5))
    )
    strict = migration(
        thresholds=(Threshold("error_ratio", "warning", 0.02), Threshold("quality_score", "warning", 0.9))
    )
    assert steps("error_ratio", lax, strict) == [("green", None), ("orange", 0.02)]
    assert steps("quality_score", lax, strict) == [("orange", None), ("green", 0.9)]


def test_a_threshold_that_the_plan_leaves_out_colours_nothing() -> None:
    assert steps("quality_score", migration(thresholds=())) == [("text", None)]


@pytest.mark.parametrize(
    ("scale", "message"),
    [
        ("typo", r"layout mine: panel a: thresholds: no scale is called 'typo'; there are .*budget.*mine"),
        ("broken", r"layout mine: panel a: thresholds: the scale 'broken' must begin with a step without `from`"),
    ],
)
def test_a_scale_that_cannot_be_used_is_named(scale: str, message: str) -> None:
    with pytest.raises(UserError, match=message):
        steps(scale)


def test_days_are_those_of_the_plans_time_zone() -> None:
    shipped = next(one for one in load_all() if one.name == "executive")
    assert dashboards.dashboard(shipped, plan())["timezone"] == "utc"
    assert dashboards.dashboard(shipped, plan(timezone=ZoneInfo("Europe/Berlin")))["timezone"] == "Europe/Berlin"


def test_links_lead_to_the_other_dashboards_and_to_what_the_plan_knows() -> None:
    known = plan(urls=Urls(external="https://exporter.example", alertmanager="https://am.example"))
    links = dashboards.dashboard(layout(widget("stat")), known)["links"]
    assert [(link["type"], link["url"]) for link in links] == [  # type: ignore[attr-defined]
        ("dashboards", ""),
        ("link", "https://exporter.example"),
        ("link", "https://am.example"),
    ]
    assert len(dashboards.dashboard(layout(widget("stat")), plan())["links"]) == 1  # type: ignore[arg-type]


def test_a_layout_beside_the_plan_becomes_a_dashboard(tmp_path: Path) -> None:
    folder = tmp_path / "dashboards" / "layouts"
    folder.mkdir(parents=True)
    (folder / "mine.yaml").write_text(HEAD + widget("stat"))
    built = dashboards.build(replace(plan(), path=tmp_path / "migration.yaml"))
    assert json.loads(built["dashboards/mine.json"])["uid"] == "llm-migration-mine"
    assert "dashboards/executive.json" in built


def test_the_example_of_the_readme_becomes_a_panel() -> None:
    text = (ROOT / "dashboards" / "README.md").read_text(encoding="utf-8")
    example = text.split("```yaml\n", 1)[1].split("```", 1)[0]
    panel = first_panel(example)
    assert panel["title"] == "Shadow calls"
    assert "migration:llm_shadow_cost_usd:rate1h" in catalog.sample_labels()
    assert "migration:llm_shadow_cost_usd:rate1h" in panel["targets"][0]["expr"]


def test_the_readme_lists_every_key_of_a_panel() -> None:
    text = (ROOT / "dashboards" / "README.md").read_text(encoding="utf-8")
    listed = {
        key
        for line in text.splitlines()
        if line.startswith("| `")
        for key in re.findall(r"`(\w+)`", line.split("|")[1])
    }
    assert listed == set(Panel.__struct_fields__)


def test_the_readme_lists_every_scale_that_the_plan_gives() -> None:
    text = (ROOT / "dashboards" / "README.md").read_text(encoding="utf-8")
    assert all(f"`{scale}`" in text for scale in scales(plan()))
