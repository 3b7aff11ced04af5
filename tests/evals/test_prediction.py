"""Prediction-powered rates and ratio: closed forms, what breaks a naive version, and the level where the judge errs unequally."""

import numpy as np
import pytest
from scipy import stats

from conscience.evals.prediction import Labelled, predicted_rate, predicted_ratio, tuning
from conscience.evals.ratio import JudgeError, Ratio, false_alarms, paired_ratio
from conscience.evals.statistics import Floats


def surface(truth: Floats, judged: Floats, labelled: int) -> Labelled:
    """Clusters of one answer, the first of which are labelled."""
    said = judged[..., :labelled]
    return Labelled(truth[..., :labelled], said, said, judged[..., labelled:])


def seen(truth: Floats, sensitivity: float, specificity: float, rng: np.random.Generator) -> Floats:
    """What a judge says."""
    return np.asarray(rng.random(truth.shape) < np.where(truth > 0, sensitivity, 1 - specificity), dtype=np.float64)


def simulate(judges: tuple[tuple[float, float], tuple[float, float]], true: float) -> tuple[Ratio, Ratio]:
    """1,500 comparisons on six surfaces of 60 items, 30 of them labelled; by labels, and by Rogan and Gladen's correction."""
    rng = np.random.default_rng(5)
    labelled, plain = [], []
    for _ in range(6):
        truth = [(rng.random((1500, 60)) < p).astype(np.float64) for p in (0.3, 0.3 * true)]
        said = [seen(t, *judge, rng) for t, judge in zip(truth, judges, strict=True)]
        labelled.append((surface(truth[0], said[0], 30), surface(truth[1], said[1], 30)))
        plain.append((said[0], said[1]))
    return predicted_ratio(labelled, 0.5), paired_ratio(plain, 0.5, false_alarms(JudgeError(90, 10, 95, 5)))


@pytest.mark.parametrize("judges", [((0.9, 0.95), (0.6, 0.95)), ((1.0, 1.0), (0.85, 1.0)), ((0.5, 0.5), (0.5, 0.5))])
def test_a_judge_that_errs_unequally_does_not_pass_a_true_half(
    judges: tuple[tuple[float, float], tuple[float, float]],
) -> None:
    """At a true ratio of exactly 0.5 about 5% pass, whatever the judge; the interval covers."""
    found, _ = simulate(judges, 0.5)
    assert 0.02 < np.mean(found.upper <= 0.5) < 0.065
    assert 0.93 < np.mean((found.low <= 0.5) & (found.high >= 0.5)) < 0.98


def test_the_correction_by_sensitivity_fails_there() -> None:
    """The same comparisons by Rogan and Gladen: a judge that finds .9 of the base's harm and .6 of the candidate's passes it."""
    _, corrected = simulate(((0.9, 0.95), (0.6, 0.95)), 0.5)
    assert np.mean(corrected.upper <= 0.5) > 0.3


def test_what_deserves_it_passes() -> None:
    """A quarter of the base's harm is told from half of it more often than not; all of it fails."""
    judges = ((0.9, 0.95), (0.6, 0.95))
    assert np.mean(simulate(judges, 0.25)[0].upper <= 0.5) > 0.6
    assert np.mean(simulate(judges, 1.0)[0].lower > 0.5) > 0.9


def test_one_surface_by_hand() -> None:
    """mean(y - l g) + l mean(f) over all, l the least-squares slope of label on judgment; the variance is the two groups' sum."""
    rng = np.random.default_rng(3)
    truth = (rng.random(200) < 0.4).astype(np.float64)
    judged = seen(truth, 0.8, 0.9, rng)
    one = surface(truth, judged, 80)
    y, g, rest = truth[:80], judged[:80], judged[80:]
    share = 120 / 200
    slope = np.cov(y, g)[0, 1] / 80 * share / (share**2 * (g.var(ddof=1) / 80 + rest.var(ddof=1) / 120))
    assert float(tuning([one])) == pytest.approx(slope)
    found = predicted_rate([one], 200)
    assert found.point == pytest.approx((y - slope * g).mean() + slope * judged.mean())
    variance = (y - slope * share * g).var(ddof=1) / 80 + (slope * share) ** 2 * rest.var(ddof=1) / 120 + 0.5 / 80**2
    assert found.high - found.low == pytest.approx(2 * 1.96 * np.sqrt(variance), rel=0.05)


def test_a_good_judge_narrows_and_a_bad_one_does_no_harm() -> None:
    """Against the labels alone: a nearly perfect judge of 500 answers more narrows the interval; a coin leaves it as it is."""
    rng = np.random.default_rng(8)
    truth = (rng.random(600) < 0.4).astype(np.float64)
    alone = predicted_rate([surface(truth[:100], truth[:100], 100)], 100)
    good, coin = (predicted_rate([surface(truth, seen(truth, q, q, rng), 100)], 600) for q in (0.98, 0.5))
    width = alone.high - alone.low
    assert good.high - good.low < 0.7 * width
    assert coin.high - coin.low == pytest.approx(width, rel=0.1)


def test_all_labelled_is_the_labels() -> None:
    """Nothing is left to predict: the judge does not enter, whatever it says."""
    truth = np.tile([1.0, 0.0, 0.0], 20)
    pair = surface(truth, 1 - truth, 60), surface(np.zeros(60), np.ones(60), 60)
    assert float(tuning([pair[0]])) == 0.0
    assert predicted_rate([pair[0]], 60).point == pytest.approx(1 / 3)


@pytest.mark.parametrize(("value", "least", "most"), [(0.0, 0.0, 0.1), (1.0, 0.89, 1.0)])
def test_labels_that_are_all_alike_have_exact_limits(value: float, least: float, most: float) -> None:
    """30 of 30 say the same: the judge is not relied on, and the bound is that of 30 labels, 1 - .05^(1/30) or a little wider."""
    judged = np.tile([1.0, 0.0, 0.0], 60)
    found = predicted_rate([surface(np.full(180, value), judged, 30)], 180)
    assert (value, value) == (found.point, round(found.point))
    assert least <= found.lower <= found.upper <= 1.15 * most
    assert max(found.upper, 1 - found.lower) >= 1 - 0.05 ** (1 / 30)


def test_a_base_without_labelled_harm_cannot_be_halved() -> None:
    """However much of it the judge claims to see: no upper limit, no PASS."""
    judged = np.tile([1.0, 0.0], 30)
    found = predicted_ratio([(surface(np.zeros(60), judged, 30), surface(np.zeros(60), np.zeros(60), 30))], 0.5)
    assert np.isinf(found.upper)


def test_no_disagreement_in_thirty_is_not_a_perfect_judge() -> None:
    """Judge and 30 labels agree throughout: the interval is wider than that of 600 answers taken at their word."""
    rng = np.random.default_rng(1)
    base, candidate = ((rng.random(600) < p).astype(np.float64) for p in (0.4, 0.2))
    labelled = predicted_ratio([(surface(base, base, 30), surface(candidate, candidate, 30))], 0.5)
    plain = paired_ratio([(base, candidate)], 0.5)
    assert float(labelled.point) == pytest.approx(float(plain.point), rel=0.1)
    assert float(labelled.high - labelled.low) > 1.2 * float(plain.high - plain.low)


def test_answers_of_a_cluster_labelled_in_part() -> None:
    """Clusters of six of which three have labels, every cluster labelled: the rate covers the truth as it says."""
    rng, covered = np.random.default_rng(2), 0
    for _ in range(200):
        chance = stats.beta.rvs(2, 3, size=(20, 1), random_state=rng)
        truth = (rng.random((20, 6)) < chance).astype(np.float64)
        judged = seen(truth, 0.9, 0.8, rng)
        one = Labelled(truth[:, :3].mean(1), judged[:, :3].mean(1), judged.mean(1), np.empty(0))
        found = predicted_rate([one], 120)
        covered += found.low <= 0.4 <= found.high
    assert 0.90 <= covered / 200 <= 0.99
