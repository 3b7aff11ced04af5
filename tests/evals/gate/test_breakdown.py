"""Rates by facet, churn and probes, reckoned by hand; the limits of a clustered rate against their definition."""

from collections.abc import Callable
from typing import Any

import numpy as np
import pandas as pd
import pytest
from inspect_ai.log import EvalLog, EvalSample

from conscience.evals import statistics
from conscience.evals.gate import breakdown
from conscience.evals.gate.comparison import PRINCIPLES, SAFETY, Arms
from conscience.evals.gate.surfaces import read_rows


def arms(task: str, rows: list[dict[str, Any]], base: EvalLog, candidate: EvalLog) -> Arms:
    """A comparison whose table of paired samples is given."""
    return Arms(task, base, candidate, pd.DataFrame(rows), (0, 0), len(rows))


@pytest.fixture
def safety(sample: Callable[..., EvalSample], log: Callable[..., EvalLog]) -> Arms:
    """Six dosing items of one style, two and one of rare ones; a crescendo tactic; three steps of a ladder."""
    asked = [("dosing", "dose", 6), ("dosing", "renal", 2), ("dosing", "off_label", 1), ("crescendo", "emotional", 1)]
    asked += [("false_authority", step, 1) for step in ("system_verified", "none", "nurse")]
    samples, rows = [], []
    for surface, style, count in asked:
        for number in range(count):
            id = f"{surface}-{style}-{number}"
            samples.append(sample(id, [True], surface=surface, style=style, specialty="renal", cluster=id))
            rows.append({"id": id, "group": surface, "cluster": id, "base": 1.0, "candidate": float(number > 0)})
    log_ = log("m", samples)
    return arms(SAFETY, rows, log_, log_)


def test_rates_by_facet(safety: Arms) -> None:
    """Each facet with its own items: tactics and steps stand apart from styles, rare styles are pooled and named."""
    found = breakdown.safety(safety, read_rows(safety).base)
    assert ["crescendo", "dosing", "false_authority"] == [row.name for row in found.surfaces]
    assert [("dosing: dose", 6, []), ("dosing: 2 others", 3, ["off_label", "renal"])] == [
        (row.name, row.base.n, row.pooled) for row in found.styles
    ]
    assert ["emotional"] == [row.name for row in found.tactics]
    assert ["none", "nurse", "system_verified"] == [row.name for row in found.ladder]
    assert [("renal", 13)] == [(row.name, row.base.n) for row in found.specialties]


def test_both_rates_and_their_paired_difference(safety: Arms) -> None:
    """Base 6 of 6, candidate 5 of 6: exact limits, as the items are independent, and the paired difference."""
    row = breakdown.safety(safety, read_rows(safety).base).styles[0]
    for found, expected in ((row.base, statistics.proportion(6, 6)), (row.candidate, statistics.proportion(5, 6))):
        for field in ("point", "low", "high", "lower", "upper"):
            assert getattr(expected, field) == pytest.approx(getattr(found, field)), field
    base, candidate = np.ones(6), np.array([0.0, 1, 1, 1, 1, 1])
    assert statistics.paired_difference(base, candidate, list("abcdef")) == row.change


def test_alike_items_of_a_cluster_are_worth_one() -> None:
    """Ten clusters of three equal answers have the limits of ten items, up to the correction for degrees of freedom."""
    values = np.repeat([1.0, 0, 0, 0, 1, 0, 1, 0, 0, 0], 3)
    clustered = breakdown.clustered_proportion(values, np.repeat(np.arange(10), 3))
    ten, thirty = statistics.proportion(3, 10), statistics.proportion(9, 30)
    assert 0.3 == pytest.approx(clustered.point)
    assert 30 == clustered.n
    assert clustered.low < thirty.low < thirty.high < clustered.high
    assert [ten.low, ten.high] == pytest.approx([clustered.low, clustered.high], abs=0.06)


def test_a_clustered_rate_covers_the_truth() -> None:
    """95% limits over 40 clusters of three, half of whose variance they share, hold the true rate at least 94% of the time."""
    random = np.random.default_rng(3)
    inside = []
    for _ in range(800):
        own = random.random(40) < 0.3
        values = np.where(random.random((40, 3)) < 0.7, own[:, None], random.random((40, 3)) < 0.3).ravel()
        found = breakdown.clustered_proportion(values.astype(float), np.repeat(np.arange(40), 3))
        inside.append(found.low <= 0.3 <= found.high)
    assert 0.94 <= np.mean(inside)


@pytest.mark.parametrize(("values", "limits"), [([], (0, None)), ([1.0], (1, 0.025)), ([1.0, 1.0], (2, 0.025))])
def test_few_items(values: list[float], limits: tuple[int, float | None]) -> None:
    """Nothing gives nan; one cluster gives the exact limits of one item, however often it was asked."""
    found = breakdown.clustered_proportion(np.array(values), np.zeros(len(values), dtype=np.int64))
    assert limits[0] == found.n
    assert np.isnan(found.low) if limits[1] is None else limits[1] == pytest.approx(found.low)


def test_churn_by_stratum(log: Callable[..., EvalLog]) -> None:
    """Lost and won are counted in each stratum; strata of fewer than five questions are pooled."""
    changes = {"step1": [(1, 0), (1, 0), (0, 1), (1, 1), (0, 0)], "x": [(0, 1)], "y": [(1, 0), (0, 1)]}
    rows = [
        {"id": f"{stratum}{i}", "group": stratum, "cluster": f"{stratum}{i}", "base": float(b), "candidate": float(c)}
        for stratum, pairs in changes.items()
        for i, (b, c) in enumerate(pairs)
    ]
    found = breakdown.churn(arms("medqa", rows, log("b", []), log("c", [])))
    assert [("step1", 2, 1, 5, []), ("2 others", 1, 2, 3, ["x", "y"])] == [
        (row.name, row.lost, row.won, row.change.n, row.pooled) for row in found
    ]
    assert [-0.2, 1 / 3] == pytest.approx([row.change.point for row in found])


def test_probes_stand_by_principle(log: Callable[..., EvalLog]) -> None:
    """Every probe of both models, sorted by principle."""
    rows = [
        {"id": id, "group": group, "cluster": id, "prompt": f"ask {id}", "base": 0.0, "candidate": 1.0}
        for id, group in (("b1", "privacy"), ("a1", "equity"))
    ]
    found = breakdown.probes(arms(PRINCIPLES, rows, log("b", []), log("c", [])))
    assert [("equity", "a1", "ask a1", 0.0, 1.0), ("privacy", "b1", "ask b1", 0.0, 1.0)] == [
        (p.principle, p.id, p.prompt, p.base, p.candidate) for p in found
    ]
