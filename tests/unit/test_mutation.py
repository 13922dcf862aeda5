"""The tool that judges the rules' tests, judged: on rules and tests of which the survivors are known."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.mutation.lexing import tokens
from tests.mutation.mutants import mutants
from tests.mutation.running import BrokenSuiteError, Runner, killed_share, reasons, report
from tests.mutation.suite import PromtoolTest, Suite
from tests.programs import program

RULES = [
    {
        "name": "recording",
        "rules": [
            {"record": "m:errors:rate5m", "expr": "sum by (m) (rate(errors_total[5m]))"},
            {"record": "m:unread:sum", "expr": "sum by (m) (unread)"},
        ],
    },
    {
        "name": "alerts",
        "rules": [
            {"alert": "Errors", "expr": "60 * m:errors:rate5m > 10", "for": "2m", "labels": {"severity": "warning"}}
        ],
    },
]
HEAD = {"rule_files": ["rules.yml"], "evaluation_interval": "1m", "group_eval_order": ["recording", "alerts"]}
FIRES = {
    "name": "fires after two minutes",
    "interval": "1m",
    "input_series": [
        {"series": 'errors_total{m="a"}', "values": "0+12x20"},
        {"series": 'errors_total{m="b"}', "values": "0+9x20"},
    ],
    "promql_expr_test": [
        {"expr": 'count(ALERTS{alertname="Errors",alertstate="firing"})', "eval_time": "6m"},
        {
            "expr": 'ALERTS{alertname="Errors",alertstate="firing"}',
            "eval_time": "7m",  # the rate over five minutes passes 10 at the fifth
            "exp_samples": [
                {"labels": 'ALERTS{alertname="Errors",alertstate="firing",m="a",severity="warning"}', "value": 1}
            ],
        },
    ],
}


def suite(*tests: dict[str, object]) -> Suite:
    return Suite(RULES, [PromtoolTest("tests.yml", HEAD, test) for test in tests])


def changes(expression: str) -> dict[str, list[str]]:
    found: dict[str, list[str]] = {}
    for mutant in mutants({"record": "a:b", "expr": expression}):
        found.setdefault(mutant.operator, []).append(str(mutant.document["expr"]))
    return found


def test_every_kind_of_change_is_made_once() -> None:
    assert changes('sum by (m, r) (rate(a{x!="1"}[5m])) >= on (m) group_left (r) b or c') == {
        "label": [
            'sum by (r) (rate(a{x!="1"}[5m])) >= on (m) group_left (r) b or c',
            'sum by (m) (rate(a{x!="1"}[5m])) >= on (m) group_left (r) b or c',
            'sum by (m, r) (rate(a{x!="1"}[5m])) >= on () group_left (r) b or c',
            'sum by (m, r) (rate(a{x!="1"}[5m])) >= on (m) group_left () b or c',
        ],
        "range": ['sum by (m, r) (rate(a{x!="1"}[600s])) >= on (m) group_left (r) b or c'],
        "comparison": ['sum by (m, r) (rate(a{x!="1"}[5m])) < on (m) group_left (r) b or c'],
        "set": ['sum by (m, r) (rate(a{x!="1"}[5m])) >= on (m) group_left (r) b unless c'],
    }


@pytest.mark.parametrize(
    ("before", "after"),
    [("a > 0", "a > 1"), ("a > 0.9", "a > 0.6"), ("a > 20", "a > 30"), ("a > 1e3", "a > 1500")],
)
def test_thresholds_move_and_stay_possible(before: str, after: str) -> None:
    assert changes(before)["threshold"] == [after]


def test_ranges_of_subqueries_and_offsets_move_and_steps_stay() -> None:
    assert changes("max_over_time(a[1h30m:30s] offset 1d)")["range"] == [
        "max_over_time(a[10800s:30s] offset 1d)",
        "max_over_time(a[1h30m:30s] offset 172800s)",
    ]


def test_strings_comments_and_words_are_no_operators() -> None:
    text = 'label_replace(a{x="1 > 2"}, "and", "$1", "on", "(.*)") # > 5 and'

    assert changes(text) == {}
    assert [token.text for token in tokens("a5m > 5")] == ["a5m", ">", "5"]


def test_the_same_line_twice_is_two_mutants_and_changes_of_for_are_both() -> None:
    twice = mutants({"alert": "A", "expr": "(\na > 1\n)\nor\n(\na > 1\n)", "for": "5m", "keep_firing_for": "5m"})

    assert len({mutant.name for mutant in twice}) == len(twice) == 8
    assert [mutant.document["for"] for mutant in twice if "«5m»" in mutant.place and mutant.place[:4] == "for:"] == [
        "600s",
        "0s",
    ]


def test_tests_concern_what_they_read_however_indirectly() -> None:
    alert = {"name": "by name", "alert_rule_test": [{"alertname": "Errors", "eval_time": "1m"}]}
    other = {"name": "other", "promql_expr_test": [{"expr": "m:unread:sum", "eval_time": "1m"}]}
    anything = {"name": "any alert", "promql_expr_test": [{"expr": "count(ALERTS)", "eval_time": "1m"}]}
    found = suite(alert, other, anything)

    assert [found.needs(number) for number in range(3)] == [{0, 2}, {1}, {0, 2}]
    assert [found.concerning(number) for number in range(3)] == [[0, 2], [1], [0, 2]]
    rules, _ = found.documents(1)
    assert "m:errors:rate5m" not in rules


def test_mutants_are_killed_by_tests_that_notice_and_survive_where_none_looks(tmp_path: Path) -> None:
    state = tmp_path / "state.jsonl"
    runner = Runner(program("promtool"), suite(FIRES), state)
    outcomes = list(runner.run(runner.all_mutants()))

    survived = [outcome.mutant.name for outcome in outcomes if outcome.killed_by is None]
    assert survived == ["m:unread:sum: label: sum by («m») (unread) -> nothing"]
    assert {outcome.mutant.operator for outcome in outcomes} == {"label", "range", "threshold", "comparison", "for"}
    assert {outcome.killed_by for outcome in outcomes} == {None, "tests.yml: fires after two minutes"}
    assert killed_share(outcomes) == (len(outcomes) - 1) / len(outcomes)
    assert "NO REASON GIVEN" in report(outcomes, {})
    assert "nobody reads it" in report(outcomes, {survived[0]: "nobody reads it"})

    again = Runner("/nowhere/promtool", suite(FIRES), state)  # all is known: no promtool is needed
    assert list(again.run(again.all_mutants())) == outcomes


def test_results_are_kept_only_for_the_same_tests(tmp_path: Path) -> None:
    state = tmp_path / "state.jsonl"
    runner = Runner(program("promtool"), suite(FIRES), state)
    first = runner.all_mutants()[:1]
    assert list(runner.run(first, minutes=0)) == []
    assert len(list(runner.run(first))) == 1

    changed = Runner("/nowhere/promtool", suite({**FIRES, "interval": "2m"}), state)
    with pytest.raises(FileNotFoundError):
        list(changed.run(first))


def test_tests_that_fail_anyway_prove_nothing() -> None:
    wrong = {
        **FIRES,
        "promql_expr_test": [
            {"expr": 'ALERTS{alertname="Errors"} > 5', "eval_time": "9m", "exp_samples": [{"labels": "x", "value": 1}]}
        ],
    }
    runner = Runner(program("promtool"), suite(wrong))

    with pytest.raises(BrokenSuiteError, match="fails on the rules as they are"):
        list(runner.run(runner.all_mutants()[:1]))


def test_reasons_are_read_by_name(tmp_path: Path) -> None:
    path = tmp_path / "equivalent.yml"
    path.write_text("- mutant: 'a: set: x «and» y -> unless'\n  reason: Because.\n")

    assert reasons(path) == {"a: set: x «and» y -> unless": "Because."}
