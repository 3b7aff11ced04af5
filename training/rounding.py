"""Products in bfloat16 and everything else in float32, on a CPU that multiplies bfloat16 natively.

Autocast, TRL's default, also adds an adapter's small delta to the layer's large output in bfloat16, where most of it is lost, and
rounds residuals, attention and logits; its losses stray from those in float32 by tenths. Here only the two factors of a product
and its result are rounded; sums, norms, attention, logits and the adapter's weights are float32. `benchmarks/train.py`
shows the largest difference from float32 of both.
"""

from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional


class RoundedLinear(nn.Linear):
    """A linear layer whose factors and product are rounded to bfloat16; takes and returns float32."""

    def forward(self, input: Tensor) -> Tensor:
        """Multiply; (..., in features) to (..., out features)."""
        bias = None if self.bias is None else self.bias.to(torch.bfloat16)
        product = functional.linear(input.to(torch.bfloat16), self.weight.to(torch.bfloat16), bias)
        return product.to(input.dtype)


def round_products(model: Any) -> None:
    """Let a model's linear layers, but for its head, multiply in bfloat16; weights that no adapter owns are rounded for good."""
    head = model.get_output_embeddings()
    for name, module in model.named_modules():
        if type(module) is nn.Linear and module is not head:
            module.__class__ = RoundedLinear
            if ".lora_" not in name:
                module.to(torch.bfloat16)
