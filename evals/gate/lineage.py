"""Where a candidate comes from: refused if it was trained on what it is evaluated on, and told where that cannot be known."""

from collections.abc import Mapping

from conscience.evals.asclepius.scenario import prompt_digest
from conscience.evals.errors import BadInput, NotComparable
from conscience.evals.gate.comparison import SAFETY, Arms, templates
from conscience.evals.models.card import find


def check(arms: Mapping[str, Arms]) -> list[str]:
    """Hold the candidate's card against the evaluation.

    Returns:
        What a reader must know: the card's own notes, and what could not be checked.

    Raises:
        NotComparable: a training prompt of the candidate is among the evaluated samples (names their ids).
    """
    return [*_overlap(arms), *_templates(arms[SAFETY])]


def _overlap(arms: Mapping[str, Arms]) -> list[str]:
    model = arms[SAFETY].candidate.eval.model
    unchecked = "overlap of its training data with the evaluation was not checked."
    if not model.startswith("conscience/"):
        return [f"Lineage of {model} unknown: {unchecked}"]
    try:
        card = find(model.removeprefix("conscience/"))[1]
    except BadInput:
        return [f"The candidate's card is not on this machine, its lineage unknown: {unchecked}"]
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
