"""The `conscience` model provider: `conscience/NAME` is the embedded base or a registered checkpoint.

    inspect eval conscience/asclepius --model conscience/smollm2-135m
    inspect eval conscience/asclepius --model conscience/demo-dpo -M dtype=float32
    inspect eval conscience/asclepius --model conscience/demo-dpo@0.5   # its LoRA delta at half strength

Thinking is off for models whose template knows the switch. Temperature 0 when none is given. A request with
`prompt_logprobs` scores the given messages (the last may be an assistant message) and generates nothing.
"""

import hashlib
from functools import cache
from typing import TYPE_CHECKING, Any, NamedTuple

import anyio
from inspect_ai._util.error import PrerequisiteError
from inspect_ai.model import (
    ChatCompletionChoice,
    ChatMessage,
    ChatMessageAssistant,
    GenerateConfig,
    Logprob,
    Logprobs,
    ModelAPI,
    ModelOutput,
    ModelUsage,
)
from inspect_ai.tool import ToolChoice, ToolInfo

from conscience.evals.errors import BadInput, ConscienceError
from conscience.evals.models import embedded, loading
from conscience.evals.models.card import TEMPLATE

if TYPE_CHECKING:
    from conscience.evals.models.engine import Completion, Engine

DEFAULT_MAX_TOKENS = 512
BATCH_SIZE = 64
CONNECTIONS = 4 * BATCH_SIZE
"""Requests let through at once: more than a batch, so that those of like length can share one."""
_UNSUPPORTED = (
    "top_p",
    "top_k",
    "stop_seqs",
    "num_choices",
    "frequency_penalty",
    "presence_penalty",
    "response_schema",
)


class ConscienceAPI(ModelAPI):
    """Runs a local checkpoint on transformers."""

    def __init__(
        self,
        model_name: str,
        base_url: str | None = None,
        api_key: str | None = None,
        config: GenerateConfig = GenerateConfig(),  # noqa: B008 (Inspect's own signature)
        dtype: str = "auto",
    ) -> None:
        """Load a model.

        Args:
            model_name: name after `conscience/`.
            base_url: not used.
            api_key: not used.
            config: default generation settings.
            dtype: `float32`, `bfloat16`, or `auto`: bfloat16 where the processor multiplies it natively.
        """
        # Inspect's adaptive limit, made for rate-limited services, starts far below what fills a batch. It looks at the
        # very object that it handed over here.
        config.max_connections = config.max_connections or CONNECTIONS
        super().__init__(model_name, base_url, api_key, [], config)
        try:
            self._loaded = _load(model_name, dtype)
        except ConscienceError as error:
            raise PrerequisiteError(str(error)) from None

    def max_tokens(self) -> int | None:
        """Answer length when the task gives none, in tokens."""
        return DEFAULT_MAX_TOKENS

    def max_connections(self) -> int:
        """As many requests as let the engine choose its batches."""
        return CONNECTIONS

    async def generate(
        self, input: list[ChatMessage], tools: list[ToolInfo], tool_choice: ToolChoice, config: GenerateConfig
    ) -> ModelOutput:
        """Answer a conversation, or score it."""
        from conscience.evals.models.engine import Request

        if tools:
            raise PrerequisiteError(f"conscience/{self.model_name} cannot call tools; give this role another model")
        if unsupported := [name for name in _UNSUPPORTED if getattr(config, name) is not None]:
            raise PrerequisiteError(f"conscience/{self.model_name} does not support: {', '.join(unsupported)}")
        scoring = config.prompt_logprobs is not None
        tokens = self._tokens(input)
        max_tokens = 0 if scoring else config.max_tokens or DEFAULT_MAX_TOKENS
        if len(tokens) + max_tokens > self._loaded.context:
            return ModelOutput.from_content(self.model_name, "", stop_reason="model_length")
        future = self._loaded.engine.submit(Request(tokens, max_tokens, config.temperature or 0.0, config.seed))
        while not future.done():  # a poll works under every async backend that Inspect offers
            await anyio.sleep(0.02)
        return self._output(tokens, future.result(), scoring)

    def _tokens(self, messages: list[ChatMessage]) -> tuple[int, ...]:
        text = self._loaded.tokenizer.apply_chat_template(
            [{"role": message.role, "content": message.text} for message in messages],
            tokenize=False,
            enable_thinking=False,
            **(
                {"continue_final_message": True}
                if messages[-1].role == "assistant"
                else {"add_generation_prompt": True}
            ),
        )
        return tuple(self._loaded.tokenizer(text, add_special_tokens=False)["input_ids"])

    def _output(self, prompt: tuple[int, ...], completion: "Completion", scoring: bool) -> ModelOutput:
        logprobs = None
        if scoring:
            decoded = [self._loaded.tokenizer.decode([token]) for token in prompt[1:]]
            content = [Logprob(token=t, logprob=p) for t, p in zip(decoded, completion.logprobs, strict=True)]
            logprobs = Logprobs(content=content)
        text = self._loaded.tokenizer.decode(completion.tokens, skip_special_tokens=True)
        choice = ChatCompletionChoice(
            message=ChatMessageAssistant(content=text.strip(), model=self.model_name, source="generate"),
            stop_reason="stop" if completion.ended else "max_tokens",
            prompt_logprobs=logprobs,
        )
        written = len(completion.tokens)
        usage = ModelUsage(input_tokens=len(prompt), output_tokens=written, total_tokens=len(prompt) + written)
        # The gate compares base and candidate by what their logs say of the template.
        metadata = {TEMPLATE: self._loaded.template}
        return ModelOutput(model=self.model_name, choices=[choice], usage=usage, metadata=metadata)


def template_hash(tokenizer: Any) -> str:
    """SHA-256 of a tokenizer's chat template."""
    return hashlib.sha256(str(tokenizer.chat_template).encode()).hexdigest()


def base_path(base: str) -> str:
    """What `from_pretrained` is given for a base: the materialised folder of the embedded model, else the name itself."""
    return str(embedded.materialise()) if base == f"conscience/{embedded.NAME}" else base


class _Loaded(NamedTuple):
    tokenizer: Any
    engine: "Engine"
    context: int
    template: str


@cache  # Inspect makes several instances of a model in one run; the weights are held once
def _load(name: str, dtype: str) -> _Loaded:
    source = loading.resolve(name)
    with loading.needed():
        import torch

        from conscience.evals.models.engine import Engine

    known = {"auto", "float32", "bfloat16"}
    if dtype not in known:
        raise BadInput(f"unknown dtype {dtype!r}; there are: {', '.join(sorted(known))}")
    tokenizer = loading.load_tokenizer(source)
    template = template_hash(tokenizer)
    if source.template_hash not in (None, template):
        raise BadInput(
            f"conscience/{name} was trained with chat template {source.template_hash}, "
            f"but its tokenizer {source.tokenizer!r} now has {template}"
        )
    model = loading.load_model(source)
    loading.check_decodable(model)
    device = "cuda" if torch.cuda.is_available() else "cpu"
    fast = device == "cuda" or torch.ops.mkldnn._is_mkldnn_bf16_supported()
    chosen = torch.bfloat16 if dtype == "bfloat16" or (dtype == "auto" and fast) else torch.float32
    model = model.to(device=device, dtype=chosen)
    end = model.generation_config.eos_token_id
    end_tokens = end if isinstance(end, list) else [end]
    pad = tokenizer.eos_token_id if tokenizer.pad_token_id is None else tokenizer.pad_token_id
    engine = Engine(model, [*end_tokens, tokenizer.eos_token_id], pad, BATCH_SIZE)
    return _Loaded(tokenizer, engine, int(model.config.get_text_config().max_position_embeddings), template)
