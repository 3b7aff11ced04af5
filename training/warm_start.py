"""The warm start: supervised fine-tuning of the adapter on the revisions, before any preferences (Bai et al. 2022)."""

from typing import Any

from conscience.training.method import Setup
from conscience.training.rows import Row


def trainer(setup: Setup) -> Any:
    """Make TRL's supervised trainer; only the revisions' tokens count."""
    from datasets import Dataset
    from trl import SFTConfig, SFTTrainer

    def columns(row: Row) -> dict[str, list[int]]:
        return {
            "input_ids": row.prompt + row.chosen,
            "completion_mask": [0] * len(row.prompt) + [1] * len(row.chosen),
        }

    arguments = SFTConfig(completion_only_loss=True, max_length=setup.recipe.max_length, **setup.arguments)
    return SFTTrainer(
        model=setup.model,
        args=arguments,
        train_dataset=Dataset.from_list([columns(row) for row in setup.rows]),
        processing_class=setup.tokenizer,
    )
