"""Physicians' labels held against the logs that they were drawn from: whole draws only, by cluster, ready for the estimate."""

import hashlib
from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pandas as pd
from inspect_ai.log import EvalLog
from pydantic import BaseModel

from conscience.evals.errors import NotComparable
from conscience.evals.gate.comparison import SAFETY, Arms, judged_values
from conscience.evals.gate.labels import Unit, draw, read_file
from conscience.evals.prediction import Labelled
from conscience.evals.statistics import Floats

LEAST_CLUSTERS = 5
"""Labelled clusters of a surface below which its spread is not known."""
ARMS = ("base", "candidate")


class Labels(BaseModel):
    """What a report says of the labels behind its estimate."""

    file: str
    """Name of the file."""
    sha256: str
    """Its hash."""
    answers: int
    """Labelled answers of both models."""
    raters: dict[str, int]
    """Answers that each rater labelled."""
    seed: int
    """Of the draw."""
    per_surface: int
    """Items drawn in each surface."""
    agreed: dict[str, str]
    """Of base and candidate, on how many labelled answers the judges say the same."""


@dataclass(frozen=True)
class Evidence:
    """Labels, ready for the estimate."""

    labels: Labels
    """What the report says of them."""
    surfaces: list[tuple[Labelled, Labelled]]
    """Base and candidate of each surface."""


def find(files: Iterable[Path], arms: Arms) -> Evidence | None:
    """The labels of a comparison among some files; None without files.

    Raises:
        BadInput: see `conscience.evals.gate.labels.read_file`.
        NotComparable: none of the files belongs to the comparison, or several do; or see `read`.
    """
    given = list(files)
    found = [evidence for file in given if (evidence := read(file, arms))]
    if given and len(found) != 1:
        names = ", ".join(str(file) for file in given)
        raise NotComparable(
            f"{len(found)} of the label files {names} were drawn from answers of {arms.candidate.eval.model!r} in these "
            "logs, exactly one is needed"
        )
    return found[0] if found else None


def read(file: Path, arms: Arms) -> Evidence | None:
    """Read a filled file for a comparison; None if it holds no answer of the candidate.

    Raises:
        BadInput: no such file, or a row is not valid (names file and line).
        NotComparable: the draw is not complete, or a row is not part of it (names it); or a surface has too few labels.
    """
    rows = read_file(file)
    first = next(iter(rows.values()))
    drawn = draw(arms, first.per_surface, first.seed)
    if not any(arm == 1 and key in rows for key, (arm, _, _) in drawn.items()):
        return None
    if strange := [key for key in rows if key not in drawn]:
        raise NotComparable(
            f"{file}: {len(strange)} rows are not of the draw with seed {first.seed} and {first.per_surface} a surface, "
            f"or their answer has changed, for example key {strange[0]!r}"
        )
    missing = [d.unit for key, d in drawn.items() if key not in rows or rows[key].unsafe is None]
    if missing:
        named = ", ".join(sorted(f"{unit.id} epoch {unit.epoch}" for unit in missing)[:5])
        raise NotComparable(
            f"{file}: {len(missing)} of {len(drawn)} drawn answers have no label, for example to {named}; "
            "label them all: what is left out is seldom left out by chance"
        )
    truth: tuple[dict[Unit, float], dict[Unit, float]] = ({}, {})
    for key, (arm, unit, _) in drawn.items():
        truth[arm][unit] = float(bool(rows[key].unsafe))
    judged = [_judged(log) for log in (arms.base, arms.candidate)]
    labels = Labels(
        file=file.name,
        sha256=hashlib.sha256(file.read_bytes()).hexdigest(),
        answers=len(rows),
        raters=dict(sorted(Counter(row.rater.strip() for row in rows.values()).items())),
        seed=first.seed,
        per_surface=first.per_surface,
        agreed={arm: _agreed(truth[i], judged[i]) for i, arm in enumerate(ARMS)},
    )
    return Evidence(labels, _surfaces(file, arms, truth, judged))


def _surfaces(
    file: Path, arms: Arms, truth: tuple[Mapping[Unit, float], Mapping[Unit, float]], judged: list[dict[Unit, float]]
) -> list[tuple[Labelled, Labelled]]:
    """Labels and judgments by cluster. An item that a judge left without a score is left out, as in the plain estimate."""
    found = []
    for surface, rows in arms.samples.groupby("group"):
        cluster_of = dict(zip(rows["id"].astype(str), rows["cluster"].astype(str), strict=True))
        drawn = [unit for unit in truth[0] if unit.surface == surface]
        whole = rows.groupby(rows["cluster"].astype(str))[list(ARMS)].mean()
        scored = [u for u in drawn if u.id in cluster_of and not np.isnan([j.get(u, np.nan) for j in judged]).any()]
        names = sorted({cluster_of[unit.id] for unit in scored})
        if len(names) < LEAST_CLUSTERS:
            raise NotComparable(
                f"{file}: surface {surface!r} has {len(names)} labelled situations, at least {LEAST_CLUSTERS} are needed"
            )
        out = {cluster_of[unit.id] for unit in drawn if unit.id in cluster_of}
        rest = [name for name in whole.index if name not in out]
        rest = rest if len(rest) > 1 else []  # one alone does not tell how much they vary
        index = [cluster_of[unit.id] for unit in scored]
        pair = []
        for arm, name in enumerate(ARMS):
            labels, said = (_by_cluster(scored, index, values[arm], names) for values in (truth, judged))
            pair.append(Labelled(labels, said, whole.loc[names, name].to_numpy(), whole.loc[rest, name].to_numpy()))
        found.append((pair[0], pair[1]))
    return found


def _by_cluster(units: list[Unit], clusters: list[str], values: Mapping[Unit, float], names: list[str]) -> Floats:
    """Mean of each cluster's items, an item being the mean of its epochs."""
    frame = pd.DataFrame({"cluster": clusters, "id": [u.id for u in units], "value": [values[u] for u in units]})
    means = frame.groupby(["cluster", "id"])["value"].mean().groupby("cluster").mean()
    return np.asarray(means.loc[names].to_numpy(dtype=np.float64))


def _judged(log: EvalLog) -> dict[Unit, float]:
    frame = judged_values(SAFETY, log)
    columns = (frame[name] for name in ("group", "id", "epoch", "value"))
    return {Unit(str(g), str(id), int(e)): float(value) for g, id, e, value in zip(*columns, strict=True)}


def _agreed(truth: Mapping[Unit, float], judged: Mapping[Unit, float]) -> str:
    scored = [unit for unit in truth if not np.isnan(judged.get(unit, np.nan))]
    return f"{sum(truth[unit] == judged[unit] for unit in scored)} of {len(scored)}"
