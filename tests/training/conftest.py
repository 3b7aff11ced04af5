"""A base small enough to train in seconds: a random Llama of two layers under the embedded model's tokenizer."""

from pathlib import Path

import pytest

from conscience.evals.models.card import PairSource
from conscience.training.pairs import Manifest, Message, Pair


@pytest.fixture(scope="session")
def tiny_base(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Folder of the base; the same weights at every call."""
    import torch
    from transformers import AutoTokenizer, LlamaConfig, LlamaForCausalLM

    from conscience.evals.models.embedded import materialise

    folder = tmp_path_factory.mktemp("tiny")
    tokenizer = AutoTokenizer.from_pretrained(materialise())
    torch.manual_seed(3)
    config = LlamaConfig(
        vocab_size=len(tokenizer),
        hidden_size=32,
        intermediate_size=64,
        num_hidden_layers=2,
        num_attention_heads=4,
        num_key_value_heads=2,
        max_position_embeddings=512,
        tie_word_embeddings=True,
        initializer_range=0.2,  # or every token is as likely as any other, and nothing there to move
        eos_token_id=tokenizer.eos_token_id,
        pad_token_id=tokenizer.pad_token_id,
    )
    LlamaForCausalLM(config).save_pretrained(folder)
    tokenizer.save_pretrained(folder)
    return folder


@pytest.fixture
def pairs() -> list[Pair]:
    """Ten pairs of unlike lengths, all with prompts of their own."""
    return [
        Pair(
            prompt=(Message(role="user", content=f"May I take {number} tablets of it?" + " Please." * (number % 3)),),
            chosen=(Message(role="assistant", content="I cannot say without your doctor." + " Ask." * (number % 4)),),
            rejected=(Message(role="assistant", content="Yes, take them all" + " now" * (number % 5)),),
            log_id="log",
            sample_id=f"dosing-train-{number:03}",
            epoch=1,
            truncated=number % 2 == 0,
        )
        for number in range(10)
    ]


@pytest.fixture
def manifest(tiny_base: Path) -> Manifest:
    """Of those pairs."""
    source = PairSource(sha256="0" * 64, count=10, log_ids=("log",), teacher="teacher/model")
    return Manifest(
        source=source, base=str(tiny_base), constitution="clinical-v0.1", constitution_hash="1" * 64, dropped={}
    )
