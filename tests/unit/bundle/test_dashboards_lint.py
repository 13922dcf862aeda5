"""Grafana refuses a broken dashboard silently, so everything it would choke on is looked for here.

The names of the rules are those of grafana/dashboard-linter where it has one; `dashboards/.lint` says which of them are
left out, and why.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import promql_parser as promql
import pytest

from exporter import catalog
from exporter.bundle import dashboards
from exporter.layouts import MACROS, VARIABLES, expand
from exporter.plan.load import load as load_plan

ROOT = Path(__file__).resolve().parents[3]
VOCABULARY = json.loads(Path(__file__).with_name("test_dashboards_vocabulary.json").read_text(encoding="utf-8"))
BUILT = {
    Path(path).stem: json.loads(content)
    for path, content in dashboards.build(load_plan(ROOT / "migration.yaml")).items()
}
VALUES = {**dict.fromkeys(VARIABLES, ".+"), **dict(zip(MACROS, ("5m", "7d"), strict=True))}
SCRAPED = frozenset({"job", "instance"})
ALERT_SERIES = frozenset({*catalog.ALERT_LABELS, "severity", "urgency", "bundle", "threshold"})
KNOWN = {
    **catalog.sample_labels(),
    "ALERTS": ALERT_SERIES | {"alertstate"},
    "ALERTS_FOR_STATE": ALERT_SERIES,
}
RAW = {name for metric in catalog.METRICS for name in metric.sample_names}
DATASOURCE = {"type": "prometheus", "uid": "${datasource}"}

every_dashboard = pytest.mark.parametrize("board", BUILT.values(), ids=BUILT)
every_panel = pytest.mark.parametrize(
    "panel",
    [
        pytest.param(panel, id=f"{name}-{panel['title'] or panel['type']}")
        for name, board in BUILT.items()
        for panel in board["panels"]
        if "targets" in panel
    ],
)
every_target = pytest.mark.parametrize(
    ("panel", "target"),
    [
        pytest.param(panel, target, id=f"{name}-{panel['title']}-{target['refId']}")
        for name, board in BUILT.items()
        for panel in board["panels"]
        for target in panel.get("targets", ())
    ],
)


def parsed(expr: str) -> Any:
    return promql.parse(expand(expr, VALUES))


def nodes(node: Any) -> Iterator[Any]:
    yield node
    for name in ("expr", "lhs", "rhs", "param", "vector_selector"):
        child = getattr(node, name, None)
        if child is not None:
            yield from nodes(child)
    for child in getattr(node, "args", ()):
        yield from nodes(child)


def selectors(expr: str) -> list[Any]:
    return [node for node in nodes(parsed(expr)) if isinstance(node, promql.VectorSelector)]


def labels_of(node: Any) -> frozenset[str]:
    """The labels that the result of an expression can have."""
    if isinstance(node, promql.VectorSelector):
        return KNOWN[node.name] | (SCRAPED if node.name in RAW else frozenset())
    if isinstance(node, promql.MatrixSelector):
        return labels_of(node.vector_selector)
    if isinstance(node, promql.ParenExpr | promql.UnaryExpr | promql.SubqueryExpr):
        return labels_of(node.expr)
    if isinstance(node, promql.AggregateExpr):
        inner = labels_of(node.expr)
        if str(node.op) in ("topk", "bottomk"):
            return inner
        assert node.modifier is None or node.modifier.type == promql.AggModifierType.By, "always `by`, never `without`"
        return inner & frozenset(node.modifier.labels) if node.modifier is not None else frozenset()
    if isinstance(node, promql.Call):
        inner = frozenset[str]().union(*(labels_of(argument) for argument in node.args))
        if node.func.name == "histogram_quantile":
            return inner - {"le"}
        if node.func.name in ("label_join", "label_replace"):
            return inner | {node.args[1].val}
        return inner
    if isinstance(node, promql.BinaryExpr):
        left, right = labels_of(node.lhs), labels_of(node.rhs)
        if str(node.op) == "or":
            return left | right
        matching = node.modifier.matching if node.modifier is not None else None
        if matching is None or str(node.op) in ("and", "unless") or not (left and right):
            return left or right
        same = frozenset(matching.labels)
        return left & same if matching.type == promql.LabelModifierType.Include else left - same
    return frozenset()


@every_dashboard
def test_template_datasource_rule(board: dict[str, Any]) -> None:
    (variable,) = (one for one in board["templating"]["list"] if one["type"] == "datasource")
    assert (variable["name"], variable["label"], variable["query"]) == ("datasource", "Data source", "prometheus")


@every_dashboard
def test_template_job_rule(board: dict[str, Any]) -> None:
    (job,) = (one for one in board["templating"]["list"] if one["name"] == "job")
    assert (job["type"], job["label"], job["multi"], job["allValue"]) == ("query", "Job", True, ".+")


@every_dashboard
def test_template_label_promql_rule_and_on_time_change_reload_rule(board: dict[str, Any]) -> None:
    for variable in board["templating"]["list"]:
        if variable["type"] == "query":
            match = re.fullmatch(r"label_values\((.+), (\w+)\)", variable["query"])
            assert match is not None
            assert match[2] in labels_of(parsed(match[1]))
            assert variable["refresh"] == 2
            assert variable["datasource"] == DATASOURCE


@every_dashboard
def test_uneditable_dashboard(board: dict[str, Any]) -> None:
    assert board["editable"] is False


@every_dashboard
def test_the_model_means_the_same_in_all_versions_of_grafana(board: dict[str, Any]) -> None:
    assert board["schemaVersion"] == 39
    assert isinstance(board["refresh"], str)
    assert board["timepicker"] == {}
    assert not {"id", "__inputs", "__requires"} & set(board)
    assert "${DS_" not in json.dumps(board)
    assert len(board["uid"]) <= 40


def test_each_dashboard_has_its_own_uid_and_title() -> None:
    assert (
        len({board["uid"] for board in BUILT.values()})
        == len({board["title"] for board in BUILT.values()})
        == len(BUILT)
    )


@every_dashboard
def test_panel_numbers_are_unique_and_panels_do_not_overlap(board: dict[str, Any]) -> None:
    ids = [panel["id"] for panel in board["panels"]]
    assert len(set(ids)) == len(ids)
    cells = [
        (panel["gridPos"]["x"] + column, panel["gridPos"]["y"] + line)
        for panel in board["panels"]
        for column in range(panel["gridPos"]["w"])
        for line in range(panel["gridPos"]["h"])
    ]
    assert len(set(cells)) == len(cells)
    assert all(0 <= x < 24 for x, _ in cells)


@every_dashboard
def test_every_variable_that_is_used_is_defined_and_every_defined_one_used(board: dict[str, Any]) -> None:
    defined = {variable["name"] for variable in board["templating"]["list"]}
    rest = {key: value for key, value in board.items() if key != "templating"}
    used = {a or b for a, b in re.findall(r"\$(?:\{(\w+)[^}]*\}|([a-z]\w+))", json.dumps(rest))}
    assert used - {"__rate_interval", "__range"} == defined


@every_dashboard
def test_link_tags_and_annotations_exist(board: dict[str, Any]) -> None:
    for link in board["links"]:
        assert link["icon"]
        assert link["type"] == "link" or (set(link["tags"]) <= set(board["tags"]) and link["includeVars"])
    for annotation in board["annotations"]["list"]:
        if not annotation.get("builtIn"):
            found = labels_of(parsed(annotation["expr"]))
            shown = re.findall(r"{{(\w+)}}", annotation["titleFormat"] + annotation["textFormat"])
            assert {*shown, *annotation["tagKeys"].split(",")} <= found
            assert annotation["datasource"] == DATASOURCE


@every_panel
def test_panel_datasource_rule(panel: dict[str, Any]) -> None:
    assert [panel["datasource"], *(target["datasource"] for target in panel["targets"])] == [DATASOURCE] * (
        len(panel["targets"]) + 1
    )


@every_panel
def test_panel_title_description_rule(panel: dict[str, Any]) -> None:
    assert panel["title"]
    assert panel["description"].endswith(".")
    assert panel["fieldConfig"]["defaults"]["noValue"]
    # 14 pixels a character at most, beside the mark of the description.
    assert len(panel["title"]) * 9 + 60 < panel["gridPos"]["w"] * 78


@every_panel
def test_panel_units_rule(panel: dict[str, Any]) -> None:
    defaults = panel["fieldConfig"]["defaults"]
    units = [defaults["unit"], *(v["value"] for v in properties(panel) if v["id"] == "unit")]
    assert all(unit in VOCABULARY["units"] or unit.startswith("suffix:") for unit in units)
    assert defaults["unit"] != "none" or panel["type"] == "table" or panel["options"]["textMode"] == "name"
    over_time = panel["type"] in ("timeseries", "gauge", "bargauge")
    assert defaults["unit"] != "percentunit" or not over_time or defaults["min"] == 0


def properties(panel: dict[str, Any]) -> list[dict[str, Any]]:
    return [item for override in panel["fieldConfig"]["overrides"] for item in override["properties"]]


@every_panel
def test_every_identifier_is_one_that_grafana_knows(panel: dict[str, Any]) -> None:
    reduce = panel["options"].get("reduceOptions", {"calcs": []})["calcs"]
    legend = panel["options"].get("legend", {"calcs": []})["calcs"]
    assert {*reduce, *legend} <= set(VOCABULARY["reducers"])
    assert reduce or panel["type"] in ("timeseries", "table")
    colours = [
        panel["fieldConfig"]["defaults"]["color"],
        *(v["value"] for v in properties(panel) if v["id"] == "color"),
    ]
    assert {colour["mode"] for colour in colours} <= set(VOCABULARY["colour_modes"])
    assert {step["id"] for step in panel.get("transformations", ())} <= set(VOCABULARY["transformers"])
    matchers = {override["matcher"]["id"] for override in panel["fieldConfig"]["overrides"]}
    assert matchers <= set(VOCABULARY["field_matchers"])


@every_panel
def test_threshold_steps_ascend_from_a_first_one_without_value(panel: dict[str, Any]) -> None:
    values = [step["value"] for step in panel["fieldConfig"]["defaults"]["thresholds"]["steps"]]
    assert values[0] is None
    assert values[1:] == sorted(set(values[1:]))


@every_panel
def test_every_override_and_transformation_meets_a_field(panel: dict[str, Any]) -> None:
    refs = {target["refId"] for target in panel["targets"]}
    titles = set()
    for step in panel.get("transformations", ()):
        options = step["options"]
        if step["id"] == "organize":
            found = {"Value"}.union(*(labels_of(parsed(target["expr"])) for target in panel["targets"]))
            assert set(options["renameByName"]) <= found
            titles = set(options["renameByName"].values())
        if step["id"] == "sortBy":
            assert {item["field"] for item in options["sort"]} <= titles
    for override in panel["fieldConfig"]["overrides"]:
        matcher = override["matcher"]
        assert matcher["options"] in (refs if matcher["id"] == "byFrameRefID" else titles)


@every_panel
def test_panel_no_targets_rule(panel: dict[str, Any]) -> None:
    assert panel["targets"]
    assert len({target["refId"] for target in panel["targets"]}) == len(panel["targets"])
    if panel["type"] == "timeseries":
        assert not any(target["instant"] for target in panel["targets"]), "a line of one point"
    else:
        assert all(target["instant"] for target in panel["targets"]), "a range costs more and shows no more"


@every_target
def test_target_promql_rule(panel: dict[str, Any], target: dict[str, Any]) -> None:
    assert parsed(target["expr"]) is not None


@every_target
def test_every_metric_and_label_is_in_the_catalogue(panel: dict[str, Any], target: dict[str, Any]) -> None:
    for selector in selectors(target["expr"]):
        known = KNOWN[selector.name] | (SCRAPED if selector.name in RAW else frozenset())
        assert {matcher.name for matcher in selector.matchers.matchers} <= known
    for node in nodes(parsed(target["expr"])):
        if isinstance(node, promql.AggregateExpr) and node.modifier is not None:
            assert frozenset(node.modifier.labels) <= labels_of(node.expr)
        if isinstance(node, promql.BinaryExpr) and node.modifier is not None and node.modifier.matching is not None:
            both = labels_of(node.lhs) | labels_of(node.rhs)
            assert frozenset(node.modifier.matching.labels) <= both


@every_target
def test_legends_name_labels_of_the_result(panel: dict[str, Any], target: dict[str, Any]) -> None:
    assert set(re.findall(r"{{(\w+)}}", target["legendFormat"])) <= labels_of(parsed(target["expr"]))
    assert target["legendFormat"] or panel["type"] == "table"


@every_target
def test_target_rate_interval_rule(panel: dict[str, Any], target: dict[str, Any]) -> None:
    assert all(
        window == "$__rate_interval" for window in re.findall(r"\bi?rate\(.*?\[(.*?)\]", target["expr"], re.DOTALL)
    )


@every_target
def test_target_job_rule(panel: dict[str, Any], target: dict[str, Any]) -> None:
    for name, inside in re.findall(r"\b(llm_\w+)(?:{(.*?)})?", re.sub(r"[\w]+:[\w:]+", "", target["expr"]), re.DOTALL):
        if name in RAW:
            assert 'job=~"$job"' in inside


@every_target
def test_variables_are_matched_as_regular_expressions(panel: dict[str, Any], target: dict[str, Any]) -> None:
    assert not re.findall(r'(?<!=~)"\$', target["expr"])


@every_target
def test_target_counter_agg_rule(panel: dict[str, Any], target: dict[str, Any]) -> None:
    inside = [
        node.args[0].vector_selector.name
        for node in nodes(parsed(target["expr"]))
        if isinstance(node, promql.Call) and node.func.name in ("rate", "irate", "increase")
    ]
    counters = [one.name for one in selectors(target["expr"]) if one.name in RAW and one.name.endswith("_total")]
    assert sorted(counters) == sorted(name for name in inside if name.endswith("_total"))


@every_target
def test_facts_are_summed_by_and_plan_facts_are_read_recorded(panel: dict[str, Any], target: dict[str, Any]) -> None:
    """So that several exporters, and several scrapes of one, give the same figures."""
    plan_facts = {metric.name for metric in catalog.PLAN_FACTS}
    assert not plan_facts & {selector.name for selector in selectors(target["expr"])}
    assert "without" not in target["expr"]
    assert not SCRAPED & labels_of(parsed(target["expr"]))
