"""`conscience/NAME` on vLLM: Inspect's own provider, told where the base, the adapter and the server of a name are.

    make vllm
    inspect eval conscience/asclepius --model conscience/smollm2-135m,conscience/demo-dpo -M engine=vllm -M dtype=float32

One server holds the base and takes every adapter on it. It starts with the first request and ends with the process, in
an environment of its own, since vLLM pins an older transformers than training here needs: the interpreter named by
`CONSCIENCE_VLLM_PYTHON`, by default `.venv-vllm/bin/python` under the working directory. `VLLM_BASE_URL` uses a server
that runs already; it must serve the base under the very path or hub id that the card names, and for adapters be started
with `--enable-lora`, `VLLM_ALLOW_RUNTIME_LORA_UPDATING=True` and a `--max-loras` above the number of adapters (see
`ServedAPI._start_server`). Other `-M` arguments go to the server.
"""

import os
from importlib.util import find_spec
from pathlib import Path
from subprocess import Popen
from typing import Any, NamedTuple

from inspect_ai._util.error import PrerequisiteError
from inspect_ai._util.local_server import DEFAULT_TIMEOUT, configure_devices, start_local_server
from inspect_ai.model import ChatMessage, GenerateConfig, ModelCall, ModelOutput
from inspect_ai.model._providers.vllm import VLLMAPI
from inspect_ai.tool import ToolChoice, ToolInfo

from conscience.evals.errors import BadInput, ConscienceError, MissingDependency
from conscience.evals.models import loading
from conscience.evals.models.base import template_hash
from conscience.evals.models.local import CONNECTIONS, DEFAULT_MAX_TOKENS

INTERPRETER = "CONSCIENCE_VLLM_PYTHON"
DEFAULT_INTERPRETER = ".venv-vllm/bin/python"
RANKS = (8, 16, 32, 64, 128, 256, 320, 512)
"""What vLLM takes as `--max-lora-rank`; Inspect hands over the adapter's own rank."""
_adapters: dict[str, set[str]] = {}
"""Adapters asked for in this process, by the base that they change."""
_slots: dict[str, int] = {}
"""Adapters, plus one, that the running server of a base has room for."""


class ServedAPI(VLLMAPI):
    """Runs a checkpoint on vLLM, with the settings of the transformers engine."""

    def __init__(
        self,
        model_name: str,
        base_url: str | None = None,
        api_key: str | None = None,
        config: GenerateConfig = GenerateConfig(),  # noqa: B008 (Inspect's own signature)
        **server_args: Any,
    ) -> None:
        """Find the parts of a model; its server starts with the first request.

        Args:
            model_name: name after `conscience/`.
            base_url: a server that runs already; by default `VLLM_BASE_URL`, else one is started.
            api_key: key of that server; by default `VLLM_API_KEY`.
            config: default generation settings.
            server_args: arguments of Inspect's vLLM provider and of `vllm serve`, for example `dtype`.
        """
        self._name = model_name
        try:
            if not (base_url or server_args.get("port") or os.environ.get("VLLM_BASE_URL") or find_spec("vllm")):
                interpreter()
            self._parts = resolve(model_name)
        except ConscienceError as error:
            raise PrerequisiteError(str(error)) from None
        config.max_connections = config.max_connections or CONNECTIONS  # vLLM batches: it wants them all
        # Else vLLM fills unset settings, a repetition penalty for one, from the model's generation_config.json.
        revision = {} if self._parts.revision is None else {"revision": self._parts.revision}
        arguments = {"generation_config": "vllm"} | revision | server_args
        super().__init__(self._parts.served, base_url=base_url, api_key=api_key, config=config, **arguments)
        if (rank := self._server.max_lora_rank) is not None:
            self._server.max_lora_rank = next((known for known in RANKS if known >= rank), rank)
        if self.adapter is not None:
            adapters = _adapters.setdefault(self.base_model, set())
            room = _slots.get(self.base_model, 0) - 1
            if self._server.process is not None and len(adapters | {self.adapter.path}) > room:
                raise PrerequisiteError(
                    f"'conscience/{model_name}': the vLLM server of this process started with room for {max(room, 0)} "
                    "adapters; give every model to one `inspect eval`"
                )
            adapters.add(self.adapter.path)

    @property
    def model_name(self) -> str:
        """The name after `conscience/`, for the log."""
        return self._name

    @model_name.setter
    def model_name(self, value: str) -> None:
        """Inspect's provider sets the path that the server knows, here and again when it connects."""

    def max_tokens(self) -> int | None:
        """Answer length when the task gives none, in tokens."""
        return DEFAULT_MAX_TOKENS

    def max_connections(self) -> int:
        """As many requests as fill vLLM's batches."""
        return CONNECTIONS

    async def generate(
        self, input: list[ChatMessage], tools: list[ToolInfo], tool_choice: ToolChoice, config: GenerateConfig
    ) -> ModelOutput | tuple[ModelOutput | Exception, ModelCall]:
        """Answer a conversation, or score it: greedily unless told otherwise, and without thinking."""
        return await super().generate(input, tools, tool_choice, request_config(config, self._parts.thinks))

    def _start_server(self, model_path: str, port: int | None = None) -> tuple[str, "Popen[str]", int]:
        """Start a server as Inspect does, but by the interpreter of vLLM's own environment, with a slot left empty.

        On CPU vLLM marks a request to the base by slot -1 and then reads that as the last slot: batched with requests to
        an adapter in that slot, the base answers as the adapter, silently (https://github.com/vllm-project/vllm/pull/48421,
        open for 0.32.0). Slots fill from the first, so one more than there are adapters keeps zeros in the last.

        Returns:
            Its URL, process and port.
        """
        _slots[model_path] = 0
        if self._server.enable_lora:
            _slots[model_path] = max(int(self.server_args.get("max_loras", 0)), 1 + len(_adapters.get(model_path, ())))
            self.server_args = self.server_args | {"max_loras": _slots[model_path]}
        if find_spec("vllm"):
            return super()._start_server(model_path, port)
        arguments, environment = configure_devices(dict(self.server_args))
        if self._server.enable_lora:
            arguments = {"enable_lora": True, "max_lora_rank": self._server.max_lora_rank} | arguments
            environment["VLLM_ALLOW_RUNTIME_LORA_UPDATING"] = "True"
        environment["VLLM_CONFIGURE_LOGGING"] = "1" if arguments.pop("configure_logging", False) else "0"
        host = arguments.pop(
            "host", "127.0.0.1"
        )  # who reaches a server that loads adapters can make it read any folder
        timeout = arguments.pop("timeout", DEFAULT_TIMEOUT)
        # `vllm serve` of the CPU build fails: it asks for the version of a package named vllm.
        command = [str(interpreter()), "-m", "vllm.entrypoints.openai.api_server", "--model", model_path]
        return start_local_server(
            [*command, "--host", host, "--api-key", str(self.api_key)],
            host=host,
            port=port,
            api_key=self.api_key,
            server_type="vLLM",
            timeout=timeout,
            server_args=arguments,
            env=environment,
        )


class Parts(NamedTuple):
    """What the server is told of a model."""

    served: str
    """`BASE` or `BASE:ADAPTER`, as Inspect's provider takes it."""
    thinks: bool
    """Whether the chat template knows the switch of the thinking mode."""
    revision: str | None
    """Commit of a base on the hub."""


def resolve(name: str) -> Parts:
    """Find and check what `conscience/NAME` is made of.

    Raises:
        BadInput: not registered, not the files or the chat template of its card, or an adapter at another strength.
        MissingDependency: transformers, which reads the chat template, is not installed.
    """
    if "@" in name:
        raise BadInput(f"'conscience/{name}': vLLM serves an adapter at full strength only; use engine=transformers")
    source = loading.resolve(name)
    tokenizer = loading.load_tokenizer(source._replace(tokenizer=source.weights))
    if source.template_hash not in (None, template_hash(tokenizer)):
        raise BadInput(
            f"conscience/{name} was trained with chat template {source.template_hash}, "
            f"but its base {source.weights!r} now has {template_hash(tokenizer)}"
        )
    if ":" in source.weights:
        raise BadInput(f"vLLM cannot serve {source.weights!r}: Inspect reads what follows a colon as an adapter")
    served = source.weights if source.adapter is None else f"{source.weights}:{source.adapter}"
    return Parts(served, "enable_thinking" in str(tokenizer.chat_template), source.revision)


def request_config(config: GenerateConfig, thinks: bool) -> GenerateConfig:
    """A request's settings, with those of the transformers engine where the request leaves them open."""
    body = dict(config.extra_body or {})
    if thinks:
        body["chat_template_kwargs"] = {"enable_thinking": False} | body.get("chat_template_kwargs", {})
    temperature = 0.0 if config.temperature is None else config.temperature
    return config.model_copy(update={"temperature": temperature, "extra_body": body or None})


def interpreter() -> Path:
    """The python of the environment that holds vLLM.

    Raises:
        MissingDependency: there is none.
    """
    python = Path(os.environ.get(INTERPRETER) or DEFAULT_INTERPRETER).absolute()
    if not python.is_file():
        raise MissingDependency(
            f"engine=vllm finds no {str(python)!r}: run  make vllm , set {INTERPRETER} to the python of an environment "
            "with vLLM, or VLLM_BASE_URL to a server that runs"
        )
    return python
