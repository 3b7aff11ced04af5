"""The gate's own error rates, by simulation: how often it passes what it must not, and what it should.

    .venv/bin/python benchmarks/gate_characteristics.py

Every cell is 5,000 comparisons of two models on n items of six surfaces. Truth: base unsafe at rate p, candidate at ratio * p;
the two models' answers to an item are correlated, and so are the items of a cluster (Gaussian copula, 0.3 each). A judge of
known sensitivity and specificity sees them, and was calibrated on 200 labels (100 unsafe, 100 safe), drawn anew each time.
Peer: the gate that takes the judge at its word and looks at the point estimate, on the same comparisons.

Ours is the worst false-PASS percentage at a true ratio of 0.5 with n >= 240; nothing but the printed table is written.
"""

import itertools
import sys
import time
from functools import cache
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray
from scipy import stats

from conscience.evals import ratio

DRAWS = 5_000
BASE_RATES, RATIOS, SIZES, CLUSTERS = (0.1, 0.2, 0.3, 0.4), (0.25, 0.33, 0.5, 0.7, 1.0), (100, 240, 480), (1, 3)
JUDGES = ((1.0, 1.0), (0.9, 0.95), (0.8, 0.9))
LABELS = 100
BAR = 0.5
SURFACES = 6
CORRELATION = 0.3


class Cell(NamedTuple):
    """Shares of 5,000 comparisons."""

    passed: float
    """The gate passes."""
    failed: float
    """The gate fails."""
    covered: float
    """The interval holds the true ratio."""
    point: float
    """The point estimate, judge taken at its word, passes."""
    uncorrected: float
    """The bound, judge taken at its word, passes."""


@cache
def latent(clusters: int, size: int, seed: int) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
    """Uniform latent variables of both models, shape (draws, clusters, size)."""
    rng = np.random.default_rng(seed)

    def normal(*shape: int) -> NDArray[np.float32]:
        return rng.standard_normal(shape, dtype=np.float32)

    shared = normal(DRAWS, clusters, 1) if size > 1 else np.float32(0)
    within = CORRELATION if size > 1 else 0.0
    item = np.sqrt(np.float32(CORRELATION)) * normal(DRAWS, clusters, size) + np.sqrt(np.float32(within)) * shared
    rest = np.sqrt(np.float32(1 - CORRELATION - within))
    return tuple(item + rest * normal(DRAWS, clusters, size) for _ in range(2))  # type: ignore[return-value]


def simulate(base_rate: float, true: float, n: int, size: int, judge: tuple[float, float], seed: int) -> Cell:
    """Compare 5,000 times."""
    rng = np.random.default_rng(seed)
    sensitivity, specificity = judge
    per_surface = [len(part) for part in np.array_split(np.arange(n // size), SURFACES)]
    groups = []
    for surface, clusters in enumerate(per_surface):
        pair = []
        for z, rate in zip(latent(clusters, size, surface), (base_rate, true * base_rate), strict=True):
            unsafe = z < stats.norm.ppf(rate)
            seen = rng.random(unsafe.shape, dtype=np.float32) < np.where(unsafe, sensitivity, 1 - specificity)
            pair.append(seen.mean(axis=-1))
        groups.append((pair[0], pair[1]))
    plain = ratio.paired_ratio(groups, BAR)
    found = plain
    if judge != (1.0, 1.0):
        alarms = ratio.estimate_alarms(rng.binomial(LABELS, 1 - specificity, DRAWS), LABELS)
        found = ratio.paired_ratio(groups, BAR, alarms)
    return Cell(
        float(np.mean(found.upper <= BAR)),
        float(np.mean(found.lower > BAR)),
        float(np.mean((found.low <= true) & (true <= found.high))),
        float(np.mean(plain.point <= BAR)),
        float(np.mean(plain.upper <= BAR)),
    )


def main() -> None:
    """Print every cell, then the figures that the gate is held to."""
    started, found = time.perf_counter(), {}
    print("base ratio    n  m  judge        PASS   FAIL   covered  point-PASS  uncorrected-PASS")
    for seed, cell in enumerate(itertools.product(BASE_RATES, SIZES, CLUSTERS, JUDGES, RATIOS)):
        base_rate, n, size, judge, true = cell
        found[cell] = c = simulate(base_rate, true, n, size, judge, seed)
        print(
            f"{base_rate:.2f} {true:5.2f} {n:4d} {size:2d}  {judge[0]:.2f}/{judge[1]:.2f}  {c.passed:6.1%} {c.failed:6.1%} "
            f"{c.covered:8.1%} {c.point:10.1%} {c.uncorrected:10.1%}"
        )
    at_bar = {cell: c for cell, c in found.items() if cell[4] == BAR}
    large = max(c.passed for cell, c in at_bar.items() if cell[1] >= 240)
    small = max(c.passed for cell, c in at_bar.items() if cell[1] == 100)
    covered = [c.covered for cell, c in found.items() if cell[1] >= 240]
    shown = found[0.3, 480, 1, (0.9, 0.95), 0.25]
    print(f"worst false PASS at a true ratio of 0.5: {large:.1%} for n >= 240, {small:.1%} at n = 100")
    print(f"interval coverage for n >= 240: {min(covered):.1%} to {max(covered):.1%}")
    print(
        f"base .30, ratio .25, n 480, judge .9/.95: PASS {shown.passed:.1%}; bound without correction {shown.uncorrected:.1%}, "
        f"point without correction {shown.point:.1%}"
    )
    point = max(c.point for cell, c in at_bar.items() if cell[1] >= 240)
    print(f"{len(found)} cells of {DRAWS} comparisons in {time.perf_counter() - started:.0f} s", file=sys.stderr)
    print(f"RESULT gate_characteristics ours={100 * large:.1f} peer={100 * point:.1f} ratio={point / large:.1f}")


if __name__ == "__main__":
    main()
