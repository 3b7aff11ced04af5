"""Direct Preference Optimization (Rafailov et al. 2023, arXiv 2305.18290) and IPO (Azar et al. 2023, arXiv 2310.12036).

Both are TRL's `DPOTrainer`; IPO is its `loss_type="ipo"`, with log-probability ratios averaged over tokens as its authors did.
The reference's log-probabilities are computed once, before training.
"""

from typing import Any

from conscience.training.dataset import on_disk
from conscience.training.method import Method, Setup
from conscience.training.rows import Row


def trainer(setup: Setup, loss_type: str) -> Any:
    """Make TRL's trainer for one of its pairwise losses.

    Args:
        setup: what to train on.
        loss_type: as in `trl.DPOConfig`.
    """
    from trl import DPOConfig, DPOTrainer

    class Preferences(DPOTrainer):  # type: ignore[misc] # TRL is untyped here
        """Takes the rows as they are: TRL would put an end token behind samples that were cut, and teach a false end."""

        def _prepare_dataset(self, dataset: Any, *_: Any) -> Any:
            return dataset

    supervised = setup.recipe.sft_weight
    arguments = DPOConfig(
        beta=setup.recipe.beta,
        loss_type=[loss_type, "sft"] if supervised else [loss_type],
        loss_weights=[1.0, supervised] if supervised else None,
        precompute_ref_log_probs=True,
        max_length=setup.recipe.max_length,
        **setup.arguments,
    )

    def columns(rows: list[Row]) -> list[dict[str, Any]]:
        return [{"prompt_ids": row.prompt, "chosen_ids": row.chosen, "rejected_ids": row.rejected} for row in rows]

    return Preferences(
        model=setup.model,
        args=arguments,
        train_dataset=on_disk(columns(setup.rows), setup.arguments, "train"),
        eval_dataset=on_disk(columns(setup.validation), setup.arguments, "validation"),
        processing_class=setup.tokenizer,
    )


DPO = Method(trainer=lambda setup: trainer(setup, "sigmoid"))
"""Logistic loss on the difference of implicit rewards."""
IPO = Method(trainer=lambda setup: trainer(setup, "ipo"))
"""Squared loss that draws the difference towards 1 / (2 beta)."""
