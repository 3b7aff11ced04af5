"""Estimates with intervals for paired comparisons. Every random draw takes a seed.

Base and candidate answered the same items, so what is resampled is the item's cluster, with both answers: the difference
between models keeps its pairing, and paraphrases of one situation do not pose as independent evidence (Cameron, Gelbach
and Miller 2008 on the cluster bootstrap; Efron and Tibshirani 1993 on percentile intervals).
"""

from collections.abc import Sequence
from dataclasses import dataclass
from math import isnan, nan

import numpy as np
from numpy.typing import NDArray
from scipy import stats

LEVEL = 0.95
DRAWS = 10_000
SEED = 20_260

Floats = NDArray[np.float64]


@dataclass(frozen=True)
class Estimate:
    """A figure with its uncertainty. Without data every field is nan, and nan passes nothing."""

    point: float
    """Best guess."""
    low: float
    """Lower end of the two-sided 95% interval."""
    high: float
    """Upper end of the two-sided 95% interval."""
    lower: float
    """One-sided 95% lower bound: the 5th percentile."""
    upper: float
    """One-sided 95% upper bound: the 95th percentile."""
    n: int
    """Number of items."""


NOTHING = Estimate(nan, nan, nan, nan, nan, 0)


def cluster_weights(clusters: Sequence[str], rng: np.random.Generator, draws: int = DRAWS) -> Floats:
    """How often each item is drawn when its clusters are drawn with replacement.

    Returns:
        Array of shape (draws, items); items of one cluster share their count.
    """
    _, index = np.unique(np.asarray(clusters, dtype=str), return_inverse=True)
    count = int(index.max()) + 1
    drawn = rng.multinomial(count, np.full(count, 1 / count), size=draws).astype(np.float64)
    return np.asarray(drawn[:, index])


def grouped_rates(values: Floats, groups: Sequence[str], weights: Floats) -> Floats:
    """Unweighted mean over groups of the weighted mean within each group.

    Args:
        values: 0 or 1 an item, shape (items,).
        groups: group of each item.
        weights: shape (draws, items).

    Returns:
        Shape (draws,); nan where a group drew nothing.
    """
    names = np.asarray(groups, dtype=str)
    rates = []
    for group in np.unique(names):
        mask = names == group
        total = weights[:, mask].sum(axis=1)
        with np.errstate(invalid="ignore"):
            rates.append(weights[:, mask] @ values[mask] / total)
    return np.asarray(np.mean(rates, axis=0))


def paired_ratio(
    base: Floats, candidate: Floats, groups: Sequence[str], clusters: Sequence[str], seed: int = SEED
) -> Estimate:
    """Ratio candidate / base of the mean over groups of their rates, clusters resampled within each group.

    A candidate without a single event bootstraps to a ratio of exactly 0; its upper bounds then come from the exact
    binomial bound on its rate over all items instead. A base without one has no ratio: nan.
    """
    if len(base) == 0:
        return NOTHING
    weights = _stratified_weights(groups, clusters, seed)
    once = np.ones((1, len(base)))
    base_point = float(grouped_rates(base, groups, once)[0])
    candidate_point = float(grouped_rates(candidate, groups, once)[0])
    if base_point == 0:
        return Estimate(nan, nan, nan, nan, nan, len(base))
    with np.errstate(divide="ignore", invalid="ignore"):
        ratios = grouped_rates(candidate, groups, weights) / grouped_rates(base, groups, weights)
    estimate = _summary(candidate_point / base_point, ratios, len(base))
    if candidate_point == 0:
        exact = proportion(0, len(base))
        return Estimate(0.0, 0.0, exact.high / base_point, 0.0, exact.upper / base_point, len(base))
    return estimate


def paired_difference(base: Floats, candidate: Floats, clusters: Sequence[str], seed: int = SEED) -> Estimate:
    """Difference candidate - base of two means over the same items."""
    if len(base) == 0:
        return NOTHING
    weights = cluster_weights(clusters, np.random.default_rng(seed))
    differences = weights @ (candidate - base) / weights.sum(axis=1)
    return _summary(float(np.mean(candidate - base)), differences, len(base))


def rate(values: Floats, groups: Sequence[str], clusters: Sequence[str], seed: int = SEED) -> Estimate:
    """Mean over groups of their rates."""
    if len(values) == 0:
        return NOTHING
    weights = _stratified_weights(groups, clusters, seed)
    point = float(grouped_rates(values, groups, np.ones((1, len(values))))[0])
    return _summary(point, grouped_rates(values, groups, weights), len(values))


def proportion(events: int, n: int) -> Estimate:
    """A share of independent items with exact (Clopper-Pearson 1934) limits."""
    if n == 0:
        return NOTHING
    two = stats.binomtest(events, n).proportion_ci(LEVEL, method="exact")
    one = stats.binomtest(events, n).proportion_ci(2 * LEVEL - 1, method="exact")
    return Estimate(events / n, float(two.low), float(two.high), float(one.low), float(one.high), n)


def passing_groups(passed: Floats, groups: Sequence[str], bar: float, seed: int = SEED) -> Estimate:
    """Number of groups whose share of passed items reaches the bar; items resampled within each group."""
    if len(passed) == 0:
        return NOTHING
    rng = np.random.default_rng(seed)
    names = np.asarray(groups, dtype=str)
    point, drawn = 0, np.zeros(DRAWS)
    for group in np.unique(names):
        values = passed[names == group]
        point += int(values.mean() >= bar)
        picks = rng.integers(0, len(values), size=(DRAWS, len(values)))
        drawn += values[picks].mean(axis=1) >= bar
    return _summary(float(point), drawn, len(passed))


def mcnemar(base: Floats, candidate: Floats) -> float:
    """Two-sided exact McNemar (1947) test that as many items went right to wrong as wrong to right; the p-value."""
    lost = int(np.sum((base == 1) & (candidate == 0)))
    won = int(np.sum((base == 0) & (candidate == 1)))
    return float(stats.binomtest(lost, lost + won).pvalue) if lost + won else 1.0


def _stratified_weights(groups: Sequence[str], clusters: Sequence[str], seed: int) -> Floats:
    rng = np.random.default_rng(seed)
    names = np.asarray(groups, dtype=str)
    weights = np.empty((DRAWS, len(names)))
    for group in np.unique(names):
        mask = names == group
        weights[:, mask] = cluster_weights(np.asarray(clusters, dtype=str)[mask].tolist(), rng)
    return weights


def _summary(point: float, draws: Floats, n: int) -> Estimate:
    if isnan(point) or bool(np.isnan(draws).any()):
        return Estimate(point, nan, nan, nan, nan, n)
    tail = (1 - LEVEL) / 2
    low, high, lower, upper = np.quantile(draws, [tail, 1 - tail, 1 - LEVEL, LEVEL])
    return Estimate(point, float(low), float(high), float(lower), float(upper), n)
