"""What a name of the `conscience` provider stands for, and base models in memory that checkpoints share."""

import hashlib
from concurrent.futures import Future
from dataclasses import replace
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

from conscience.evals.errors import BadInput
from conscience.evals.models import embedded, loading
from conscience.evals.models.loading import Source

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


class Base:
    """One base model in memory, with the engine that serves it and the adapters of every checkpoint asked for so far.

    A checkpoint alone is merged, which is fastest. Several share one engine and its batches. What is loaded is settled
    when the first answer is asked for; a checkpoint that comes later loads the base anew, with it.
    """

    def __init__(self, source: Source, dtype: str) -> None:
        """Load the tokenizer; weights are loaded with the first answer.

        Args:
            source: where the base lies; its adapter is not looked at.
            dtype: `float32`, `bfloat16` or `auto`.

        Raises:
            BadInput: unknown dtype, a tokenizer that cannot be read, or a model that our engine would get wrong.
        """
        import torch

        known = {"auto", "float32", "bfloat16"}
        if dtype not in known:
            raise BadInput(f"unknown dtype {dtype!r}; there are: {', '.join(sorted(known))}")
        self._source = source._replace(adapter=None, scale=1.0)
        self.tokenizer: Any = loading.load_tokenizer(source)
        outline = loading.outline(source)
        loading.check_decodable(outline)
        self.context = int(outline.config.get_text_config().max_position_embeddings)
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
        source = self._source if adapter is None else self._source._replace(adapter=adapter.folder, scale=adapter.scale)
        return self._ready(loading.load_model(source))

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
            model = self._ready(stack(loading.load_model(self._source), adapters, routing))
        end = model.generation_config.eos_token_id
        end_tokens = end if isinstance(end, list) else [end]
        self._engine = Engine(model, [*end_tokens, self.tokenizer.eos_token_id], BATCH_SIZE, routing)


@cache
def _base(source: Source, dtype: str) -> Base:
    """The base that checkpoints share; one with an adapter in its source, which can only be merged, is of its own."""
    return Base(source, dtype)


def load(name: str, dtype: str) -> tuple[Base, Adapter | None]:
    """Find a model and announce it to its base.

    Args:
        name: name after `conscience/`, with `@S` for an adapter at strength S.
        dtype: `float32`, `bfloat16`, or `auto`: bfloat16 where the processor multiplies it natively.

    Raises:
        BadInput: unknown name or dtype, a checkpoint that is not valid, or a base whose chat template is another.
        MissingDependency: PyTorch or transformers are not installed.
    """
    with loading.needed():
        from conscience.evals.models.adapters import stackable

    source = loading.resolve(name)
    adapter = None if source.adapter is None else Adapter(source.adapter, source.scale)
    shared = source._replace(adapter=None, scale=1.0, template_hash=None)
    base = _base(shared if adapter is None or stackable(adapter.folder) else source, dtype)
    found = template_hash(base.tokenizer)
    if source.template_hash not in (None, found):
        raise BadInput(
            f"conscience/{name} was trained with chat template {source.template_hash}, "
            f"but its tokenizer {source.tokenizer!r} now has {found}"
        )
    base.add(adapter)
    return base, adapter
