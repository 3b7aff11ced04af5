"""Items needed before the gate can decide, target by target: by formula, exactly, or by simulation."""

from dataclasses import dataclass
from math import ceil, sqrt

import numpy as np
from scipy import stats

from conscience.evals import ratio
from conscience.evals.gate.verdict import Targets
from conscience.evals.judges.metrics import PROBE_BAR
from conscience.evals.statistics import LEVEL

SIMULATED = 2_000
"""Items above which the normal approximation is good enough."""
MOST = 20_000
"""More items than this are not planned for."""


@dataclass(frozen=True)
class Assumptions:
    """What is believed to be true of base and candidate."""

    base_rate: float
    """Base's true unsafe rate."""
    ratio: float
    """Candidate's rate over the base's."""
    sensitivity: float = 1.0
    """Of the judge."""
    specificity: float = 1.0
    """Of the judge."""
    labels: int = 0
    """Human labels on safe answers that the specificity will be measured on; 0: known exactly."""
    correlation: float = 0.3
    """Between the two models' answers to an item."""
    churn: float = 0.10
    """Share of utility questions that only one of the two answers correctly."""
    change: float = 0.0
    """True change of accuracy."""
    refused: float = 0.05
    """True share of safe controls that the candidate refuses wrongly."""
    probes: float = 0.90
    """True share of probes that the candidate passes, alike for every principle."""


def safety(believed: Assumptions, bar: float, power: float) -> int | None:
    """Items until the bound clears the bar; None where no number of items does (the labels are too few, or it is not true).

    Found by the formula for many events; below `SIMULATED` items, where events are few, by simulating the gate from there on.
    """
    n = safety_by_formula(believed, bar, power)
    while n is not None and n <= SIMULATED and _simulated_power(believed, bar, n) < power:
        n = ceil(1.04 * n)
    return n


def _simulated_power(believed: Assumptions, bar: float, n: int, draws: int = 2_000) -> float:
    """Share of comparisons on n items that pass."""
    rng = np.random.default_rng(20_260)
    gain, alarms = believed.sensitivity + believed.specificity - 1, 1 - believed.specificity
    b, c = (rate * gain + alarms for rate in (believed.base_rate, believed.base_rate * believed.ratio))
    both = b * c + believed.correlation * sqrt(b * (1 - b) * c * (1 - c))
    both = min(max(both, b + c - 1, 0.0), b, c)
    base = rng.random((draws, n)) < b
    candidate = rng.random((draws, n)) < np.where(base, both / b, (c - both) / max(1 - b, 1e-9))
    judge = ratio.FalseAlarms(alarms)
    if believed.labels:
        judge = ratio.estimate_alarms(rng.binomial(believed.labels, alarms, draws).astype(float), believed.labels)
    found = ratio.paired_ratio([(base.astype(np.float64), candidate.astype(np.float64))], bar, judge)
    return float(np.mean(found.upper <= bar))


def safety_by_formula(believed: Assumptions, bar: float, power: float) -> int | None:
    """Items by the normal approximation.

    With v the variance of c - bar b on one item and V_f that of the false-alarm rate, power is reached at
    n = v / (D^2 / (z_level + z_power)^2 - (1 - bar)^2 V_f), D = the true distance from the bar as the judge sees it.
    """
    gain, alarms = believed.sensitivity + believed.specificity - 1, 1 - believed.specificity
    base, candidate = (rate * gain + alarms for rate in (believed.base_rate, believed.base_rate * believed.ratio))
    distance = gain * believed.base_rate * (bar - believed.ratio)
    vb, vc = base * (1 - base), candidate * (1 - candidate)
    variance = vc - 2 * bar * believed.correlation * sqrt(vb * vc) + bar**2 * vb
    of_alarms = alarms * (1 - alarms) / believed.labels if believed.labels else 0.0
    quantiles = float(stats.norm.ppf(LEVEL) + stats.norm.ppf(power))
    room = (distance / quantiles) ** 2 - (1 - bar) ** 2 * of_alarms
    return ceil(variance / room) if distance > 0 and room > 0 else None


def utility(believed: Assumptions, loss: float, power: float) -> int | None:
    """Questions until a loss above the bar is excluded: (z_level + z_power)^2 (churn - change^2) / (change + loss)^2."""
    if believed.change <= -loss:
        return None
    churn = max(believed.churn, abs(believed.change))  # whoever changes, churns
    quantiles = float(stats.norm.ppf(LEVEL) + stats.norm.ppf(power))
    return max(1, ceil(quantiles**2 * (churn - believed.change**2) / (believed.change + loss) ** 2))


def helpfulness(believed: Assumptions, bar: float, power: float) -> int | None:
    """Safe controls until the exact upper bound lies under the bar with the wanted power, and for every larger number."""
    sizes = np.arange(10, MOST)
    most = stats.binom.ppf(1 - LEVEL, sizes, bar) - 1  # the most refusals with P(X <= k | bar) < 0.05
    most = np.where(stats.binom.cdf(most + 1, sizes, bar) <= 1 - LEVEL, most + 1, most)
    reached = np.where(most >= 0, stats.binom.cdf(most, sizes, believed.refused), 0.0) >= power
    if not reached[-1]:
        return None
    missed = np.flatnonzero(~reached)
    return int(sizes[missed[-1] + 1]) if len(missed) else int(sizes[0])


def principles(believed: Assumptions, bar: int, power: float, count: int = 12) -> int | None:
    """Probes a principle until the posterior says with 95% that enough principles pass, with the wanted power; simulated."""
    rng = np.random.default_rng(20_260)
    sizes: tuple[int, ...] = (*range(5, 60, 5), *range(60, 401, 20))
    for n in sizes:
        passed = rng.binomial(n, believed.probes, (2_000, count))
        shares = np.asarray(stats.beta.sf(PROBE_BAR, passed + 0.5, n - passed + 0.5))
        of_count = np.zeros((len(shares), count + 1))
        of_count[:, 0] = 1.0
        for share in shares.T:  # Poisson binomial, one principle after another
            more = of_count[:, :-1] * share[:, None]
            of_count *= 1 - share[:, None]
            of_count[:, 1:] += more
        if float(np.mean(of_count[:, bar:].sum(axis=1) >= LEVEL)) >= power:
            return n
    return None


def table(believed: Assumptions, targets: Targets, power: float) -> str:
    """Every target's number, for a terminal."""
    rows = [
        ("safety", "scenarios", safety(believed, targets.unsafe_ratio, power)),
        ("utility", "questions", utility(believed, targets.utility_loss, power)),
        ("helpfulness floor", "safe controls", helpfulness(believed, targets.wrongly_refused, power)),
        ("principles", "probes a principle", principles(believed, targets.principles, power)),
    ]
    lines = [f"for a PASS with probability {power:.2f}, if it is true:"]
    for target, unit, number in rows:
        shown = "no number decides it" if number is None or number > MOST else f"{number:>6} {unit}"
        lines.append(f"  {target:18} {shown}")
    return "\n".join(lines)
