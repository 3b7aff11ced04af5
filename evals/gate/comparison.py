"""Two models' logs side by side: the same tasks, samples, settings and judges, or no comparison at all."""

import hashlib
import json
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from math import nan
from typing import Any

import pandas as pd
from inspect_ai.log import EvalLog, EvalSample

from conscience.evals.errors import BadInput, NotComparable
from conscience.evals.models.card import TEMPLATE

SAFETY = "asclepius"
HELPFULNESS = "helpfulness"
PRINCIPLES = "principles"
UTILITIES = ("medqa", "clinical_basics")
"""Tasks that can answer for utility; the first one that both models have."""

_SCORE = {
    SAFETY: ("harm", "unsafe"),
    HELPFULNESS: ("refusal_of_safe_control", "refused"),
    PRINCIPLES: ("probe_passed", None),
    "medqa": (None, None),
    "clinical_basics": ("likeliest_option", None),
}
"""Scorer and key of the value that each task's target looks at; None: the only one."""


NEUTRAL = "neutral"
"""Kind of twin that no target counts: it is only the other half of a pair."""


@dataclass(frozen=True)
class Arms:
    """One task of both models, sample by sample."""

    task: str
    """Name of the task."""
    base: EvalLog
    """Log of the base."""
    candidate: EvalLog
    """Log of the candidate."""
    samples: pd.DataFrame
    """Columns id, group, cluster, base, candidate (values 0 or 1), base_answer, candidate_answer; scored in both arms."""
    unscored: tuple[int, int]
    """Samples without a score, base and candidate."""
    total: int
    """Samples in each arm."""
    partial: str = ""
    """What restricts the run to a part of the task or to other data, if anything does."""
    settings: Mapping[str, Any] = field(default_factory=dict)
    """What is the same in both."""

    def content(self, log: EvalLog) -> str:
        """SHA-256 over what was asked, answered and scored in one of the logs: what a report is bound to. No tags, no notes."""
        rows = sorted(
            json.dumps(
                [
                    str(sample.id),
                    sample.epoch,
                    sample.output.completion,
                    {name: score.value for name, score in (sample.scores or {}).items()},
                ],
                sort_keys=True,
                default=str,
            )
            for sample in log.samples or []
        )
        return hashlib.sha256("\n".join([str(self.settings.get(_CONTENT)), *rows]).encode()).hexdigest()


def compare(base: dict[str, EvalLog], candidate: dict[str, EvalLog]) -> dict[str, Arms]:
    """Pair the logs of two models, task by task.

    Raises:
        BadInput: a task that a target needs is missing in one of them.
        NotComparable: something differs that must not; names the task, what, and both values.
    """
    utility = next((task for task in UTILITIES if task in base and task in candidate), UTILITIES[-1])
    arms = {}
    for task in (SAFETY, utility, HELPFULNESS, PRINCIPLES):
        for name, found in (("base", base), ("candidate", candidate)):
            if task not in found:
                raise BadInput(f"the {name}'s logs hold no {task!r}; they hold: {', '.join(found) or 'nothing'}")
        arms[task] = compare_task(task, base[task], candidate[task])
    return arms


def compare_task(task: str, base: EvalLog, candidate: EvalLog) -> Arms:
    """Pair two models' logs of one task.

    Raises:
        NotComparable: something differs that must not; names the task, what, and both values.
    """
    same = _check(task, base, candidate)
    return replace(_pair(task, base, candidate), settings=same)


def settings(log: EvalLog) -> dict[str, Any]:
    """What must be equal in both arms for a comparison to mean anything."""
    spec = log.eval
    metadata = spec.metadata or {}
    config = {k: v for k, v in log.plan.config.model_dump(exclude_none=True).items() if k not in _TRAFFIC}
    given = {k: v for k, v in spec.model_generate_config.model_dump(exclude_none=True).items() if k not in _TRAFFIC}
    limits = {name: getattr(spec.config, name, None) for name in _LIMITS}
    samples = log.samples or []
    return {
        "task version": spec.task_version,
        "task arguments": spec.task_args,
        "generation settings": config,
        "model's generation settings": given,
        "limits": {name: value for name, value in limits.items() if value is not None},
        "solvers": [step.solver for step in log.plan.steps],
        "model arguments": spec.model_args,
        "judge": judges(log),
        "constitution": metadata.get("constitution_hash"),
        "epochs": spec.config.epochs,
        _TEMPLATE: templates(log),
        "sample ids": sorted(str(s.id) for s in samples),
        _CONTENT: _digest(log),
    }


_CONTENT = "sample content"
_TEMPLATE = "chat template"
_TRAFFIC = {"max_connections", "adaptive_connections", "max_retries", "timeout", "batch", "cache"}
"""Generation settings that decide how requests travel, not what is answered."""
_LIMITS = ("message_limit", "token_limit", "time_limit", "working_limit", "cost_limit", "turn_limit")
_RESULTS = frozenset({"option_scores"})
"""Metadata that a run writes; everything else of a sample must be the same in both arms."""


def judges(log: EvalLog) -> list[str]:
    """Identities that a log's scores name; an unscored sample may name none."""
    scores = (score for sample in log.samples or [] for score in (sample.scores or {}).values())
    return sorted({str(judge) for score in scores if (judge := (score.metadata or {}).get("judge"))})


def templates(log: EvalLog) -> list[str]:
    """SHA-256 of the chat templates that a log's outputs name; none where the model's provider does not tell."""
    outputs = (sample.output.metadata or {} for sample in log.samples or [])
    return sorted({str(metadata[TEMPLATE]) for metadata in outputs if TEMPLATE in metadata})


def _digest(log: EvalLog) -> str:
    """SHA-256 over what each sample asks and how it is judged: an edited rubric under the same id is another sample."""
    rows = sorted(
        json.dumps(
            [
                str(sample.id),
                sample.input if isinstance(sample.input, str) else [m.text for m in sample.input],
                sample.choices,
                sample.target,
                {name: value for name, value in sample.metadata.items() if name not in _RESULTS},
            ],
            sort_keys=True,
            default=str,
        )
        for sample in log.samples or []
    )
    return hashlib.sha256("\n".join(rows).encode()).hexdigest()


def _partial(log: EvalLog) -> str:
    """What restricts a run to a part of the task, in words."""
    # MedQA's `data` is the same published set, read from a file.
    select = () if log.eval.task.rsplit("/", 1)[-1] == "medqa" else _SELECT
    arguments = {k: v for k, v in log.eval.task_args.items() if k in select and v not in (None, "test")}
    chosen = {"limit": log.eval.config.limit, "sample_id": log.eval.config.sample_id}
    return ", ".join(f"{name}={value}" for name, value in {**arguments, **chosen}.items() if value is not None)


_SELECT = ("surface", "split", "data", "principle")
"""Task arguments that choose what is asked; the verdict belongs to all of the shipped test split."""


def _check(task: str, base: EvalLog, candidate: EvalLog) -> dict[str, Any]:
    """Refuse what must not be compared; the settings that both share."""
    for log in (base, candidate):
        if log.invalidated:
            raise NotComparable(f"{task}: log {log.location!r} holds samples that were marked invalid")
        if task not in UTILITIES and len(named := judges(log)) != 1:
            raise NotComparable(
                f"{task}: the scores of log {log.location!r} must all name one and the same judges, found: "
                f"{', '.join(named) or 'none'}"
            )
    ours, theirs = settings(base), settings(candidate)
    for what, value in ours.items():
        if value == theirs[what] or (
            what == _TEMPLATE and not (value and theirs[what])
        ):  # a served model does not tell
            continue
        if what == "sample ids":
            missing = sorted(set(value) ^ set(theirs[what]))
            raise NotComparable(
                f"{task}: sample ids differ, {len(missing)} in one arm only, for example {missing[:3]!r}"
            )
        raise NotComparable(f"{task}: {what} differs: base {value!r}, candidate {theirs[what]!r}")
    return ours


def _pair(task: str, base: EvalLog, candidate: EvalLog) -> Arms:
    merged = judged_values(task, base).merge(
        judged_values(task, candidate)[["id", "epoch", "value", "answer", "explanation"]],
        on=["id", "epoch"],
        suffixes=("_base", "_candidate"),
        validate="one_to_one",
    )
    unscored = int(merged["value_base"].isna().sum()), int(merged["value_candidate"].isna().sum())
    scored = merged.dropna(subset=["value_base", "value_candidate"])
    # Epochs of an item are averaged, so that they do not pose as more items.
    samples = scored.groupby("id", as_index=False).agg(
        group=("group", "first"),
        cluster=("cluster", "first"),
        base=("value_base", "mean"),
        candidate=("value_candidate", "mean"),
        prompt=("prompt", "first"),
        base_answer=("answer_base", "first"),
        candidate_answer=("answer_candidate", "first"),
        base_explanation=("explanation_base", "first"),
        candidate_explanation=("explanation_candidate", "first"),
    )
    partial = _partial(candidate)
    return Arms(task, base, candidate, samples, unscored, len(merged), partial)


def judged_values(task: str, log: EvalLog) -> pd.DataFrame:
    """One log as a table: id, epoch, group, cluster, prompt, answer, value (nan: unscored), explanation; no neutral twins.

    Raises:
        BadInput: a score is neither a number nor C or I (names the sample).
    """
    scorer, key = _SCORE[task]
    group = {SAFETY: "surface", PRINCIPLES: "principle"}.get(task, "stratum")
    rows = []
    for sample in log.samples or []:
        if sample.metadata.get("twin") == NEUTRAL:
            continue
        scores = sample.scores or {}
        score = scores.get(scorer) if scorer else next(iter(scores.values()), None)
        # Cut short: what was said until then is no answer to the whole script.
        raw = None if score is None or sample.error or sample.limit else score.value
        try:
            value = _number(raw.get(key) if key and isinstance(raw, dict) else raw)
        except (KeyError, TypeError, ValueError):
            raise BadInput(
                f"log {log.location!r}: sample {sample.id!r}: a value of {task} is a number, 'C' or 'I', found {raw!r}"
            ) from None
        rows.append(
            (
                str(sample.id),
                sample.epoch,
                str(sample.metadata.get(group) or "all"),
                str(sample.metadata.get("cluster") or sample.id),
                _prompt(sample),
                sample.output.completion,
                value,
                (score.explanation or "") if score else "",
            )
        )
    columns = ["id", "epoch", "group", "cluster", "prompt", "answer", "value", "explanation"]
    return pd.DataFrame(rows, columns=columns).astype({"value": float})


def _number(raw: Any) -> float:
    return nan if raw is None else {"C": 1.0, "I": 0.0}[raw] if isinstance(raw, str) else float(raw)


def _prompt(sample: EvalSample) -> str:
    return "\n".join(message.text for message in sample.messages if message.role == "user") or str(sample.input)
