"""What several unit tests share: a receiver of events on loopback."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from tests.eventsink import Sink
from tests.processes import free_port


@pytest.fixture
def new_sink() -> type[Sink]:
    """The class, for tests that need several, or one that starts late."""
    return Sink


@pytest.fixture
def sink() -> Iterator[Sink]:
    """A running receiver."""
    with Sink().running() as running:
        yield running


@pytest.fixture
def unused_port() -> int:
    """A port that nobody listens on."""
    return free_port()
