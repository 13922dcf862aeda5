from __future__ import annotations

import re
from pathlib import Path

import pytest

from exporter.errors import ConfigError, UserError
from exporter.layouts import Query, directory, expand, load, load_all, parse

SMALL = """\
name: small
title: Small
question: Is it small?
description: It is.
panels:
- id: calls
  type: stat
  title: Calls
  description: How many.
  width: 6
  height: 4
  unit: count
  empty: None yet
  queries:
  - {expr: sum(up), legend: Calls, instant: true}
"""


def problems(text: str) -> list[str]:
    with pytest.raises(ConfigError) as caught:
        parse(text, "small.yaml")
    assert isinstance(caught.value, UserError)
    return str(caught.value).splitlines()


def test_a_widget_is_a_few_lines_of_yaml() -> None:
    layout = parse(SMALL, "small.yaml")
    (panel,) = layout.panels
    assert (layout.name, layout.header.question) == ("small", "Is it small?")
    assert (panel.id, panel.type, panel.width, panel.height, panel.unit) == ("calls", "stat", 6, 4, "count")
    assert panel.queries == (Query(expr="sum(up)", legend="Calls", instant=True),)


def test_a_layout_cannot_be_changed_after_reading() -> None:
    layout = parse(SMALL, "small.yaml")
    with pytest.raises(AttributeError):
        layout.panels[0].title = "Other"  # type: ignore[misc]


@pytest.mark.parametrize(
    ("old", "new", "expected"),
    [
        ("  unit: count", "  unti: count", "small.yaml:12:3: panels[0].unti: unknown key; did you mean `unit`?"),
        ("  unit: count", "  unit: bananas", "small.yaml:12:3: panels[0].unit: invalid enum value 'bananas'"),
        ("  width: 6", "  width: wide", "small.yaml:10:3: panels[0].width: expected `int`, got `str`"),
        ("  width: 6", "  width: 25", "small.yaml:10:3: panels[0].width: expected `int` <= 24"),
        ("  width: 6\n", "", "small.yaml:6:3: panels[0]: object missing required field `width`"),
        ("  title: Calls", "  title: yes", "small.yaml:8:3: panels[0].title: expected `str`, got `bool`"),
        ("id: calls", "id: Calls!", "small.yaml:6:3: panels[0].id: expected `str` matching regex '^[a-z][a-z0-9_]*$'"),
        (
            "instant: true}",
            "intant: true}",
            "small.yaml:15:36: panels[0].queries[0].intant: unknown key; did you mean `instant`?",
        ),
        (
            "instant: true}",
            "instant: 1}",
            "small.yaml:15:36: panels[0].queries[0].instant: expected `bool`, got `int`",
        ),
        (
            "  empty: None yet\n",
            "",
            "small.yaml:6:3: panels[0].empty: a stat needs it",
        ),
        (
            "  unit: count",
            "  stack: true",
            "small.yaml:12:3: panels[0].stack: a stat does not read it; it belongs to timeseries, bars",
        ),
        ("  width: 6", "  width: 6\n  width: 6", "small.yaml:11:3: width: stands twice; remove one"),
        ("title: Small\n", "", "small.yaml:1:1: object missing required field `title`"),
        ("question:", "quesion:", "small.yaml:3:1: quesion: unknown key; did you mean `question`?"),
        ("panels:\n", "panels: {}\nrest:\n", "small.yaml:5:1: panels: is not a list of panels"),
        (
            "description: It is.\n",
            "description: It is.\nscales: {a: [{color: good}]}\n",
            "small.yaml:5:1: scales[0].color: unknown key; did you mean `colour`?",
        ),
        ("name: small", "name: [", "small.yaml:3:9: is not YAML: expected"),
    ],
)
def test_a_mistake_is_named_with_its_place_and_key(old: str, new: str, expected: str) -> None:
    assert old in SMALL
    assert any(line.startswith(expected) for line in problems(SMALL.replace(old, new, 1))), problems(
        SMALL.replace(old, new, 1)
    )


def test_mistakes_of_several_panels_are_told_together() -> None:
    second = SMALL[SMALL.index("- id:") :].replace("unit: count", "unit: x").replace("id: calls", "id: more")
    found = problems(SMALL.replace("width: 6", "width: 0") + second)
    assert [re.match(r"small\.yaml:\d+:\d+: (\S+):", line)[1] for line in found] == [  # type: ignore[index]
        "panels[0].width",
        "panels[1].unit",
    ]


def test_two_panels_cannot_share_an_id() -> None:
    assert problems(SMALL + SMALL[SMALL.index("- id:") :]) == [
        "small.yaml:16:3: panels[1].id: 'calls' is taken; give each panel its own id"
    ]


@pytest.mark.parametrize("text", ["", "[]", "7", "just words"])
def test_what_is_no_layout_is_refused(text: str) -> None:
    assert problems(text) == ["small.yaml:1:1: is not a layout; write `name: …`, `title: …`, `panels: […]`"]


def test_a_file_that_cannot_be_read_is_named(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match=r"absent\.yaml: cannot be read"):
        load(tmp_path / "absent.yaml")


def test_layouts_beside_the_plan_join_and_replace_the_shipped_ones(tmp_path: Path) -> None:
    (tmp_path / "small.yaml").write_text(SMALL)
    assert [layout.name for layout in load_all(tmp_path)] == sorted([*(x.name for x in load_all()), "small"])
    (tmp_path / "executive.yaml").write_text(SMALL.replace("name: small", "name: executive"))
    replaced = {layout.name: layout for layout in load_all(tmp_path)}
    assert replaced["executive"].header.title == "Small"


def test_a_layout_name_is_given_once(tmp_path: Path) -> None:
    (tmp_path / "a.yaml").write_text(SMALL)
    (tmp_path / "b.yaml").write_text(SMALL)
    with pytest.raises(ConfigError, match=r"b\.yaml: name: 'small' is the name of another layout"):
        load_all(tmp_path)


def test_problems_of_all_files_are_told_together(tmp_path: Path) -> None:
    (tmp_path / "a.yaml").write_text("[]")
    (tmp_path / "b.yaml").write_text("{")
    with pytest.raises(ConfigError) as caught:
        load_all(tmp_path)
    assert [Path(problem.file).name for problem in caught.value.problems] == ["a.yaml", "b.yaml"]


def test_the_shipped_layouts_answer_a_question_each() -> None:
    assert {file.stem for file in directory().glob("*.yaml")} == {layout.name for layout in load_all()}
    for layout in load_all():
        assert layout.header.question.endswith("?")
        assert all(panel.queries for panel in layout.widgets)


def test_variables_are_filled_in_by_whole_names() -> None:
    values = {"job": "a", "migration": "m", "__range": "7d"}
    assert expand('x{job=~"$job",m=~"${migration}"}[$__range]', values) == 'x{job=~"a",m=~"m"}[7d]'
    with pytest.raises(KeyError, match="jobs"):
        expand("$jobs", values)
