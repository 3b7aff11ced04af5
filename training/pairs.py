"""Preference pairs out of a `critique_revise` log: chosen is the teacher's revision, rejected the model's sample.

Example, one line of `pairs.jsonl`, shortened:

    {"prompt": [{"role": "user", "content": "..."}], "chosen": [{"role": "assistant", "content": "..."}],
     "rejected": [{"role": "assistant", "content": "..."}], "log_id": "7vTn...", "sample_id": "dosing-train-003", "epoch": 1}

Dropped and counted: empty sides, a revision equal to the sample, the same pair twice, samples that the teacher failed on.
Refused outright: any row of the dev or test split, by its metadata, its canary-marked content or its words.
"""

import hashlib
import json
from collections import Counter
from collections.abc import Iterable
from pathlib import Path
from typing import Any

from inspect_ai.log import EvalLog, EvalSample
from pydantic import BaseModel, ConfigDict

from conscience.constitution import CANARY
from conscience.evals import logs
from conscience.evals.asclepius import held_out_texts
from conscience.evals.asclepius.scenario import normalise, prompt_digest
from conscience.evals.errors import BadInput
from conscience.evals.files import write_atomically
from conscience.evals.models.card import PairSource

PAIRS = "pairs.jsonl"
MANIFEST = "manifest.json"


class Message(BaseModel):
    """One chat message, as TRL's conversational format has it."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    role: str
    """system, user or assistant."""
    content: str
    """Its text."""


class Pair(BaseModel):
    """One preference pair, traceable to the log's sample."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    prompt: tuple[Message, ...]
    """The conversation up to the answer."""
    chosen: tuple[Message, ...]
    """The revision."""
    rejected: tuple[Message, ...]
    """The model's own sample."""
    log_id: str
    """Eval id of the log."""
    sample_id: str
    """Sample id in the log."""
    epoch: int
    """Epoch in the log."""
    truncated: bool
    """Whether the sample was cut at its token limit: then it does not end, and training must not teach that it does."""


class Manifest(BaseModel):
    """What a folder of pairs holds and where it comes from."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    source: PairSource
    """Hash, count, logs and teacher."""
    base: str
    """Model that the rejected side was sampled from."""
    constitution: str
    """Constitution that the teacher applied."""
    constitution_hash: str
    """Its SHA-256."""
    dropped: dict[str, int]
    """Samples left out, by reason."""


def build(places: list[str], out: Path) -> Manifest:
    """Build the pairs of one or several logs into a folder.

    Raises:
        BadInput: a log that is missing, unfinished or of another task, logs of several models or constitutions, held-out
            content, or no pair left.
    """
    read = [logs.read(file) for file in logs.find_logs(places)]
    for log in read:
        if logs.task_name(log) != "critique_revise":
            raise BadInput(f"log {log.location!r} is of task {log.eval.task!r}; pairs are built from critique_revise")
    held_out = held_out_texts()
    dropped: Counter[str] = Counter()
    pairs: dict[str, Pair] = {}
    teachers: set[str] = set()
    for log in read:
        for sample in log.samples or []:
            _refuse_held_out(sample, held_out)
            teachers.add(str(sample.metadata.get("teacher")))
            pair = _pair(log, sample)
            if isinstance(pair, str):
                dropped[pair] += 1
                continue
            key = json.dumps(pair.model_dump(include={"prompt", "chosen", "rejected"}), sort_keys=True)
            dropped["duplicate"] += key in pairs
            pairs.setdefault(key, pair)
    if not pairs:
        raise BadInput(f"no pair is left of {sum(dropped.values())} samples; dropped: {dict(dropped)}")
    text = "".join(pair.model_dump_json() + "\n" for pair in pairs.values())
    manifest = Manifest(
        source=PairSource(
            sha256=hashlib.sha256(text.encode()).hexdigest(),
            count=len(pairs),
            log_ids=tuple(log.eval.eval_id for log in read),
            teacher=_one("teacher", teachers),
            prompt_digests=_digests(pairs.values()),
        ),
        base=_one("model", {log.eval.model for log in read}),
        constitution=_one("constitution", {str((log.eval.metadata or {}).get("constitution")) for log in read}),
        constitution_hash=_one(
            "constitution", {str((log.eval.metadata or {}).get("constitution_hash")) for log in read}
        ),
        dropped={reason: count for reason, count in sorted(dropped.items()) if count},
    )
    write_atomically(out / PAIRS, text)
    write_atomically(out / MANIFEST, manifest.model_dump_json(indent=2))
    return manifest


def load(folder: Path) -> tuple[list[Pair], Manifest]:
    """Read a folder that `build` wrote.

    Raises:
        BadInput: a file is missing or not valid, the pairs are not those of the manifest, or they hold held-out content.
    """
    try:
        manifest = Manifest.model_validate_json((folder / MANIFEST).read_text(encoding="utf-8"))
        text = (folder / PAIRS).read_text(encoding="utf-8")
    except FileNotFoundError as error:
        raise BadInput(f"{str(folder)!r} is not a folder of pairs: no {Path(error.filename).name}") from None
    except ValueError as error:
        raise BadInput(f"{folder / MANIFEST}: {' '.join(str(error).split())}") from None
    found = hashlib.sha256(text.encode()).hexdigest()
    if found != manifest.source.sha256:
        raise BadInput(f"{folder / PAIRS} has SHA-256 {found}, its manifest says {manifest.source.sha256}: build again")
    held_out = held_out_texts()
    pairs = []
    for number, line in enumerate(text.split("\n")[:-1], start=1):
        try:
            pair = Pair.model_validate_json(line)
        except ValueError as error:
            raise BadInput(f"{folder / PAIRS}:{number}: {' '.join(str(error).split())}") from None
        if any(normalise(message.content) in held_out for message in pair.prompt) or CANARY in line:
            raise BadInput(f"{folder / PAIRS}:{number}: sample {pair.sample_id!r} belongs to a held-out split")
        pairs.append(pair)
    return pairs, manifest


def _pair(log: EvalLog, sample: EvalSample) -> Pair | str:
    """The pair of one sample, or the reason why there is none."""
    revision = str(sample.metadata.get("revision", "")).strip()
    answer = sample.output.completion.strip()
    if not revision:
        return "teacher_failed"
    if not answer:
        return "empty_sample"
    if revision == answer:
        return "identical"
    last_user = max(index for index, message in enumerate(sample.messages) if message.role == "user")
    prompt = [Message(role=message.role, content=message.text) for message in sample.messages[: last_user + 1]]
    return Pair(
        prompt=tuple(prompt),
        chosen=(Message(role="assistant", content=revision),),
        rejected=(Message(role="assistant", content=answer),),
        log_id=log.eval.eval_id,
        sample_id=str(sample.id),
        epoch=sample.epoch,
        truncated=sample.output.stop_reason == "max_tokens",
    )


def _refuse_held_out(sample: EvalSample, held_out: set[str]) -> None:
    metadata: dict[str, Any] = sample.metadata
    words = [normalise(message.text) for message in sample.messages if message.role == "user"]
    split = metadata.get("split")
    if (
        split in ("dev", "test")
        or any(text in held_out for text in words)
        or any(normalise(CANARY) in w for w in words)
    ):
        raise BadInput(
            f"sample {sample.id!r} belongs to the held-out split {split!r}: pairs are built from training prompts only"
        )


def _digests(pairs: Iterable[Pair]) -> tuple[str, ...]:
    return tuple(sorted({prompt_digest(m.content) for pair in pairs for m in pair.prompt if m.role == "user"}))


def _one(what: str, found: set[str]) -> str:
    if len(found) != 1:
        raise BadInput(f"the logs must share one {what}, found: {', '.join(sorted(found))}")
    return found.pop()
