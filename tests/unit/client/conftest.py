from __future__ import annotations

import importlib.util
import sys
from pathlib import Path

import pytest


def load_sink_module():
    if "event_sink" not in sys.modules:
        spec = importlib.util.spec_from_file_location("event_sink", Path(__file__).with_name("sink.py"))
        module = importlib.util.module_from_spec(spec)
        sys.modules["event_sink"] = module
        spec.loader.exec_module(module)
    return sys.modules["event_sink"]


@pytest.fixture
def new_sink():
    return load_sink_module().Sink


@pytest.fixture
def sink(new_sink):
    with new_sink().running() as running:
        yield running


@pytest.fixture
def unused_port():
    return load_sink_module().unused_port()
