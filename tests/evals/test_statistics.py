"""The gate's figures against closed forms, known numbers and a simulation."""

from math import sqrt

import numpy as np
import pytest
from scipy import stats

from conscience.evals import statistics
from conscience.evals.statistics import NOTHING, Estimate, Floats

RANDOM = np.random.default_rng(7)


def bernoulli(rate: float, n: int) -> Floats:
    """Zeros and ones."""
    return RANDOM.binomial(1, rate, n).astype(np.float64)


def names(n: int) -> list[str]:
    """A cluster of its own for each item."""
    return [f"item-{index}" for index in range(n)]


@pytest.mark.parametrize(
    ("events", "n", "low", "high"),
    [(10, 100, 0.0490, 0.1762), (5, 10, 0.1871, 0.8129), (1, 20, 0.0013, 0.2487)],
)
def test_proportion_has_the_published_clopper_pearson_limits(events: int, n: int, low: float, high: float) -> None:
    """The two-sided limits are those in printed tables of the exact method."""
    found = statistics.proportion(events, n)
    assert (events / n, n) == (found.point, found.n)
    assert low == pytest.approx(found.low, abs=1e-4)
    assert high == pytest.approx(found.high, abs=1e-4)


def test_proportion_bounds_are_beta_quantiles() -> None:
    """The one-sided bounds are the 5% and 95% quantiles of their beta distributions."""
    found = statistics.proportion(7, 40)
    assert stats.beta.ppf(0.05, 7, 34) == pytest.approx(found.lower)
    assert stats.beta.ppf(0.95, 8, 33) == pytest.approx(found.upper)


def test_proportion_without_an_event_still_has_an_upper_limit() -> None:
    """No refusal among 36 controls does not mean that the rate is 0: the limits solve (1 - p)^36 = tail."""
    found = statistics.proportion(0, 36)
    assert (0.0, 0.0, 0.0) == (found.point, found.low, found.lower)
    assert 1 - 0.025 ** (1 / 36) == pytest.approx(found.high)
    assert 1 - 0.05 ** (1 / 36) == pytest.approx(found.upper)


def test_mcnemar_is_the_binomial_tail() -> None:
    """One item lost and nine won: two tails of ten fair coins; concordant items do not matter."""
    base = np.array([1.0] + [0.0] * 9 + [1.0] * 50)
    candidate = np.array([0.0] + [1.0] * 9 + [1.0] * 50)
    assert 2 * (1 + 10) / 2**10 == pytest.approx(statistics.mcnemar(base, candidate))


def test_mcnemar_of_equal_answers_is_one() -> None:
    """Two models that answer alike give no evidence of a difference."""
    same = bernoulli(0.5, 30)
    assert statistics.mcnemar(same, same) == 1.0


def test_paired_difference_has_the_analytic_standard_error() -> None:
    """With one item a cluster, the bootstrap's interval is the normal one of the paired differences."""
    base, candidate = bernoulli(0.6, 500), bernoulli(0.7, 500)
    found = statistics.paired_difference(base, candidate, names(500))
    error = float(np.std(candidate - base)) / sqrt(500)
    assert float(np.mean(candidate - base)) == pytest.approx(found.point)
    assert 2 * 1.960 * error == pytest.approx(found.high - found.low, rel=0.05)
    assert 2 * 1.645 * error == pytest.approx(found.upper - found.lower, rel=0.05)


def test_pairing_narrows_the_difference() -> None:
    """Models that mostly agree are told apart better than independent ones: the pair is resampled, not each arm."""
    base = bernoulli(0.5, 400)
    candidate = base.copy()
    candidate[:20] = 1 - candidate[:20]
    paired = statistics.paired_difference(base, candidate, names(400))
    unpaired = statistics.paired_difference(base, RANDOM.permutation(candidate), names(400))
    assert (paired.high - paired.low) < 0.5 * (unpaired.high - unpaired.low)


def test_copies_of_an_item_in_one_cluster_are_no_evidence() -> None:
    """Four copies of each item leave the interval as it was; posing as separate items they would halve it."""
    base, candidate = bernoulli(0.6, 200), bernoulli(0.7, 200)
    once = statistics.paired_difference(base, candidate, names(200))
    four = (np.tile(base, 4), np.tile(candidate, 4))
    clustered = statistics.paired_difference(*four, names(200) * 4)
    separate = statistics.paired_difference(*four, names(800))
    assert once.high - once.low == pytest.approx(clustered.high - clustered.low, rel=0.05)
    assert sqrt(4) == pytest.approx((clustered.high - clustered.low) / (separate.high - separate.low), rel=0.08)


@pytest.mark.parametrize(("value", "events"), [(0.0, 0), (1.0, 3)])
def test_a_rate_without_variation_has_exact_limits_over_clusters(value: float, events: int) -> None:
    """Every resample is alike and would say that all is certain; four items in three clusters are three observations."""
    found = statistics.rate(np.full(4, value), ["a", "a", "b", "b"], ["1", "1", "2", "3"])
    exact = statistics.proportion(events, 3)
    assert (value, exact.low, exact.high, exact.lower, exact.upper, 4) == (
        found.point,
        found.low,
        found.high,
        found.lower,
        found.upper,
        found.n,
    )


def test_rate_weighs_every_group_the_same() -> None:
    """A surface with more scenarios weighs no more: (1/1 + 0/3) / 2."""
    found = statistics.rate(np.array([1.0, 0, 0, 0]), ["a", "b", "b", "b"], names(4))
    assert found.point == 0.5


@pytest.mark.parametrize(
    "empty",
    [
        statistics.paired_difference(np.empty(0), np.empty(0), []),
        statistics.rate(np.empty(0), [], []),
        statistics.proportion(0, 0),
        statistics.passing_groups(np.empty(0), [], 0.8),
    ],
)
def test_no_items_no_figure(empty: Estimate) -> None:
    """An empty denominator is nan everywhere, with n = 0."""
    assert empty is NOTHING


def test_passing_groups_counts_those_that_reach_the_bar() -> None:
    """5 of 5 and exactly 4 of 5 pass a bar of 0.80, 3 of 5 does not."""
    passed = np.array([1, 1, 1, 1, 1, 1, 1, 1, 1, 0, 1, 1, 1, 0, 0], dtype=np.float64)
    found = statistics.passing_groups(passed, ["a"] * 5 + ["b"] * 5 + ["c"] * 5, 0.80)
    assert (2.0, 15) == (found.point, found.n)
    assert found.low < 2 <= found.high


def test_same_seed_same_result_other_seed_another() -> None:
    """Whatever is random takes a seed."""
    values = bernoulli(0.4, 50)
    first, again, other = (statistics.rate_draws(values, ["a", "b"] * 25, names(50), seed=seed) for seed in (1, 1, 2))
    assert (True, False) == (np.array_equal(first, again), np.array_equal(first, other))


def test_drawing_kinds_of_clusters_is_drawing_clusters() -> None:
    """The draws are those of clusters of unequal sizes drawn one by one with replacement, in two groups, epochs averaged."""
    rng = np.random.default_rng(3)
    sizes = rng.integers(1, 6, size=60)
    clusters = np.repeat(np.arange(60), sizes)
    groups = np.where(clusters < 40, "a", "b")
    values = np.repeat(rng.binomial(1, 0.4, 60), sizes) * rng.choice([0, 0.5, 1], size=len(clusters))
    found = statistics.rate_draws(values, groups.tolist(), clusters.astype(str).tolist())

    def by_hand() -> float:
        rates = []
        for members in (np.arange(40), np.arange(40, 60)):
            items = np.concatenate([np.flatnonzero(clusters == c) for c in rng.choice(members, len(members))])
            rates.append(values[items].mean())
        return float(np.mean(rates))

    naive = np.asarray([by_hand() for _ in range(2_000)])
    assert naive.mean() == pytest.approx(found.mean(), abs=0.005)
    assert naive.std() == pytest.approx(found.std(), rel=0.06)
    assert np.quantile(naive, [0.05, 0.95]) == pytest.approx(np.quantile(found, [0.05, 0.95]), abs=0.01)


def test_a_rate_covers_the_truth_about_95_times_in_100() -> None:
    """Over 400 experiments of 100 clusters of one to five items that go together the interval covers as often as it says."""
    rng = np.random.default_rng(5)
    covered = 0
    for _ in range(400):
        sizes = rng.integers(1, 6, size=100)
        values = np.repeat(rng.binomial(1, 0.3, 100), sizes).astype(np.float64)
        found = statistics.rate(values, ["all"] * len(values), np.repeat(np.arange(100), sizes).astype(str).tolist())
        covered += found.low <= 0.3 <= found.high
    assert 0.92 <= covered / 400 <= 0.98


def test_a_weighted_rate_has_the_error_of_the_delta_method() -> None:
    """With one item a cluster the limits are those of a ratio of means, sum w (y - rate) / sum w."""
    rng = np.random.default_rng(4)
    values, weights = bernoulli(0.3, 800), rng.integers(1, 5, size=800).astype(np.float64)
    found = statistics.weighted_rate(values, weights, names(800))
    point = float(weights @ values / weights.sum())
    error = sqrt(float(np.sum((weights * (values - point)) ** 2))) / float(weights.sum())
    assert point == pytest.approx(found.point)
    assert 2 * 1.960 * error == pytest.approx(found.high - found.low, rel=0.05)


def test_paired_difference_covers_the_truth_about_95_times_in_100() -> None:
    """Over 100 experiments of 60 pairs with a known difference the interval covers it as often as it says."""
    covered = 0
    for seed in range(100):
        random = np.random.default_rng(seed)
        shared = random.random(60)
        base = (shared < 0.5).astype(np.float64)
        candidate = ((shared < 0.5) ^ (random.random(60) < 0.2)).astype(np.float64)
        candidate[random.random(60) < 0.1] = 1.0
        found = statistics.paired_difference(base, candidate, names(60))
        covered += found.low <= 0.05 <= found.high  # 0.9 * 0.5 + 0.1 - 0.5
    assert covered / 100 == pytest.approx(0.95, abs=0.05)


def test_five_probes_of_five_do_not_prove_a_principle() -> None:
    """Twelve principles with all of 5 probes passed leave room below 10; with 20 probes each they do not."""
    few = statistics.passing_groups(np.ones(60), [f"p{i // 5}" for i in range(60)], 0.8)
    many = statistics.passing_groups(np.ones(240), [f"p{i // 20}" for i in range(240)], 0.8)
    assert (12.0, True, 12.0) == (few.point, few.lower < 10, many.lower)
