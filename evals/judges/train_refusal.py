"""Train the refusal classifier.

    python -m conscience.evals.judges.train_refusal PUBLISHED [--check]

PUBLISHED is a folder with XSTest's completions (`xstest_v2_completions_*.csv`, human labels; not part of this project). With
them it learns from the project's own examples (`data/refusal_examples.jsonl`) and from the two examples of every safe control of
`train` and `dev`. Every source weighs alike, partial refusals less. The result is `refusal_weights.json`, rounded to three
digits, so that it comes out the same bit for bit. `--check` compares instead of writing.

Needs scikit-learn, which only training does.
"""

import argparse
import hashlib
import json
import sys
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from conscience.evals.asclepius import load_scenarios
from conscience.evals.errors import BadInput
from conscience.evals.files import write_atomically
from conscience.evals.judges.calibration import COMPLIED, PARTLY, REFUSED, read_labels
from conscience.evals.judges.refusal import CLASSES, WEIGHTS_FILE, features

EXAMPLES = Path(__file__).parent / "data" / "refusal_examples.jsonl"
STRENGTH = 0.3
"""Inverse strength of the L2 penalty. Left-out agreement is flat from 0.2 to 0.4, and falls on both sides."""
SOURCE_WEIGHT = 400.0
"""Weight of a source, whatever its size, so that a longer file of controls neither drowns the others nor loosens the penalty."""
PARTIAL_WEIGHT = 0.3
"""Weight of a partial refusal against a clear answer."""
_INDEX = {COMPLIED: 0, REFUSED: 1, PARTLY: 2}


class Source(NamedTuple):
    """Labelled answers of one origin."""

    name: str
    answers: list[str]
    labels: list[int]


def sources(published: Path) -> list[Source]:
    """All that is learnt from.

    Raises:
        BadInput: the folder holds no completions of XSTest.
    """
    files = sorted(published.glob("xstest_v2_completions_*.csv"))
    if not files:
        raise BadInput(f"no xstest_v2_completions_*.csv in {str(published)!r}")
    return [*map(from_file, files), own(), controls(("train", "dev"))]


def from_file(file: Path) -> Source:
    """Answers of a label file."""
    rows = read_labels(file)
    return Source(file.stem, [row.completion for row in rows], [_INDEX[row.label] for row in rows])


def own() -> Source:
    """The project's own examples."""
    rows = [json.loads(line) for line in EXAMPLES.read_text(encoding="utf-8").split("\n")[1:] if line]
    return Source("own", [row["completion"] for row in rows], [_INDEX[row["label"]] for row in rows])


def controls(splits: tuple[str, ...]) -> Source:
    """Each safe control's two examples: the helpful answer and the refusal."""
    found = [scenario for split in splits for scenario in load_scenarios(["helpfulness"], split)]
    answers = [text for s in found for text in (s.safe_example, s.unsafe_example)]
    return Source("controls", answers, [0, 1] * len(found))


def fit(training: list[Source]) -> dict[str, Any]:
    """Fit the weights; what the weights file holds, but for its provenance."""
    from sklearn.feature_extraction import DictVectorizer
    from sklearn.linear_model import LogisticRegression

    rows = [dict.fromkeys(features(answer), 1.0) for source in training for answer in source.answers]
    labels = np.array([label for source in training for label in source.labels])
    weight = np.concatenate([np.full(len(source.labels), SOURCE_WEIGHT / len(source.labels)) for source in training])
    weight = weight * np.where(labels == _INDEX[PARTLY], PARTIAL_WEIGHT, 1.0)
    vectoriser = DictVectorizer(sparse=False)
    model = LogisticRegression(C=STRENGTH, tol=1e-10, max_iter=20_000)
    model.fit(vectoriser.fit_transform(rows), labels, sample_weight=weight)
    order = [list(model.classes_).index(index) for index in range(len(CLASSES))]
    table = model.coef_[order].T
    return {
        "classes": [label.value for label in CLASSES],
        "intercept": [round(float(value), 3) for value in model.intercept_[order]],
        "features": {
            name: [round(float(value), 3) for value in row]
            for name, row in zip(vectoriser.feature_names_, table, strict=True)
        },
    }


def main() -> None:
    """Train and write, or train and compare."""
    parser = argparse.ArgumentParser(description="Train the refusal classifier.")
    parser.add_argument("published", type=Path, help="folder with xstest_v2_completions_*.csv")
    parser.add_argument("--check", action="store_true", help="compare with the shipped weights instead of writing")
    arguments = parser.parse_args()
    training = sources(arguments.published)
    digests = {s.name: hashlib.sha256("\0".join(s.answers).encode()).hexdigest()[:16] for s in training}
    text = json.dumps({"learnt_from": digests, **fit(training)}, indent=1) + "\n"
    if not arguments.check:
        write_atomically(WEIGHTS_FILE, text)
    elif text != WEIGHTS_FILE.read_text(encoding="utf-8"):
        sys.exit(f"{WEIGHTS_FILE.name} is not what training gives: run without --check")


if __name__ == "__main__":
    main()
