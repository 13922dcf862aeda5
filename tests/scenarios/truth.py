"""What is known about simulated calls without any series: the figures that rules must find again."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from tests.scenarios.calls import SHADOW, TARGET, Calls


@dataclass(frozen=True, slots=True)
class Truth:
    """Figures of the calls that ended after `start` up to `end`, Unix seconds."""

    requests: int
    errors: int
    cost: float  # USD
    counterfactual: float
    input_tokens: float
    output_tokens: float
    latency_mean: float  # seconds
    latency_p95: float
    target_share: float  # of live calls

    @property
    def error_ratio(self) -> float:
        """Failed part of the calls."""
        return self.errors / self.requests


def truth(calls: Calls, start: float, end: float) -> Truth:
    """Sums and statistics of a span of time."""
    own = calls.where((calls.at > start) & (calls.at <= end))
    live = own.role[own.role != SHADOW]
    return Truth(
        requests=len(own),
        errors=int((~own.success).sum()),
        cost=float(own.cost.sum()),
        counterfactual=float(own.counterfactual.sum()),
        input_tokens=float(own.input.sum()),
        output_tokens=float(own.output.sum()),
        latency_mean=float(own.latency.mean()),
        latency_p95=float(np.quantile(own.latency, 0.95)),
        target_share=float((live == TARGET).mean()),
    )
