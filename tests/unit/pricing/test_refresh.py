"""The maintainer's refresh: it merges, says what it did, and changes nothing when there is nothing to change."""

from __future__ import annotations

import shutil
import sys
from collections.abc import Sequence
from dataclasses import replace
from datetime import date
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path

import pytest

from exporter.clock import ManualClock
from exporter.errors import UserError
from exporter.pricing.book import PACKAGED, PriceBook, Usage
from exporter.pricing.overlay import Overlay, read_overlay
from exporter.pricing.pages import Book, ModelPrices, Price, read, write
from exporter.pricing.rates import Rates
from exporter.pricing.refresh import HEADING, merge, refresh

LATER = ManualClock(1_830_000_000)  # 2027-12-28
TODAY = date(2027, 1, 2)
NO_OVERLAY = Overlay({}, {}, {})
SOURCES = {"genai-prices": {"version": "9"}}


def page(name: str, usd: int = 1, *, aliases: Sequence[str] = (), snapshots: Sequence[str] = ()) -> ModelPrices:
    prices = (Price(None, "standard", Rates(usd * 10**6, usd * 10**6)),)
    return ModelPrices(name, "openai", prices, aliases=tuple(aliases), snapshots=tuple(snapshots))


def book(*pages: ModelPrices, version: str = "2026-01-01") -> Book:
    return Book(version, "2026-01-01", SOURCES, pages)


@pytest.fixture
def same_source() -> None:
    ours = read(PACKAGED).sources["genai-prices"]["version"]
    try:
        installed = version("genai-prices")
    except PackageNotFoundError:
        pytest.skip("genai-prices is not installed")
    if installed != ours:
        pytest.skip(f"the book was made from genai-prices {ours}, {installed} is installed: refresh it")


@pytest.mark.usefixtures("same_source")
def test_a_refresh_of_the_committed_book_changes_nothing(tmp_path: Path) -> None:
    path = tmp_path / "prices.yaml"
    shutil.copy(PACKAGED, path)
    report = refresh(path, clock=LATER)
    assert path.read_bytes() == PACKAGED.read_bytes()
    assert (report.written, report.added, report.changed, report.retired) == (False, (), (), ())
    assert str(report).endswith(f"price book {read(PACKAGED).version}: {report.models} models, unchanged")


@pytest.mark.usefixtures("same_source")
def test_a_refresh_from_nothing_gives_the_committed_models(tmp_path: Path) -> None:
    path = tmp_path / "new" / "prices.yaml"
    report = refresh(path, clock=LATER)
    assert read(path).models == read(PACKAGED).models
    assert (read(path).version, read(path).verified) == ("2027-12-28", "2027-12-28")
    assert len(report.added) == report.models > 150


@pytest.mark.usefixtures("same_source")
def test_every_model_of_the_source_is_taken_or_left_out_with_a_reason(tmp_path: Path) -> None:
    from genai_prices.data import providers

    report = refresh(tmp_path / "prices.yaml", clock=LATER)
    taken = {name for page in read(PACKAGED).models for name in (page.name, *page.aliases)}
    left_out = {skipped.name: skipped.reason for skipped in report.skipped}
    ours = ("openai", "anthropic", "google", "mistral", "x-ai", "deepseek", "cohere")
    for provider in providers:
        for model in provider.models if provider.id in ours else ():
            assert model.id.rstrip("-") in taken or left_out[model.id], model.id
    assert left_out["gpt-4o-audio-preview"] == "not a text model (audio)"
    assert left_out["gpt-image-1"] == "not a text model (image)"
    assert left_out["whisper-1"].startswith("not priced by the token alone")
    assert left_out["deepseek-chat"] == "the price depends on the time of day"
    assert left_out["gpt-4o-search-preview"] == "each call also has a search fee"
    assert "  each call also has a search fee: gpt-4o-mini-search-preview (openai), " in str(report)


def test_the_committed_file_is_what_its_own_text_says() -> None:
    assert write(read(PACKAGED), HEADING) == PACKAGED.read_text(encoding="utf-8")


def test_a_model_that_the_source_drops_keeps_its_price_for_ever() -> None:
    old = book(page("gone", 75, aliases=["gone-1"]), page("stays"))
    new = merge(old, [page("stays")], NO_OVERLAY, SOURCES, TODAY)
    gone = next(model for model in new.models if model.name == "gone")
    assert gone == replace(old.models[0], retired_from_source=TODAY)
    assert new.version == "2027-01-02"
    again = merge(new, [page("stays")], NO_OVERLAY, SOURCES, date(2028, 1, 1))
    assert again == new


def test_a_retired_model_can_come_back() -> None:
    old = book(replace(page("back"), retired_from_source=date(2026, 1, 1)))
    assert merge(old, [page("back", 2)], NO_OVERLAY, SOURCES, TODAY).models == (page("back", 2),)


def test_a_name_that_the_source_drops_stays_with_its_model_unless_another_has_it_now() -> None:
    old = book(page("one", aliases=["one-old", "latest"]), page("two"))
    new = merge(old, [page("one"), page("two", aliases=["latest"])], NO_OVERLAY, SOURCES, TODAY)
    assert [model.aliases for model in new.models] == [("one-old",), ("latest",)]


def test_a_model_that_is_an_alias_now_is_no_model_of_its_own() -> None:
    old = book(page("one-latest"))
    new = merge(old, [page("one", aliases=["one-latest"])], NO_OVERLAY, SOURCES, TODAY)
    assert [model.name for model in new.models] == ["one"]


def test_a_second_change_on_a_day_has_a_version_of_its_own() -> None:
    one = merge(book(), [page("a")], NO_OVERLAY, SOURCES, TODAY)
    two = merge(one, [page("a", 2)], NO_OVERLAY, SOURCES, TODAY)
    three = merge(two, [page("a", 3)], NO_OVERLAY, SOURCES, TODAY)
    assert [one.version, two.version, three.version] == ["2027-01-02", "2027-01-02.2", "2027-01-02.3"]


def test_a_newer_source_that_says_the_same_is_verified_and_keeps_the_version() -> None:
    old = book(page("a"))
    new = merge(old, [page("a")], NO_OVERLAY, {"genai-prices": {"version": "10"}}, TODAY)
    assert (new.version, new.verified, new.models) == ("2026-01-01", "2027-01-02", old.models)


def test_models_are_in_the_order_of_people() -> None:
    names = ["gpt-10", "gpt-4", "gpt-4.1", "o3", "gpt-4o"]
    new = merge(book(), [page(name) for name in names], NO_OVERLAY, SOURCES, TODAY)
    assert [model.name for model in new.models] == ["gpt-4", "gpt-4.1", "gpt-4o", "gpt-10", "o3"]


def test_the_overlay_fills_what_the_source_leaves_open_and_no_more() -> None:
    def batch(day: date, usd: int, source: str = "") -> Price:
        return Price(day, "batch", Rates(usd, usd), source)

    known = replace(page("a"), prices=(*page("a").prices, batch(date(2026, 10, 14), 5)))
    early, late = batch(date(2025, 4, 14), 4, "docs"), batch(date(2026, 11, 1), 6, "docs")
    overlay = Overlay({"docs": {}}, {"a": (early, late)}, {"a": ("a-exact", "a-YYYYMMDD")})
    new = merge(book(), [known, page("b", aliases=["a-exact"])], overlay, SOURCES, TODAY)
    assert new.models[0].prices == (*page("a").prices, early, batch(date(2026, 10, 14), 5))
    assert (new.models[0].aliases, new.models[0].snapshots) == (("a-exact",), ("a-YYYYMMDD",))
    assert new.models[1].aliases == ()
    assert merge(new, [known, page("b")], overlay, SOURCES, TODAY) == new


def test_where_source_and_overlay_speak_of_the_same_day_the_source_counts() -> None:
    def batch(usd: int, source: str = "") -> Price:
        return Price(TODAY, "batch", Rates(usd, usd), source)

    known = replace(page("a"), prices=(*page("a").prices, batch(5)))
    overlay = Overlay({"docs": {}}, {"a": (batch(4, "docs"),)}, {})
    assert merge(book(), [known], overlay, SOURCES, TODAY).models == (known,)


def test_an_overlay_for_a_model_that_does_not_exist_is_an_error() -> None:
    with pytest.raises(UserError, match=r"overlay\.yaml: no such model: nobody; name it as"):
        merge(book(), [page("a")], Overlay({}, {}, {"nobody": ("x",)}), SOURCES, TODAY)


def test_an_overlay_price_must_say_where_it_can_be_read(tmp_path: Path) -> None:
    path = tmp_path / "overlay.yaml"
    path.write_text("sources: {}\nnames: {}\nprices:\n  a:\n  - {tier: batch, input: 1, output: 1}\n")
    with pytest.raises(UserError, match="a: source '' is not one of `sources`"):
        read_overlay(path)


def test_the_report_shows_prices_before_and_after(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from exporter.pricing import refresh as module
    from exporter.pricing.source import Skipped, Source

    path = tmp_path / "prices.yaml"
    path.write_text(write(book(page("a"), page("gone")), HEADING))
    skipped = (Skipped("openai", "tts-1", "not priced by the token alone (input_mchars)"),)
    monkeypatch.setattr(module, "read_source", lambda: Source("9", (page("a", 2), page("b")), skipped))
    monkeypatch.setattr(module, "read_overlay", lambda: NO_OVERLAY)
    assert str(refresh(path, clock=LATER)).splitlines() == [
        "added (1):",
        "  b",
        "retired by the source, kept (1):",
        "  gone",
        "changed (1):",
        "  a",
        "    - {input: 1, output: 1}",
        "    + {input: 2, output: 2}",
        "left out (1):",
        "  not priced by the token alone (input_mchars): tts-1 (openai)",
        "price book 2027-12-28: 3 models, written",
    ]
    assert PriceBook.load(path).cost_nano("gone", Usage(1, 0, 0, 0), 0.0) == 1000
    assert [p.name for p in tmp_path.iterdir()] == ["prices.yaml"]


def test_without_the_package_the_refresh_says_what_to_install(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "genai_prices", None)
    monkeypatch.setitem(sys.modules, "genai_prices.data", None)
    with pytest.raises(UserError, match=r"pip install 'llm-migration-exporter\[prices\]'"):
        refresh(tmp_path / "prices.yaml")


def test_the_book_needs_no_package_at_run_time() -> None:
    import subprocess

    code = (
        "import sys; from exporter.pricing.book import PriceBook; PriceBook.load();"
        "sys.exit(sum(name.startswith(('genai_prices', 'pydantic')) for name in sys.modules))"
    )
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0
