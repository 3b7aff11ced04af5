"""Adapters side by side on one base: a row answers as it would alone."""

from pathlib import Path
from typing import Any

import pytest

pytestmark = [
    pytest.mark.model,
    pytest.mark.filterwarnings("ignore:`is_gradient_checkpointing`:FutureWarning"),  # PEFT asks for it
]

END = 1


def tiny() -> Any:
    """A random Llama in float32; the same one at each call."""
    import torch
    from transformers import LlamaConfig, LlamaForCausalLM

    torch.manual_seed(11)
    return LlamaForCausalLM(
        LlamaConfig(
            vocab_size=199,
            hidden_size=48,
            intermediate_size=96,
            num_hidden_layers=3,
            num_attention_heads=6,
            num_key_value_heads=2,
            initializer_range=0.2,
        )
    )


def adapter(folder: Path, seed: int, modules: list[str], rank: int, **settings: Any) -> Path:
    """A random LoRA adapter, large enough to change answers, saved by PEFT."""
    import torch
    from peft import LoraConfig, get_peft_model

    made = get_peft_model(tiny(), LoraConfig(r=rank, lora_alpha=2 * rank, target_modules=modules, **settings))
    torch.manual_seed(seed)
    for name, weight in made.named_parameters():
        if "lora_" in name:
            torch.nn.init.normal_(weight, std=0.15)
    made.save_pretrained(folder)
    return folder


def prompts() -> list[tuple[int, ...]]:
    """Prompts of different lengths, one above the shortest prefix that is kept."""
    return [tuple(2 + (7 * row + 3 * column) % 197 for column in range(4 + 20 * row)) for row in range(5)]


def answers(model: Any, asked: list[tuple[int, tuple[int, ...]]], routing: Any = None) -> list[tuple[int, ...]]:
    """Greedy answers to (adapter, prompt), all asked at once of a fresh engine."""
    from conscience.evals.models.engine import Engine, Request

    engine = Engine(model, [END], routing=routing)
    futures = [engine.submit(Request(tokens, 24, adapter=number)) for number, tokens in asked]
    found = [future.result(timeout=60).tokens for future in futures]
    engine.close()
    return found


def test_mixed_rows_answer_as_alone(tmp_path: Path) -> None:
    """Base and two adapters of other ranks, layers and scales in one batch: each row's greedy answer is its merged model's."""
    from conscience.evals.models.adapters import Routing, stack
    from conscience.evals.models.base import Adapter
    from conscience.evals.models.loading import merge

    first = Adapter(adapter(tmp_path / "a", 1, ["q_proj", "down_proj"], 4))
    second = Adapter(adapter(tmp_path / "b", 2, ["o_proj", "down_proj"], 8, use_rslora=True), scale=0.5)
    alone = [
        answers(model, [(0, prompt) for prompt in prompts()])
        for model in (tiny(), merge(tiny(), first.folder, first.scale), merge(tiny(), second.folder, second.scale))
    ]
    routing = Routing()
    asked = [(number, prompt) for prompt in prompts() for number in range(3)]
    mixed = answers(stack(tiny(), [first, second], routing), asked, routing)
    assert [alone[number][prompts().index(prompt)] for number, prompt in asked] == mixed
    assert 3 == len({tuple(rows) for rows in alone})


def test_only_plain_lora_is_stacked(tmp_path: Path) -> None:
    """An adapter that also changes magnitudes (DoRA) or a whole module is not one to share a batch."""
    from conscience.evals.models.adapters import stackable

    plain = adapter(tmp_path / "plain", 1, ["q_proj"], 4)
    dora = adapter(tmp_path / "dora", 1, ["q_proj"], 4, use_dora=True)
    whole = adapter(tmp_path / "whole", 1, ["q_proj"], 4, modules_to_save=["lm_head"])
    assert [True, False, False] == [stackable(folder) for folder in (plain, dora, whole)]


def test_an_adapter_for_another_model_is_refused_among_several(tmp_path: Path) -> None:
    """PEFT only warns of it, and the base would answer in its name."""
    import json

    from safetensors.torch import load_file, save_file

    from conscience.evals.errors import BadInput
    from conscience.evals.models.adapters import Routing, stack
    from conscience.evals.models.base import Adapter

    right = adapter(tmp_path / "a", 1, ["q_proj"], 4)
    wrong = adapter(tmp_path / "b", 2, ["q_proj"], 4)
    weights = {
        name.replace("layers.", "blocks."): weight
        for name, weight in load_file(wrong / "adapter_model.safetensors").items()
    }
    save_file(weights, wrong / "adapter_model.safetensors")
    with pytest.raises(BadInput, match="cannot load"):
        stack(tiny(), [Adapter(right), Adapter(wrong)], Routing())
    config = json.loads((right / "adapter_config.json").read_text())
    (right / "adapter_config.json").write_text(json.dumps({**config, "init_lora_weights": "pissa"}))
    with pytest.raises(BadInput, match="cannot be scaled: it has init_lora_weights=pissa"):
        stack(tiny(), [Adapter(right, 0.5)], Routing())
