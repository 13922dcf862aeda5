"""Names with dates behind them and providers before them."""

from __future__ import annotations

import pytest

from exporter.pricing import names


@pytest.mark.parametrize(
    ("name", "split"),
    [
        ("gpt-4o-2024-08-06", ("gpt-4o", "-YYYY-MM-DD")),
        ("claude-3-opus-20240229", ("claude-3-opus", "-YYYYMMDD")),
        ("claude-3-opus@20240229", ("claude-3-opus", "@YYYYMMDD")),
        ("gemini-2.5-pro-preview-05-06", ("gemini-2.5-pro-preview", "-MM-DD")),
        ("gemini-2.5-flash-preview-09-2025", ("gemini-2.5-flash-preview", "-MM-YYYY")),
        ("magistral-medium-2506", ("magistral-medium", "-YYMM")),
        ("gemini-1.5-pro-002", ("gemini-1.5-pro", "-NNN")),
        ("gpt-4o-2024-13-06", None),
        ("gpt-4o-2024-08-32", None),
        ("gpt-4o-20249999", None),
        ("gpt-4o", None),
        ("-2024-08-06", None),
        ("", None),
    ],
)
def test_a_snapshot_is_split_from_its_date(name: str, split: tuple[str, str] | None) -> None:
    assert names.split_snapshot(name) == split


def test_the_example_of_each_form_has_that_form() -> None:
    assert {form: names.split_snapshot("model" + example) for form, example in names.FORMS.items()} == {
        form: ("model", form) for form in names.FORMS
    }


def test_only_a_full_date_is_stripped_without_being_listed() -> None:
    assert names.strip_date("gpt-4o-2030-01-31") == "gpt-4o"
    assert names.strip_date("gpt-4-0613") is None
    assert names.strip_date("gemini-1.5-pro-002") is None


def test_a_compact_date_is_written_with_dashes() -> None:
    assert names.dashed_date("gpt-5.2-20251211") == "gpt-5.2-2025-12-11"
    assert names.dashed_date("gpt-5.2-2025-12-11") is None


@pytest.mark.parametrize(
    ("name", "split"),
    [
        ("openai/gpt-4.1", ("openai", "gpt-4.1")),
        ("x-ai/grok-4", ("x-ai", "grok-4")),
        ("azure/gpt-4.1", None),
        ("bedrock/claude-3-opus", None),
        ("gpt-4.1", None),
    ],
)
def test_only_a_provider_with_its_own_price_list_is_taken_off(name: str, split: tuple[str, str] | None) -> None:
    assert names.split_provider(name) == split


@pytest.mark.parametrize(
    ("name", "base"),
    [
        ("ft:gpt-4o-2024-08-06:acme::9Xy", "ft:gpt-4o-2024-08-06"),
        ("ft:gpt-4o-2024-08-06", None),
        ("gemini:x:y", None),
    ],
)
def test_a_fine_tuned_model_is_known_by_what_it_was_tuned_from(name: str, base: str | None) -> None:
    assert names.tuned_base(name) == base
