"""What a name of the `conscience` provider stands for, and base models in memory that checkpoints share."""

import hashlib
from concurrent.futures import Future
from dataclasses import replace
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

from conscience.evals.errors import BadInput, MissingDependency
from conscience.evals.models import embedded
from conscience.evals.models.card import find

if TYPE_CHECKING:
    from conscience.evals.models.engine import Completion, Engine, Request

BATCH_SIZE = 64


def template_hash(tokenizer: Any) -> str:
    """SHA-256 of a tokenizer's chat template."""
    return hashlib.sha256(str(tokenizer.chat_template).encode()).hexdigest()


def base_path(base: str) -> str:
    """What `from_pretrained` is given for a base: the materialised folder of the embedded model, else the name itself."""
    return str(embedded.materialise()) if base == f"conscience/{embedded.NAME}" else base


class Adapter(NamedTuple):
    """A PEFT adapter's folder and the factor on its delta; 1 is the adapter as trained."""

    folder: Path
    scale: float = 1.0


class Checkpoint(NamedTuple):
    """What a model name stands for."""

    base: str
    adapter: Adapter | None
    template: str | None
    """Hash of the chat template that it was trained with."""


def resolve(name: str) -> Checkpoint:
    """Look a model name up.

    Raises:
        BadInput: the name is not registered, or its checkpoint is not valid.
    """
    if name == embedded.NAME:
        return Checkpoint(f"conscience/{embedded.NAME}", None, None)
    folder, card = find(name)
    return Checkpoint(card.base, Adapter(folder), card.chat_template_hash)


class Base:
    """One base model in memory, with the engine that serves it and the adapters of every checkpoint asked for so far.

    A checkpoint alone is merged, which is fastest. Several share one engine and its batches. What is loaded is settled
    when the first answer is asked for; a checkpoint that comes later loads the base anew, with it.
    """

    def __init__(self, base: str, dtype: str) -> None:
        import torch
        from transformers import AutoConfig, AutoTokenizer

        known = {"auto", "float32", "bfloat16"}
        if dtype not in known:
            raise BadInput(f"unknown dtype {dtype!r}; there are: {', '.join(sorted(known))}")
        self._path = base_path(base)
        self.tokenizer: Any = AutoTokenizer.from_pretrained(self._path)
        self.context = int(AutoConfig.from_pretrained(self._path).get_text_config().max_position_embeddings)
        self._device = "cuda" if torch.cuda.is_available() else "cpu"
        fast = self._device == "cuda" or torch.ops.mkldnn._is_mkldnn_bf16_supported()
        self._dtype = torch.bfloat16 if dtype == "bfloat16" or (dtype == "auto" and fast) else torch.float32
        self._asked_for: list[Adapter | None] = []
        self._served: list[Adapter | None] = []
        self._engine: Engine | None = None

    def add(self, adapter: Adapter | None) -> None:
        """Announce a checkpoint; None is the base itself."""
        if adapter not in self._asked_for:
            self._asked_for.append(adapter)

    def submit(self, adapter: Adapter | None, request: "Request") -> "Future[Completion]":
        """Ask one of the checkpoints."""
        if self._engine is None or adapter not in self._served:
            self._load()
        assert self._engine is not None
        number = 0 if len(self._served) == 1 else self._served.index(adapter)
        return self._engine.submit(replace(request, adapter=number))

    def merged(self, adapter: Adapter | None) -> Any:
        """The base with one adapter merged in, a transformers model of its own."""
        from conscience.evals.models.adapters import merge

        model = self._plain()
        return self._ready(merge(model, adapter) if adapter else model)

    def _plain(self) -> Any:
        from transformers import AutoModelForCausalLM

        return AutoModelForCausalLM.from_pretrained(self._path, dtype="float32")

    def _ready(self, model: Any) -> Any:
        """Round only now: adapters are merged and scaled in float32."""
        return model.to(device=self._device, dtype=self._dtype)

    def _load(self) -> None:
        from conscience.evals.models.adapters import Routing, stack
        from conscience.evals.models.engine import Engine

        if self._engine is not None:
            self._engine.retire()
        routing = Routing()
        if len(self._asked_for) == 1:
            self._served = list(self._asked_for)
            model = self.merged(self._asked_for[0])
        else:
            adapters = [adapter for adapter in self._asked_for if adapter is not None]
            self._served = [None, *adapters]
            model = self._ready(stack(self._plain(), adapters, routing))
        end = model.generation_config.eos_token_id
        end_tokens = end if isinstance(end, list) else [end]
        self._engine = Engine(model, [*end_tokens, self.tokenizer.eos_token_id], BATCH_SIZE, routing)


@cache
def _base(base: str, dtype: str, own: Adapter | None) -> Base:
    """The base that a checkpoint shares; one of its `own` for an adapter that can only be merged."""
    return Base(base, dtype)


def load(name: str, dtype: str) -> tuple[Base, Adapter | None]:
    """Find a model and announce it to its base.

    Args:
        name: name after `conscience/`.
        dtype: `float32`, `bfloat16`, or `auto`: bfloat16 where the processor multiplies it natively.

    Raises:
        BadInput: unknown name or dtype, a checkpoint that is not valid, or a base whose chat template is another.
        MissingDependency: PyTorch or transformers are not installed.
    """
    try:
        from conscience.evals.models.adapters import stackable
    except ImportError as error:
        raise MissingDependency(f"a local model needs {error.name}: run  pip install 'conscience[local]'") from None

    checkpoint = resolve(name)
    adapter = checkpoint.adapter
    base = _base(checkpoint.base, dtype, None if adapter is None or stackable(adapter.folder) else adapter)
    if checkpoint.template not in (None, template_hash(base.tokenizer)):
        raise BadInput(
            f"conscience/{name} was trained with chat template {checkpoint.template}, "
            f"but its base {checkpoint.base!r} now has {template_hash(base.tokenizer)}"
        )
    base.add(adapter)
    return base, adapter
