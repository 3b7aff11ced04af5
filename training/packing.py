"""Scoring a padded batch on a CPU without its padding, its repeated prompts and its unlabelled positions.

The two answers of a preference pair share their prompt. TRL 1.16 pads both sequences to one length, runs the prompt twice
and, on devices without Triton, scores every position. Here the batch becomes one row of tokens: each distinct prompt once,
then its answers, which attend to their prompt and to themselves; only labelled positions meet the language-model head
(49,152 tokens wide in the embedded model, often most of the work). What TRL is given back, `FusedCausalLMOutput`, has the
same shapes and, but for rounding, the same numbers (tests; `benchmarks/train.py` measures gain and rounding).

On other devices, and for heads that do more than one product, TRL's own code runs.
"""

import functools
import types
from collections.abc import Callable, Sequence
from typing import Any, NamedTuple

import torch
from torch import Tensor
from torch.nn import functional
from transformers import AttentionInterface, AttentionMaskInterface
from trl.trainer import dpo_trainer, kto_trainer, sft_trainer
from trl.trainer.utils import FusedCausalLMOutput, add_fused_lm_head

from conscience.training.rounding import round_products

PACKED = "conscience_shared_prompts"
"""Name of the attention under which transformers finds `packed_attention`."""
_SCALED = ("final_logit_softcapping", "logit_scale", "output_multiplier", "lm_head_multiplier", "logits_scaling")
"""Settings of heads that do more than one product: those are left to TRL."""


class Prompt(NamedTuple):
    """Where one prompt and its answers lie in the packed row."""

    start: int
    """First token of the prompt."""
    end: int
    """One behind its last token."""
    answers: tuple[tuple[int, int], ...]
    """First token and one behind the last of each answer."""


class Packed(NamedTuple):
    """A padded batch of N rows as one row of T tokens."""

    tokens: Tensor
    """Token ids, (1, T)."""
    positions: Tensor
    """Position of each token in its own sequence, (1, T)."""
    prompts: tuple[Prompt, ...]
    """The prompts in their order."""
    predictors: Tensor
    """Index into T of the token that predicts each labelled token, in the order of the padded batch, (labelled,)."""


def install(rounded: bool) -> None:
    """Let TRL's DPO, KTO and SFT trainers take this forward; their contract, `FusedCausalLMOutput`, stays the same.

    Args:
        rounded: whether products are to be in bfloat16, see `training/rounding.py`.
    """
    for module in (dpo_trainer, kto_trainer, sft_trainer):
        module.add_fused_lm_head = functools.partial(add_packed_head, rounded=rounded)


def pack(rows: Sequence[Sequence[int]], labelled: Sequence[int]) -> Packed:
    """Lay sequences out in one row, each distinct prompt once.

    Args:
        rows: the sequences without padding.
        labelled: for each, the index of its first labelled token, at least 1; labels run from there to its end.
    """
    by_prompt: dict[tuple[int, ...], list[int]] = {}
    for number, (row, first) in enumerate(zip(rows, labelled, strict=True)):
        by_prompt.setdefault(tuple(row[:first]), []).append(number)
    tokens: list[int] = []
    positions: list[int] = []
    prompts: list[Prompt] = []
    predictors: list[list[int]] = [[] for _ in rows]
    for prompt, numbers in by_prompt.items():
        start = len(tokens)
        end = start + len(prompt)
        tokens += prompt
        positions += range(len(prompt))
        answers = []
        for number in numbers:
            answer = rows[number][len(prompt) :]
            first = len(tokens)
            predictors[number] = [end - 1, *range(first, first + len(answer) - 1)][: len(answer)]
            tokens += answer
            positions += range(len(prompt), len(prompt) + len(answer))
            answers.append((first, len(tokens)))
        prompts.append(Prompt(start, end, tuple(answers)))
    flat = [index for row in predictors for index in row]
    return Packed(
        torch.tensor([tokens]), torch.tensor([positions]), tuple(prompts), torch.tensor(flat, dtype=torch.long)
    )


def packed_attention(
    module: Any,
    query: Tensor,
    key: Tensor,
    value: Tensor,
    attention_mask: Tensor | None,
    scaling: float | None = None,
    dropout: float = 0.0,
    prompts: tuple[Prompt, ...] = (),
    **_: Any,
) -> tuple[Tensor, None]:
    """Attention over a packed row: prompts causally to themselves, each answer to its prompt and itself.

    Args:
        module: the attention layer.
        query: (1, heads, T, head size).
        key: (1, key-value heads, T, head size).
        value: like key.
        attention_mask: not used: the layout says it all.
        scaling: factor of the logits.
        dropout: probability, in training.
        prompts: the layout.

    Returns:
        The output, (1, T, heads, head size), and no weights.
    """

    def attend(queries: Tensor, keys: Tensor, values: Tensor, mask: Tensor | None) -> Tensor:
        return functional.scaled_dot_product_attention(
            queries,
            keys,
            values,
            attn_mask=mask,
            dropout_p=dropout,
            is_causal=mask is None,
            scale=scaling,
            enable_gqa=query.shape[1] != key.shape[1],
        )

    out = []
    for start, end, answers in prompts:
        out.append(attend(query[:, :, start:end], key[:, :, start:end], value[:, :, start:end], None))
        for first, last in answers:
            if first == last:
                continue
            seen = [torch.cat((side[:, :, start:end], side[:, :, first:last]), dim=2) for side in (key, value)]
            causal = torch.ones(last - first, end - start + last - first, dtype=torch.bool).tril(end - start)
            out.append(attend(query[:, :, first:last], seen[0], seen[1], causal))
    return torch.cat(out, dim=2).transpose(1, 2).contiguous(), None


AttentionInterface.register(PACKED, packed_attention)
AttentionMaskInterface.register(PACKED, lambda *_, **__: None)


def add_packed_head(model: Any, rounded: bool = False, **settings: Any) -> None:
    """Stand-in for TRL's `add_fused_lm_head`: the same call and the same fields.

    TRL calls it when all adapters are there, that of the reference too, so this is where they are rounded alike.
    """
    config = model.config.get_text_config()
    scaled = any(getattr(config, name, None) is not None for name in _SCALED)
    if model.device.type != "cpu" or scaled or settings.keys() - {"outputs"}:
        add_fused_lm_head(model, **settings)
        return
    if rounded:
        round_products(model)
    original: Callable[..., Any] = model.forward

    @functools.wraps(type(model).forward)  # `generate` validates its arguments against the signature
    def forward(
        self: Any,
        *args: Any,
        fused_lm_head: bool = False,
        labels: Tensor | None = None,
        num_items_in_batch: Any = None,
        **kwargs: Any,
    ) -> Any:
        if not fused_lm_head or labels is None:
            if labels is not None:
                kwargs["labels"] = labels
            return original(*args, **kwargs)
        return _score(self, kwargs["input_ids"], kwargs["attention_mask"], labels, num_items_in_batch)

    model.forward = types.MethodType(forward, model)


def _score(
    model: Any, input_ids: Tensor, attention_mask: Tensor, labels: Tensor, num_items_in_batch: Any
) -> FusedCausalLMOutput:
    """Score a right-padded batch of which each row is labelled from some token to its end; fields as TRL's."""
    lengths = attention_mask.sum(1).tolist()
    rows = [row[:length] for row, length in zip(input_ids.tolist(), lengths, strict=True)]
    unlabelled = (labels == -100) & attention_mask.bool()
    packed = pack(rows, unlabelled.sum(1).tolist())
    previous = model.config._attn_implementation
    model.config._attn_implementation = PACKED
    try:
        hidden = model.base_model(
            input_ids=packed.tokens, position_ids=packed.positions, prompts=packed.prompts, use_cache=False
        ).last_hidden_state[0]
    finally:
        model.config._attn_implementation = previous
    mask = labels[:, 1:] != -100
    targets = labels[:, 1:][mask]
    logits = model.get_output_embeddings()(hidden[packed.predictors]).float()
    log_probs = -functional.cross_entropy(logits, targets, reduction="none")
    with torch.no_grad():
        distribution = logits.log_softmax(-1)
        entropy = -(distribution.exp() * distribution).sum(-1)
        is_top1 = logits.argmax(-1) == targets
        mean_logits = logits.mean(-1)

    def spread(values: Tensor) -> Tensor:
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
