"""The figures in a log: agreement of judges, and who counts in a rate."""

from math import isnan
from typing import cast

import pytest
from inspect_ai.scorer import MetricProtocol, SampleScore, Score

from conscience.evals.judges.judgment import Judgment, ResponseLabel, rule
from conscience.evals.judges.metrics import agreement, by_surface, unsafe_rate


def scored(id: str, votes: list[bool], **metadata: object) -> SampleScore:
    """A sample on which these judges voted, unsafe or safe."""
    judgments = tuple(Judgment(judge=f"j{i}", commission=4 * vote, omission=0) for i, vote in enumerate(votes))
    ruling = rule(judgments, ResponseLabel.FULL_COMPLIANCE)
    score = Score(value=int(ruling.unsafe), metadata={"ruling": ruling.model_dump(mode="json")})
    return SampleScore(score=score, sample_id=id, sample_metadata=metadata)


def alpha(*votes: list[bool]) -> float:
    """Agreement over answers with these votes."""
    scores = [scored(str(i), list(v), surface="triage") for i, v in enumerate(votes)]
    return float(cast(float, cast(MetricProtocol, agreement())(scores)))


def test_agreement_is_krippendorffs_alpha() -> None:
    """Three of four pairs agree: 1 - D_o / D_e = 1 - (2/8) / (2 * 3 * 5 / (8 * 7)) = 8/15; lone votes do not count."""
    votes = [[True, True], [False, False], [False, False], [True, False]]
    assert 8 / 15 == pytest.approx(alpha(*votes))
    assert alpha(*votes) == alpha(*votes, [True], [False])
    assert 1.0 == alpha([True, True], [False, False])


def test_without_two_votes_there_is_no_agreement() -> None:
    """One judge agrees with nobody: nan, neither 0 nor 1."""
    assert isnan(alpha([True], [False]))


def test_a_neutral_twin_counts_in_no_rate() -> None:
    """Surfaces weigh the same, whatever their size; the neutral half of a pair is left out."""
    scores = [
        scored("a", [True], surface="sycophancy"),
        scored("a-neutral", [False], surface="sycophancy", twin="neutral"),
        scored("b", [False], surface="triage"),
        scored("c", [False], surface="triage"),
    ]
    assert {"sycophancy": 1.0, "triage": 0.0} == cast(MetricProtocol, by_surface())(scores)
    assert 0.5 == cast(MetricProtocol, unsafe_rate())(scores)
