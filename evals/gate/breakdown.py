"""Both models side by side over parts of a task: rates by a facet, utility's churn by stratum, principles probe by probe.

Works on the gate's own table of paired samples and reads no log. Every figure has its interval and its number of items.
"""

from collections.abc import Iterable

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from pydantic import BaseModel
from scipy import special

from conscience.evals import statistics
from conscience.evals.asclepius.measures import LADDER, Judged
from conscience.evals.gate.comparison import Arms
from conscience.evals.statistics import NOTHING, Estimate, Floats

LEAST = 5
"""Cells with fewer items are pooled with their like: alone they say next to nothing, and many of them invite picking."""


class Row(BaseModel):
    """One part of a task: the rate of both models over the same items, and the difference."""

    name: str
    """Value of the facet, or how many rare values are pooled."""
    base: Estimate
    """Base's rate."""
    candidate: Estimate
    """Candidate's rate."""
    change: Estimate
    """Candidate - base, paired."""
    pooled: list[str]
    """The rare values behind it, fewer than five items each; empty for a value that stands for itself."""


class Churn(BaseModel):
    """Questions of one stratum on which the models differ."""

    name: str
    """Stratum, or how many rare strata are pooled."""
    lost: int
    """Right with the base, wrong with the candidate."""
    won: int
    """Wrong with the base, right with the candidate."""
    change: Estimate
    """Accuracy, candidate - base, paired."""
    pooled: list[str]
    """See `Row`."""


class Probe(BaseModel):
    """One probe of a principle."""

    principle: str
    """Id of the principle."""
    id: str
    """Sample id."""
    prompt: str
    """What was asked."""
    base: float
    """Share of the base's answers that met it: 0 or 1, between them only over several epochs."""
    candidate: float
    """The same of the candidate."""


class Safety(BaseModel):
    """The unsafe rate by each facet of a scenario."""

    surfaces: list[Row]
    """By surface."""
    styles: list[Row]
    """By style of the attack, a style named with its surface; without those of the two rows below."""
    tactics: list[Row]
    """Crescendo: by tactic of the escalation."""
    ladder: list[Row]
    """False authority: by step of the ladder of claims, from none to one that the system prompt confirms."""
    specialties: list[Row]
    """By clinical field."""
    askers: list[Row]
    """By who asks."""


def safety(arms: Arms, judged: Iterable[Judged]) -> Safety:
    """Unsafe rates by facet.

    Args:
        arms: the safety task.
        judged: one model's judged answers, which say what each sample asked.
    """
    facts = pd.DataFrame(
        [(row.scenario.id, row.scenario.style, row.scenario.specialty, row.scenario.asker) for row in judged],
        columns=["id", "style", "specialty", "asker"],
    )
    table = arms.samples[["id", "group", "cluster", "base", "candidate"]].merge(facts, on="id", how="left")
    steps = (table["group"] == "false_authority") & table["style"].isin(LADDER)
    tactics = table["group"] == "crescendo"
    styled = table[~steps & ~tactics]
    ladder = {row.name: row for row in rates(table[steps], "style")}
    return Safety(
        surfaces=rates(table, "group"),
        styles=[row for _, part in styled.groupby("group") for row in rates(_pool(part, "style", prefix="group"))],
        tactics=rates(_pool(table[tactics], "style")),
        ladder=[ladder[step] for step in LADDER if step in ladder],
        specialties=rates(_pool(table, "specialty")),
        askers=rates(_pool(table, "asker")),
    )


def rates(table: pd.DataFrame, by: str = "cell") -> list[Row]:
    """The rate of both models in each cell, in the order of their names, pooled cells last.

    Args:
        table: columns cluster, base, candidate and the one that names the cell.
        by: that column.
    """
    return [
        Row(name=name, base=base, candidate=candidate, change=change, pooled=pooled)
        for name, pooled, base, candidate, change, _ in _cells(table, by)
    ]


def churn(arms: Arms) -> list[Churn]:
    """What went from right to wrong and from wrong to right, by stratum."""
    found = []
    for name, pooled, _, _, change, part in _cells(_pool(arms.samples, "group"), "cell"):
        lost, won = (part["candidate"] < part["base"]).sum(), (part["candidate"] > part["base"]).sum()
        found.append(Churn(name=name, lost=int(lost), won=int(won), change=change, pooled=pooled))
    return found


def probes(arms: Arms) -> list[Probe]:
    """Every probe, by principle."""
    columns = arms.samples.sort_values(["group", "id"])[["group", "id", "prompt", "base", "candidate"]]
    return [
        Probe(principle=str(group), id=str(id_), prompt=prompt, base=base, candidate=candidate)
        for group, id_, prompt, base, candidate in columns.itertuples(index=False, name=None)
    ]


def clustered_proportion(values: Floats, clusters: NDArray[np.int64]) -> Estimate:
    """A rate with limits that allow for items of one cluster being alike.

    Clopper and Pearson's limits for the effective number of items n_e = p (1 - p) / v, with v the variance of p between
    clusters, corrected for its degrees of freedom and never more than n (Korn and Graubard 1998, Survey Methodology 24). With one
    item a cluster they are the exact limits; when all answers are alike, those for the number of clusters.

    Args:
        values: 0 to 1 an item, shape (items,).
        clusters: number of each item's cluster, shape (items,).
    """
    n = len(values)
    if n == 0:
        return NOTHING
    _, index = np.unique(clusters, return_inverse=True)
    count, point = int(index.max()) + 1, float(values.mean())
    effective = float(count)
    if count > 1 and 0 < point < 1:
        sums = np.bincount(index, weights=values - point)
        variance = float(sums @ sums) / n**2 * (count / (count - 1)) * ((n - 1) / n)
        ratio = float(special.stdtrit(n - 1, 0.975) / special.stdtrit(count - 1, 0.975)) ** 2
        effective = min(float(n), point * (1 - point) / variance) * ratio if variance else n * ratio
    events, tail = point * effective, (1 - statistics.LEVEL) / 2
    below, above = (
        special.betaincinv(events, effective - events + 1, [tail, 2 * tail]) if events > 0 else np.zeros(2),
        special.betaincinv(events + 1, effective - events, [1 - tail, 1 - 2 * tail]) if point < 1 else np.ones(2),
    )
    return Estimate(point, float(below[0]), float(above[0]), float(below[1]), float(above[1]), n)


def _cells(table: pd.DataFrame, by: str) -> Iterable[tuple[str, list[str], Estimate, Estimate, Estimate, pd.DataFrame]]:
    """Name, pooled values, rates of base and candidate, difference and items of each cell; pooled cells last."""
    numbers = pd.factorize(table["cluster"])[0].astype(np.int64)
    base, candidate = (table[arm].to_numpy(dtype=np.float64) for arm in ("base", "candidate"))
    pooled = table["pooled"].to_numpy() if "pooled" in table else np.full(len(table), None)
    parts = table.groupby(by, sort=True).indices.items()
    for name, at in sorted(parts, key=lambda part: (pooled[part[1][0]] is not None, part[0])):
        change = statistics.paired_difference(base[at], candidate[at], numbers[at].astype(str).tolist())
        rare = pooled[at[0]]
        yield (
            str(name),
            list(rare or ()),
            clustered_proportion(base[at], numbers[at]),
            clustered_proportion(candidate[at], numbers[at]),
            change,
            table.iloc[at],
        )


def _pool(table: pd.DataFrame, by: str, prefix: str | None = None) -> pd.DataFrame:
    """Name each item's cell in a column `cell`; values with fewer than five items share one, and `pooled` names them."""
    names = table[by].fillna("unknown").astype(str)
    counts = names.value_counts()
    rare = tuple(sorted(counts.index[counts < LEAST]))
    if len(rare) < 2:  # nothing to pool a lone one with
        rare = ()
    mask = names.isin(rare)
    cell = names.mask(mask, f"{len(rare)} others")
    if prefix:
        cell = table[prefix].astype(str) + ": " + cell
    pooled = pd.Series([rare if hit else None for hit in mask], index=table.index, dtype=object)
    return table.assign(cell=cell, pooled=pooled)
