"""Keys and values of the running rows, and attention over them.

Rows of like length lie in one block, a contiguous tensor: on CPU, batched bfloat16 products of contiguous operands are four
to ten times as fast as of views into a longer buffer, and appending to such a block copies nothing. A row moves to a block
of the next capacity when its own is full. `Prefixes` keeps what was computed for a finished conversation, so that its next
turn does not compute it again.
"""

from collections import OrderedDict
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

import torch
from torch import Tensor
from transformers import AttentionInterface, AttentionMaskInterface

PACKED = "conscience_packed"
SHORTEST_PREFIX = 64
"""Tokens: copying fewer saves nothing."""


def capacity(tokens: int) -> int:
    """Capacity of the block for a row of that many tokens: steps of 64, and from 512 on of a quarter or less."""
    size = 64
    while size < tokens:
        size += max(64, 2 ** (size.bit_length() - 3))
    return size


class Block:
    """Rows of one capacity; `data` has shape (layers, 2, slots, groups, capacity, width), keys first."""

    def __init__(self, model: Any, size: int) -> None:
        config = model.config.get_text_config()
        layers, heads = config.num_hidden_layers, config.num_attention_heads
        groups = getattr(config, "num_key_value_heads", None) or heads
        width = getattr(config, "head_dim", None) or config.hidden_size // heads
        self.size = size
        self.rows: list[Any] = []
        # Zeros, because what is masked is multiplied by 0 all the same, and 0 times the NaN of fresh memory is NaN.
        self.data = torch.zeros(layers, 2, 4, groups, size, width, dtype=model.dtype, device=model.device)

    def append(self, row: Any, held: Tensor | None) -> None:
        """Give a row the next slot and copy what it holds, (layers, 2, groups, tokens, width)."""
        slot = len(self.rows)
        if slot == self.data.shape[2]:
            self.data = torch.cat([self.data, torch.zeros_like(self.data)], dim=2)
        if held is not None:
            self.data[:, :, slot, :, : held.shape[3]] = held
        self.rows.append(row)

    def held(self, slot: int, tokens: int) -> Tensor:
        """View of a row's keys and values."""
        return self.data[:, :, slot, :, :tokens]

    def remove(self, slot: int) -> None:
        """Free a slot; the last row takes it, so that the used slots stay contiguous."""
        last = self.rows.pop()
        if slot < len(self.rows):
            self.data[:, :, slot] = self.data[:, :, len(self.rows)]
            self.rows[slot] = last


class Prefixes:
    """Keys and values of finished rows, the longest unused thrown away first."""

    def __init__(self, most_bytes: int) -> None:
        self._most, self._bytes = most_bytes, 0
        self._kept: OrderedDict[tuple[int, tuple[int, ...]], tuple[Tensor, Tensor]] = OrderedDict()

    def keep(self, adapter: int, tokens: Sequence[int], held: Tensor) -> None:
        """Remember what was computed for these tokens under an adapter."""
        size = held.numel() * held.element_size()
        key = (adapter, tuple(tokens))
        if len(tokens) < SHORTEST_PREFIX or size > self._most or key in self._kept:
            return
        self._kept[key] = (torch.tensor(tokens), held.clone())
        self._bytes += size
        while self._bytes > self._most:
            _, (_, oldest) = self._kept.popitem(last=False)
            self._bytes -= oldest.numel() * oldest.element_size()

    def find(self, adapter: int, tokens: Sequence[int]) -> Tensor | None:
        """Keys and values of the longest known beginning of a prompt, its last token excepted; None if it is short."""
        asked = torch.tensor(tokens[:-1])
        best, found = SHORTEST_PREFIX - 1, None
        for key, (known, _) in self._kept.items():
            length = min(len(known), len(asked))
            if key[0] != adapter or length <= best or known[best] != asked[best]:
                continue
            different = (known[:length] != asked[:length]).nonzero()
            common = int(different[0]) if len(different) else length
            if common > best:
                best, found = common, key
        if found is None:
            return None
        self._kept.move_to_end(found)
        return self._kept[found][1][:, :, :, :best]


@dataclass
class Text:
    """New tokens of one row in a packed forward pass, from `start` to `stop`; without a block nothing is kept."""

    start: int
    stop: int
    block: Block | None = None
    slot: int = 0
    past: int = 0
    """Tokens that the slot holds already."""


@dataclass
class Group:
    """The first rows of a block, one new token each; they begin at `start` in the packed pass."""

    start: int
    block: Block
    positions: Tensor
    """Index of each row's new token, shape (rows,)."""


@dataclass
class Plan:
    """What the tokens of a packed forward pass, shape (1, tokens), belong to: whole texts first, then groups."""

    texts: list[Text] = field(default_factory=list)
    groups: list[Group] = field(default_factory=list)
    _masks: dict[tuple[int, bool, int | None], Tensor] = field(default_factory=dict)

    def mask(self, index: int, query: Tensor, window: int | None, *, group: bool) -> Tensor:
        """Additive mask of a text, (new, all), or of a group, (rows, 1, 1, capacity); made once for all layers."""
        key = (index, group, window)
        if key not in self._masks:
            if group:
                at, size = self.groups[index].positions[:, None, None, None], self.groups[index].block.size
            else:
                text = self.texts[index]
                size = text.past + text.stop - text.start
                at = torch.arange(text.past, size, device=query.device)[:, None]
            keys = torch.arange(size, device=query.device)
            hidden = keys > at
            if window is not None:
                hidden = hidden | (keys <= at - window)
            self._masks[key] = query.new_zeros(hidden.shape).masked_fill_(hidden, -torch.inf)
        return self._masks[key]


def attend(
    module: Any,
    query: Tensor,
    key: Tensor,
    value: Tensor,
    attention_mask: Tensor | None,
    scaling: float,
    plan: Plan,
    sliding_window: int | None = None,
    softcap: float | None = None,
    s_aux: Tensor | None = None,
    **_: object,
) -> tuple[Tensor, None]:
    """Causal attention of a packed pass: each new token sees its own row.

    Shapes: query (1, heads, tokens, width); key, value (1, groups, tokens, width); result (1, tokens, heads, width).
    All query heads of a group are multiplied with their one key-value head at once.

    Raises:
        NotImplementedError: the model caps its attention scores or has attention sinks.
    """
    if softcap is not None or s_aux is not None:
        raise NotImplementedError("attention with capped scores or sinks")
    heads, groups, width = query.shape[1], key.shape[1], query.shape[3]
    mixed = query.new_empty(query.shape[2], heads, width)
    for index, text in enumerate(plan.texts):
        new = slice(text.start, text.stop)
        keys, values = key[0, :, new], value[0, :, new]
        if text.block is not None:
            end = text.past + text.stop - text.start
            layer = text.block.data[module.layer_idx, :, text.slot]
            layer[0, :, text.past : end], layer[1, :, text.past : end] = keys, values
            keys, values = layer[:, :, :end]
        plain = text.past == 0 and sliding_window is None
        answer = torch.nn.functional.scaled_dot_product_attention(
            query[:, :, new],
            keys.repeat_interleave(heads // groups, 0)[None],
            values.repeat_interleave(heads // groups, 0)[None],
            attn_mask=None if plain else plan.mask(index, query, sliding_window, group=False),
            is_causal=plain,
            scale=scaling,
        )
        mixed[new] = answer[0].transpose(0, 1)
    for index, group in enumerate(plan.groups):
        rows = len(group.positions)
        new = slice(group.start, group.start + rows)
        layer = group.block.data[module.layer_idx, :, :rows]
        every = torch.arange(rows, device=query.device)
        layer[0, every, :, group.positions] = key[0, :, new].transpose(0, 1)
        layer[1, every, :, group.positions] = value[0, :, new].transpose(0, 1)
        asked = query[0, :, new].transpose(0, 1).reshape(rows * groups, heads // groups, width)
        scores = torch.bmm(asked, layer[0].reshape(rows * groups, -1, width).transpose(1, 2)) * scaling
        scores = scores.view(rows, groups, heads // groups, -1) + plan.mask(index, query, sliding_window, group=True)
        weights = scores.softmax(-1, dtype=torch.float32).to(query.dtype).view(rows * groups, heads // groups, -1)
        mixed[new] = torch.bmm(weights, layer[1].reshape(rows * groups, -1, width)).view(rows, heads, width)
    return mixed[None], None


def _no_mask(*_: object, **__: object) -> None:
    """The plan says who sees whom."""


AttentionInterface.register(PACKED, attend)
AttentionMaskInterface.register(PACKED, _no_mask)
