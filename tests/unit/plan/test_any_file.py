"""Whatever the file holds, the answer is a plan or a list of problems with places; never another exception."""

from __future__ import annotations

from datetime import date
from pathlib import Path
from typing import Any

import yaml
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from exporter.errors import ConfigError
from exporter.plan.describe import describe
from exporter.plan.load import parse

SHIPPED_TEXT = (Path(__file__).parents[3] / "migration.yaml").read_text(encoding="utf-8")
PATH = Path("migration.yaml")
SCALARS = st.one_of(
    st.none(),
    st.booleans(),
    st.integers(),
    st.floats(),
    st.text(max_size=20),
    st.dates(min_value=date(1, 1, 1)),
    st.datetimes(),
    st.sampled_from(
        ["", "0s", "5m", "8MiB", "gpt-4", "gpt-4.1", "slack", "2025-01-01", "1e400", "-0.0", "Etc/", "UTC"]
    ),
)
VALUES = st.recursive(
    SCALARS, lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=8), inner, max_size=3)
)


def _outcome(text: str) -> None:
    try:
        plan = parse(text, PATH)
    except ConfigError as error:
        _check_problems(error)
    else:
        describe(plan, 1_750_000_000.0).encode()


def _check_problems(error: ConfigError) -> None:
    assert error.problems
    assert all(problem.line >= 1 and problem.column >= 1 for problem in error.problems)
    assert all(problem.message and problem.remedy for problem in error.problems)
    str(error).encode()  # can be printed


@given(st.text())
def test_arbitrary_text_gives_problems(text: str) -> None:
    _outcome(text)


@given(st.text(alphabet=st.sampled_from("version: 1\n-{}[]&*!|>'\"%@`?#~<=.,_0123456789xoeE+tru\\U"), max_size=80))
def test_text_that_nearly_is_yaml_gives_problems(text: str) -> None:
    _outcome(text)


@settings(max_examples=50, suppress_health_check=[HealthCheck.too_slow], deadline=None)
@given(st.data())
def test_the_shipped_file_with_some_characters_changed_is_read_or_refused(data: st.DataObject) -> None:
    start = data.draw(st.integers(0, len(SHIPPED_TEXT)))
    length = data.draw(st.integers(0, 30))
    inserted = data.draw(st.text(max_size=8))

    _outcome(SHIPPED_TEXT[:start] + inserted + SHIPPED_TEXT[start + length :])


@settings(max_examples=200, suppress_health_check=[HealthCheck.too_slow], deadline=None)
@given(st.data())
def test_the_shipped_file_with_any_node_deleted_or_replaced_is_read_or_refused(data: st.DataObject) -> None:
    tree: dict[str, Any] = yaml.safe_load(SHIPPED_TEXT)
    places = list(_places(tree))
    container, key = data.draw(st.sampled_from(places))
    if data.draw(st.booleans()):
        del container[key]
    else:
        container[key] = data.draw(VALUES)

    _outcome(yaml.safe_dump(tree, sort_keys=False, allow_unicode=True))


def _places(node: Any) -> list[tuple[Any, Any]]:
    """Every entry of every mapping and list, as container and key."""
    keys = list(node) if isinstance(node, dict) else range(len(node)) if isinstance(node, list) else []
    found: list[tuple[Any, Any]] = []
    for key in keys:
        found.append((node, key))
        found += _places(node[key])
    return found
