"""Batched decoding of one causal language model with transformers, in a worker thread.

Why not `model.generate`: on two CPU cores it spends more time copying the key-value cache than multiplying. This loop
drops finished rows from the batch, attends without repeating grouped key-value heads, and tells glibc to keep freed
memory; `benchmarks/sampling.py` measures the gain. The engine knows nothing of chat messages or of Inspect.
"""

import ctypes
import hashlib
import queue
import threading
from collections import Counter
from collections.abc import Sequence
from concurrent.futures import Future
from dataclasses import dataclass, field
from typing import Any

import torch
from torch import Tensor
from transformers import AttentionInterface, AttentionMaskInterface, DynamicCache, PreTrainedModel
from transformers.masking_utils import eager_mask

QUIET_S = 0.05
"""A batch starts when no request has come for so long (seconds)."""

BATCH_TOKENS = 4096
"""Prompt tokens in a batch, padding included: attention over more of them takes gigabytes."""


@dataclass(frozen=True)
class Request:
    """One prompt to continue, or (with `max_tokens` 0) one text whose tokens are to be scored."""

    tokens: tuple[int, ...]
    max_tokens: int
    temperature: float = 0.0
    seed: int | None = None
    """None draws from the global generator; else draws depend on the seed, the prompt and how often it was asked."""


@dataclass(frozen=True)
class Completion:
    """What the model said."""

    tokens: tuple[int, ...] = ()
    """Generated tokens, without the end token."""
    ended: bool = False
    """Whether the model ended by itself."""
    logprobs: tuple[float, ...] = ()
    """For a scoring request: natural-log probability of each prompt token but the first."""


@dataclass(frozen=True)
class _Job:
    request: Request
    draws: torch.Generator | None
    future: "Future[Completion]" = field(default_factory=Future)


class Engine:
    """Takes requests from any thread and answers them in batches."""

    def __init__(self, model: PreTrainedModel, end_tokens: Sequence[int], pad_token: int, batch_size: int = 64) -> None:
        keep_freed_memory()
        model.train(False)
        model.set_attn_implementation(GROUPED)
        self._model: Any = model
        self._end = frozenset(end_tokens)
        self._pad = pad_token
        self._batch_size = batch_size
        self._asked: Counter[tuple[int, tuple[int, ...]]] = Counter()
        self._queue: queue.Queue[_Job | None] = queue.Queue()
        self._thread = threading.Thread(target=self._work, daemon=True, name="conscience-engine")
        self._thread.start()

    def submit(self, request: Request) -> "Future[Completion]":
        """Enqueue a request."""
        job = _Job(request, self._draws(request))
        self._queue.put(job)
        return job.future

    def close(self) -> None:
        """Let the worker finish what is queued and stop it."""
        self._queue.put(None)
        self._thread.join()

    def _draws(self, request: Request) -> torch.Generator | None:
        if request.seed is None or request.temperature == 0:
            return None
        key = (request.seed, request.tokens)
        self._asked[key] += 1
        digest = hashlib.sha256(repr((*key, self._asked[key])).encode()).digest()
        return torch.Generator().manual_seed(int.from_bytes(digest[:8], "little") >> 1)

    def _work(self) -> None:
        waiting: list[_Job] = []
        while self._collect(waiting):
            # Prompts of like length share a batch: what is padded is multiplied all the same.
            waiting.sort(key=lambda job: (job.request.max_tokens == 0, -len(job.request.tokens)))
            scoring = waiting[0].request.max_tokens == 0
            rows = max(1, min(self._batch_size, BATCH_TOKENS // len(waiting[0].request.tokens)))
            batch = [j for j in waiting[:rows] if (j.request.max_tokens == 0) == scoring]
            del waiting[: len(batch)]
            self._answer(batch, scoring)

    def _collect(self, waiting: list[_Job]) -> bool:
        """Move queued jobs to those waiting, for as long as they keep coming; false when closed and nothing is left."""
        timeout = QUIET_S if waiting else None
        while True:
            try:
                job = self._queue.get(timeout=timeout)
            except queue.Empty:
                return True
            if job is None:
                return bool(waiting)
            waiting.append(job)
            timeout = QUIET_S

    def _answer(self, batch: list[_Job], scoring: bool) -> None:
        try:
            with torch.inference_mode():
                answers = self._score(batch) if scoring else self._generate(batch)
        except BaseException as error:
            for job in batch:
                job.future.set_exception(error)
            if not isinstance(error, Exception):
                raise
            return
        for job, answer in zip(batch, answers, strict=True):
            job.future.set_result(answer)

    def _generate(self, batch: list[_Job]) -> list[Completion]:
        device = self._model.device
        longest = max(len(job.request.tokens) for job in batch)
        current = torch.tensor(
            [[self._pad] * (longest - len(j.request.tokens)) + list(j.request.tokens) for j in batch], device=device
        )
        mask = torch.tensor(
            [[0] * (longest - len(j.request.tokens)) + [1] * len(j.request.tokens) for j in batch], device=device
        )
        positions = (mask.cumsum(-1) - 1).clamp(min=0)
        cache = DynamicCache(config=self._model.config)
        written: list[list[int]] = [[] for _ in batch]
        ended = [False] * len(batch)
        alive = list(range(len(batch)))
        while alive:
            logits = self._model(
                input_ids=current, attention_mask=mask, position_ids=positions, past_key_values=cache, logits_to_keep=1
            ).logits[:, -1]
            chosen = _choose(logits.float(), [batch[row] for row in alive])
            keep: list[int] = []
            for index, (row, token) in enumerate(zip(alive, chosen.tolist(), strict=True)):
                if token in self._end:
                    ended[row] = True
                    continue
                written[row].append(token)
                if len(written[row]) < batch[row].request.max_tokens:
                    keep.append(index)
            if len(keep) < len(alive):
                index_tensor = torch.tensor(keep, dtype=torch.long, device=device)
                alive = [alive[index] for index in keep]
                chosen, mask, positions = chosen[index_tensor], mask[index_tensor], positions[index_tensor]
                if alive:
                    cache.batch_select_indices(index_tensor)
            current = chosen[:, None]
            mask = torch.cat([mask, mask.new_ones(len(alive), 1)], dim=1)
            positions = positions[:, -1:] + 1
        return [Completion(tuple(tokens), end) for tokens, end in zip(written, ended, strict=True)]

    def _score(self, batch: list[_Job]) -> list[Completion]:
        device = self._model.device
        lengths = [len(job.request.tokens) for job in batch]
        tokens = torch.tensor(
            [list(j.request.tokens) + [self._pad] * (max(lengths) - len(j.request.tokens)) for j in batch],
            device=device,
        )
        mask = torch.tensor([[1] * length + [0] * (max(lengths) - length) for length in lengths], device=device)
        hidden = self._model.base_model(input_ids=tokens, attention_mask=mask).last_hidden_state
        head = self._model.get_output_embeddings()
        answers = []
        for row, length in enumerate(lengths):  # row by row: a batch of full logits over the vocabulary is gigabytes
            log_probabilities = head(hidden[row, : length - 1]).float().log_softmax(-1)
            picked = log_probabilities.gather(-1, tokens[row, 1:length, None])[:, 0]
            answers.append(Completion(logprobs=tuple(picked.tolist())))
        return answers


def keep_freed_memory() -> None:
    """Tell glibc to reuse freed memory instead of returning it to the kernel at every step; elsewhere do nothing."""
    try:
        mallopt = ctypes.CDLL(None).mallopt
    except (AttributeError, OSError):
        return
    m_trim_threshold, m_top_pad, m_mmap_max = -1, -2, -4  # malloc.h
    mallopt(m_mmap_max, 0)
    mallopt(m_trim_threshold, 2**31 - 1)
    mallopt(m_top_pad, 256 * 2**20)


def _choose(logits: Tensor, jobs: list[_Job]) -> Tensor:
    """Pick one token a row: the likeliest at temperature 0, else by inverse transform of one uniform draw a row."""
    chosen = logits.argmax(-1)
    warm = [row for row, job in enumerate(jobs) if job.request.temperature > 0]
    if not warm:
        return chosen
    temperatures = logits.new_tensor([jobs[row].request.temperature for row in warm])
    cumulative = (logits[warm] / temperatures[:, None]).softmax(-1).cumsum(-1)
    draws = torch.cat([torch.rand(1, generator=jobs[row].draws) for row in warm])
    target = draws.to(logits.device)[:, None] * cumulative[:, -1:]
    chosen[warm] = torch.searchsorted(cumulative, target, right=True)[:, 0].clamp(max=logits.shape[-1] - 1)
    return chosen


def _grouped_attention(
    module: torch.nn.Module,
    query: Tensor,
    key: Tensor,
    value: Tensor,
    attention_mask: Tensor | None,
    scaling: float,
    dropout: float = 0.0,
    **_: object,
) -> tuple[Tensor, None]:
    """Scaled dot-product attention that multiplies all query heads of a group with their one key-value head at once.

    Shapes: query (batch, heads, new, width); key, value (batch, groups, all, width); result (batch, new, heads, width).
    Equal to transformers' eager attention, without its copy of keys and values for every query head.
    """
    batch, heads, new, width = query.shape
    groups, length = key.shape[1], key.shape[2]
    scores = torch.matmul(query.reshape(batch, groups, -1, width), key.transpose(2, 3)) * scaling
    scores = scores.view(batch, groups, heads // groups, new, length)
    if attention_mask is not None:
        scores = scores + attention_mask[:, :, None, :, :length]
    weights = scores.softmax(-1, dtype=torch.float32).to(query.dtype)
    mixed = torch.matmul(weights.view(batch, groups, -1, length), value)
    return mixed.view(batch, heads, new, width).transpose(1, 2).contiguous(), None


GROUPED = "conscience_grouped"
AttentionInterface.register(GROUPED, _grouped_attention)
AttentionMaskInterface.register(GROUPED, eager_mask)
