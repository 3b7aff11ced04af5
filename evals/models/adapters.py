"""Several LoRA adapters on one base in memory, rows of different adapters in one batch.

PEFT's own mixed batch (`adapter_names=`) gathers the rows of each adapter in each layer, some six small operations an
adapter; here the adapters of a layer are stacked, and a mask keeps each row to its own: two products and a mask, however
many there are.
"""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from conscience.evals.models.base import Adapter
from conscience.evals.models.loading import adapter_loading


class Routing:
    """Which adapter each token of the running forward pass belongs to; None while all belong to the base."""

    def __init__(self) -> None:
        self._adapters: Tensor | None = None
        self._masks: dict[int, Tensor] = {}

    def set(self, adapters: Sequence[int]) -> None:
        """Name the adapter of each token; 0 is the base."""
        self._adapters = torch.tensor(adapters) if any(adapters) else None
        self._masks.clear()

    def mask(self, owners: Tensor, like: Tensor) -> Tensor | None:
        """1 where a token, shape (tokens, ranks), may use a rank; made once for all layers with the same owners."""
        if self._adapters is None:
            return None
        if id(owners) not in self._masks:
            self._masks[id(owners)] = (self._adapters[:, None] == owners).to(like.device, like.dtype)
        return self._masks[id(owners)]


class Stacked(torch.nn.Module):
    """A linear layer with the adapters that change it."""

    down: Tensor
    """Shape (inputs, ranks)."""
    up: Tensor
    """Shape (ranks, outputs), with scaling."""

    def __init__(self, base: torch.nn.Module, down: Tensor, up: Tensor, owners: Tensor, routing: Routing) -> None:
        super().__init__()
        self.base = base
        self.register_buffer("down", down)
        self.register_buffer("up", up)
        self._owners, self._routing = owners, routing

    def forward(self, inputs: Tensor) -> Tensor:
        """Base product, and each token's own delta."""
        outputs: Tensor = self.base(inputs)
        mask = self._routing.mask(self._owners, inputs)
        if mask is None:
            return outputs
        return outputs + ((inputs @ self.down) * mask) @ self.up


def stackable(folder: Path) -> bool:
    """Whether an adapter is nothing but pairs of LoRA matrices on linear layers, so that it can share a batch."""
    from safetensors import safe_open

    with safe_open(folder / "adapter_model.safetensors", framework="pt") as file:
        return all(name.endswith((".lora_A.weight", ".lora_B.weight")) for name in file.keys())  # noqa: SIM118


def stack(model: Any, adapters: Sequence[Adapter], routing: Routing) -> Any:
    """The model with all adapters side by side; adapter number i + 1 of `routing` is `adapters[i]`, 0 the base.

    Raises:
        BadInput: an adapter that is not for this model, or that cannot be scaled.
    """
    from peft import PeftModel
    from peft.tuners.lora import LoraLayer

    names = [f"a{number}" for number, _ in enumerate(adapters, start=1)]
    with adapter_loading(adapters[0].folder, adapters[0].scale):
        peft = PeftModel.from_pretrained(model, adapters[0].folder, adapter_name=names[0])
    for name, adapter in zip(names[1:], adapters[1:], strict=True):
        with adapter_loading(adapter.folder, adapter.scale):
            result = peft.load_adapter(adapter.folder, adapter_name=name)
            if missing := [key for key in result.missing_keys if f".{name}." in key]:  # here PEFT does not even warn
                raise ValueError(f"no weights for {len(missing)} modules of the model, {missing[0]!r} among them")
    scale = {name: adapter.scale for name, adapter in zip(names, adapters, strict=True)}
    owners: dict[tuple[int, ...], Tensor] = {}
    plain = peft.get_base_model()
    for path, layer in [(p, m) for p, m in plain.named_modules() if isinstance(m, LoraLayer)]:
        here = [(number, name) for number, name in enumerate(names, start=1) if name in layer.lora_A]
        down = torch.cat([layer.lora_A[name].weight for _, name in here]).detach()
        up = torch.cat(
            [layer.lora_B[name].weight * layer.scaling[name] * scale[name] for _, name in here], dim=1
        ).detach()
        ranks = tuple(number for number, name in here for _ in range(layer.r[name]))
        owner = owners.setdefault(ranks, torch.tensor(ranks))
        parent, _, child = path.rpartition(".")
        made = Stacked(layer.get_base_layer(), down.T.contiguous(), up.T.contiguous(), owner, routing)
        setattr(plain.get_submodule(parent), child, made)
    return plain
