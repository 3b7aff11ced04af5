"""What the paper's run would take on 2 x H100, computed: 8,000 pairs, 2 epochs, Qwen3-8B, each method.

    .venv/bin/python benchmarks/paper_run.py

From operations and a range of efficiency (`training/estimate.py`); no GPU was at hand to measure one. The base's sizes
are those of its published configuration; lengths of prompts and answers are assumed and printed. The paper states 40
GPU-hours for everything, generation and evaluation included.
"""

import tempfile
from pathlib import Path

from transformers import Qwen3Config

from conscience.training import estimate, recipe
from conscience.training.recipe import Recipe
from conscience.training.rows import Row, Split

PAIRS, VALIDATION = 8_000, 500
PAPER_GPU_HOURS = 40
PROMPT, CHOSEN, REJECTED = 150, 300, 450
"""Tokens, assumed."""
RECIPES = Path(str(recipe.__file__)).parent / "recipes"


def main() -> None:
    """Print hours for each of the paper's recipes."""
    config = Qwen3Config(
        vocab_size=151_936,
        hidden_size=4_096,
        intermediate_size=12_288,
        num_hidden_layers=36,
        num_attention_heads=32,
        num_key_value_heads=8,
        head_dim=128,
        tie_word_embeddings=False,
    )
    row = Row([0] * PROMPT, [0] * CHOSEN, [0] * REJECTED)
    rows = Split([row] * (PAIRS - VALIDATION), [row] * VALIDATION, [])
    device = estimate.processor("2xH100", "bfloat16")
    print(
        f"assumed tokens: prompt {PROMPT}, chosen {CHOSEN}, rejected {REJECTED}; efficiency {estimate.EFFICIENCY['gpu']}"
    )
    with tempfile.TemporaryDirectory() as folder:
        config.architectures = ["Qwen3ForCausalLM"]
        config.save_pretrained(folder)
        for method in ("dpo", "ipo", "kto", "simpo"):
            given = Recipe.read(RECIPES / f"paper-{method}.yaml")
            shape = estimate.shape_of(given.model_copy(update={"base": folder}))
            found = estimate.estimate(given, shape, rows, device)
            fast, slow = (seconds * device.count / 3600 for seconds in found.seconds)
            print(
                f"{given.name}: {found.steps} steps, {found.operations:.2e} operations, about {found.bytes / 1e9:.0f} GB a GPU, "
                f"{fast:.1f} to {slow:.1f} GPU-hours (the paper: {PAPER_GPU_HOURS} for everything)"
            )


if __name__ == "__main__":
    main()
