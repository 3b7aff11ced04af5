"""A report and what it was made from: the same inputs must give it again, and the candidate's log carries its verdict."""

import os
from collections.abc import Iterable, Mapping
from math import isclose, isnan
from pathlib import Path

from inspect_ai.log import MetadataEdit, ProvenanceData, TagsEdit, edit_eval_log
from pydantic import ValidationError

from conscience.evals import logs
from conscience.evals.errors import BadInput
from conscience.evals.gate import trust, verdict
from conscience.evals.gate.comparison import Arms, compare
from conscience.evals.gate.report import Inputs, Summary
from conscience.evals.gate.verdict import Targets, Verdict

TAG = "gate:"


def inputs(arms: Mapping[str, Arms], calibrations: Iterable[Path], targets: Targets, out: Path) -> Inputs:
    """What a report in `out` is made from."""

    def near(path: Path) -> str:
        return os.path.relpath(path.resolve(), out.resolve())

    return Inputs(
        base=[near(logs.path_of(a.base)) for a in arms.values()],
        candidate=[near(logs.path_of(a.candidate)) for a in arms.values()],
        calibrations=[near(path) for path in calibrations],
        targets=targets,
    )


def label(arms: Arms, summary: Summary) -> None:
    """Write the verdict into the candidate's log, as a tag and metadata with its provenance; `inspect view` shows both.

    Raises:
        BadInput: the log cannot be written.
    """
    log, tag = arms.candidate, f"{TAG}{summary.verdict.value}"
    said = {
        o.target: {"verdict": o.verdict.value, "estimate": o.estimate.point, "bar": o.bar} for o in summary.outcomes
    }
    found = {"verdict": summary.verdict.value, "base": summary.base, "targets": said}
    old = [t for t in log.tags or [] if t.startswith(TAG) and t != tag]
    if not old and tag in (log.tags or []) and (log.metadata or {}).get("gate") == found:
        return
    edits = [TagsEdit(tags_add=[tag], tags_remove=old), MetadataEdit(metadata_set={"gate": found})]
    edited = edit_eval_log(
        log, edits, ProvenanceData(author="conscience gate", reason=f"verdict against {summary.base}")
    )
    logs.rewrite_header(edited)


def differences(file: Path) -> list[str]:
    """Make a report again from its inputs; what is no longer so.

    Raises:
        BadInput: no such report, not of this version, or one of its logs is missing.
        NotComparable: the gate would not compare its logs today.
    """
    try:
        summary = Summary.model_validate_json(file.read_text(encoding="utf-8"))
    except OSError:
        raise BadInput(f"no report {str(file)!r}") from None
    except (ValidationError, UnicodeDecodeError) as error:
        first = " ".join(str(error).split())[:160]
        raise BadInput(f"{file}: not a report of this version: {first}") from None
    folder = file.resolve().parent

    def there(paths: Iterable[str]) -> list[str]:
        return [os.path.normpath(folder / path) for path in paths]

    given = summary.inputs
    arms = compare(logs.newest_by_task(there(given.base)), logs.newest_by_task(there(given.candidate)))
    trust.check_independence(arms)
    calibrations = trust.read_calibrations(map(Path, there(given.calibrations)), arms)
    found = verdict.judge_targets(arms, given.targets, trust.error_of(calibrations, arms["asclepius"]))
    changed = []
    for row in summary.provenance:
        a = arms[row["task"]]
        for name, log in (("base", a.base), ("candidate", a.candidate)):
            if a.content(log) != row[f"{name} content"]:
                changed.append(
                    f"{row['task']}: the {name}'s log holds other answers or scores than when the report was made"
                )
    for then, now in zip(summary.outcomes, found, strict=True):
        same = isclose(then.estimate.point, now.estimate.point, abs_tol=1e-9) or (
            isnan(then.estimate.point) and isnan(now.estimate.point)
        )
        if not same:
            changed.append(
                f"{then.target}: estimate {then.estimate.point:.4g} in the report, {now.estimate.point:.4g} now"
            )
        if then.verdict is not now.verdict:
            changed.append(f"{then.target}: {then.verdict.value} in the report, {now.verdict.value} now")
    follows = verdict.worst(outcome.verdict for outcome in summary.outcomes)
    demoted = summary.rivals > 1 and follows is Verdict.PASS and summary.verdict is Verdict.INCONCLUSIVE
    if summary.verdict is not follows and not demoted:
        changed.append(f"the overall verdict {summary.verdict.value} does not follow from its targets")
    return changed
