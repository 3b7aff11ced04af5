"""A report and what it was made from: the same inputs must give it again, and the candidate's log carries its verdict."""

import json
import os
from collections.abc import Iterable, Mapping
from math import isclose, isfinite, nan
from pathlib import Path
from typing import Any

from inspect_ai.log import MetadataEdit, ProvenanceData, TagsEdit, edit_eval_log
from pydantic import ValidationError

from conscience.evals import logs
from conscience.evals.errors import BadInput
from conscience.evals.gate import judging, report, verdict
from conscience.evals.gate.comparison import SAFETY, Arms
from conscience.evals.gate.judging import Judged
from conscience.evals.gate.report import Inputs, Rival, Summary
from conscience.evals.gate.verdict import Targets

TAG = "gate:"


def inputs(
    model: str,
    compared: Mapping[str, Judged],
    calibrations: Iterable[Path],
    labels: Iterable[Path],
    targets: Targets,
    out: Path,
) -> Inputs:
    """What a report in `out` on one of the compared candidates is made from."""

    def near(path: Path) -> str:
        return os.path.relpath(path.resolve(), out.resolve())

    arms = compared[model].arms
    return Inputs(
        base=[near(logs.path_of(a.base)) for a in arms.values()],
        candidate=[near(logs.path_of(a.candidate)) for a in arms.values()],
        calibrations=[near(path) for path in calibrations],
        labels=[near(path) for path in labels],
        targets=targets,
        rivals=[
            Rival(
                model=other,
                base=[near(logs.path_of(a.base)) for a in judged.arms.values()],
                candidate=[near(logs.path_of(a.candidate)) for a in judged.arms.values()],
                p=_number(verdict.largest_p(judged.outcomes)),
            )
            for other, judged in compared.items()
            if other != model
        ],
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
    """Make a report again from its inputs, rivals included; what is no longer so.

    Everything that follows from the logs is held against them; not the notes, the date and the number of looks. Who takes a rival
    out of the report together with its count is caught by the ledger of looks only.

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

    def again(run: Inputs | Rival) -> Judged:
        base, candidate = (logs.newest_by_task(there(places)) for places in (run.base, run.candidate))
        calibrations, labels = (map(Path, there(files)) for files in (given.calibrations, given.labels))
        return judging.judge(base, candidate, given.targets, calibrations, labels)

    own = again(given)
    changed, outcomes = [], {_model(own): own.outcomes}
    for rival in given.rivals:
        judged = again(rival)
        now = _number(verdict.largest_p(judged.outcomes))
        if rival.model != _model(judged) or not _same(_plain(rival.p), _plain(now)):
            changed.append(f"rival {rival.model}: p {rival.p:.4g} in the report; now {_model(judged)}, {now:.4g}")
        outcomes[_model(judged)] = judged.outcomes
    stands = len(outcomes) == 1 or _model(own) in verdict.holm(outcomes)
    made = report.summarise(
        own.arms, own.outcomes, given, own.calibrations, own.labels, summary.looks, rivals=len(outcomes), stands=stands
    )
    return [*changed, *_changes(summary, made)]


def _model(judged: Judged) -> str:
    return judged.arms[SAFETY].candidate.eval.model


def _number(p: float) -> float:
    return p if isfinite(p) else nan


def _plain(value: float) -> float | None:
    return value if isfinite(value) else None


def _changes(summary: Summary, made: Summary) -> list[str]:
    """What a report says that its inputs do not give, a line for each figure of the targets and each other part."""
    then, now = (json.loads(s.model_dump_json(exclude=_NOT_FROM_LOGS)) for s in (summary, made))
    changed = []
    for row, again in zip(then.pop("provenance"), now.pop("provenance"), strict=True):
        other = [name for name in ("base", "candidate") if row.get(f"{name} content") != again[f"{name} content"]]
        changed += [
            f"{again['task']}: the {name}'s log holds other answers or scores than when the report was made"
            for name in other
        ]
        if row != again and not other:
            changed.append(f"{again['task']}: the provenance is not that of its logs")
    for row, again in zip(then.pop("outcomes"), now.pop("outcomes"), strict=True):
        changed += [f"{again['target']}: {line}" for line in _lines(row, again)]
    if summary.verdict is not made.verdict:
        changed.append(
            f"the overall verdict {summary.verdict.value} does not follow from its targets and rivals: {made.verdict.value}"
        )
    del then["verdict"], now["verdict"]
    return changed + [line for name in now for line in _lines(then[name], now[name], name)[:1]]


def _lines(then: Any, now: Any, place: str = "") -> list[str]:
    """Where two JSON values differ."""
    if isinstance(then, dict) and isinstance(now, dict) and then.keys() == now.keys():
        return [line for name in now for line in _lines(then[name], now[name], f"{place} {name}".strip())]
    if isinstance(then, list) and isinstance(now, list) and len(then) == len(now):
        return [line for i, pair in enumerate(zip(then, now, strict=True), 1) for line in _lines(*pair, f"{place} {i}")]
    return [] if _same(then, now) else [f"{place} {_short(then)} in the report, {_short(now)} now"]


def _short(value: Any) -> str:
    text = f"{value:.6g}" if isinstance(value, float) else "none" if value is None else str(value)
    return text if len(text) <= 60 else text[:57] + "..."


def _same(then: Any, now: Any) -> bool:
    """Equal, numbers but for the last digits, which another machine may round otherwise."""
    if isinstance(then, float) and isinstance(now, int | float):
        return isclose(then, now, rel_tol=1e-6, abs_tol=1e-9)
    return bool(then == now)


_NOT_FROM_LOGS = {"created", "looks", "notes", "inputs"}
