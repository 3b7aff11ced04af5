"""`-M engine=vllm`: what Inspect's provider is handed, on a stand-in server. `test_vllm_server.py` has the real one."""

import asyncio
import itertools
import json
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any, cast

import pytest
from inspect_ai._util.error import PrerequisiteError
from inspect_ai.model import GenerateConfig, Model, get_model
from inspect_ai.model._providers.vllm import VLLMAPI

from conscience.evals.errors import BadInput
from conscience.evals.models import card, embedded
from conscience.evals.models.base import template_hash
from conscience.evals.models.card import ADAPTER, CARD, CheckpointCard, PairSource
from conscience.evals.models.engines import on_engine
from conscience.evals.models.vllm import INTERPRETER, Parts, request_config, resolve

pytestmark = pytest.mark.model

PLAIN = "{% for m in messages %}{{ m.content }}{% endfor %}"
SWITCHED = "{% if enable_thinking %}think{% endif %}" + PLAIN
STAND_IN = f"""#!{sys.executable}
import json, sys
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
seen, models = Path(__file__).with_suffix(".jsonl"), [sys.argv[sys.argv.index("--model") + 1]]
def note(what):
    with seen.open("a") as file:
        file.write(json.dumps(what) + "\\n")
class Handler(BaseHTTPRequestHandler):
    def log_message(self, *args): pass
    def reply(self, body):
        data = json.dumps(body).encode()
        self.send_response(200)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(data)))
        self.end_headers()
        self.wfile.write(data)
    def do_GET(self):
        self.reply({{"data": [{{"id": name, "max_model_len": 2048}} for name in models]}})
    def do_POST(self):
        body = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
        note([self.path, body])
        if self.path.endswith("/load_lora_adapter"):
            models.append(body["lora_name"])
        message = {{"role": "assistant", "content": "said by " + body.get("model", "")}}
        self.reply({{
            "id": "1", "object": "chat.completion", "created": 0, "model": body.get("model", ""),
            "choices": [{{"index": 0, "message": message, "finish_reason": "stop"}}],
            "usage": {{"prompt_tokens": 1, "completion_tokens": 1, "total_tokens": 2}},
        }})
note(["start", sys.argv[1:]])
ThreadingHTTPServer(("127.0.0.1", int(sys.argv[sys.argv.index("--port") + 1])), Handler).serve_forever()
"""


def base(folder: Path, template: str) -> str:
    """Write a base of which only the tokenizer exists; give back the hash of its chat template."""
    from tokenizers import Tokenizer
    from tokenizers.models import WordLevel
    from transformers import PreTrainedTokenizerFast

    words = Tokenizer(WordLevel({"word": 0, "[UNK]": 1}, unk_token="[UNK]"))
    fast: Any = PreTrainedTokenizerFast
    tokenizer = fast(tokenizer_object=words, chat_template=template)
    tokenizer.save_pretrained(folder)
    (folder / "config.json").write_text(json.dumps({"model_type": "llama"}))
    return template_hash(tokenizer)


@pytest.fixture
def checkpoint(tmp_path: Path) -> Callable[..., Path]:
    """Register an adapter, a few bytes, on a base of its own; give back the adapter's folder."""

    def make(template: str = PLAIN, name: str = "tried", rank: int = 12) -> Path:
        folder = tmp_path / name
        folder.mkdir()
        (folder / ADAPTER).write_bytes(b"weights")
        (folder / "adapter_config.json").write_text(json.dumps({"r": rank}))
        made = CheckpointCard(
            name=name,
            base=str(tmp_path / "base"),
            method="dpo",
            recipe={},
            pairs=PairSource(sha256="0" * 64, count=1, log_ids=("log",), teacher="recorded/teacher"),
            constitution="clinical-v0.1",
            constitution_hash="1" * 64,
            chat_template_hash=base(tmp_path / "base", template),
            adapter_sha256=embedded.sha256(folder / ADAPTER),
            fingerprint="3" * 64,
            versions={},
            metrics={},
        )
        (folder / CARD).write_text(made.model_dump_json())
        card.register(folder, name)
        return folder

    return make


@pytest.fixture
def stand_in(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """An interpreter that starts a stand-in for the server whatever it is told to run; gives back its record."""
    script = tmp_path / "python"
    script.write_text(STAND_IN)
    script.chmod(0o755)
    monkeypatch.setenv(INTERPRETER, str(script))
    monkeypatch.delenv("VLLM_BASE_URL", raising=False)
    return script.with_suffix(".jsonl")


def test_an_unknown_engine_is_one_line() -> None:
    """The message names the value and what is allowed."""
    with pytest.raises(PrerequisiteError) as error:
        on_engine("smollm2-135m", engine="tgi")
    assert "unknown engine 'tgi'; there are: transformers, vllm" == str(error.value.message)


def test_a_missing_server_is_one_line(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Without an environment for vLLM the run stops before it starts, and says how to make one."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("VLLM_BASE_URL", raising=False)
    monkeypatch.delenv(INTERPRETER, raising=False)
    with pytest.raises(PrerequisiteError) as error:
        on_engine("smollm2-135m", engine="vllm")
    expected = (
        f"engine=vllm finds no '{tmp_path}/.venv-vllm/bin/python': run  make vllm , set CONSCIENCE_VLLM_PYTHON to the "
        "python of an environment with vLLM, or VLLM_BASE_URL to a server that runs"
    )
    assert expected == str(error.value.message)


@pytest.mark.parametrize(("template", "thinks"), [(PLAIN, False), (SWITCHED, True)])
def test_a_name_becomes_base_and_adapter(
    template: str, thinks: bool, checkpoint: Callable[..., Path], tmp_path: Path
) -> None:
    """The provider is handed the base's path, the adapter's folder, and whether the template can switch thinking off."""
    folder = checkpoint(template)
    assert Parts(f"{tmp_path / 'base'}:{folder}", thinks, None) == resolve("tried")


def test_a_changed_template_is_refused(checkpoint: Callable[..., Path], tmp_path: Path) -> None:
    """A checkpoint is served with the chat template it was trained with, or not at all."""
    checkpoint(PLAIN)
    base(tmp_path / "base", SWITCHED)
    with pytest.raises(BadInput, match="conscience/tried was trained with chat template"):
        resolve("tried")


def test_tampered_weights_are_refused(checkpoint: Callable[..., Path]) -> None:
    """The hash on the card holds for this engine too."""
    (checkpoint() / ADAPTER).write_bytes(b"other weights")
    with pytest.raises(BadInput, match="but its card says"):
        resolve("tried")


def test_a_scaled_adapter_is_refused_in_one_line(checkpoint: Callable[..., Path]) -> None:
    """`NAME@S` names the engine that can."""
    checkpoint()
    with pytest.raises(BadInput) as error:
        resolve("tried@0.5")
    expected = "'conscience/tried@0.5': vLLM serves an adapter at full strength only; use engine=transformers"
    assert expected == str(error.value)


def test_open_settings_are_those_of_the_transformers_engine() -> None:
    """Greedy and without thinking unless the request says otherwise; the request's own settings are left as they were."""
    given = GenerateConfig(seed=7, extra_body={"chat_template_kwargs": {"tone": "calm"}, "top_k": 5})
    before = given.model_copy(deep=True)
    switch = {"chat_template_kwargs": {"enable_thinking": False, "tone": "calm"}, "top_k": 5}
    found = [
        request_config(given, True),
        request_config(GenerateConfig(temperature=0.7), True),
        request_config(GenerateConfig(), False),
    ]
    expected = [
        GenerateConfig(seed=7, temperature=0.0, extra_body=switch),
        GenerateConfig(temperature=0.7, extra_body={"chat_template_kwargs": {"enable_thinking": False}}),
        GenerateConfig(temperature=0.0),
    ]
    assert expected == found
    assert before == given


def test_one_server_for_base_and_adapters(
    checkpoint: Callable[..., Path], stand_in: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Two adapters start one server between them, are loaded once each, and are asked with our settings and names.

    The server has a slot more than there are adapters, since on CPU the base would answer with the last slot's, and no
    adapter comes to fill it later.
    """
    folders = [checkpoint(SWITCHED, name, rank) for name, rank in (("first", 12), ("second", 40))]
    checkpoint(SWITCHED, "third")

    async def ask() -> tuple[list[str], list[str]]:
        models: list[Model] = [
            get_model(f"conscience/{name}", engine="vllm", dtype="float32", memoize=False)
            for name in ("first", "second")
        ]
        said = [(await model.generate("A question?")).completion for model in models]
        names = [str(model) for model in models]
        with pytest.raises(PrerequisiteError, match="started with room for 2 adapters"):
            get_model("conscience/third", engine="vllm", memoize=False)
        process = cast(VLLMAPI, models[0].api)._server.process
        for model in models:
            await model.api.aclose()
        assert process is not None
        process.wait(timeout=10)
        return said, names

    assert ([f"said by {folder}" for folder in folders], ["conscience/first", "conscience/second"]) == asyncio.run(
        ask()
    )
    seen = [json.loads(line) for line in stand_in.read_text().splitlines()]
    assert ["start", *(["/v1/load_lora_adapter", "/v1/chat/completions"] * 2)] == [what for what, _ in seen]
    command = seen[0][1]
    assert ["-m", "vllm.entrypoints.openai.api_server", "--model", str(tmp_path / "base")] == command[:4]
    given = {flag: value for flag, value in itertools.pairwise(command) if flag.startswith("--")}
    wanted = {
        "--host": "127.0.0.1",
        "--max-lora-rank": "64",
        "--max-loras": "3",
        "--generation-config": "vllm",
        "--dtype": "float32",
    }
    assert wanted == {flag: given[flag] for flag in wanted}
    assert "--enable-lora" in given
    asked = {key: seen[2][1][key] for key in ("model", "temperature", "max_tokens", "chat_template_kwargs")}
    switched_off = {"enable_thinking": False}
    assert {
        "model": str(folders[0]),
        "temperature": 0.0,
        "max_tokens": 512,
        "chat_template_kwargs": switched_off,
    } == asked
