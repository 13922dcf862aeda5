"""The comparison of target and source a second time, in numpy: the rules are held against it, and it is calibrated.

Written from the textbooks' formulas, not from the rules. Counts are arrays `[…, steps, strata]`, of histograms
`[…, steps, strata, bounds]`; everything else has a value for each leading index. NaN is what PromQL has no value for.
"""

from __future__ import annotations

import itertools
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

Array = npt.NDArray[np.float64]


def increase(times: Sequence[float], values: Sequence[float], at: float, window: float) -> float:
    """Prometheus' `increase` of one counter, with its resets and its extrapolation; NaN below two samples.

    Args:
        times: seconds of the samples, ascending.
        values: the counter.
        at: seconds; the end of the window.
        window: seconds.
    """
    seen = [(t, v) for t, v in zip(times, values, strict=True) if at - window <= t <= at]
    if len(seen) < 2:
        return float("nan")
    total = sum(v if v < before else v - before for (_, before), (_, v) in itertools.pairwise(seen))
    (first, born), (last, _) = seen[0], seen[-1]
    between = (last - first) / (len(seen) - 1)
    to_start, to_end = first - (at - window), at - last
    if total > 0:
        to_start = min(to_start, (last - first) * born / total)
    reach = (last - first) + sum(gap if gap < 1.1 * between else between / 2 for gap in (to_start, to_end))
    return total * reach / (last - first)


@dataclass(frozen=True, slots=True)
class Compared:
    """One comparison over a window: what the rules record of it, by leading index."""

    statistic: Array  # z, or the Kolmogorov-Smirnov statistic, signed: positive where the target has more
    effect: Array  # difference of ratios, ratio, or difference of distributions
    samples: Array
    verdict: Array  # 1, 0, -1, NaN


@dataclass(frozen=True, slots=True)
class Limits:
    """From when on a difference counts."""

    statistic: float
    samples: float
    steps: int


ERRORS = Limits(4.0, 100, 6)
LATENCY = Limits(2.28, 100, 6)
COST = Limits(4.5, 100, 24)
QUALITY = Limits(2.28, 50, 3)


def _comparable(n: Array, m: Array) -> tuple[npt.NDArray[np.bool_], Array]:
    """Which strata count, and the source's share of their calls."""
    valid = (n > 0) & (m > 0) & (n + m >= 2)
    return valid, np.where(valid, m / np.where(valid, n + m, 1), 0)


def _spread(differences: Array, steps: npt.NDArray[np.bool_]) -> Array:
    """The variance of the sum of the steps, from how they spread around their mean."""
    count = np.maximum(steps.sum(-1), 1)
    mean = np.where(steps, differences, 0).sum(-1) / count
    squares = (np.where(steps, differences - mean[..., None], 0) ** 2).sum(-1)
    return np.asarray(squares * count / np.maximum(count - 1, 1), dtype=np.float64)


def _verdict(worse: npt.ArrayLike, better: npt.ArrayLike, samples: Array, steps: Array, limits: Limits) -> Array:
    judged = np.where(worse, -1.0, np.where(better, 1.0, 0.0))
    return np.where((samples >= limits.samples) & (steps >= limits.steps), judged, np.nan)


def errors(n: Array, m: Array, failed: Array, failed_source: Array) -> Compared:
    """Cochran-Mantel-Haenszel over strata; `n` calls of the target, `m` of the source."""
    valid, share = _comparable(n, m)
    total, ill = n + m, failed + failed_source
    expected = np.where(valid, n * ill / np.where(valid, total, 1), 0)
    difference = np.where(valid, failed - expected, 0)
    inner = n * m * ill * np.maximum(total - ill, 0)
    variance = np.where(valid, inner / np.where(valid, total**2 * (total - 1), 1), 0).sum((-1, -2))
    steps = valid.any(-1)
    weight = (n * share).sum((-1, -2))
    scale = np.maximum(variance, _spread(difference.sum(-1), steps))
    gap = difference.sum((-1, -2))
    with np.errstate(divide="ignore", invalid="ignore"):
        z = np.where(scale > 0, gap / np.sqrt(scale), np.nan)
        effect = np.where(weight > 0, gap / weight, np.nan)
        ratio = (share * failed).sum((-1, -2)) / np.where(valid, (1 - share) * failed_source, 0).sum((-1, -2))
    worse = (z >= ERRORS.statistic) & (effect >= 0.001) & ~(ratio < 1.2)
    better = (z <= -ERRORS.statistic) & (effect <= -0.001) & ~(ratio > 1 / 1.2)
    samples = 2 * weight
    return Compared(z, effect, samples, _verdict(worse, better, samples, steps.sum(-1), ERRORS))


def cost(n: Array, m: Array, spent: Array, spent_source: Array) -> Compared:
    """Weighted sums of what calls cost, by their spread from step to step."""
    valid, share = _comparable(n, m)
    target, source = share * spent, np.where(valid, 1 - share, 0) * spent_source
    steps = valid.any(-1)
    both = target.sum((-1, -2)) + source.sum((-1, -2))
    with np.errstate(divide="ignore", invalid="ignore"):
        gap = (target - source).sum((-1, -2))
        z = gap / (np.sqrt(_spread((target - source).sum(-1), steps)) + np.where(both > 0, 0.0001 * both, np.nan))
        ratio = target.sum((-1, -2)) / source.sum((-1, -2))
    worse = (z >= COST.statistic) & ~(ratio < 1.1)
    better = (z <= -COST.statistic) & ~(ratio > 1 / 1.1)
    samples = 2 * (n * share).sum((-1, -2))
    return Compared(z, ratio, samples, _verdict(worse, better, samples, steps.sum(-1), COST))


def distribution(within: Array, within_source: Array, limits: Limits, higher_is_worse: bool = True) -> Compared:
    """Kolmogorov-Smirnov over strata, of cumulative counts by bound; the last bound is +Inf.

    The statistic and the effect are those of the worse direction.
    """
    n, m = within[..., -1], within_source[..., -1]
    valid, share = _comparable(n, m)
    beyond = (np.where(valid, 1 - share, 0)[..., None] * within_source - share[..., None] * within).sum(-2)
    steps = valid.any(-1)
    weight = (n * share).sum((-1, -2))
    spread = np.stack([_spread(beyond[..., bound], steps) for bound in range(beyond.shape[-1])], -1)
    with np.errstate(divide="ignore", invalid="ignore"):
        statistic = beyond.sum(-2) / np.sqrt(np.maximum(4 * spread, weight[..., None]))
        effect = beyond.sum(-2) / weight[..., None]
    up = (statistic.max(-1) >= limits.statistic) & (effect.max(-1) >= 0.1)
    down = (statistic.min(-1) <= -limits.statistic) & (effect.min(-1) <= -0.1)
    samples = 2 * weight
    verdict = _verdict(*((up, down) if higher_is_worse else (down, up)), samples, steps.sum(-1), limits)
    if higher_is_worse:
        return Compared(statistic.max(-1), effect.max(-1), samples, verdict)
    return Compared(statistic.min(-1), effect.min(-1), samples, verdict)


def latency(within: Array, within_source: Array) -> Compared:
    """Durations: more of them beyond a bound is worse."""
    return distribution(within, within_source, LATENCY)


def quality(within: Array, within_source: Array) -> Compared:
    """Scores: fewer of them beyond a bound is worse."""
    return distribution(within, within_source, QUALITY, higher_is_worse=False)
