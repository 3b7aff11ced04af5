"""The gate's error rates where the safety target rests on physicians' labels, by simulation.

    .venv/bin/python benchmarks/gate_labels.py

Every cell is 1,000 comparisons on surfaces shaped much as the shipped test split (one of 10 clusters of 6, five of 45 clusters of
1), or on six surfaces of 80 or 300 clusters. Truth: base unsafe at rate p, candidate at ratio * p, correlated within items and
clusters (Gaussian copula, 0.3 each). Judges err differently on the two models. Peer: Rogan and Gladen's correction with the
specificity of the base's judge, measured on 100 safe answers, on the same comparisons.

Ours is the worst false-PASS percentage at a true ratio of 0.5; nothing but the printed table is written.
"""

import sys
import time
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray
from scipy import stats

from conscience.evals import ratio
from conscience.evals.prediction import Labelled, predicted_ratio

DRAWS = 1_000
BAR = 0.5
Error = tuple[float, float]
"""Sensitivity and specificity."""
SHIPPED = ((10, 6), *((45, 1),) * 5)
LARGE = ((80, 1),) * 6
JUDGES: tuple[tuple[Error, Error], ...] = (
    ((0.9, 0.95), (0.7, 0.95)),
    ((1.0, 1.0), (0.85, 1.0)),
    ((0.95, 0.9), (0.5, 0.99)),
)


class Cell(NamedTuple):
    """Shares of the comparisons."""

    passed: float
    """By labels, the gate passes."""
    failed: float
    """By labels, it fails."""
    covered: float
    """The interval by labels holds the true ratio."""
    corrected: float
    """Rogan and Gladen's correction passes."""


def simulate(
    base_rate: float,
    true: float,
    shape: tuple[tuple[int, int], ...],
    units: int,
    judges: tuple[Error, Error],
    seed: int,
) -> Cell:
    """Compare, with `units` labelled items in every surface."""
    rng = np.random.default_rng(seed)
    labelled, plain = [], []
    for clusters, size in shape:
        shared, item = rng.standard_normal((DRAWS, clusters, 1)), rng.standard_normal((DRAWS, clusters, size))
        arms, seen = [], []
        for rate, (sensitivity, specificity) in zip((base_rate, base_rate * true), judges, strict=True):
            own = rng.standard_normal((DRAWS, clusters, size))
            unsafe = np.sqrt(0.3) * (shared + item) + np.sqrt(0.4) * own < stats.norm.ppf(rate)
            said = (rng.random(unsafe.shape) < np.where(unsafe, sensitivity, 1 - specificity)).astype(np.float64)
            arms.append(_labelled(unsafe.astype(np.float64), said, units))
            seen.append(said.mean(axis=-1))
        labelled.append((arms[0], arms[1]))
        plain.append((seen[0], seen[1]))
    found = predicted_ratio(labelled, BAR)
    alarms = ratio.estimate_alarms(rng.binomial(100, 1 - judges[0][1], DRAWS).astype(np.float64), 100)
    return Cell(
        float(np.mean(found.upper <= BAR)),
        float(np.mean(found.lower > BAR)),
        float(np.mean((found.low <= true) & (true <= found.high))),
        float(np.mean(ratio.paired_ratio(plain, BAR, alarms).upper <= BAR)),
    )


def _labelled(truth: NDArray[np.float64], said: NDArray[np.float64], units: int) -> Labelled:
    """Label one item of every cluster, then a second one, and so on; the clusters are exchangeable."""
    clusters, size = truth.shape[1:]
    m = min(units, clusters)
    counts = np.minimum(np.full(m, units // clusters) + (np.arange(m) < units % clusters), size)
    taken = np.arange(size) < np.maximum(counts, 1)[:, None]
    labels, judged = ((x[:, :m] * taken).sum(axis=-1) / taken.sum(axis=-1) for x in (truth, said))
    return Labelled(labels, judged, said[:, :m].mean(axis=-1), said[:, m:].mean(axis=-1))


def main() -> None:
    """Print every cell, then the figures that the gate is held to."""
    started, found = time.perf_counter(), []
    cells = [(b, 0.5, SHIPPED, u, j) for u in (15, 30, 60) for b in (0.1, 0.3) for j in JUDGES]
    cells += [(0.3, true, LARGE, 30, JUDGES[0]) for true in (0.25, 0.33, 0.5, 0.7, 1.0)]
    cells += [(0.3, 0.5, ((300, 1),) * 6, u, JUDGES[1]) for u in (15, 30)]
    print("base ratio items labels  judge base / candidate    PASS   FAIL   covered  Rogan-Gladen PASS")
    for seed, (base_rate, true, shape, units, judges) in enumerate(cells):
        c = simulate(base_rate, true, shape, units, judges, seed)
        found.append((true, c))
        said = " / ".join(f"{se:.2f},{sp:.2f}" for se, sp in judges)
        print(
            f"{base_rate:.2f} {true:5.2f} {sum(n * size for n, size in shape):5d} {units * len(shape):6d}  {said}  "
            f"{c.passed:7.1%} {c.failed:6.1%} {c.covered:8.1%} {c.corrected:10.1%}",
            flush=True,
        )
    ours, peer = (max(getattr(c, name) for true, c in found if true == BAR) for name in ("passed", "corrected"))
    print(f"worst false PASS at a true ratio of 0.5: {ours:.1%}; coverage from {min(c.covered for _, c in found):.1%}")
    print(f"{len(cells)} cells of {DRAWS} comparisons in {time.perf_counter() - started:.0f} s", file=sys.stderr)
    print(f"RESULT gate_labels ours={100 * ours:.1f} peer={100 * peer:.1f} ratio={peer / ours:.1f}")


if __name__ == "__main__":
    main()
