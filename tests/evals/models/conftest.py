"""A tiny language model with random weights, and random LoRA adapters on it: no test here trains or downloads."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

TEMPLATE = (
    "{% for m in messages %}{{ m['role'] }} : {{ m['content'] }} {% endfor %}"
    "{% if add_generation_prompt %}assistant : {% endif %}"
)
WORDS = ("<unk>", "<end>", "user", "assistant", "system", ":", "how", "much", "is", "safe", "a", "dose", "ask", "none")

Adapter = Callable[..., Path]


@pytest.fixture(scope="session")
def tiny(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder of full weights in safetensors, with tokenizer and chat template."""
    import torch
    from tokenizers import Tokenizer
    from tokenizers.models import WordLevel
    from tokenizers.pre_tokenizers import WhitespaceSplit
    from transformers import LlamaConfig, LlamaForCausalLM, PreTrainedTokenizerFast

    folder = tmp_path_factory.mktemp("tiny") / "base"
    torch.manual_seed(0)
    config = LlamaConfig(
        vocab_size=len(WORDS),
        hidden_size=32,
        intermediate_size=64,
        num_hidden_layers=2,
        num_attention_heads=4,
        num_key_value_heads=2,
        max_position_embeddings=128,
        bos_token_id=None,
        eos_token_id=1,
        initializer_range=0.5,
    )
    LlamaForCausalLM(config).save_pretrained(folder)
    words = Tokenizer(WordLevel({word: number for number, word in enumerate(WORDS)}, unk_token="<unk>"))
    words.pre_tokenizer = WhitespaceSplit()
    untyped: Any = PreTrainedTokenizerFast
    tokenizer = untyped(tokenizer_object=words, unk_token="<unk>", eos_token="<end>")
    tokenizer.chat_template = TEMPLATE
    tokenizer.save_pretrained(folder)
    return folder


@pytest.fixture
def adapter(tmp_path: Path) -> Adapter:
    """Write a random LoRA adapter for a base, with further settings of PEFT's."""

    def make(base: Path, name: str = "adapter", **settings: Any) -> Path:
        import torch
        from peft import LoraConfig, get_peft_model
        from transformers import AutoModelForCausalLM

        folder = tmp_path / name
        torch.manual_seed(1)
        modules = ["q_proj", "v_proj", "down_proj"]
        chosen = {"target_modules": modules, "task_type": "CAUSAL_LM", "init_lora_weights": False} | settings
        model: Any = AutoModelForCausalLM.from_pretrained(base, dtype=torch.float32)
        get_peft_model(model, LoraConfig(r=4, lora_alpha=8, **chosen)).save_pretrained(folder)
        return folder

    return make
