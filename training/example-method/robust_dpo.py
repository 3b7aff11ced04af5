"""Robust DPO (Chowdhury et al. 2024, arXiv 2403.00409): DPO that expects a share of the preferences to be the wrong way round.

method: robust-dpo
parameters: {flipped: 0.1}
"""

from typing import Any

from pydantic import Field

from conscience.training import dpo
from conscience.training.method import Method, Setup
from conscience.training.recipe import Strict


class Parameters(Strict):
    """What the recipe may say beyond its own fields."""

    flipped: float = Field(default=0.1, ge=0, lt=0.5)
    """Share of pairs whose sides are believed to be swapped."""


def trainer(setup: Setup) -> Any:
    """TRL's DPO trainer with its robust loss."""
    made = dpo.trainer(setup, "robust")
    made.label_smoothing = setup.parameters.flipped
    return made


ROBUST_DPO = Method(trainer=trainer, parameters=Parameters)
