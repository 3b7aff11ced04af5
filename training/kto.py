"""Kahneman-Tversky Optimization (Ethayarajh et al. 2024, arXiv 2402.01306) with TRL's `KTOTrainer`.

KTO takes single answers labelled desirable or not. A micro-batch holds whole pairs, first their chosen and then their rejected
answers: so it has both labels, and the two answers of a prompt are scored together. The KL term needs answers of other prompts;
moved by one place, as TRL does, no answer meets its own prompt.
"""

import random
from typing import Any

from pydantic import Field

from conscience.evals.errors import BadInput
from conscience.training.dataset import on_disk
from conscience.training.method import Method, Setup
from conscience.training.recipe import Strict
from conscience.training.rows import Row


class Parameters(Strict):
    """KTO's own settings."""

    desirable_weight: float = Field(default=1.0, gt=0)
    """Of the chosen answers' loss. Desirable to undesirable between 1:1 and 4:3 for as many of each (equation 8)."""
    undesirable_weight: float = Field(default=1.0, gt=0)
    """Of the rejected answers' loss."""


def trainer(setup: Setup) -> Any:
    """Make TRL's trainer.

    Raises:
        BadInput: a micro-batch of one pair, in which the KL term would compare an answer with itself; or an SFT term.
    """
    from trl import KTOConfig, KTOTrainer

    recipe = setup.recipe
    if min(recipe.micro_batch, len(setup.rows)) < 2:
        raise BadInput(f"KTO needs a micro_batch of at least 2 pairs, found {min(recipe.micro_batch, len(setup.rows))}")
    if recipe.sft_weight:
        raise BadInput(f"KTO takes no sft_weight, found {recipe.sft_weight}; a warm_start is the way for it")

    class Answers(KTOTrainer):  # type: ignore[misc] # TRL is untyped here
        """Takes the rows as they are, end tokens and mismatched answers included."""

        def _prepare_dataset(self, dataset: Any, *_: Any) -> Any:
            return dataset

    batch = setup.arguments["per_device_train_batch_size"]
    arguments = KTOConfig(
        beta=recipe.beta,
        desirable_weight=setup.parameters.desirable_weight,
        undesirable_weight=setup.parameters.undesirable_weight,
        precompute_ref_log_probs=True,
        max_length=recipe.max_length,
        train_sampling_strategy="sequential",
        **{**setup.arguments, "per_device_train_batch_size": 2 * batch, "per_device_eval_batch_size": 2 * batch},
    )
    shuffled = random.Random(recipe.seed).sample(setup.rows, len(setup.rows))
    return Answers(
        model=setup.model,
        args=arguments,
        train_dataset=on_disk(answers(shuffled, batch), setup.arguments, "train"),
        eval_dataset=on_disk(answers(setup.validation, batch), setup.arguments, "validation"),
        processing_class=setup.tokenizer,
    )


def answers(rows: list[Row], pairs: int) -> list[dict[str, Any]]:
    """Single answers in the order in which they are trained on.

    Args:
        rows: at least two pairs.
        pairs: in a micro-batch.

    Returns:
        For each answer its prompt, completion, label (whether desirable) and the completion of another prompt.
    """
    made = []
    for start in range(0, len(rows), pairs):
        group = rows[start : start + pairs]
        sides = [(row.prompt, row.chosen, True) for row in group] + [(row.prompt, row.rejected, False) for row in group]
        others = [sides[place - 1][1] for place in range(len(sides))]
        if len(group) == 1:  # moved by one place, each answer would meet its own prompt
            others = [rows[start - 1].chosen, rows[start - 1].rejected]
        for (prompt, completion, label), other in zip(sides, others, strict=True):
            made.append(
                {"prompt_ids": prompt, "completion_ids": completion, "label": label, "KL_completion_ids": other}
            )
    return made


KTO = Method(trainer=trainer, parameters=Parameters, extra_forwards=1)
"""Value of each answer against the KL estimate; the mismatched answers are one more forward pass an epoch."""
