"""What a training method is, and how it is found: an entry point of the group `conscience.training`.

A method turns a `Setup` (recipe, model with its adapter, tokenized pairs, settings that all methods share) into a trainer of
transformers or TRL. Stages, checkpoints, resuming, monitoring and the card are the same for all and lie elsewhere, so a method
is short; `training/README.md` shows one in a package of its own.
"""

from collections.abc import Callable
from dataclasses import dataclass
from importlib.metadata import entry_points
from typing import Any

from conscience.evals.errors import BadInput
from conscience.training.recipe import Recipe, Strict, validated
from conscience.training.rows import Row

GROUP = "conscience.training"


class NoParameters(Strict):
    """For methods that need nothing beyond the recipe's own fields."""


@dataclass(frozen=True)
class Setup:
    """What a method makes its trainer from."""

    recipe: Recipe
    """The run's settings."""
    parameters: Any
    """The method's own, an instance of its `parameters`."""
    model: Any
    """A `peft.PeftModel` whose adapter `default` is to be trained; as it is now, it is the reference."""
    tokenizer: Any
    """The base's."""
    rows: list[Row]
    """Training pairs in tokens."""
    validation: list[Row]
    """Validation pairs; empty without validation."""
    arguments: dict[str, Any]
    """Settings for any subclass of `transformers.TrainingArguments`."""


@dataclass(frozen=True)
class Method:
    """A training method."""

    trainer: Callable[[Setup], Any]
    """Makes the trainer."""
    parameters: type[Strict] = NoParameters
    """What `parameters` of a recipe may hold for this method."""
    reference: bool = True
    """Whether each pair is scored once by the reference model (for estimates)."""
    extra_forwards: int = 0
    """Forward passes over the pairs in each epoch beyond those trained on (for estimates)."""


def find(name: str) -> Method:
    """Find a training method by its entry point.

    Raises:
        BadInput: there is none of that name (says which there are).
    """
    found = {entry.name: entry for entry in entry_points(group=GROUP)}
    if name not in found:
        raise BadInput(f"unknown method {name!r}; there are: {', '.join(sorted(found))}")
    loaded: Method = found[name].load()
    return loaded


def parameters(recipe: Recipe) -> Strict:
    """The method's own parameters in a recipe.

    Raises:
        BadInput: unknown method, or a parameter that it does not know or cannot take.
    """
    return validated(find(recipe.method).parameters, recipe.parameters, f"parameters of method {recipe.method!r}")
