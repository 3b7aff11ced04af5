"""Continuous batching of one causal language model with transformers, in a worker thread.

Why not `model.generate`: on two CPU cores it spends more time copying the key-value cache than multiplying, and a batch
lasts as long as its longest answer. Here a request joins the running rows as soon as there is room: each forward pass is
one packed row of the prompts that join and one token of each row that runs (as vLLM does it), without padding. A
conversation's next turn finds the keys and values of its beginning. `benchmarks/sampling.py` measures the gain. The engine
knows nothing of chat messages or of Inspect.
"""

import atexit
import ctypes
import hashlib
import queue
import threading
from collections import Counter, deque
from collections.abc import Sequence
from concurrent.futures import Future
from dataclasses import dataclass, field
from typing import Any

import torch
from torch import Tensor
from transformers import PreTrainedModel

from conscience.evals.models.adapters import Routing
from conscience.evals.models.keyvalues import PACKED, Block, Group, Plan, Prefixes, Text, capacity

PASS_TOKENS = 1024
"""Prompt tokens that join in one forward pass, more only when one prompt is longer; longer passes are not faster on CPU."""

PREFIX_BYTES = 2**30
"""Keys and values kept of finished rows. Conversations that go on come first, so that theirs need not stay long."""


QUIET_S = 0.05
"""An idle engine starts when no request has come for so long (seconds)."""


@dataclass(frozen=True)
class Request:
    """One prompt to continue, or (with `max_tokens` 0) one text whose tokens are to be scored."""

    tokens: tuple[int, ...]
    max_tokens: int
    temperature: float = 0.0
    seed: int | None = None
    """None draws from the global generator; else draws depend on the seed, the prompt and how often it was asked."""
    adapter: int = 0
    """Which of the engine's adapters answers; 0 is the model itself."""


@dataclass(frozen=True)
class Completion:
    """What the model said."""

    tokens: tuple[int, ...] = ()
    """Generated tokens, without the end token."""
    ended: bool = False
    """Whether the model ended by itself."""
    logprobs: tuple[float, ...] = ()
    """For a scoring request: natural-log probability of each prompt token but the first."""


@dataclass(eq=False)
class _Row:
    request: Request
    draws: torch.Generator | None
    future: "Future[Completion]" = field(default_factory=Future)
    text: list[int] = field(default_factory=list)
    """Prompt and what was written."""
    known: int = 0
    """Tokens of the prompt whose keys and values were kept of an earlier row, when it was asked."""
    held: int = 0
    """Tokens whose keys and values are in a block."""

    @property
    def written(self) -> int:
        return len(self.text) - len(self.request.tokens)


class Engine:
    """Takes requests from any thread and answers them in batches.

    Args:
        model: any causal language model of transformers with full or sliding-window attention.
        end_tokens: tokens that end an answer.
        batch_size: rows that run at once.
        routing: switch of the model's adapters, if it has several.
    """

    def __init__(
        self, model: PreTrainedModel, end_tokens: Sequence[int], batch_size: int = 64, routing: Routing | None = None
    ) -> None:
        keep_freed_memory()
        model.train(False)
        model.set_attn_implementation(PACKED)
        self._model: Any = model
        self._end = frozenset(end_tokens)
        self._batch_size = batch_size
        self._routing = routing or Routing()
        self._asked: Counter[tuple[int, int, tuple[int, ...]]] = Counter()
        self._queue: queue.Queue[_Row | None] = queue.Queue()
        self._waiting: deque[_Row] = deque()
        self._scoring: deque[_Row] = deque()
        self._blocks: dict[int, Block] = {}
        self._prefixes = Prefixes(PREFIX_BYTES)
        self._thread = threading.Thread(target=self._work, daemon=True, name="conscience-engine")
        self._exiting = False
        # A thread that is inside PyTorch when the interpreter ends takes the process down with it (SIGABRT).
        atexit.register(self._exit)
        self._thread.start()

    def submit(self, request: Request) -> "Future[Completion]":
        """Enqueue a request."""
        row = _Row(request, self._draws(request), text=list(request.tokens))
        self._queue.put(row)
        return row.future

    def retire(self) -> None:
        """Let the worker answer what it was asked, then stop."""
        self._queue.put(None)

    def close(self) -> None:
        """Retire, and wait for it."""
        self.retire()
        self._thread.join()

    def _exit(self) -> None:
        self._exiting = True
        self.close()

    def _draws(self, request: Request) -> torch.Generator | None:
        if request.seed is None or request.temperature == 0:
            return None
        key = (request.adapter, request.seed, request.tokens)
        self._asked[key] += 1
        digest = hashlib.sha256(repr((*key[1:], self._asked[key])).encode()).digest()
        return torch.Generator().manual_seed(int.from_bytes(digest[:8], "little") >> 1)

    def _work(self) -> None:
        closing = False
        while True:
            idle = not (self._blocks or self._waiting or self._scoring)
            if self._exiting:
                return
            if idle and closing:
                atexit.unregister(self._exit)  # it would hold the model in memory
                return
            closing |= self._collect(wait=idle)
            scored = self._joining(self._scoring, room=self._batch_size)
            joining = self._joining(self._waiting, room=self._batch_size - len(self._running()))
            for rows, step in ((scored, self._score), (joining, self._step)):
                try:
                    with torch.inference_mode():
                        step(rows)
                except Exception as error:
                    self._fail(rows, error)

    def _collect(self, wait: bool) -> bool:
        """Take what was asked; true when the engine is to stop.

        An idle engine waits until nothing has come for a moment: requests that are made together start together, and a
        small run has the same batches, and so the same rounding, when it is repeated.
        """
        timeout = None
        while True:
            try:
                row = self._queue.get(block=wait, timeout=timeout)
            except queue.Empty:
                return False
            if row is None:
                return True
            timeout = QUIET_S
            if row.request.max_tokens == 0:
                self._scoring.append(row)
                continue
            found = self._prefixes.find(row.request.adapter, row.text)
            if found is None:
                self._waiting.append(row)
            else:
                row.known = found.shape[3]
                self._waiting.appendleft(row)  # before what is known is thrown away

    def _running(self) -> list[_Row]:
        return [row for block in self._blocks.values() for row in block.rows]

    def _joining(self, waiting: deque[_Row], room: int) -> list[_Row]:
        """Those who take part in the next pass, first come, first served."""
        rows: list[_Row] = []
        tokens = 0
        while waiting and len(rows) < room:
            tokens += len(waiting[0].text) - waiting[0].known
            if rows and tokens > PASS_TOKENS:
                break
            rows.append(waiting.popleft())
        return rows

    def _fail(self, joining: list[_Row], error: Exception) -> None:
        """Tell all who took part in the failed pass; those waiting are not touched."""
        for row in {*joining, *self._running()}:
            if not row.future.done():
                row.future.set_exception(error)
        self._blocks.clear()

    def _step(self, joining: list[_Row]) -> None:
        """One forward pass: the prompts of those that join, and one token of each row that runs."""
        for block in list(self._blocks.values()):
            for row in [row for row in block.rows if row.held == block.size]:
                self._place(row, self._take_out(block, row))
        running = {size: list(block.rows) for size, block in self._blocks.items()}
        for row in joining:
            found = self._prefixes.find(row.request.adapter, row.text)
            row.held = 0 if found is None else found.shape[3]
            self._place(row, found)
        if not self._blocks:
            return
        device = self._model.device
        plan, inputs, positions, last, owners = Plan(), list[int](), list[int](), list[int](), list[int]()
        for row in joining:
            block = self._blocks[capacity(len(row.text))]
            start = len(inputs)
            inputs += row.text[row.held :]
            positions += range(row.held, len(row.text))
            owners += [row.request.adapter] * (len(inputs) - start)
            last.append(len(inputs) - 1)
            plan.texts.append(Text(start, len(inputs), block, block.rows.index(row), row.held))
        for size, rows in running.items():
            held = [row.held for row in rows]
            plan.groups.append(Group(len(inputs), self._blocks[size], torch.tensor(held, device=device)))
            last += range(len(inputs), len(inputs) + len(rows))
            inputs += [row.text[-1] for row in rows]
            positions += held
            owners += [row.request.adapter for row in rows]
        logits = self._forward(self._model, inputs, positions, owners, plan, logits_to_keep=torch.tensor(last)).logits
        rows = [*joining, *(row for group in running.values() for row in group)]
        for row, token in zip(rows, _choose(logits[0].float(), rows).tolist(), strict=True):
            row.held = len(row.text)
            ended = token in self._end
            if not ended:
                row.text.append(token)
            if ended or row.written >= row.request.max_tokens:
                computed = self._take_out(self._blocks[capacity(row.held)], row)
                self._prefixes.keep(row.request.adapter, row.text[: row.held], computed)
                row.future.set_result(Completion(tuple(row.text[len(row.request.tokens) :]), ended))

    def _forward(
        self, model: Any, inputs: list[int], positions: list[int], owners: list[int], plan: Plan, **settings: Any
    ) -> Any:
        self._routing.set(owners)
        device = self._model.device
        return model(
            input_ids=torch.tensor([inputs], device=device),
            position_ids=torch.tensor([positions], device=device),
            use_cache=False,
            plan=plan,
            **settings,
        )

    def _place(self, row: _Row, held: Tensor | None) -> None:
        """Put a row into the block that has room for its text."""
        size = capacity(len(row.text))
        if size not in self._blocks:
            self._blocks[size] = Block(self._model, size)
        self._blocks[size].append(row, held)

    def _take_out(self, block: Block, row: _Row) -> Tensor:
        """Remove a row from its block; an empty block is given back."""
        slot = block.rows.index(row)
        held = block.held(slot, row.held).clone()
        block.remove(slot)
        if not block.rows:
            del self._blocks[block.size]
        return held

    def _score(self, rows: list[_Row]) -> None:
        if not rows:
            return
        plan, inputs, positions, owners = Plan(), list[int](), list[int](), list[int]()
        for row in rows:
            plan.texts.append(Text(len(inputs), len(inputs) + len(row.text)))
            inputs += row.text
            positions += range(len(row.text))
            owners += [row.request.adapter] * len(row.text)
        hidden = self._forward(self._model.base_model, inputs, positions, owners, plan).last_hidden_state[0]
        head = self._model.get_output_embeddings()
        for row, text in zip(rows, plan.texts, strict=True):  # one by one: all full logits at once take gigabytes
            log_probabilities = head(hidden[text.start : text.stop - 1]).float().log_softmax(-1)
            picked = log_probabilities.gather(-1, torch.tensor(row.text[1:], device=hidden.device)[:, None])[:, 0]
            row.future.set_result(Completion(logprobs=tuple(picked.tolist())))


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


def _choose(logits: Tensor, rows: list[_Row]) -> Tensor:
    """Pick one token a row: the likeliest at temperature 0, else by inverse transform of one uniform draw a row."""
    chosen = logits.argmax(-1)
    warm = [index for index, row in enumerate(rows) if row.request.temperature > 0]
    if not warm:
        return chosen
    temperatures = logits.new_tensor([rows[index].request.temperature for index in warm])
    cumulative = (logits[warm] / temperatures[:, None]).softmax(-1).cumsum(-1)
    draws = torch.cat([torch.rand(1, generator=rows[index].draws) for index in warm])
    target = draws.to(logits.device)[:, None] * cumulative[:, -1:]
    chosen[warm] = torch.searchsorted(cumulative, target, right=True)[:, 0].clamp(max=logits.shape[-1] - 1)
    return chosen
