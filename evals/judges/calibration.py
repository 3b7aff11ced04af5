"""A judge's error, measured on human labels: accuracy, kappa, sensitivity and specificity with intervals.

Positive is what the gate counts: `unsafe` where labels are safe / unsafe, a full refusal where they are full compliance /
full refusal / partial refusal. Partial refusals stand in the confusion table, and in the three-class figures, but not in the
two-class ones: the field reports it so (XSTest). Sensitivity is P(judge positive | human positive), specificity P(judge
negative | human negative); with them a rate is corrected (Rogan and Gladen 1978).
"""

import hashlib
import re
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from math import nan
from pathlib import Path
from typing import Any, Literal

import numpy as np
from pydantic import BaseModel

from conscience.evals import statistics
from conscience.evals.errors import BadInput
from conscience.evals.files import read_rows
from conscience.evals.statistics import Figure

COMPLIED, PARTLY, REFUSED, SAFE, UNSAFE = "full compliance", "partial refusal", "full refusal", "safe", "unsafe"
REFUSAL_LABELS = (COMPLIED, PARTLY, REFUSED)
HARM_LABELS = (SAFE, UNSAFE)
UNSCORED = "unscored"
_DRAWS, _SEED = 2_000, 20_260


class Interval(BaseModel):
    """A figure with its 95% interval; nan where nothing was labelled so."""

    estimate: Figure
    """Best guess."""
    low: Figure
    """Lower end."""
    high: Figure
    """Upper end."""


class Figures(BaseModel):
    """How far a judge agrees with the human label."""

    n: int
    """Answers with both labels, two classes."""
    accuracy: Interval
    """Share on which they agree; exact limits (Clopper and Pearson)."""
    kappa: Interval
    """Cohen's kappa (1960); percentile limits of 2,000 multinomial resamples of the table."""
    sensitivity: Interval
    """Share of the human positives that the judge finds; exact limits."""
    specificity: Interval
    """Share of the human negatives that the judge leaves; exact limits."""
    confusion: dict[str, dict[str, int]]
    """Counts by human label, then by judge label, all classes."""


class Calibration(BaseModel):
    """What `conscience calibrate` writes and the gate reads."""

    schema_version: Literal[1] = 1
    """Version of this layout."""
    judge: str
    """Name that was asked for."""
    identity: str
    """Identity of the judge; binds the figures to its prompts, model, settings, code and weights."""
    labels: str
    """Name of the label file."""
    labels_sha256: str
    """Its hash."""
    positive: str
    """The label that counts as positive."""
    unscored: int
    """Answers that the judge left without a label."""
    overall: Figures
    """Over all answers."""
    three_class: Interval | None
    """Accuracy over full compliance, partial refusal and full refusal, where the labels tell."""
    by_surface: dict[str, Figures]
    """By surface, where the labels name one."""
    human_human: Figures | None
    """Agreement of two human annotators, where the labels hold two columns: the ceiling."""


@dataclass(frozen=True)
class Labelled:
    """One answer with its human label."""

    prompt: str
    """The request."""
    completion: str
    """The answer."""
    label: str
    """Human label."""
    surface: str = ""
    """Surface, if named."""
    annotators: tuple[str, ...] = ()
    """The labels of two annotators, if there."""


def read_labels(file: Path) -> list[Labelled]:
    """Read a table with `prompt, completion, label` (or `final_label`), and `surface`, `annotation_1`, `annotation_2` if there.

    Labels are read without case, digits and underscores: XSTest's `2_full_refusal` is "full refusal".

    Raises:
        BadInput: no such file, a missing column, an unknown label, or labels of both kinds (names file and line).
    """
    found = []
    for number, row in read_rows(file):
        label_column = "label" if "label" in row else "final_label"
        if missing := [name for name in ("prompt", "completion", label_column) if row.get(name) is None]:
            raise BadInput(f"{file}:{number}: no {missing[0]!r}; it needs prompt, completion and label")
        annotators = tuple(_label(file, number, row[c]) for c in ("annotation_1", "annotation_2") if row.get(c))
        found.append(
            Labelled(
                prompt=str(row["prompt"]),
                completion=str(row["completion"]),
                label=_label(file, number, row[label_column]),
                surface=str(row.get("surface") or ""),
                annotators=annotators if len(annotators) == 2 else (),
            )
        )
    if not found:
        raise BadInput(f"{file}: holds no labelled answer")
    kinds = {row.label in HARM_LABELS for row in found}
    if len(kinds) > 1:
        raise BadInput(f"{file}: labels are either {' / '.join(HARM_LABELS)} or {' / '.join(REFUSAL_LABELS)}, not both")
    return found


def calibrate(judge: str, identity: str, file: Path, rows: Sequence[Labelled], said: Sequence[str]) -> Calibration:
    """Compare a judge's labels with the human ones.

    Args:
        judge: name of the judge.
        identity: its identity.
        file: where the labels come from.
        rows: answers with human labels.
        said: the judge's label of each, or `UNSCORED`.
    """
    positive = UNSAFE if rows[0].label in HARM_LABELS else REFUSED
    surfaces = sorted({row.surface for row in rows if row.surface})
    pairs = [(row.label, label) for row, label in zip(rows, said, strict=True)]
    both = [row.annotators for row in rows if row.annotators]
    return Calibration(
        judge=judge,
        identity=identity,
        labels=file.name,
        labels_sha256=hashlib.sha256(file.read_bytes()).hexdigest(),
        positive=positive,
        unscored=sum(label == UNSCORED for label in said),
        overall=figures(pairs, positive),
        three_class=None if positive == UNSAFE else _share(sum(a == b for a, b in _scored(pairs)), len(_scored(pairs))),
        by_surface={
            surface: figures([p for row, p in zip(rows, pairs, strict=True) if row.surface == surface], positive)
            for surface in surfaces
        },
        human_human=figures([(first, second) for first, second in both], positive) if both else None,
    )


def figures(pairs: Sequence[tuple[str, str]], positive: str) -> Figures:
    """Agreement of (human label, judge label) pairs; two-class figures leave partial refusals and the unscored out."""
    table: Counter[tuple[str, str]] = Counter(pairs)
    two = [(human == positive, judge == positive) for human, judge in _scored(pairs) if PARTLY not in (human, judge)]
    # A judge that says "partial" of a full refusal, or of full compliance, is wrong: neither class is what it said.
    two += [(human == positive, human != positive) for human, judge in pairs if judge == PARTLY and human != PARTLY]
    cells = np.array([[sum(1 for p in two if p == (h, j)) for j in (False, True)] for h in (False, True)])
    confusion: dict[str, dict[str, int]] = {}
    for (human, judge), count in sorted(table.items()):
        confusion.setdefault(human, {})[judge] = count
    return Figures(
        n=len(two),
        accuracy=_share(int(cells.trace()), len(two)),
        kappa=_kappa(cells),
        sensitivity=_share(int(cells[1, 1]), int(cells[1].sum())),
        specificity=_share(int(cells[0, 0]), int(cells[0].sum())),
        confusion=confusion,
    )


def kappa(cells: np.ndarray[Any, np.dtype[Any]]) -> float:
    """Cohen's kappa of a square table, rows one rater and columns the other; nan when chance agreement is complete."""
    total = cells.sum()
    if total == 0:
        return nan
    expected = float(cells.sum(0) @ cells.sum(1)) / float(total) ** 2
    return nan if expected == 1 else (float(cells.trace()) / float(total) - expected) / (1 - expected)


def _kappa(cells: np.ndarray[Any, np.dtype[Any]]) -> Interval:
    point = kappa(cells)
    if np.isnan(point):
        return Interval(estimate=nan, low=nan, high=nan)
    total = int(cells.sum())
    draws = np.random.default_rng(_SEED).multinomial(total, cells.ravel() / total, size=_DRAWS)
    values = [kappa(draw.reshape(cells.shape)) for draw in draws]
    low, high = np.nanquantile(values, [0.025, 0.975])
    return Interval(estimate=point, low=float(low), high=float(high))


def _share(events: int, n: int) -> Interval:
    share = statistics.proportion(events, n)
    return Interval(estimate=share.point, low=share.low, high=share.high)


def _scored(pairs: Sequence[tuple[str, str]]) -> list[tuple[str, str]]:
    return [(human, judge) for human, judge in pairs if judge != UNSCORED]


def _label(file: Path, number: int, value: Any) -> str:
    label = " ".join(re.sub(r"[\d_]+", " ", str(value)).lower().split())
    if label not in (*REFUSAL_LABELS, *HARM_LABELS):
        known = ", ".join((*REFUSAL_LABELS, *HARM_LABELS))
        raise BadInput(f"{file}:{number}: unknown label {value!r}; there are: {known}")
    return label
