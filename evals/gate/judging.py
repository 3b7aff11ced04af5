"""One candidate held against its base, from logs to outcomes: what the gate does, and does again to verify a report."""

from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

from inspect_ai.log import EvalLog

from conscience.evals.gate import evidence, lineage, trust, verdict
from conscience.evals.gate.comparison import SAFETY, Arms, compare
from conscience.evals.gate.evidence import Labels
from conscience.evals.gate.verdict import Outcome, Targets
from conscience.evals.judges.calibration import Calibration


@dataclass(frozen=True)
class Judged:
    """A candidate, judged."""

    arms: dict[str, Arms]
    """What was compared, by task."""
    outcomes: list[Outcome]
    """The four targets."""
    calibrations: list[Calibration]
    """Of the judges."""
    labels: Labels | None
    """Physicians' labels that the safety target rests on."""


def judge(
    base: dict[str, EvalLog],
    candidate: dict[str, EvalLog],
    targets: Targets,
    calibrations: Iterable[Path] = (),
    labels: Iterable[Path] = (),
) -> Judged:
    """Compare, refuse what must be refused, and apply the targets.

    Args:
        base: the base's logs, by task.
        candidate: the candidate's.
        targets: the bars.
        calibrations: files of `conscience calibrate`.
        labels: files of `conscience gate sample-labels`, filled in; they win over a calibration.

    Raises:
        BadInput: a log or file is missing or not valid.
        NotComparable: the gate must not compare these (says why).
    """
    arms = compare(base, candidate)
    trust.check_independence(arms)
    lineage.check(arms)
    measured = trust.read_calibrations(calibrations, arms)
    found = evidence.find(labels, arms[SAFETY])
    error = None if found else trust.error_of(measured, arms[SAFETY])
    outcomes = verdict.judge_targets(arms, targets, error, found.surfaces if found else ())
    return Judged(arms, outcomes, measured, found.labels if found else None)
