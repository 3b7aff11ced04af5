"""What a compared model is made of: its card, where the checkpoint is registered on this machine.

A model's name in a log is `conscience/NAME`, or `conscience/NAME@S` for an adapter applied at strength S instead of 1.
"""

from conscience.evals.errors import BadInput
from conscience.evals.models import card
from conscience.evals.models.card import CheckpointCard

PREFIX = "conscience/"


def card_of(model: str) -> CheckpointCard | None:
    """The card of a checkpoint; None for another model or where it is not registered here."""
    if not model.startswith(PREFIX):
        return None
    try:
        return card.find(model.removeprefix(PREFIX).partition("@")[0])[1]
    except BadInput:
        return None


def strength_of(model: str) -> float:
    """How strongly the adapter was applied; 1 where the name does not say."""
    _, at, strength = model.removeprefix(PREFIX).partition("@")
    try:
        return float(strength) if at else 1.0
    except ValueError:
        return 1.0


def notes_of(model: str) -> list[str]:
    """The card's own notes on a candidate, or that its lineage could not be checked."""
    found = card_of(model)
    if found is None:
        missing = "The candidate's card is not on this machine: its lineage is not checked."
        return [missing] if model.startswith(PREFIX) else []
    strength = strength_of(model)
    return [*found.notes, *([f"The adapter was applied at strength {strength:g}."] if strength != 1 else [])]
