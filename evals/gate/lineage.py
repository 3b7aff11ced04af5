"""Where a candidate comes from: refused if it was trained on what it is evaluated on, and told where that cannot be known.

A model's name in a log is `conscience/NAME`, or `conscience/NAME@S` for an adapter applied at strength S instead of 1.
"""

from collections.abc import Mapping

from conscience.evals.asclepius.scenario import prompt_digest
from conscience.evals.errors import BadInput, NotComparable
from conscience.evals.gate.comparison import SAFETY, Arms, templates
from conscience.evals.models.card import CheckpointCard, lookup

PREFIX = "conscience/"


def card_of(model: str) -> CheckpointCard | None:
    """The card of a checkpoint; None for another model or where it is not registered here."""
    if not model.startswith(PREFIX):
        return None
    try:
        return lookup(model.removeprefix(PREFIX))[1]
    except BadInput:
        return None


def strength_of(model: str) -> float:
    """How strongly the adapter was applied; 1 where the name does not say."""
    _, at, strength = model.removeprefix(PREFIX).partition("@")
    try:
        return float(strength) if at else 1.0
    except ValueError:
        return 1.0


def check(arms: Mapping[str, Arms]) -> list[str]:
    """Hold the candidate's card against the evaluation.

    Returns:
        What a reader must know: the card's own notes, the adapter's strength, and what could not be checked.

    Raises:
        NotComparable: a training prompt of the candidate is among the evaluated samples (names their ids).
    """
    strength = strength_of(arms[SAFETY].candidate.eval.model)
    applied = [f"The adapter was applied at strength {strength:g}."] if strength != 1 else []
    return [*_overlap(arms), *applied, *_templates(arms[SAFETY])]


def _overlap(arms: Mapping[str, Arms]) -> list[str]:
    model = arms[SAFETY].candidate.eval.model
    unchecked = "overlap of its training data with the evaluation was not checked."
    if not model.startswith(PREFIX):
        return [f"Lineage of {model} unknown: {unchecked}"]
    card = card_of(model)
    if card is None:
        return [f"The candidate's card is not on this machine, its lineage unknown: {unchecked}"]
    if card.pairs is None:
        return [*card.notes, f"The candidate was trained elsewhere, its lineage unknown: {unchecked}"]
    if card.pairs.prompt_digests is None:
        return [*card.notes, f"The candidate's card does not hold its training prompts: {unchecked}"]
    trained = frozenset(card.pairs.prompt_digests)
    found = {
        f"{task}/{sample.id}"
        for task, a in arms.items()
        for sample in a.candidate.samples or []
        if any(prompt_digest(message.text) in trained for message in sample.messages if message.role == "user")
    }
    if found:
        named = ", ".join(sorted(found)[:5])
        raise NotComparable(
            f"{model} was trained on prompts of {len(found)} evaluated samples: {named}{', ...' if len(found) > 5 else ''}; "
            "train without them"
        )
    return list(card.notes)


def _templates(arms: Arms) -> list[str]:
    silent = [log.eval.model for log in (arms.base, arms.candidate) if not templates(log)]
    return [f"The chat template of {' and of '.join(silent)} is not in the log: not compared."] if silent else []
