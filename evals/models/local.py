"""The `conscience` model provider: `conscience/NAME` is the embedded base or a registered checkpoint.

    inspect eval conscience/asclepius --model conscience/smollm2-135m
    inspect eval conscience/asclepius --model conscience/demo-dpo -M dtype=float32

Thinking is off for models whose template knows the switch. Temperature 0 when none is given. A request with
`prompt_logprobs` scores the given messages (the last may be an assistant message) and generates nothing.
"""

from typing import TYPE_CHECKING

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

from conscience.evals.errors import ConscienceError
from conscience.evals.models.base import BATCH_SIZE, load, template_hash
from conscience.evals.models.card import TEMPLATE

if TYPE_CHECKING:
    from conscience.evals.models.engine import Completion

DEFAULT_MAX_TOKENS = 512
CONNECTIONS = 4 * BATCH_SIZE
"""Requests let through at once: more than a batch, so that it is full while answers are judged."""
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
        """Find a model; it is loaded when the first answer is asked for.

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
            self._base, self._adapter = load(model_name, dtype)
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
        if len(tokens) + max_tokens > self._base.context:
            return ModelOutput.from_content(self.model_name, "", stop_reason="model_length")
        request = Request(tokens, max_tokens, config.temperature or 0.0, config.seed)
        try:
            future = self._base.submit(self._adapter, request)
        except ConscienceError as error:  # weights are loaded with the first answer
            raise PrerequisiteError(str(error)) from None
        pause = 0.01
        while not future.done():  # a poll works under every async backend that Inspect offers
            await anyio.sleep(pause)
            pause = min(1.3 * pause, 0.2)  # hundreds of them, at 50 a second each, would keep a core busy
        return self._output(tokens, future.result(), scoring)

    def _tokens(self, messages: list[ChatMessage]) -> tuple[int, ...]:
        text = self._base.tokenizer.apply_chat_template(
            [{"role": message.role, "content": message.text} for message in messages],
            tokenize=False,
            enable_thinking=False,
            **(
                {"continue_final_message": True}
                if messages[-1].role == "assistant"
                else {"add_generation_prompt": True}
            ),
        )
        return tuple(self._base.tokenizer(text, add_special_tokens=False)["input_ids"])

    def _output(self, prompt: tuple[int, ...], completion: "Completion", scoring: bool) -> ModelOutput:
        logprobs = None
        if scoring:
            decoded = [self._base.tokenizer.decode([token]) for token in prompt[1:]]
            content = [Logprob(token=t, logprob=p) for t, p in zip(decoded, completion.logprobs, strict=True)]
            logprobs = Logprobs(content=content)
        text = self._base.tokenizer.decode(completion.tokens, skip_special_tokens=True)
        choice = ChatCompletionChoice(
            message=ChatMessageAssistant(content=text.strip(), model=self.model_name, source="generate"),
            stop_reason="stop" if completion.ended else "max_tokens",
            prompt_logprobs=logprobs,
        )
        written = len(completion.tokens)
        usage = ModelUsage(input_tokens=len(prompt), output_tokens=written, total_tokens=len(prompt) + written)
        # The gate compares base and candidate by what their logs say of the template.
        metadata = {TEMPLATE: template_hash(self._base.tokenizer)}
        return ModelOutput(model=self.model_name, choices=[choice], usage=usage, metadata=metadata)
