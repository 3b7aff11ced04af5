"""The gate on itself: how often it would pass or fail a candidate whose truth is known, on one's own base.

The base's judged answers are the population. Clusters are drawn again, and the candidate is the base with each unsafe answer kept
with some probability: kept always it is the base itself (A/A), kept half of the time it stands at the bar, where the share of
PASS is the gate's level: 5% is what it promises. No calibration enters.
"""

from collections.abc import Mapping
from typing import NamedTuple

import numpy as np
import pandas as pd
from inspect_ai.log import EvalLog
from scipy import stats

from conscience.evals import ratio, statistics
from conscience.evals.errors import BadInput
from conscience.evals.gate.comparison import HELPFULNESS, SAFETY, judged_values
from conscience.evals.gate.verdict import Targets, Verdict
from conscience.evals.statistics import Floats

DRAWS = 2_000


class Trial(NamedTuple):
    """What the gate said of candidates with one truth."""

    target: str
    """Target."""
    truth: str
    """What is true of the candidate."""
    right: Verdict
    """The verdict that would be right."""
    passed: float
    """Share of draws with PASS."""
    failed: float
    """Share with FAIL."""


def self_test(logs: Mapping[str, EvalLog], targets: Targets, seed: int = statistics.SEED) -> list[Trial]:
    """Try the gate on one model's logs.

    Raises:
        BadInput: there is no log of the safety task, or it holds no unsafe answer.
    """
    if SAFETY not in logs:
        raise BadInput(f"the self-test needs a log of {SAFETY!r}; found: {', '.join(logs) or 'none'}")
    rng = np.random.default_rng(seed)
    trials = _safety(logs[SAFETY], targets.unsafe_ratio, rng)
    if HELPFULNESS in logs:
        trials.append(_helpfulness(logs[HELPFULNESS], targets.wrongly_refused, rng))
    return trials


def _safety(log: EvalLog, bar: float, rng: np.random.Generator) -> list[Trial]:
    frame = _by_item(SAFETY, log)
    if not frame["value"].any():
        raise BadInput("the base has no unsafe answer: nothing can be halved")
    trials = []
    for kept, name in ((1.0, "the base itself"), (bar, "exactly at the bar"), (bar / 2, "half the bar")):
        groups = [
            _drawn(rows["value"].to_numpy(dtype=np.float64), rows["cluster"].to_numpy(dtype=str), kept, rng)
            for _, rows in frame.groupby("group")
        ]
        found = ratio.paired_ratio(groups, bar)
        right = Verdict.PASS if kept < bar else Verdict.FAIL
        trials.append(
            Trial("safety", name, right, float(np.mean(found.upper <= bar)), float(np.mean(found.lower > bar)))
        )
    return trials


def _by_item(task: str, log: EvalLog) -> pd.DataFrame:
    """Scored samples, epochs averaged."""
    frame = judged_values(task, log).dropna(subset=["value"])
    return frame.groupby("id", as_index=False).agg(
        group=("group", "first"), cluster=("cluster", "first"), value=("value", "mean")
    )


def _drawn(unsafe: Floats, clusters: np.ndarray, kept: float, rng: np.random.Generator) -> tuple[Floats, Floats]:
    """Cluster means of base and candidate in every draw, shape (DRAWS, clusters); a cluster drawn twice is thinned anew."""
    names, index, sizes = np.unique(clusters, return_inverse=True, return_counts=True)
    counts = np.bincount(index, weights=unsafe).round().astype(int)  # answers of several epochs are means
    again = rng.integers(len(names), size=(DRAWS, len(names)))
    return counts[again] / sizes[again], rng.binomial(counts[again], kept) / sizes[again]


def _helpfulness(log: EvalLog, bar: float, rng: np.random.Generator) -> Trial:
    refused = _by_item(HELPFULNESS, log)["value"].to_numpy(dtype=np.float64)
    if len(refused) == 0:
        raise BadInput(f"no sample of {HELPFULNESS!r} is scored")
    n, rate = len(refused), float(np.ceil(refused).mean())
    counts = rng.binomial(n, rate, DRAWS)
    passed = np.asarray(stats.beta.ppf(statistics.LEVEL, counts + 1, np.maximum(n - counts, 1e-9)) <= bar)
    failed = np.asarray(stats.beta.ppf(1 - statistics.LEVEL, np.maximum(counts, 1e-9), n - counts + 1) > bar)
    right = Verdict.PASS if rate <= bar else Verdict.FAIL
    truth = f"refuses {rate:.3f}, as the base"
    return Trial("helpfulness floor", truth, right, float(passed.mean()), float(failed.mean()))


def table(trials: list[Trial]) -> str:
    """The trials for a terminal; the wrong verdict's share is the error rate."""
    lines = [f"{'target':18} {'the candidate is':26} {'right':5}  false   PASS    FAIL    INCONCLUSIVE"]
    for t in trials:
        false = t.failed if t.right is Verdict.PASS else t.passed
        rest = 1 - t.passed - t.failed
        lines.append(
            f"{t.target:18} {t.truth:26} {t.right.value:5}  {false:6.1%}  {t.passed:6.1%}  {t.failed:6.1%}  {rest:6.1%}"
        )
    return "\n".join([*lines, "", f"{DRAWS} draws of the base's clusters each."])
