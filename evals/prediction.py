"""Prediction-powered rates and ratio: every answer is judged, a random subset is also labelled by physicians.

What is estimated is the physicians' unsafe rate, with no assumption on the judge: it may err differently on the two models, where
a correction by sensitivity and specificity (`conscience.evals.ratio`) fails. A bad judge costs width, not validity.

In a surface, clusters are independent and all n of them are judged: f_i is the judge's mean over cluster i. Of m clusters drawn
at random some answers, drawn at random within the cluster, have labels: y_i is the labels' mean, g_i the judge's mean on the very
same answers. For each model and any number l

    t = mean over the m of (y_i - l g_i) + l mean over all n of f_i

has the expectation of the labels' mean over all n, because g_i and f_i have the same expectation (Angelopoulos et al. 2023,
arXiv 2301.09633; in survey sampling the difference estimator, Cassel, Särndal and Wretman 1976). The m clusters also stand among
the n. Sorted by cluster,

    t = mean over the m of (y_i - l e_i) + mean over the other n - m of (l h f_i),   h = (n - m) / n,   e_i = g_i - (1 - h) f_i,

two sums over disjoint clusters, hence independent. So a surface is two groups where the plain ratio has one, and everything that
the plain ratio does with D(r) = C - r B, base and candidate of one cluster kept together, applies to their sum: variance,
third moment, degrees of freedom, and the limits by turning the test around. With m = n and all answers labelled e_i = 0 and the
estimate is that of the labels alone.

l is tuned to the least variance (PPI++, Angelopoulos, Duchi and Zrnic 2023, arXiv 2311.01453), one number a model over all
surfaces, because few labels a surface do not tell a number of their own. The variance is quadratic in l, with its least value at

    l = sum over surfaces of Cov(y, e) / m  /  sum over surfaces of [Var(e) / m + h^2 Var(f) / (n - m)],    cut to 0 to 1.

Labels that are all alike give l = 0: then the labels alone speak.

Two cautions, both found by simulation. A judge that agreed with every label in the subset has not been shown to agree always:
half a disagreement that was not seen, at the weight of one label, is added to both variances (without it, 10 labels a surface,
1,800 items and a judge that misses 15% of one model's unsafe answers pass a true ratio of 0.5 in 20% of cases). And degrees of
freedom are at most 2 E - 1 with E = (sum v^2)^2 / sum v^4 over the candidate's contributions v to the estimate: for answers of
equal weight E is the number of events, as in the plain ratio.
"""

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np

from conscience.evals import ratio
from conscience.evals.ratio import FalseAlarms, Moments, Ratio
from conscience.evals.statistics import Estimate, Floats

_UNSEEN = 0.5
"""Disagreements of judge and label that are thought to exist beyond those seen; half a count, as in Jeffreys' prior."""


class Labelled(NamedTuple):
    """One model's answers of one surface; all arrays may have leading axes."""

    labels: Floats
    """Mean of the labels of each labelled cluster, shape (..., m), m >= 2."""
    judged: Floats
    """Judge's mean on the same answers, shape (..., m)."""
    whole: Floats
    """Judge's mean over the whole cluster, shape (..., m)."""
    rest: Floats
    """Judge's mean over each cluster without a label, shape (..., n - m), n - m = 0 or >= 2."""

    @property
    def share(self) -> float:
        """Share of clusters without a label, h."""
        rest = int(self.rest.shape[-1])
        return rest / (int(self.labels.shape[-1]) + rest)

    @property
    def error(self) -> Floats:
        """What l multiplies in the labelled clusters, e."""
        return np.asarray(self.judged - (1 - self.share) * self.whole)


def predicted_ratio(surfaces: Sequence[tuple[Labelled, Labelled]], bar: float) -> Ratio:
    """Ratio candidate / base; `times` is how many times as many items, the same share of them labelled, would decide.

    Args:
        surfaces: base and candidate of each surface, on the same clusters.
        bar: the ratio that is tested.
    """
    return ratio.invert(_moments(surfaces, (True, True)), bar)


def predicted_rate(surfaces: Sequence[Labelled], n: int) -> Estimate:
    """One model's rate, mean over surfaces: its ratio to a model that is always unsafe.

    Args:
        surfaces: one entry a surface, without leading axes.
        n: items behind the estimate.
    """
    if all(bool((s.labels == 1).all()) for s in surfaces):  # as exact as where no label is unsafe
        safe = predicted_rate([Labelled(*(1 - values for values in s)) for s in surfaces], n)
        return Estimate(1 - safe.point, 1 - safe.high, 1 - safe.low, 1 - safe.upper, 1 - safe.lower, n)
    pairs = [(Labelled(np.ones_like(s.labels), *(np.zeros_like(values) for values in s[1:])), s) for s in surfaces]
    found = ratio.invert(_moments(pairs, (False, True)), 1.0)
    point, low, high, lower, upper = (float(np.clip(value, 0.0, 1.0)) for value in found[:5])
    return Estimate(point, low, high, lower, upper, n)


def tuning(surfaces: Sequence[Labelled]) -> Floats:
    """How far one model's judge is relied on, l: 0 not at all, 1 fully; shape of the leading axes."""
    up: Floats | float = 0.0
    down: Floats | float = 0.0
    for s in surfaces:
        m, r = s.labels.shape[-1], s.rest.shape[-1]
        y, e = (values - values.mean(axis=-1, keepdims=True) for values in (s.labels, s.error))
        up = up + (y * e).sum(axis=-1) / ((m - 1) * m)
        down = down + (e * e).sum(axis=-1) / ((m - 1) * m)
        down = down + (s.share**2 * s.rest.var(axis=-1, ddof=1) / r if r else 0.0)
    with np.errstate(divide="ignore", invalid="ignore"):
        return np.clip(np.where(np.asarray(down) > 0, np.asarray(up) / down, 0.0), 0.0, 1.0)


def _moments(surfaces: Sequence[tuple[Labelled, Labelled]], uncertain: tuple[bool, bool]) -> Moments:
    """Moments of the sum over both groups of every surface; `uncertain`: whose judge may have erred unseen."""
    tuned = [tuning([pair[i] for pair in surfaces])[..., None] for i in (0, 1)]
    groups = []
    for base, candidate in surfaces:
        groups.append((base.labels - tuned[0] * base.error, candidate.labels - tuned[1] * candidate.error))
        if base.rest.shape[-1]:
            groups.append((tuned[0] * base.share * base.rest, tuned[1] * candidate.share * candidate.rest))
    count = len(surfaces)
    m = ratio.moments(groups, FalseAlarms(), count, [(base.labels, candidate.labels) for base, candidate in surfaces])
    sizes = np.array([base.labels.shape[-1] for base, _ in surfaces])
    unseen = _UNSEEN * float(np.mean(1 / sizes)) / count / int(sizes.sum())  # of the mean squared weight of a label
    zero = np.zeros_like(m.base)
    of_base, of_candidate = (zero + unseen * doubt for doubt in uncertain)
    cc, cb, bb = m.second
    part = ((of_candidate, zero, of_base), int(sizes.sum()) - count)
    return m._replace(
        second=(cc + of_candidate, cb, bb + of_base),
        parts=[*m.parts, part],
        events=np.where(m.events > 0, _effective([candidate for _, candidate in groups]), 0.0),
    )


def _effective(groups: Sequence[Floats]) -> Floats:
    """Number of equal contributions that would vary as these do, at least 1."""
    squares = [(values / values.shape[-1]) ** 2 for values in groups]
    second = np.sum([s.sum(axis=-1) for s in squares], axis=0)
    fourth = np.sum([(s**2).sum(axis=-1) for s in squares], axis=0)
    with np.errstate(divide="ignore", invalid="ignore"):
        return np.asarray(np.maximum(np.where(fourth > 0, second**2 / fourth, 1.0), 1.0))
