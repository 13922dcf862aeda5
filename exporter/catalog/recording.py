"""What a recorded series is."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Recording:
    """One recorded series: its name (`level:metric:operation`) and the labels that it has."""

    name: str
    labels: tuple[str, ...]
    help: str
