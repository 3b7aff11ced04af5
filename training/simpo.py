"""Simple Preference Optimization (Meng et al. 2024, arXiv 2405.14734) with TRL's CPO trainer, `loss_type="simpo"`.

SimPO's reward is beta times the mean log-probability of an answer's tokens; it needs no reference model. The chosen answer must
lead by the margin gamma.
"""

from typing import Any

from pydantic import Field

from conscience.training.method import Method, Setup
from conscience.training.recipe import Strict
from conscience.training.rows import Row


class Parameters(Strict):
    """SimPO's own settings."""

    gamma: float = Field(default=0.5, ge=0)
    """Target margin of the reward. The authors take 0.3 to 0.8 of a beta of 2 to 2.5."""


def trainer(setup: Setup) -> Any:
    """Make TRL's trainer, scoring labelled tokens only: TRL 1.16 makes all logits of prompts and padding too."""
    import torch
    from datasets import Dataset
    from trl.experimental.cpo import CPOConfig, CPOTrainer

    from conscience.training.packing import add_packed_head

    class Preferences(CPOTrainer):  # type: ignore[misc] # TRL is untyped here
        """TRL's losses over scores of labelled tokens; rows are taken as they are."""

        def tokenize_row(self, feature: dict[str, Any], model: Any = None) -> dict[str, Any]:
            return {}

        def concatenated_forward(self, model: Any, batch: dict[str, Any]) -> tuple[Any, ...]:
            both = self.concatenated_inputs(batch, padding_value=self.pad_token_id, device=self.accelerator.device)
            chosen = batch["chosen_labels"].shape[0]
            scored = model(
                input_ids=both["concatenated_input_ids"],
                attention_mask=both["concatenated_attention_mask"],
                labels=both["concatenated_labels"],
                fused_lm_head=True,
            )
            count = scored.label_mask.sum(1)
            mean = scored.log_probs.sum(1) / count
            supervised = -scored.log_probs[:chosen].sum() / count[:chosen].sum()
            logits = [
                scored.mean_logits[part][scored.label_mask[part]] for part in (slice(chosen), slice(chosen, None))
            ]
            return mean[:chosen], mean[chosen:], *logits, supervised if self.cpo_alpha else torch.zeros(())

    arguments = CPOConfig(
        beta=setup.recipe.beta,
        loss_type="simpo",
        simpo_gamma=setup.parameters.gamma,
        cpo_alpha=setup.recipe.sft_weight,
        max_length=setup.recipe.max_length,
        remove_unused_columns=False,
        **setup.arguments,
    )
    rounded = setup.recipe.precision == "bfloat16"
    add_packed_head(setup.model.get_base_model(), rounded, outputs=("log_probs", "entropy", "mean_logits"))
    return Preferences(
        model=setup.model,
        args=arguments,
        train_dataset=Dataset.from_list([columns(row) for row in setup.rows]),
        eval_dataset=Dataset.from_list([columns(row) for row in setup.validation]) if setup.validation else None,
        processing_class=setup.tokenizer,
    )


def columns(row: Row) -> dict[str, Any]:
    """One pair as TRL's CPO collator takes it; the texts that it would tokenize are empty."""
    made: dict[str, Any] = {"prompt": "", "chosen": "", "rejected": ""}
    for side, answer in (("chosen", row.chosen), ("rejected", row.rejected)):
        tokens = row.prompt + answer
        made[f"{side}_input_ids"] = tokens
        made[f"{side}_attention_mask"] = [1] * len(tokens)
        made[f"{side}_labels"] = [-100] * len(row.prompt) + answer
    return made


SIMPO = Method(trainer=trainer, parameters=Parameters, reference=False)
"""Logistic loss on the difference of mean log-probabilities, less gamma."""
