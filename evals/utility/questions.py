"""Multiple-choice questions: the record type, MedQA's loader and its strata.

Example record, as MedQA has it and as `clinical_basics` is written:

    {"question": "Which organ makes insulin?", "options": {"A": "Liver", "B": "Pancreas", "C": "Spleen", "D": "Kidney"},
     "answer_idx": "B", "answer": "Pancreas", "meta_info": "step1"}
"""

import hashlib
from collections import defaultdict
from pathlib import Path

from inspect_ai.dataset import Dataset, MemoryDataset, Sample, hf_dataset
from pydantic import BaseModel, ConfigDict, ValidationError, model_validator

from conscience.evals.errors import BadInput
from conscience.evals.files import read_rows

BASICS = Path(__file__).parent / "data" / "clinical_basics.jsonl"
MEDQA_HUB = "GBaker/MedQA-USMLE-4-options"
MEDQA_REVISION = "0fb93dd23a7339b6dcd27e241cb9b5eca62d4d18"
LETTERS = "ABCD"


class Question(BaseModel):
    """One question with four options; fields that it does not know are ignored."""

    model_config = ConfigDict(extra="ignore", frozen=True)

    id: str = ""
    """Unique name; default: a hash of the question."""
    question: str
    """The question, vignette included."""
    options: dict[str, str]
    """Texts by letter, A to D."""
    answer_idx: str
    """Letter of the right option."""
    meta_info: str = ""
    """Stratum: MedQA's exam step."""
    topic: str = ""
    """Clinical field."""

    @model_validator(mode="after")
    def _consistent(self) -> "Question":
        if sorted(self.options) != list(LETTERS):
            raise ValueError(f"options must be A to D, found {sorted(self.options)!r}")
        if self.answer_idx not in self.options:
            raise ValueError(f"answer_idx must be one of A to D, found {self.answer_idx!r}")
        return self


def to_sample(question: Question) -> Sample:
    """Make the Inspect sample."""
    digest = hashlib.sha256(question.question.encode()).hexdigest()
    return Sample(
        id=question.id or digest[:16],
        input=question.question,
        choices=[question.options[letter] for letter in LETTERS],
        target=question.answer_idx,
        metadata={"stratum": question.meta_info or question.topic, "cluster": question.id or digest[:16]},
    )


def read_questions(path: Path) -> list[Question]:
    """Read a JSONL file, gzipped or not.

    Raises:
        BadInput: no such file, or a row that is not valid (names file and line).
    """
    questions = []
    for number, row in read_rows(path):
        try:
            questions.append(Question.model_validate(row))
        except ValidationError as error:
            raise BadInput(f"{path}:{number}: {error.errors()[0]['msg']}") from None
    if not questions:
        raise BadInput(f"{path}: holds no question")
    return questions


def basics() -> Dataset:
    """The embedded easy set."""
    return MemoryDataset([to_sample(q) for q in read_questions(BASICS)], name="clinical_basics")


def medqa(data: str | None, count: int | None) -> Dataset:
    """MedQA's test questions, from a local file or from the hub at a pinned revision.

    Args:
        data: local JSONL or JSONL.gz in MedQA's format; None reads the hub.
        count: size of the stratified subset; None takes all.
    """
    if data is not None:
        samples = [to_sample(question) for question in read_questions(Path(data))]
    else:
        samples = list(
            hf_dataset(
                MEDQA_HUB,
                split="test",
                revision=MEDQA_REVISION,
                sample_fields=lambda row: to_sample(Question.model_validate(row)),
            )
        )
    return MemoryDataset(samples if count is None else stratified(samples, count), name="medqa")


def stratified(samples: list[Sample], count: int) -> list[Sample]:
    """A fixed subset with each stratum's share of the whole, by largest remainder; inside, the lowest hashes of the id.

    The same count always gives the same questions, whatever their order in the file.
    """
    if not 0 < count <= len(samples):
        raise BadInput(f"cannot take {count} of {len(samples)} questions")
    strata: dict[str, list[Sample]] = defaultdict(list)
    for sample in samples:
        strata[(sample.metadata or {})["stratum"]].append(sample)
    exact = {name: count * len(rows) / len(samples) for name, rows in strata.items()}
    sizes = {name: int(share) for name, share in exact.items()}
    by_remainder = sorted(strata, key=lambda name: (sizes[name] - exact[name], name))
    for name in by_remainder[: count - sum(sizes.values())]:
        sizes[name] += 1
    chosen = []
    for name in sorted(strata):
        ranked = sorted(strata[name], key=lambda s: hashlib.sha256(str(s.id).encode()).hexdigest())
        chosen += ranked[: sizes[name]]
    return chosen
