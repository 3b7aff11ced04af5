"""Where a candidate comes from: overlap with its training prompts is refused, and what cannot be checked is said."""

from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from inspect_ai.model import ModelOutput

from conscience.evals.asclepius.scenario import prompt_digest
from conscience.evals.errors import NotComparable
from conscience.evals.gate import lineage
from conscience.evals.gate.comparison import SAFETY, templates
from conscience.evals.models.card import PairSource


@pytest.fixture
def arms(sample: Any, log: Any, monkeypatch: pytest.MonkeyPatch) -> Any:
    """Arms of one task of a candidate whose training prompts can be named."""

    def make(trained: tuple[str, ...] | None, model: str = "conscience/trained") -> Any:
        digests = None if trained is None else tuple(map(prompt_digest, trained))
        source = PairSource(sha256="0", count=1, log_ids=(), teacher="t", prompt_digests=digests)
        card = SimpleNamespace(pairs=source, notes=("a note of the card",))
        monkeypatch.setattr(lineage, "lookup", lambda _: (Path(), card))
        candidate, base = (log(name, [sample(id, [True]) for id in ("s1", "s2")]) for name in (model, "b/base"))
        return {SAFETY: SimpleNamespace(base=base, candidate=candidate)}

    return make


def test_training_prompts_among_the_samples_are_refused(arms: Any) -> None:
    """However they are spaced or capitalised; the line names the samples."""
    with pytest.raises(NotComparable, match=r"'?conscience/trained'? was trained on prompts of 1 .*: asclepius/s2;"):
        lineage.check(arms(("elsewhere", "About  S2")))


def test_other_prompts_are_no_hindrance(arms: Any) -> None:
    """The card's own notes are handed on."""
    notes = lineage.check(arms(("elsewhere",)))
    assert "a note of the card" == notes[0]
    assert not any("not checked" in note for note in notes)


@pytest.mark.parametrize(
    ("trained", "model", "said"),
    [
        (None, "conscience/trained", "does not hold its training prompts"),
        ((), "openai/gpt", "Lineage of openai/gpt unknown"),
    ],
)
def test_what_cannot_be_checked_is_said(arms: Any, trained: tuple[str, ...] | None, model: str, said: str) -> None:
    """A card of before the prompts were kept, and a model from elsewhere."""
    assert any(said in note and "was not checked" in note for note in lineage.check(arms(trained, model)))


def test_a_template_that_is_not_told_is_said(arms: Any) -> None:
    """Once a log's outputs name it, nothing is said of that model."""
    found = arms(("elsewhere",))
    assert "The chat template of b/base and of conscience/trained is not in the log: not compared." in lineage.check(
        found
    )
    for log in (found[SAFETY].base, found[SAFETY].candidate):
        for sample in log.samples:
            sample.output = ModelOutput(model="m", metadata={"chat_template": "ab"})
    assert ["ab"] == templates(found[SAFETY].base)
    assert ["a note of the card"] == lineage.check(found)
