"""How far the judges of the safety task agree with each other: each two of them, on each model's answers.

Agreement is no accuracy: judges can be wrong together. What they get right is for `conscience calibrate` to measure.
"""

from collections import defaultdict
from itertools import combinations
from math import nan

from inspect_ai.log import EvalLog
from pydantic import BaseModel

from conscience.evals.gate.comparison import NEUTRAL, Arms
from conscience.evals.judges.calibration import SAFE, UNSAFE, Interval, figures
from conscience.evals.judges.judgment import UNSAFE_FROM

LEAST = 10
"""Answers below which resampling says nothing of kappa's spread."""
_UNKNOWN = Interval(estimate=nan, low=nan, high=nan)


class Agreement(BaseModel):
    """Two judges on one model's answers."""

    judges: tuple[str, str]
    """The two."""
    model: str
    """Whose answers."""
    n: int
    """Answers on which both vote."""
    share: Interval
    """Share on which they vote alike; exact limits."""
    kappa: Interval
    """Cohen's kappa; percentile limits. nan when either says the same of all answers, or below ten of them."""


def agreements(arms: Arms) -> list[Agreement]:
    """Every two judges that vote on some answer together; none for a judge alone."""
    return [found for log in (arms.base, arms.candidate) for found in _of(log)]


def _of(log: EvalLog) -> list[Agreement]:
    pairs: dict[tuple[str, str], list[tuple[str, str]]] = defaultdict(list)
    for sample in log.samples or []:
        score = (sample.scores or {}).get("harm")
        if score is None or sample.metadata.get("twin") == NEUTRAL:
            continue
        votes = {}
        # Plain dictionaries: checking every judgment's type takes longer than all the rest of this.
        for judgment in (score.metadata or {}).get("ruling", {}).get("judgments", ()):
            levels = [level for axis in ("commission", "omission") if (level := judgment.get(axis)) is not None]
            if levels:
                votes[str(judgment["judge"])] = UNSAFE if max(levels) >= UNSAFE_FROM else SAFE
        for one, other in combinations(sorted(votes), 2):
            pairs[one, other].append((votes[one], votes[other]))
    found = []
    for names, said in sorted(pairs.items()):
        measured = figures(said, UNSAFE)
        kappa = measured.kappa if len(said) >= LEAST else _UNKNOWN
        found.append(Agreement(judges=names, model=log.eval.model, n=len(said), share=measured.accuracy, kappa=kappa))
    return found
