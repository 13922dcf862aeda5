"""Random numbers: seeds for tuning and seeds for judging share no stream, whatever their numbers."""

from __future__ import annotations

from typing import Literal

import numpy as np

Purpose = Literal["tuning", "judging"]
_PURPOSES: dict[Purpose, int] = {"tuning": 1, "judging": 2}


def generator(purpose: Purpose, number: int, stream: int = 0) -> np.random.Generator:
    """The generator of a scenario.

    The purpose is the first word of the seed's entropy, so that no number of one purpose can equal one of the other.
    `stream` separates kinds of draws, so that an incident leaves the draws outside its time as they were.
    """
    return np.random.default_rng(np.random.SeedSequence((_PURPOSES[purpose], number, stream)))
