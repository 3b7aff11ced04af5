"""The decoding engine: its batches, seeds and scores against plain transformers."""

import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

pytestmark = pytest.mark.model

END = 1


@pytest.fixture(scope="module")
def tiny() -> Any:
    """A random Llama with grouped key-value heads, in float32."""
    import torch
    from transformers import LlamaConfig, LlamaForCausalLM

    torch.manual_seed(11)
    config = LlamaConfig(
        vocab_size=199,
        hidden_size=48,
        intermediate_size=96,
        num_hidden_layers=3,
        num_attention_heads=6,
        num_key_value_heads=2,
        initializer_range=0.2,
    )
    model: Any = LlamaForCausalLM(config)
    model.set_attn_implementation("eager")
    return model.eval()


@pytest.fixture
def engine(tiny: Any) -> Iterator[Any]:
    """An engine on the tiny model; it is left as it was found."""
    from conscience.evals.models.engine import Engine

    made = Engine(tiny, [END])
    yield made
    made.close()
    tiny.set_attn_implementation("eager")


def prompts() -> list[tuple[int, ...]]:
    """Prompts of different lengths."""
    return [tuple(2 + (7 * row + 3 * column) % 197 for column in range(4 + 5 * row)) for row in range(6)]


def answers(engine: Any, batch: list[tuple[int, ...]], **settings: Any) -> list[tuple[int, ...]]:
    """What the engine says to prompts that are asked at once."""
    from conscience.evals.models.engine import Request

    futures = [engine.submit(Request(tokens, 20, **settings)) for tokens in batch]
    return [future.result(timeout=60).tokens for future in futures]


def test_an_answer_does_not_depend_on_its_batch(engine: Any, tiny: Any) -> None:
    """Alone or beside longer prompts, the greedy answer is the same, and it is transformers' own."""
    import torch

    together = answers(engine, prompts())
    assert [answers(engine, [prompt])[0] for prompt in prompts()] == together
    tiny.set_attn_implementation("eager")
    for prompt, found in zip(prompts(), together, strict=True):
        tokens = list(prompt)
        while len(tokens) - len(prompt) < 20:
            with torch.inference_mode():
                following = int(tiny(input_ids=torch.tensor([tokens])).logits[0, -1].argmax())
            if following == END:
                break
            tokens.append(following)
        assert tuple(tokens[len(prompt) :]) == found


def test_draws_depend_on_the_seed_alone(tiny: Any) -> None:
    """A fresh engine repeats the draws of a seed, whatever shares the batch; another seed draws otherwise."""
    from conscience.evals.models.engine import Engine

    drawn = []
    for seed, batch in ((1, prompts()), (1, prompts()[::-1]), (2, prompts())):
        made = Engine(tiny, [END])
        drawn.append(dict(zip(batch, answers(made, batch, temperature=1.0, seed=seed), strict=True)))
        made.close()
    tiny.set_attn_implementation("eager")
    assert (drawn[0], False) == (drawn[1], drawn[0] == drawn[2])


def test_the_same_prompt_twice_is_drawn_twice(engine: Any) -> None:
    """Epochs of one sample are draws of their own, though prompt and seed are equal."""
    first, second = answers(engine, [prompts()[3]] * 2, temperature=1.0, seed=5)
    assert first != second


def test_scores_are_those_of_a_plain_forward(engine: Any, tiny: Any) -> None:
    """The log-probability of each token but the first, padded neighbours or not, within 1e-4."""
    import torch

    from conscience.evals.models.engine import Request

    futures = [engine.submit(Request(tokens, 0)) for tokens in prompts()]
    found = [future.result(timeout=60).logprobs for future in futures]
    engine.close()
    tiny.set_attn_implementation("eager")
    for tokens, logprobs in zip(prompts(), found, strict=True):
        with torch.inference_mode():
            plain = tiny(input_ids=torch.tensor([tokens])).logits[0, :-1].log_softmax(-1)
        expected = [float(plain[index, token]) for index, token in enumerate(tokens[1:])]
        assert expected == pytest.approx(list(logprobs), abs=1e-4)


def test_a_conversation_goes_on_as_if_new(engine: Any, tiny: Any) -> None:
    """A next turn, whose beginning is kept, is answered as by a fresh engine; the kept beginning really serves."""
    from conscience.evals.models.engine import Engine

    first = tuple(2 + (5 * column) % 197 for column in range(80))
    turn = (*first, *answers(engine, [first])[0], 9, 8, 7, 6)
    assert 80 <= engine._prefixes.find(0, turn).shape[3] < len(turn)
    fresh = Engine(tiny, [END])
    assert answers(fresh, [turn]) == answers(engine, [turn])
    fresh.close()


def test_more_requests_than_rows(tiny: Any) -> None:
    """Requests beyond the batch join as others end, in blocks of several capacities, and answer as alone."""
    from conscience.evals.models.engine import Engine, Request

    asked = [Request(prompt, 4 + 30 * number) for number, prompt in enumerate(prompts() * 2)]
    small = Engine(tiny, [END], batch_size=3)
    together = [future.result(timeout=60) for future in [small.submit(request) for request in asked]]
    assert [small.submit(request).result(timeout=60) for request in asked] == together
    small.close()
    tiny.set_attn_implementation("eager")
    assert {
        len(done.tokens) == request.max_tokens or done.ended for done, request in zip(together, asked, strict=True)
    } == {True}


def test_prefixes_forget_the_longest_unused() -> None:
    """Beyond its bytes the store drops what was least lately used, and another adapter's are never found."""
    import torch

    from conscience.evals.models.keyvalues import Prefixes

    held = torch.zeros(1, 2, 1, 100, 1)
    store = Prefixes(2 * held.numel() * 4)
    texts = [[number] * 100 for number in range(3)]
    for text in texts[:2]:
        store.keep(0, text, held)
    assert store.find(0, [*texts[0], 5]) is not None
    store.keep(0, texts[2], held)
    assert [True, False, True] == [store.find(0, [*text, 5]) is not None for text in texts]
    assert None is store.find(1, [*texts[0], 5])
    assert None is store.find(0, [*texts[0][:50], 7, 7])


def test_the_process_ends_in_the_middle_of_answers() -> None:
    """A process that ends while the engine runs exits with its own status, and at once."""
    script = (
        "import torch; from transformers import LlamaConfig, LlamaForCausalLM\n"
        "from conscience.evals.models.engine import Engine, Request\n"
        "model = LlamaForCausalLM(LlamaConfig(vocab_size=99, hidden_size=512, num_hidden_layers=8, num_attention_heads=4))\n"
        "engine = Engine(model, [])\n"
        "engine.submit(Request((5, 6), 2)).result()\n"
        "[engine.submit(Request((5, 6, row), 100_000)) for row in range(9)]\n"
        "raise SystemExit(7)\n"
    )
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=False, timeout=120)
    assert 7 == done.returncode, done.stderr[-500:]


def test_an_error_reaches_those_who_asked(engine: Any) -> None:
    """A token that does not exist fails its own request, and the engine goes on."""
    from conscience.evals.models.engine import Request

    with pytest.raises(IndexError):
        engine.submit(Request((5, 10_000), 4)).result(timeout=60)
    assert 1 == len(answers(engine, prompts()[:1]))


def test_the_embedded_model_answers_and_scores(materialised: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The provider on the real weights: greedy answers repeat, and the likelier ending scores higher."""
    import asyncio

    from inspect_ai.model import ChatMessage, ChatMessageAssistant, ChatMessageUser, GenerateConfig

    from conscience.evals.models.local import ConscienceAPI

    monkeypatch.setenv("CONSCIENCE_HOME", str(materialised))
    model = ConscienceAPI("smollm2-135m", dtype="float32")
    question = ChatMessageUser(content="What is the capital of France?")

    def score(answer: str) -> float:
        messages: list[ChatMessage] = [question, ChatMessageAssistant(content=answer)]
        output = asyncio.run(model.generate(messages, [], "none", GenerateConfig(prompt_logprobs=1)))
        logprobs = output.choices[0].prompt_logprobs
        assert logprobs is not None
        return sum(token.logprob for token in logprobs.content)

    said = [
        asyncio.run(model.generate([question], [], "none", GenerateConfig(max_tokens=12))).completion for _ in range(2)
    ]
    assert (said[0], True) == (said[1], "Paris" in said[0])
    assert score("The capital of France is Paris.") > score("The capital of France is Lyon.")
