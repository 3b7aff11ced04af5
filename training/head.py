"""A language-model head for training on a CPU that scores completion tokens only.

TRL 1.16 scores every position of a batch on devices without Triton, prompts and padding included, to keep tensor shapes
fixed; a CPU does not need that. With a 49,152-token vocabulary and short answers that is most of the
head's work (`benchmarks/head.py`: ours and TRL's in one run, with the difference of their losses). On
other devices TRL's own head is used.
"""

import functools
import types
from collections.abc import Callable
from typing import Any

import torch
from torch.nn import functional
from trl.trainer import dpo_trainer, sft_trainer
from trl.trainer.utils import FusedCausalLMOutput, add_fused_lm_head

_SCALED = ("final_logit_softcapping", "logit_scale", "output_multiplier", "lm_head_multiplier", "logits_scaling")
"""Settings of heads that do more than one product: those are left to TRL."""


def install() -> None:
    """Let TRL's DPO and SFT trainers take this head; their contract, `FusedCausalLMOutput`, stays the same."""
    dpo_trainer.add_fused_lm_head = add_completion_head
    sft_trainer.add_fused_lm_head = add_completion_head


def add_completion_head(model: Any, **settings: Any) -> None:
    """Stand-in for TRL's `add_fused_lm_head`: the same call, the same fields, computed for labelled positions only."""
    config = model.config.get_text_config()
    scaled = any(getattr(config, name, None) is not None for name in _SCALED)
    if model.device.type != "cpu" or scaled or settings.keys() - {"outputs"}:
        add_fused_lm_head(model, **settings)
        return
    original: Callable[..., Any] = model.forward

    @functools.wraps(type(model).forward)  # `generate` validates its arguments against the signature
    def forward(
        self: Any,
        *args: Any,
        fused_lm_head: bool = False,
        labels: torch.Tensor | None = None,
        num_items_in_batch: Any = None,
        **kwargs: Any,
    ) -> Any:
        if not fused_lm_head or labels is None:
            if labels is not None:
                kwargs["labels"] = labels
            return original(*args, **kwargs)
        hidden = self.base_model(*args, **{**kwargs, "use_cache": False}).last_hidden_state[:, :-1]
        targets = labels[:, 1:]
        mask = targets != -100
        logits = self.get_output_embeddings()(hidden[mask]).float()
        log_probs = -functional.cross_entropy(logits, targets[mask], reduction="none")
        with torch.no_grad():
            distribution = logits.log_softmax(-1)
            entropy = -(distribution.exp() * distribution).sum(-1)
            is_top1 = logits.argmax(-1) == targets[mask]
            mean_logits = logits.mean(-1)

        def spread(values: torch.Tensor) -> torch.Tensor:
            return values.new_zeros(mask.shape).masked_scatter(mask, values)

        count = mask.sum().clamp(min=1) if num_items_in_batch is None else num_items_in_batch
        return FusedCausalLMOutput(
            loss=-log_probs.sum() / count,
            log_probs=spread(log_probs),
            entropy=spread(entropy),
            mean_logits=spread(mean_logits),
            is_top1=spread(is_top1),
            label_mask=mask,
        )

    model.forward = types.MethodType(forward, model)
