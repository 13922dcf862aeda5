"""From events to rows: what is kept for a label set must not be taken for another."""

from __future__ import annotations

import itertools

import pytest

from exporter.events import Event, Rejection
from exporter.ingest.names import Names
from exporter.ingest.prepare import Preparer
from exporter.ledger.store import Name
from exporter.plan.load import load
from exporter.pricing.book import PriceBook
from tests.configs import SHIPPED

NOW = 1_747_735_200.0
BOOK = PriceBook.load()


class Counted:
    def folded(self, label: str) -> None: ...
    def dropped(self, metric: str) -> None: ...


class Prepared:
    """A preparer, and the names that it made."""

    def __init__(self) -> None:
        self.names: dict[int, Name] = {}
        self.preparer = Preparer(load(SHIPPED), BOOK, Names(lambda name: self.names.update({name.id: name})), Counted())

    def __call__(self, **fields: object) -> object:
        """The labels and money of one event, or the field for which it is refused."""
        event = Event(input_tokens=1000, output_tokens=500, latency=1.0, success=True, **fields)  # type: ignore[arg-type]
        rejected: list[Rejection] = []
        rows = self.preparer.rows([event], [0], None, NOW, rejected)
        if rejected:
            return rejected[0].field
        (row,) = rows
        names = self.names
        return names[row.cell].value, names[row.route].value, row.cost, row.counterfactual, row.tier


LABELS = ("web", "", "None", "a\0b", "\0", "standard", "True")
ODD = [
    {"model": model, "application": application, "category": category, "endpoint": endpoint}
    for model, application, category, endpoint in itertools.product(
        ("gpt-4", "gpt-4.1", "gpt-4\0web"), LABELS, ("analysis", "web\0analysis"), ("", "\0", "x\0standard")
    )
]


def test_no_two_label_sets_are_taken_for_each_other() -> None:
    """One preparer that has seen all of them says of each what one that has seen nothing else says."""
    many = Prepared()
    extras: list[dict[str, object]] = [
        {},
        {"replaces": "gpt-4o"},
        {"replaces": "None"},
        {"migration": "gpt4-migration"},
        {"migration": "None"},
        {"shadow": True},
        {"tier": "batch"},
    ]
    events = [{**labels, **extra} for labels in ODD for extra in extras]
    for event in events:
        many(**event)
    alone = Prepared()
    for event in events:
        alone.preparer._ways.clear()
        assert many(**event) == alone(**event), event


@pytest.mark.parametrize("cached", [0, 300])
@pytest.mark.parametrize("tier", ["standard", "batch", "flex", "priority"])
@pytest.mark.parametrize("model", BOOK.models())
def test_the_short_way_to_a_price_is_the_long_one(model: str, tier: str, cached: int) -> None:
    from exporter.pricing.rates import Usage

    for tokens in (1, 999, 150_001, 400_000):
        event = Event(
            model=model, input_tokens=tokens + cached, output_tokens=tokens, latency=1.0, success=True,
            cached_input_tokens=cached, tier=tier, timestamp=NOW,  # type: ignore[arg-type]
        )  # fmt: skip
        (row,) = PREPARED.preparer.rows([event], [0], None, NOW, [])
        assert row.cost == BOOK.cost_nano(model, Usage(tokens + cached, cached, 0, tokens), NOW, tier)


PREPARED = Prepared()
