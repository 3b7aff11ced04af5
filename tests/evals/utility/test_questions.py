"""Multiple-choice questions: reading, strata, MedQA's own file."""

import gzip
import json
from collections import Counter
from pathlib import Path
from typing import Any

import pytest
from inspect_ai.dataset import Sample

from conscience.evals.errors import BadInput
from conscience.evals.utility.questions import basics, medqa, read_questions, stratified

MEDQA = Path(__file__).parents[4] / "shared" / "data" / "medqa" / "test.jsonl.gz"
ROW = {
    "question": "Which organ makes insulin?",
    "options": {"A": "Liver", "B": "Pancreas", "C": "Spleen", "D": "Kidney"},
    "answer_idx": "B",
    "answer": "Pancreas",
    "meta_info": "step1",
}


def write(path: Path, *rows: Any) -> Path:
    """A question file of these rows; text stands as it is."""
    lines = [row if isinstance(row, str) else json.dumps(row) for row in rows]
    text = "\n".join(lines).encode() + b"\n"
    path.write_bytes(gzip.compress(text) if path.suffix == ".gz" else text)
    return path


def samples(**sizes: int) -> list[Sample]:
    """So many samples of each stratum."""
    return [
        Sample(id=f"{name}-{i}", input="?", metadata={"stratum": name}) for name, n in sizes.items() for i in range(n)
    ]


@pytest.mark.parametrize("name", ["q.jsonl", "q.jsonl.gz"])
def test_a_question_becomes_a_sample(tmp_path: Path, name: str) -> None:
    """Options stand in the order of their letters; the target is the letter; the stratum is the exam step."""
    [sample] = medqa(str(write(tmp_path / name, {"canary": "x"}, ROW)), None)
    assert (["Liver", "Pancreas", "Spleen", "Kidney"], "B") == (sample.choices, sample.target)
    assert "step1" == (sample.metadata or {})["stratum"]


def test_an_id_is_made_of_the_question(tmp_path: Path) -> None:
    """A row without id gets one that depends on its words only, so that subsets survive a reordering."""
    other = {**ROW, "question": "Which organ makes bile?"}
    one = [s.id for s in medqa(str(write(tmp_path / "one.jsonl", ROW, other)), None)]
    two = [s.id for s in medqa(str(write(tmp_path / "two.jsonl", other, ROW)), None)]
    assert one == two[::-1]
    assert 2 == len(set(one))


@pytest.mark.parametrize(
    ("row", "complaint"),
    [
        ("{", "Expecting"),
        ("[]", "must be an object"),
        ({**ROW, "options": {"A": "x"}}, r"options must be A to D, found \['A'\]"),
        ({**ROW, "answer_idx": "E"}, "answer_idx must be one of A to D, found 'E'"),
        ({"question": "?"}, "Field required"),
    ],
)
def test_a_bad_row_is_named(tmp_path: Path, row: Any, complaint: str) -> None:
    """A bad row is told by file and line."""
    path = write(tmp_path / "q.jsonl", ROW, "", row)
    with pytest.raises(BadInput, match=rf"q\.jsonl:3: .*{complaint}"):
        read_questions(path)


def test_a_bad_file_is_named(tmp_path: Path) -> None:
    """A file that is missing, empty, or not what its name says is quoted."""
    with pytest.raises(BadInput, match=r"no file '.*nowhere\.jsonl'"):
        read_questions(tmp_path / "nowhere.jsonl")
    with pytest.raises(BadInput, match=r"q\.jsonl: holds no question"):
        read_questions(write(tmp_path / "q.jsonl", {"canary": "x"}))
    plain = tmp_path / "plain.jsonl.gz"
    plain.write_text(json.dumps(ROW), encoding="utf-8")
    with pytest.raises(BadInput, match=r"plain\.jsonl\.gz: not gzipped UTF-8"):
        read_questions(plain)


def test_a_subset_keeps_the_shares() -> None:
    """Each stratum has its share of the subset, by largest remainder."""
    chosen = stratified(samples(a=60, b=30, c=10), 11)
    assert {"a": 7, "b": 3, "c": 1} == Counter((s.metadata or {})["stratum"] for s in chosen)


def test_a_subset_is_reproducible() -> None:
    """The same count gives the same questions, whatever their order; a larger one holds the smaller one."""
    whole = samples(a=60, b=40)
    ids = [s.id for s in stratified(whole, 10)]
    assert ids == [s.id for s in stratified(whole[::-1], 10)]
    assert 10 == len(set(ids))
    assert set(ids) < {s.id for s in stratified(whole, 20)}
    assert ids != [s.id for s in whole[:6] + whole[60:64]]


@pytest.mark.parametrize("count", [-1, 0, 101])
def test_an_impossible_subset_is_refused(count: int) -> None:
    """A subset has at least one question and at most all."""
    with pytest.raises(BadInput, match=f"cannot take {count} of 100 questions"):
        stratified(samples(a=60, b=40), count)


def test_clinical_basics() -> None:
    """The embedded set has sixty questions, each with four different options, and no favourite letter."""
    dataset = list(basics())
    assert 60 == len(dataset)
    assert [] == [s.id for s in dataset if len(set(s.choices or [])) != 4]
    letters = Counter(str(s.target) for s in dataset)
    assert set("ABCD") == set(letters)
    assert max(letters.values()) <= 20


@pytest.mark.skipif(not MEDQA.is_file(), reason=f"MedQA's test file is not at {MEDQA}")
def test_medqa_itself() -> None:
    """MedQA's 1,273 test questions are read; 200 of them keep the shares of the exam steps."""
    whole = list(medqa(str(MEDQA), None))
    assert 1273 == len(whole) == len({s.id for s in whole})
    strata = Counter((s.metadata or {})["stratum"] for s in whole)
    chosen = Counter((s.metadata or {})["stratum"] for s in medqa(str(MEDQA), 200))
    assert 200 == sum(chosen.values())
    assert [] == [name for name, n in strata.items() if abs(chosen[name] - 200 * n / 1273) >= 1]
