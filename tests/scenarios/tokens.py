"""Token counts of a call: mixtures of log-normal distributions, fitted to the Azure LLM inference trace of 2023.

The trace (conversation, 19,366 calls; Patel et al., ISCA 2024) has humps that no single heavy-tailed distribution
follows: prompts at the limits of the context, answers at the limits that applications set. The parameters below are
what `fit` finds; a test fits again where the trace is at hand. Prompt and answer correlate by 0.09 there, here by 0.
"""

from __future__ import annotations

from dataclasses import dataclass
from math import erf, sqrt

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float64]


@dataclass(frozen=True, slots=True)
class Mixture:
    """Weights, means and standard deviations of the logarithm."""

    weights: tuple[float, ...]
    means: tuple[float, ...]
    deviations: tuple[float, ...]

    def draw(self, rng: np.random.Generator, count: int) -> Floats:
        """So many values, whole numbers of at least 1."""
        part = rng.choice(len(self.weights), size=count, p=np.array(self.weights) / sum(self.weights))
        logarithm = np.array(self.means)[part] + np.array(self.deviations)[part] * rng.standard_normal(count)
        return np.maximum(np.floor(np.exp(logarithm)), 1.0)

    def cdf(self, values: Floats) -> Floats:
        """The share of values below each of these, before rounding."""
        logarithm = np.log(values)
        below = np.zeros(len(values))
        for weight, mean, deviation in zip(self.weights, self.means, self.deviations, strict=True):
            below += weight * np.array([0.5 * (1 + erf(z / sqrt(2))) for z in (logarithm - mean) / deviation])
        return below

    @property
    def mean(self) -> float:
        """The mean before rounding."""
        parts = zip(self.weights, self.means, self.deviations, strict=True)
        return float(sum(weight * np.exp(mean + deviation**2 / 2) for weight, mean, deviation in parts))


INPUT = Mixture((0.201, 0.228, 0.401, 0.170), (5.487, 5.988, 6.997, 8.010), (1.006, 0.038, 0.099, 0.377))
OUTPUT = Mixture((0.296, 0.425, 0.279), (4.739, 4.576, 6.007), (1.002, 0.355, 0.049))


def fit(counts: Floats, parts: int, rounds: int = 300) -> Mixture:
    """The mixture of so many parts that expectation maximisation finds for whole numbers of at least 1."""
    spread = np.random.default_rng(0).random(len(counts))  # a count stands for all values that round down to it
    x = np.log(counts + spread)
    means = np.quantile(x, (np.arange(parts) + 0.5) / parts)
    deviations = np.full(parts, x.std() / parts)
    weights = np.full(parts, 1 / parts)
    for _ in range(rounds):
        score = np.log(weights) - np.log(deviations) - 0.5 * ((x[:, None] - means) / deviations) ** 2
        share = np.exp(score - score.max(axis=1, keepdims=True))
        share /= share.sum(axis=1, keepdims=True)
        total = share.sum(axis=0)
        weights = total / len(x)
        means = (share * x[:, None]).sum(axis=0) / total
        deviations = np.maximum(np.sqrt((share * (x[:, None] - means) ** 2).sum(axis=0) / total), 0.02)
    return Mixture(tuple(weights.tolist()), tuple(means.tolist()), tuple(deviations.tolist()))


def distance(mixture: Mixture, counts: Floats) -> float:
    """Kolmogorov-Smirnov's distance between a mixture and counts, each spread over the values that it stands for."""
    spread = np.random.default_rng(0).random(len(counts))
    ordered = np.sort(counts + spread)
    return float(np.abs(mixture.cdf(ordered) - (np.arange(len(ordered)) + 0.5) / len(ordered)).max())
