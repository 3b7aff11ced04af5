"""A real vLLM server on CPU against the transformers engine, both in float32, on prompts of Asclepius's train split.

`make test-vllm` runs it. How agreement is counted: the first 20 tokens of each greedy answer, without the end token. An
answer agrees when all of them are equal; a token agrees when the other engine has the same one at its place, out of the
places of the longer answer.
"""

import os
import warnings
from collections.abc import Iterator
from pathlib import Path
from typing import Any, NamedTuple, cast

import click
import pytest
from inspect_ai import Task
from inspect_ai import eval as inspect_eval
from inspect_ai.dataset import MemoryDataset, Sample
from inspect_ai.event import ModelEvent
from inspect_ai.log import EvalLog, EvalSample
from inspect_ai.model import ChatMessageUser, GenerateConfig
from inspect_ai.solver import generate

from conscience.evals.asclepius import SURFACES, load_scenarios
from conscience.evals.models import card, embedded
from conscience.evals.models.vllm import DEFAULT_INTERPRETER, INTERPRETER

PYTHON = Path(os.environ.get(INTERPRETER) or Path(__file__).parents[3] / DEFAULT_INTERPRETER)
pytestmark = [
    pytest.mark.vllm,
    pytest.mark.model,
    pytest.mark.timeout(1800),
    pytest.mark.skipif(not PYTHON.is_file(), reason=f"no vLLM environment at {PYTHON}: run  make vllm"),
]

NAMES = ("smollm2-135m", "random")
PROMPTS, TOKENS = 100, 20
SERVER = {"engine": "vllm", "dtype": "float32", "enforce_eager": True, "max_model_len": 4096}


class Answers(NamedTuple):
    """One model on both engines, token ids prompt by prompt."""

    asked: list[tuple[tuple[int, ...], tuple[int, ...]]]
    """The prompt as vLLM read it, and as the transformers engine did."""
    said: list[tuple[tuple[int, ...], tuple[int, ...]]]
    """The answers of both, in the same order."""


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory, materialised: Path) -> Iterator[Path]:
    """A home with the embedded base and `conscience/random`, a LoRA adapter that no one trained; and a server for it."""
    from inspect_ai.model._providers._vllm_lora import cleanup_servers

    folder = tmp_path_factory.mktemp("served")
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("CONSCIENCE_HOME", str(folder))
        patch.setenv(INTERPRETER, str(PYTHON))
        patch.setenv("HF_HUB_OFFLINE", "1")
        patch.setenv("VLLM_CPU_KVCACHE_SPACE", "2")  # GiB; else vLLM takes a share of all memory
        patch.delenv("VLLM_BASE_URL", raising=False)
        (folder / embedded.NAME).symlink_to(materialised / embedded.NAME)
        random_adapter(folder / "random")
        yield folder
        cleanup_servers()


def random_adapter(folder: Path) -> None:
    """Write and register an adapter with random weights in every linear layer, large enough to change what is said."""
    import torch
    from peft import LoraConfig, get_peft_model
    from transformers import AutoModelForCausalLM, AutoTokenizer

    from conscience.evals.models.base import template_hash

    path = embedded.materialise()
    torch.manual_seed(5)
    model = AutoModelForCausalLM.from_pretrained(path, dtype=torch.float32)
    settings = LoraConfig(r=8, lora_alpha=16, target_modules="all-linear", task_type="CAUSAL_LM")
    with warnings.catch_warnings():  # PEFT still uses a name that transformers has deprecated
        warnings.simplefilter("ignore", FutureWarning)
        adapted: Any = get_peft_model(model, settings)
    for name, weights in adapted.named_parameters():
        if "lora_B" in name:  # zero at the start of training
            torch.nn.init.normal_(weights, std=0.01)
    adapted.save_pretrained(folder)
    made = card.CheckpointCard(
        name="random",
        base=f"conscience/{embedded.NAME}",
        method="dpo",
        recipe={},
        pairs=card.PairSource(sha256="0" * 64, count=0, log_ids=(), teacher="none"),
        constitution="none",
        constitution_hash="0" * 64,
        chat_template_hash=template_hash(AutoTokenizer.from_pretrained(path)),
        adapter_sha256=embedded.sha256(folder / card.ADAPTER),
        fingerprint="0" * 64,
        versions={},
        metrics={},
    )
    (folder / card.CARD).write_text(made.model_dump_json())
    card.register(folder, "random")


@pytest.fixture(scope="module")
def answers(folder: Path) -> dict[str, Answers]:
    """Ask base and adapter, in one evaluation on vLLM, then each on transformers."""
    texts = list(dict.fromkeys(s.turns[0].content for s in load_scenarios(SURFACES, "train")))
    texts = texts[:: len(texts) // PROMPTS][:PROMPTS]
    assert PROMPTS == len(texts)
    task = Task(
        dataset=MemoryDataset([Sample(input=text) for text in texts]),
        solver=generate(),
        config=GenerateConfig(max_tokens=TOKENS, extra_body={"return_token_ids": True}),
    )
    names = [f"conscience/{name}" for name in NAMES]
    logs = run(task, names, SERVER, folder)
    assert names == [log.eval.model for log in logs]
    return {name: compare(name, texts, log) for name, log in zip(NAMES, logs, strict=True)}


def run(task: Task, models: list[str], arguments: dict[str, Any], folder: Path) -> list[EvalLog]:
    """Evaluate models; every log must be complete."""
    logs = inspect_eval(
        task, model=models, model_args=arguments, log_dir=str(folder / "logs"), log_model_api=True, display="none"
    )
    assert ["success"] * len(models) == [log.status for log in logs], [log.error for log in logs]
    return list(logs)


def compare(name: str, texts: list[str], log: EvalLog) -> Answers:
    """Read vLLM's tokens from the log, and let the transformers engine answer the same."""
    from conscience.evals.models.engine import Request
    from conscience.evals.models.local import ConscienceAPI

    local = ConscienceAPI(name, dtype="float32")
    prompts = [local._tokens([ChatMessageUser(content=text)]) for text in texts]
    futures = [local._base.submit(local._adapter, Request(prompt, TOKENS)) for prompt in prompts]
    end = local._base.tokenizer.eos_token_id
    asked, said = [], []
    for sample, prompt, future in zip(log.samples or [], prompts, futures, strict=True):
        response = reply(sample)
        served = response["choices"][0]["token_ids"]
        asked.append((tuple(response["prompt_token_ids"]), prompt))
        said.append((tuple(served[:-1] if served[-1] == end else served), future.result(timeout=300).tokens))
    return Answers(asked, said)


def reply(sample: EvalSample) -> dict[str, Any]:
    """What the server sent back for a sample."""
    [event] = [event for event in sample.events if isinstance(event, ModelEvent)]
    assert event.call is not None
    return cast(dict[str, Any], event.call.response)


def test_both_engines_read_the_same_tokens(answers: dict[str, Answers]) -> None:
    """Chat template, beginning token and system message are the same, so that answers can be compared."""
    for name in NAMES:
        assert [] == [pair for pair in answers[name].asked if pair[0] != pair[1]]


def test_one_server_answers_as_base_and_as_adapter(answers: dict[str, Answers], folder: Path) -> None:
    """The adapter is really applied: it answers unlike the base; and both came from one server."""
    from inspect_ai.model._providers._vllm_lora import _vllm_servers

    server = _vllm_servers[str(folder / embedded.NAME)]
    assert [str(folder / "random")] == [adapter.path for adapter in server.loaded_adapters]
    base, adapter = ([served for served, _ in answers[name].said] for name in NAMES)
    assert sum(one != other for one, other in zip(base, adapter, strict=True)) >= PROMPTS // 4


@pytest.mark.parametrize("name", NAMES)
def test_greedy_answers_agree(name: str, answers: dict[str, Answers], capsys: pytest.CaptureFixture[str]) -> None:
    """At least 95 of 100 answers are the same in all of their first 20 tokens, and 95% of tokens are."""
    said = answers[name].said
    whole = sum(served == local for served, local in said)
    places = sum(max(len(served), len(local)) for served, local in said)
    equal = sum(a == b for served, local in said for a, b in zip(served, local, strict=False))
    with capsys.disabled():
        click.echo(f"\nconscience/{name}: {whole} of {len(said)} answers equal, {equal} of {places} tokens")
    assert whole >= 0.95 * len(said)
    assert equal >= 0.95 * places


def test_likelihoods_agree(folder: Path, answers: dict[str, Answers], monkeypatch: pytest.MonkeyPatch) -> None:
    """Multiple choice by likelihood gives the same scores, within 0.001 nats a character."""
    from conscience.tasks.clinical_basics import clinical_basics

    monkeypatch.setenv("CONSCIENCE_HOME", str(folder))
    found = []
    for arguments in (SERVER, {"dtype": "float32"}):
        [log] = inspect_eval(
            clinical_basics(),
            limit=3,
            model="conscience/random",
            model_args=arguments,
            log_dir=str(folder / "logs"),
            display="none",
        )
        found.append([sample.metadata["option_scores"] for sample in log.samples or []])
    served, local = found
    assert 3 == len(served)
    for one, other in zip(served, local, strict=True):
        assert other == pytest.approx(one, abs=0.001)
