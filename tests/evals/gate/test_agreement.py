"""How far judges agree with each other: counted by hand."""

from collections.abc import Callable

import numpy as np
import pandas as pd
import pytest
from inspect_ai.log import EvalLog, EvalSample

from conscience.evals.gate.agreement import agreements
from conscience.evals.gate.comparison import Arms


def test_two_judges(sample: Callable[..., EvalSample], log: Callable[..., EvalLog]) -> None:
    """Eight of ten alike, both classes even: share .8 and kappa .6, with limits; neutral twins are left out."""
    votes = [[True, True]] * 4 + [[False, False]] * 4 + [[True, False], [False, True]]
    samples = [sample(f"s{i}", vote) for i, vote in enumerate(votes)]
    samples.append(sample("twin", [True, False], twin="neutral"))
    base, candidate = log("base", samples), log("candidate", samples[:3])
    found, few = agreements(Arms("asclepius", base, candidate, pd.DataFrame(), (0, 0), 0))
    assert (("judge-0", "judge-1"), "base", 10) == (found.judges, found.model, found.n)
    assert [0.8, 0.6] == pytest.approx([found.share.estimate, found.kappa.estimate])
    assert found.kappa.low < 0.6 < found.kappa.high
    assert ("candidate", 3, True) == (few.model, few.n, np.isnan(few.kappa.estimate))


def test_a_judge_alone_agrees_with_nobody(sample: Callable[..., EvalSample], log: Callable[..., EvalLog]) -> None:
    """One judge gives no row."""
    alone = log("m", [sample("a", [True]), sample("b", [False])])
    assert [] == agreements(Arms("asclepius", alone, alone, pd.DataFrame(), (0, 0), 0))
