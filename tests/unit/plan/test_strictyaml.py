"""What the strict reader accepts, classifies and refuses, and where it says things stand."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from exporter.plan.nodes import Kind, Mapping, Mark, Scalar, Sequence
from exporter.plan.strictyaml import compose


def _scalar(text: str) -> Scalar:
    root, problems = compose(f"key: {text}\n", "f.yaml")
    assert problems == []
    assert isinstance(root, Mapping)
    value = root.entries["key"].value
    assert isinstance(value, Scalar)
    return value


@pytest.mark.parametrize(
    ("text", "kind"),
    [
        ("gpt-4.1", Kind.TEXT),
        ("'12:30'", Kind.TEXT),
        ('"yes"', Kind.TEXT),
        ("'017'", Kind.TEXT),
        ("smtp.example.com:587", Kind.TEXT),
        ("Yes, indeed", Kind.TEXT),
        ("1.2.3", Kind.TEXT),
        ("true", Kind.BOOLEAN),
        ("false", Kind.BOOLEAN),
        ("0", Kind.INTEGER),
        ("-17", Kind.INTEGER),
        ("0.10", Kind.FLOAT),
        ("1.5e+3", Kind.FLOAT),
        ("2025-02-28", Kind.DATE),
        ("2025-07-14T23:59:59Z", Kind.TIMESTAMP),
        ("", Kind.NULL),
        ("~", Kind.NULL),
        ("null", Kind.NULL),
    ],
)
def test_a_scalar_is_classified_and_keeps_its_text(text: str, kind: Kind) -> None:
    scalar = _scalar(text)

    assert scalar.kind is kind
    assert scalar.text == text.strip("'\"")


@pytest.mark.parametrize(
    ("text", "remedy"),
    [
        ("yes", "write true, or quote it: 'yes'"),
        ("No", "write false, or quote it: 'No'"),
        ("on", "write true, or quote it: 'on'"),
        ("OFF", "write false, or quote it: 'OFF'"),
        ("True", "write true, or quote it: 'True'"),
        ("n", "write false, or quote it: 'n'"),
        ("12:30", "quote it: '12:30'"),
        ("1:30:00.5", "quote it: '1:30:00.5'"),
        ("1_000", "write 1000, or quote it: '1_000'"),
        ("017", "write it without leading zeros, or quote it: '017'"),
        ("0_17", "write it without leading zeros, or quote it: '0_17'"),
        ("0o17", "write 15, or quote it: '0o17'"),
        ("0xff", "write 255, or quote it: '0xff'"),
        ("0b101", "write 5, or quote it: '0b101'"),
        (".nan", "write a finite number"),
        ("-.INF", "write a finite number"),
        ("=", "quote it: '='"),
        ("*other", "write the value out here"),
        ("&name 5", "delete it"),
        ("!!str 5", "write the value alone, text in quotes"),
        ("!!python/object/apply:os.system [x]", "write the value alone, text in quotes"),
        ('"\\0"', "delete the escape or the character"),
        ('"\\ud800"', "delete the escape or the character"),
        ("9" * 60, "write fewer digits, or quote it if it is text"),
    ],
)
def test_a_surprise_is_refused_with_what_to_write_instead(text: str, remedy: str) -> None:
    _, problems = compose(f"first: 1\nkey: {text}\n", "f.yaml")

    assert [(problem.line, problem.column, problem.key, problem.remedy) for problem in problems] == [
        (2, 6, "key", remedy)
    ]


def test_keys_and_values_know_their_line_and_column() -> None:
    root, _ = compose("one: 1\ntwo:\n  - a\n  -   b: c\n", "f.yaml")

    assert isinstance(root, Mapping)
    assert root.entries["two"].mark == Mark(2, 1)
    items = root.entries["two"].value
    assert isinstance(items, Sequence)
    assert items.mark == Mark(3, 3)
    second = items.items[1]
    assert isinstance(second, Mapping)
    assert second.entries["b"].mark == Mark(4, 7)
    assert second.entries["b"].value.mark == Mark(4, 10)


def test_the_first_of_two_equal_keys_is_kept_and_the_second_reported_at_its_own_place() -> None:
    root, problems = compose("a: {x: 1, x: 2}\n", "f.yaml")

    assert isinstance(root, Mapping)
    inner = root.entries["a"].value
    assert isinstance(inner, Mapping)
    kept = inner.entries["x"].value
    assert isinstance(kept, Scalar)
    assert kept.text == "1"
    assert [str(problem) for problem in problems] == [
        "f.yaml:1:11: a.x: the key is written twice, first on line 1; keep one of the two"
    ]


@pytest.mark.parametrize("key", ["5", "0.5", "true", "2025-01-01"])
def test_keys_that_are_not_text_are_refused_and_left_out(key: str) -> None:
    root, problems = compose(f"{key}: x\nb: z\n", "f.yaml")

    assert isinstance(root, Mapping)
    assert list(root.entries) == ["b"]
    assert not root.complete
    assert [problem.remedy for problem in problems] == [f"quote it: '{key}'"]


@pytest.mark.parametrize("key", ["? [a, b]\n: c", "? {a: b}\n: c", ": c", "~: c", "<<: {a: 1}"])
def test_keys_that_are_no_words_are_refused(key: str) -> None:
    _, problems = compose(key + "\n", "f.yaml")

    assert len(problems) == 1


def test_deep_nesting_is_refused_without_recursion() -> None:
    _, problems = compose("[" * 5000 + "]" * 5000, "f.yaml")

    assert [problem.message for problem in problems] == ["nested more than 20 levels deep"]


def test_a_value_of_which_only_a_comment_is_left_is_known_as_such() -> None:
    assert _scalar("#channel").commented
    assert not _scalar("").commented


def test_a_byte_that_yaml_does_not_allow_is_named_with_its_place() -> None:
    _, problems = compose("a: b\nc: d\x07e\n", "f.yaml")

    assert [str(problem) for problem in problems] == [
        "f.yaml:2:5: the character U+0007 is not allowed in YAML; delete it"
    ]


@given(st.text(alphabet=st.sampled_from("ab:-[]{}#&*!|>'\"%@`,? \n\t0123456789._~<=\\xuU")))
def test_any_text_gives_a_root_or_a_problem_with_a_place(text: str) -> None:
    root, problems = compose(text, "f.yaml")

    assert root is not None or problems
    assert all(problem.line >= 1 and problem.column >= 1 for problem in problems)
