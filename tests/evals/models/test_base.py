"""Checkpoints that share a base in memory."""

from pathlib import Path
from typing import Any

import pytest

pytestmark = [
    pytest.mark.model,
    pytest.mark.filterwarnings("ignore:`is_gradient_checkpointing`:FutureWarning"),  # PEFT asks for it
]


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """A random Llama with a tokenizer, and two adapters in `a` and `b` below it."""
    import torch
    from peft import LoraConfig, get_peft_model
    from tokenizers import Tokenizer
    from tokenizers.models import WordLevel
    from transformers import LlamaConfig, LlamaForCausalLM, PreTrainedTokenizerFast

    words: Any = Tokenizer(WordLevel({f"w{number}": number for number in range(99)}, unk_token="w0"))
    fast: Any = PreTrainedTokenizerFast
    fast(tokenizer_object=words, eos_token="w1", chat_template="{{ messages }}").save_pretrained(tmp_path)
    torch.manual_seed(3)
    config = LlamaConfig(
        vocab_size=99,
        hidden_size=32,
        intermediate_size=64,
        num_hidden_layers=2,
        num_attention_heads=4,
        initializer_range=0.2,
        eos_token_id=1,
    )
    LlamaForCausalLM(config).save_pretrained(tmp_path)
    for name in ("a", "b"):
        made = get_peft_model(LlamaForCausalLM.from_pretrained(tmp_path), LoraConfig(target_modules=["o_proj"]))
        for key, weight in made.named_parameters():
            if "lora_B" in key:
                torch.nn.init.normal_(weight, std=0.3)
        made.save_pretrained(tmp_path / name)
    return tmp_path


def test_checkpoints_share_one_engine(folder: Path) -> None:
    """One alone is merged; those announced before the first answer share an engine; a late one joins by loading anew.

    Each answers the same in all three.
    """
    from conscience.evals.models.adapters import Stacked
    from conscience.evals.models.base import Adapter, Base
    from conscience.evals.models.engine import Request
    from conscience.evals.models.loading import Source

    source = Source(str(folder), None, str(folder), None, 1.0, None)
    request = Request((5, 6, 7), 12)
    asked = [None, Adapter(folder / "a"), Adapter(folder / "b")]

    def layers(base: Base) -> int:
        assert base._engine is not None
        model: Any = base._engine._model
        return sum(isinstance(module, Stacked) for module in model.modules())

    alone = []
    for adapter in asked:
        single = Base(source, "float32")
        single.add(adapter)
        alone.append(single.submit(adapter, request).result(timeout=60))
        assert 0 == layers(single)
    assert 3 == len({answer.tokens for answer in alone})
    together = Base(source, "float32")
    for adapter in asked[:2]:
        together.add(adapter)
    assert alone[:2] == [together.submit(adapter, request).result(timeout=60) for adapter in asked[:2]]
    first = together._engine
    together.add(asked[2])
    assert alone[1] == together.submit(asked[1], request).result(timeout=60)
    assert first is together._engine
    assert alone == [together.submit(adapter, request).result(timeout=60) for adapter in asked]
    assert (2, False) == (layers(together), first is together._engine)
