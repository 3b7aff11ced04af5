"""Estimates with intervals for paired comparisons. Every random draw takes a seed.

Lies on the first floor of `evals`: the surfaces' measures, the judges' calibration and the gate share it.

Base and candidate answered the same items, so the unit is the item's cluster, with both answers: the difference between
models keeps its pairing, and paraphrases of one situation do not pose as independent evidence (Cameron, Gelbach and Miller
2008 on the cluster bootstrap; Efron and Tibshirani 1993 on percentile intervals).
"""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from math import isnan, nan
from typing import Annotated

import numpy as np
from numpy.typing import NDArray
from pydantic import BeforeValidator
from scipy import stats

_AT_ONCE = 500
"""Draws that are held in memory as numbers."""
LEVEL = 0.95
DRAWS = 10_000
SEED = 20_260

Floats = NDArray[np.float64]
Figure = Annotated[float, BeforeValidator(lambda value: nan if value is None else value)]
"""A number or nan; JSON has no nan, so that a report holds null for it, which reads back as nan."""


@dataclass(frozen=True)
class Estimate:
    """A figure with its uncertainty. Without data every field is nan, and nan passes nothing."""

    point: Figure
    """Best guess."""
    low: Figure
    """Lower end of the two-sided 95% interval."""
    high: Figure
    """Upper end of the two-sided 95% interval."""
    lower: Figure
    """One-sided 95% lower bound: the 5th percentile."""
    upper: Figure
    """One-sided 95% upper bound: the 95th percentile."""
    n: int
    """Number of items."""


NOTHING = Estimate(nan, nan, nan, nan, nan, 0)


def paired_difference(base: Floats, candidate: Floats, clusters: Sequence[str]) -> Estimate:
    """Difference candidate - base of two means over the same items.

    Wald limits after adding one lost and one won cluster (Bonett and Price 2012): the plain bootstrap gives a zero-width interval
    when none changes. Where items are few and all changes are losses the level still reaches 10% (75 items, true loss 5 points);
    at 60 items it is 4.6%, at 1,273 5.5%. The point is the plain difference, items weighing alike.
    """
    if len(base) == 0:
        return NOTHING
    differences = _cluster_means(candidate - base, np.asarray(clusters, dtype=str))
    count = len(differences) + 2
    centre = float(differences.sum()) / count
    variance = (float((differences**2).sum()) + 2) / count - centre**2
    wide = _limits(centre, float(np.sqrt(variance / count)), np.inf, len(base))
    # A difference of two rates lies between -1 and 1; with few clusters the limits would not.
    low, high, lower, upper = np.clip([wide.low, wide.high, wide.lower, wide.upper], -1.0, 1.0).tolist()
    return Estimate(float(np.mean(candidate - base)), low, high, lower, upper, len(base))


def rate(values: Floats, groups: Sequence[str], clusters: Sequence[str], seed: int = SEED) -> Estimate:
    """Mean over groups of their rates, clusters resampled within groups.

    Where all values are 0, or all 1, every resample is alike and says nothing: exact binomial limits over clusters then.
    """
    if len(values) == 0:
        return NOTHING
    if values.min() == values.max() and values[0] in (0.0, 1.0):
        count = len(set(zip(groups, clusters, strict=True)))
        return replace(proportion(int(values[0]) * count, count), n=len(values))
    names = np.asarray(groups, dtype=str)
    point = float(np.mean([values[names == group].mean() for group in np.unique(names)]))
    return _summary(point, rate_draws(values, groups, clusters, seed), len(values))


def rate_draws(values: Floats, groups: Sequence[str], clusters: Sequence[str], seed: int = SEED) -> Floats:
    """The draws behind `rate`, shape (draws,); without variation, from the posterior under Jeffreys' prior over clusters."""
    if values.min() == values.max() and values[0] in (0.0, 1.0):
        count = len(set(zip(groups, clusters, strict=True)))
        events = values[0] * count
        return np.random.default_rng(seed).beta(events + 0.5, count - events + 0.5, DRAWS)
    rng = np.random.default_rng(seed)
    names, labels = np.asarray(groups, dtype=str), np.asarray(clusters, dtype=str)
    masks = [names == group for group in np.unique(names)]
    return np.asarray(np.mean([_drawn_means(values[m], np.ones(m.sum()), labels[m], rng) for m in masks], axis=0))


def weighted_rate(values: Floats, weights: Floats, clusters: Sequence[str], seed: int = SEED) -> Estimate:
    """Weighted mean, sum w * y / sum w, with its clusters resampled.

    Args:
        values: 0 or 1 an item, shape (items,).
        weights: weight of each item, not negative, shape (items,).
        clusters: cluster of each item.
        seed: of the resampling.
    """
    if len(values) == 0 or not weights.any():
        return NOTHING
    if values.min() == values.max():  # see `rate`
        return rate(values, ["all"] * len(values), clusters)
    drawn = _drawn_means(values, weights, np.asarray(clusters, dtype=str), np.random.default_rng(seed))
    return _summary(float(weights @ values / weights.sum()), drawn, len(values))


def mean(values: Floats, clusters: Sequence[str] | None = None) -> Estimate:
    """Mean of values on any scale, with Student's t limits over cluster means; one cluster gives a point without limits."""
    if len(values) == 0:
        return NOTHING
    means = values if clusters is None else _cluster_means(values, np.asarray(clusters, dtype=str))
    if len(means) < 2:
        return Estimate(float(values.mean()), nan, nan, nan, nan, len(values))
    spread = float(means.std(ddof=1)) / float(np.sqrt(len(means)))
    return _limits(float(means.mean()), spread, len(means) - 1, len(values))


def proportion(events: int, n: int) -> Estimate:
    """A share of independent items with exact (Clopper-Pearson 1934) limits."""
    if n == 0:
        return NOTHING
    two = stats.binomtest(events, n).proportion_ci(LEVEL, method="exact")
    one = stats.binomtest(events, n).proportion_ci(2 * LEVEL - 1, method="exact")
    return Estimate(events / n, float(two.low), float(two.high), float(one.low), float(one.high), n)


def passing_groups(passed: Floats, groups: Sequence[str], bar: float, seed: int = SEED) -> Estimate:
    """Number of groups whose share of passed items reaches the bar.

    Each group's true share is drawn from its posterior under Jeffreys' prior, Beta(passed + 1/2, failed + 1/2): five of five
    passed does not prove a share of one, as resampling five passes would have it. The limits are the draws' quantiles; the
    point is the plain count.
    """
    if len(passed) == 0:
        return NOTHING
    names = np.asarray(groups, dtype=str)
    point = sum(int(passed[names == group].mean() >= bar) for group in np.unique(names))
    return _summary(float(point), passing_draws(passed, groups, bar, seed), len(passed))


def passing_draws(passed: Floats, groups: Sequence[str], bar: float, seed: int = SEED) -> Floats:
    """The draws behind `passing_groups`, shape (draws,)."""
    rng = np.random.default_rng(seed)
    names = np.asarray(groups, dtype=str)
    drawn = np.zeros(DRAWS)
    for group in np.unique(names):
        values = passed[names == group]
        drawn += rng.beta(values.sum() + 0.5, len(values) - values.sum() + 0.5, size=DRAWS) >= bar
    return drawn


def mcnemar(base: Floats, candidate: Floats) -> float:
    """Two-sided exact McNemar (1947) test that as many items went right to wrong as wrong to right; the p-value."""
    lost = int(np.sum((base == 1) & (candidate == 0)))
    won = int(np.sum((base == 0) & (candidate == 1)))
    return float(stats.binomtest(lost, lost + won).pvalue) if lost + won else 1.0


def _drawn_means(values: Floats, weights: Floats, clusters: NDArray[np.str_], rng: np.random.Generator) -> Floats:
    """Weighted means of resamples in which clusters are drawn with replacement, shape (draws,).

    A cluster enters a mean by its two sums alone, of w y and of w, and values of 0 and 1 make few distinct pairs of them. How
    often each pair is drawn is multinomial: the distribution of drawing thousands of clusters one by one, at the cost of a few.
    """
    _, index = np.unique(clusters, return_inverse=True)
    sums = np.stack([np.bincount(index, weights=weights * values), np.bincount(index, weights=weights)], axis=1)
    kinds, counts = np.unique(sums, axis=0, return_counts=True)
    shares = counts / counts.sum()
    drawn = [rng.multinomial(counts.sum(), shares, size=_AT_ONCE) @ kinds for _ in range(DRAWS // _AT_ONCE)]
    events, totals = np.concatenate(drawn).T
    return np.asarray(events / totals)


def _cluster_means(values: Floats, clusters: NDArray[np.str_]) -> Floats:
    _, index, counts = np.unique(clusters, return_inverse=True, return_counts=True)
    return np.asarray(np.bincount(index, weights=values) / counts)


def _limits(point: float, spread: float, freedom: float, n: int) -> Estimate:
    """Estimate with Student's t limits."""
    two, one = (float(stats.t.ppf(q, freedom)) * spread for q in (1 - (1 - LEVEL) / 2, LEVEL))
    return Estimate(point, point - two, point + two, point - one, point + one, n)


def _summary(point: float, draws: Floats, n: int) -> Estimate:
    if isnan(point) or bool(np.isnan(draws).any()):
        return Estimate(point, nan, nan, nan, nan, n)
    tail = (1 - LEVEL) / 2
    # Without interpolation: between a number and infinity there is none.
    low, lower = np.quantile(draws, [tail, 1 - LEVEL], method="lower")
    high, upper = np.quantile(draws, [1 - tail, LEVEL], method="higher")
    return Estimate(point, float(low), float(high), float(lower), float(upper), n)
