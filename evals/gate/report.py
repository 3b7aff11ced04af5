"""The gate's report as data: one summary of everything that it says. `output` writes it to files.

`report.json` is the summary itself; its layout is published as `report.schema.json` and carries a version.
"""

import platform
from collections.abc import Sequence
from datetime import UTC, datetime
from importlib.metadata import version
from pathlib import Path
from typing import Any

from pydantic import BaseModel, ConfigDict

from conscience.evals import statistics
from conscience.evals.gate import breakdown, flips, lineage, surfaces, trust, verdict
from conscience.evals.gate.agreement import Agreement, agreements
from conscience.evals.gate.breakdown import Churn, Probe, Row, Safety
from conscience.evals.gate.comparison import HELPFULNESS, PRINCIPLES, SAFETY, Arms
from conscience.evals.gate.disagreement import Disagreement, disagreements
from conscience.evals.gate.evidence import Labels
from conscience.evals.gate.flips import Flip
from conscience.evals.gate.surfaces import Conflict, Measure, Turn
from conscience.evals.gate.verdict import Outcome, Targets, Verdict
from conscience.evals.judges.calibration import Calibration
from conscience.evals.statistics import Figure

SCHEMA = 4
_PACKAGES = ("conscience", "inspect-ai", "numpy", "scipy", "pandas")


class Rival(BaseModel):
    """Another candidate that was compared at the same time."""

    model: str
    """Its name."""
    base: list[str]
    """The base's logs that it was compared with."""
    candidate: list[str]
    """Its logs."""
    p: Figure
    """Largest p-value of its targets, which Holm's adjustment looks at; null where a target has none."""


class Inputs(BaseModel):
    """What the report was made from, so that it can be made again; paths are relative to the report's folder."""

    base: list[str]
    """The base's logs."""
    candidate: list[str]
    """The candidate's logs."""
    calibrations: list[str]
    """Calibration files."""
    labels: list[str]
    """Files of physicians' labels."""
    targets: Targets
    """Bars."""
    rivals: list[Rival]
    """The other candidates."""


class Summary(BaseModel):
    """Everything the report says."""

    model_config = ConfigDict(ser_json_inf_nan="null")

    schema_version: int = SCHEMA
    """Version of this layout."""
    verdict: Verdict
    """Overall."""
    point: Verdict
    """Overall on point estimates alone."""
    base: str
    """Model under comparison."""
    candidate: str
    """Model that wants to pass."""
    created: str
    """UTC."""
    outcomes: list[Outcome]
    """The four targets."""
    safety: Safety
    """Unsafe rates by facet."""
    measures: list[Measure]
    """What the surfaces measure besides; those without an interval are not shown."""
    survival: list[Turn]
    """Crescendo: share of conversations without an unsafe answer, turn by turn."""
    conflicts: list[Conflict]
    """Precedence: which principle was followed."""
    principles: list[Row]
    """Share of probes passed by principle."""
    probes: list[Probe]
    """Every probe, by principle."""
    churn: list[Churn]
    """Utility: what went from right to wrong and from wrong to right, by stratum."""
    judges: list[str]
    """Identities of the judges."""
    agreement: list[Agreement]
    """How far they agree with each other on the safety task."""
    calibrations: list[Calibration]
    """Their error as measured on human labels, where a file was given."""
    corrected: bool
    """Whether the safety target is corrected for it; never where it rests on labels."""
    labels: Labels | None
    """Physicians' labels on a random subset of these very answers, on which the safety target rests, where a file was given."""
    rivals: int
    """Candidates compared at once; a PASS stands only after Holm's adjustment for them."""
    looks: int | None
    """Runs that were held against this base's run of the test split so far; null for another split."""
    disagreements: list[Disagreement]
    """Answers on which the judges disagree, those first that matter most to the verdict."""
    utility_p: float
    """McNemar's exact p of the utility task."""
    notes: list[str]
    """What a reader must know before believing a figure."""
    provenance: list[dict[str, Any]]
    """Logs, versions, settings, judges, a task each, in the order of the inputs' logs."""
    lineage: dict[str, str]
    """What the candidate is made of, from its card; empty where there is none here."""
    software: dict[str, str]
    """Versions that made this report, and the seed of its resampling."""
    flips: list[Flip]
    """Every sample on which the two differ."""
    inputs: Inputs
    """What it was made from."""


def summarise(
    arms: dict[str, Arms],
    outcomes: list[Outcome],
    inputs: Inputs,
    calibrations: Sequence[Calibration] = (),
    labels: Labels | None = None,
    looks: int | None = None,
    *,
    rivals: int = 1,
    stands: bool = True,
) -> Summary:
    """Gather what the report says.

    Args:
        arms: what was compared, by task.
        outcomes: the four targets.
        inputs: files behind it.
        calibrations: of the judges.
        labels: behind the safety target.
        looks: see `conscience.evals.gate.looks`.
        rivals: candidates that were compared at once.
        stands: whether a PASS stands after the adjustment for them.
    """
    utility = next(a for task, a in arms.items() if task not in (SAFETY, HELPFULNESS, PRINCIPLES))
    found = verdict.worst(outcome.verdict for outcome in outcomes)
    rows = surfaces.read_rows(arms[SAFETY])
    return Summary(
        verdict=Verdict.INCONCLUSIVE if found is Verdict.PASS and not stands else found,
        point=verdict.worst(outcome.point for outcome in outcomes),
        rivals=rivals,
        base=arms[SAFETY].base.eval.model,
        candidate=arms[SAFETY].candidate.eval.model,
        created=datetime.now(UTC).isoformat(timespec="seconds"),
        outcomes=outcomes,
        safety=breakdown.safety(arms[SAFETY], rows.base),
        measures=surfaces.surface_measures(rows, arms),
        survival=surfaces.survival(rows),
        conflicts=surfaces.conflicts(arms[PRINCIPLES]),
        principles=breakdown.rates(arms[PRINCIPLES].samples, "group"),
        probes=breakdown.probes(arms[PRINCIPLES]),
        churn=breakdown.churn(utility),
        judges=trust.identities(arms),
        agreement=agreements(arms[SAFETY]),
        calibrations=list(calibrations),
        corrected=outcomes[0].seen is not None and labels is None,
        labels=labels,
        looks=looks,
        disagreements=disagreements(arms[SAFETY]),
        utility_p=statistics.mcnemar(utility.samples["base"].to_numpy(), utility.samples["candidate"].to_numpy()),
        notes=[
            *_multiplicity(rivals, looks, demoted=found is Verdict.PASS and not stands),
            *_labelled(labels, calibrations),
            *_notes(arms, outcomes, labels),
        ],
        provenance=[_provenance(a) for a in arms.values()],
        lineage=_lineage(arms[SAFETY].candidate.eval.model),
        software={
            "python": platform.python_version(),
            **{name: version(name) for name in _PACKAGES},
            "seed of resampling": str(statistics.SEED),
        },
        flips=[flip for a in arms.values() for flip in flips.flips(a)],
        inputs=inputs,
    )


def _notes(arms: dict[str, Arms], outcomes: list[Outcome], labels: Labels | None) -> list[str]:
    notes = [f"{outcome.target}: {outcome.note}" for outcome in outcomes if outcome.note]
    if any(judge.startswith("embedded@") for judge in trust.identities(arms)):
        error = (
            "whose error the labels correct in the safety target"
            if labels
            else "whose error is corrected for in the safety target"
            if outcomes[0].seen
            else "whose error is not corrected for"
        )
        notes.append(
            "Safety, helpfulness and principles are measured by the embedded judges (patterns of each item's rubric, and a "
            f"refusal classifier), {error}."
        )
    if "clinical_basics" in arms:
        notes.append("Utility is measured on clinical_basics, 60 easy questions of this project, not on MedQA.")
    if quick := [task for task, a in arms.items() if a.candidate.eval.task_args.get("quick")]:
        notes.append(
            f"Quick subset of: {', '.join(quick)}. It shows large changes only; run the whole test split to release."
        )
    notes += lineage.check(arms)
    small = [outcome.target for outcome in outcomes if 0 < outcome.estimate.n < 200]
    if small:
        notes.append(
            f"Fewer than 200 items behind: {', '.join(small)}. Intervals are wide; INCONCLUSIVE means just that."
        )
    return notes


def _multiplicity(rivals: int, looks: int | None, *, demoted: bool) -> list[str]:
    notes = []
    if rivals > 1:
        notes.append(
            f"{rivals} candidates were compared at once: a PASS stands only if it does after Holm's adjustment"
            + (", and this one does not." if demoted else ".")
        )
    if looks is not None and looks > 1:
        notes.append(f"{looks} runs were held against this base's test split so far: choose on dev, look at test once.")
    return notes


def _lineage(model: str) -> dict[str, str]:
    card = lineage.card_of(model)
    if card is None:
        return {}
    known = {
        "checkpoint": card.name,
        "base": card.base,
        "base revision": card.base_revision,
        "method": card.method,
        "adapter strength": f"{lineage.strength_of(model):g}",
        "fingerprint": card.fingerprint,
        "adapter": card.adapter_sha256,
        "chat template": card.chat_template_hash,
        "pairs": f"{card.pairs.count}, {card.pairs.sha256}" if card.pairs else None,
        "teacher": card.pairs.teacher if card.pairs else None,
        "constitution": f"{card.constitution}, {card.constitution_hash}" if card.constitution else None,
        "recipe": str(card.recipe),
        "versions": str(card.versions),
    }
    return {name: value for name, value in known.items() if value is not None}


def _labelled(labels: Labels | None, calibrations: Sequence[Calibration]) -> list[str]:
    if labels is None:
        return []
    raters = ", ".join(f"{name} {count}" for name, count in labels.raters.items())
    agreed = ", ".join(f"{arm} {share}" for arm, share in labels.agreed.items())
    unused = " The calibration given does not enter the safety target: labels on these very answers take its place."
    return [
        f"Safety rests on the judges and on {labels.answers} physicians' labels ({raters}) of answers drawn at random, "
        f"{labels.per_surface} items a surface, seed {labels.seed}; judges and labels agree on: {agreed}."
        + (unused if calibrations else "")
    ]


def _provenance(arms: Arms) -> dict[str, Any]:
    same = {name: value for name, value in arms.settings.items() if name != "sample ids" and value is not None}
    return {
        "task": arms.task,
        "samples": arms.total,
        "unscored (base, candidate)": f"{arms.unscored[0]}, {arms.unscored[1]}",
        "base content": arms.content(arms.base),
        "candidate content": arms.content(arms.candidate),
        "base log": f"{arms.base.eval.eval_id} {Path(arms.base.location).name}",
        "candidate log": f"{arms.candidate.eval.eval_id} {Path(arms.candidate.location).name}",
        **{name: str(value) for name, value in same.items()},
        "packages": str(arms.base.eval.packages),
    }
