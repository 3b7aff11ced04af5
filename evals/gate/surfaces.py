"""What each surface measures besides the plain rate, base beside candidate: for the report, not for the verdict."""

from collections.abc import Callable, Mapping
from math import isfinite, nan
from typing import NamedTuple

import numpy as np
from inspect_ai.log import EvalLog
from pydantic import BaseModel

from conscience.constitution import load
from conscience.evals.asclepius import measures
from conscience.evals.asclepius.measures import Judged
from conscience.evals.asclepius.sample import scenario_of
from conscience.evals.gate.comparison import HELPFULNESS, Arms
from conscience.evals.statistics import NOTHING, Estimate

_MEASURES: dict[str, Callable[[list[Judged]], Estimate]] = {
    "sycophancy delta": measures.sycophancy_delta,
    "authority slope, a step": measures.authority_slope,
    "dosing, severity-weighted": measures.severity_weighted,
    "triage, omission harm": measures.omission_harm,
    "withholding gap, lay - clinician": measures.withholding_gap,
}


class Measure(BaseModel):
    """One figure of both models."""

    name: str
    """What is measured."""
    base: Estimate
    """Base."""
    candidate: Estimate
    """Candidate."""


class Turn(BaseModel):
    """Conversations of the crescendo surface still without an unsafe answer."""

    turn: int
    """After so many answers."""
    base: Estimate
    """Base."""
    candidate: Estimate
    """Candidate."""


class Conflict(BaseModel):
    """A row of the precedence table, as far as probes put it in play."""

    question: str
    """The two that pull apart."""
    probes: list[str]
    """Sample ids of the probes that put it in play."""
    base: str
    """How often the base followed the principle that must win, the other one, or neither."""
    candidate: str
    """The same of the candidate."""


class Rows(NamedTuple):
    """The judged answers of both models, read once: a log of thousands takes a while."""

    base: list[Judged]
    """Base's."""
    candidate: list[Judged]
    """Candidate's."""


def read_rows(arms: Arms) -> Rows:
    """Read the judged answers of the safety task."""
    return Rows(_judged(arms.base), _judged(arms.candidate))


def surface_measures(rows: Rows, arms: Mapping[str, Arms]) -> list[Measure]:
    """Every measure for which both logs hold enough for an interval: a figure without one is not shown."""
    base, candidate = rows
    found = [Measure(name=name, base=f(base), candidate=f(candidate)) for name, f in _MEASURES.items()]
    refused = {arm: _refused_twins(getattr(arms[HELPFULNESS], arm)) for arm in ("base", "candidate")}
    found.append(
        Measure(
            name="discrimination of twins",
            base=measures.discrimination(base, refused["base"]),
            candidate=measures.discrimination(candidate, refused["candidate"]),
        )
    )
    return [measure for measure in found if isfinite(measure.base.low) and isfinite(measure.candidate.low)]


def survival(rows: Rows) -> list[Turn]:
    """Kaplan-Meier curves of both models, at the turns that either has."""
    curves = [{p.turn: p.share for p in measures.survival(judged)} for judged in rows]
    turns = sorted({turn for curve in curves for turn in curve})
    return [Turn(turn=turn, base=_at(curves[0], turn), candidate=_at(curves[1], turn)) for turn in turns]


def conflicts(arms: Arms) -> list[Conflict]:
    """Which principle each model followed where probes set two against each other.

    A probe stands with the principle that must win: met, it was followed; a forbidden thing said means that the other one
    was; anything else is neither.
    """
    metadata = arms.base.eval.metadata or {}
    try:
        constitution = load(str(metadata.get("constitution")))
    except ValueError:
        return []
    if constitution.hash != metadata.get("constitution_hash"):  # another version's table says nothing of this log
        return []
    followed = [_followed(log) for log in (arms.base, arms.candidate)]
    return [
        Conflict(
            question=row.question,
            probes=sorted({id for id, _ in followed[0][row.id]}),
            base=_count(followed[0][row.id]),
            candidate=_count(followed[1].get(row.id, [])),
        )
        for row in constitution.precedence
        if followed[0].get(row.id)
    ]


def _followed(log: EvalLog) -> dict[str, list[tuple[str, str]]]:
    """By row of the precedence table, each probe that puts it in play and which principle was followed."""
    found: dict[str, list[tuple[str, str]]] = {}
    for sample in log.samples or []:
        score = (sample.scores or {}).get("probe_passed")
        row = sample.metadata.get("precedence")
        if row is None or score is None or not isinstance(score.value, int | float):
            continue
        kinds = {criterion["id"]: criterion["kind"] for criterion in sample.metadata["rubric"]}
        failed = {id for j in (score.metadata or {}).get("ruling", {}).get("judgments", []) for id in j["failed"] or ()}
        said = any(kinds.get(id) == "must_not" for id in failed)
        found.setdefault(row, []).append(
            (str(sample.id), "winner" if score.value == 1 else "other" if said else "neither")
        )
    return found


def _count(followed: list[tuple[str, str]]) -> str:
    kinds = [kind for _, kind in followed]
    words = {"winner": "followed", "other": "the other", "neither": "neither"}
    return ", ".join(f"{kinds.count(kind)} {word}" for kind, word in words.items())


def _judged(log: EvalLog) -> list[Judged]:
    """One row a scored sample; epochs of a sample are averaged."""
    found: dict[str, list[Judged]] = {}
    for sample in log.samples or []:
        score = (sample.scores or {}).get("harm")
        if score is None or not isinstance(score.value, dict) or sample.error or sample.limit:
            continue
        value = score.value.get("unsafe")
        if not isinstance(value, int | float) or np.isnan(value):
            continue
        ruling = (score.metadata or {}).get("ruling", {})
        facts = {
            name: value for name, value in sample.metadata.items() if name != "rubric"
        }  # patterns take long to check
        scenario = scenario_of(sample.id, facts)
        row = Judged(scenario, float(value), ruling.get("omission", nan), ruling.get("turn", 1))
        found.setdefault(str(sample.id), []).append(row)
    return [
        Judged(
            rows[0].scenario,
            float(np.mean([row.unsafe for row in rows])),
            float(np.mean([row.omission for row in rows])),
            rows[0].turn,
        )
        for rows in found.values()
    ]


def _refused_twins(log: EvalLog) -> dict[str, float]:
    """By id of the attack, whether its benign twin was wrongly refused."""
    found: dict[str, float] = {}
    for sample in log.samples or []:
        score = (sample.scores or {}).get("refusal_of_safe_control")
        original = sample.metadata.get("twin_of")
        if original and score is not None and isinstance(score.value, dict):
            value = score.value.get("refused")
            if isinstance(value, int | float) and not np.isnan(value):
                found[original] = float(value)
    return found


def _at(curve: Mapping[int, Estimate], turn: int) -> Estimate:
    """The curve's last step up to a turn."""
    steps = [step for step in curve if step <= turn]
    return curve[max(steps)] if steps else NOTHING
