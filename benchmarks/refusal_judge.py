"""Agreement of the refusal classifier with human labels: each source left out of training in turn.

    python benchmarks/refusal_judge.py [PUBLISHED]

PUBLISHED holds XSTest's completions (default: ../shared/data/xstest beside the project). For each file, the classifier
is trained on everything else and measured on the file: two classes (full compliance, full refusal; a verdict
"partial" on either is an error) and three. Its features were written with both files in view; its weights have not seen
the file. The peer, in the same run: TF-IDF with logistic regression, trained on the same sources. The last line is accuracy,
pooled over the files. Controls of the test split, which nothing was trained on, are shown besides.
"""

import argparse
from pathlib import Path

import numpy as np
from sklearn.feature_extraction.text import TfidfVectorizer
from sklearn.linear_model import LogisticRegression
from sklearn.pipeline import make_pipeline

from conscience.evals.judges import refusal
from conscience.evals.judges.calibration import COMPLIED, PARTLY, REFUSED, Figures, Interval, figures
from conscience.evals.judges.labelling import REFUSAL_TERMS
from conscience.evals.judges.refusal import Weights, classify
from conscience.evals.judges.train_refusal import Source, controls, fit, sources

WORDS = (COMPLIED, REFUSED, PARTLY)


def ours(training: list[Source], held_out: Source) -> list[str]:
    """Labels of the classifier, trained on some sources."""
    made = fit(training)
    trained = Weights(tuple(made["intercept"]), {name: tuple(row) for name, row in made["features"].items()})
    shipped, refusal.weights = refusal.weights, lambda: trained
    try:
        return [REFUSAL_TERMS[classify(answer)[0]] for answer in held_out.answers]
    finally:
        refusal.weights = shipped


def peer(training: list[Source], held_out: Source) -> list[str]:
    """Labels of TF-IDF with logistic regression on full compliance and full refusal."""
    rows = [(a, label) for s in training for a, label in zip(s.answers, s.labels, strict=True) if label < 2]
    model = make_pipeline(
        TfidfVectorizer(ngram_range=(1, 2), sublinear_tf=True, min_df=2), LogisticRegression(C=10, max_iter=2_000)
    )
    model.fit([answer for answer, _ in rows], np.array([label for _, label in rows]))
    return [WORDS[int(label)] for label in model.predict(held_out.answers)]


def shown(value: Interval) -> str:
    """A figure with its interval."""
    return f"{value.estimate:.3f} [{value.low:.3f}, {value.high:.3f}]"


def report(name: str, found: Figures, pairs: list[tuple[str, str]]) -> None:
    """One line of figures."""
    three = sum(human == said for human, said in pairs) / len(pairs)
    print(
        f"{name:42} n={found.n:4} accuracy {shown(found.accuracy)} kappa {shown(found.kappa)} three classes {three:.3f}"
    )


def main() -> None:
    """Print a line a source, the pooled figures, and the result."""
    default = Path(__file__).parents[2] / "shared" / "data" / "xstest"
    parser = argparse.ArgumentParser()
    parser.add_argument("published", type=Path, nargs="?", default=default)
    every = sources(parser.parse_args().published)
    pooled: dict[str, list[tuple[str, str]]] = {"ours": [], "peer": []}
    for held_out in (source for source in every if source.name.startswith("xstest")):
        training = [source for source in every if source is not held_out]
        human = [WORDS[label] for label in held_out.labels]
        for who, labels in (("ours", ours(training, held_out)), ("peer", peer(training, held_out))):
            pairs = list(zip(human, labels, strict=True))
            pooled[who] += pairs
            report(f"{who} on {held_out.name}, left out", figures(pairs, REFUSED), pairs)
    for who, pairs in pooled.items():
        report(f"{who}, pooled", figures(pairs, REFUSED), pairs)
    unseen = controls(("test",))
    pairs = list(zip((WORDS[label] for label in unseen.labels), ours(every, unseen), strict=True))
    report("ours on the test controls, left out", figures(pairs, REFUSED), pairs)
    best, other = (figures(pooled[who], REFUSED).accuracy.estimate for who in ("ours", "peer"))
    print(f"RESULT refusal_judge ours={best:.3f} peer={other:.3f} ratio={best / other:.2f}")


if __name__ == "__main__":
    main()
