"""What a run would take, before it is run: steps, tokens, memory, time.

Time is floating-point operations over the speed of the processor. With N weights in products, a forward pass costs 2 N
operations a token and, because frozen weights need no gradient of their own, a backward pass as much again; attention
adds 4 x layers x width x length a token. A processor reaches a part of its peak: on a CPU the peak is measured here by
one product, on a GPU it is the published dense bfloat16 peak, and the part is `EFFICIENCY`.
"""

import math
import os
import time
from dataclasses import dataclass
from typing import Any

from conscience.evals.errors import BadInput
from conscience.training import method as methods
from conscience.training import processes
from conscience.training.pairs import Pair
from conscience.training.recipe import Recipe
from conscience.training.rows import Row, Split, cut, split, tokenize


@dataclass(frozen=True)
class Processor:
    """What a run is estimated for."""

    name: str
    """As shown."""
    peak: float
    """Operations a second in the recipe's precision, one device."""
    memory: float
    """Bytes of one device; nan if unknown."""
    count: int = 1
    """Devices that share the batch."""
    gpu: bool = True
    """Whether prompts are run twice, once for each answer, and residuals are bfloat16."""


GPUS = {"a100": (312e12, 80e9), "h100": (989e12, 80e9), "h200": (989e12, 141e9)}
"""Dense bfloat16 peak (operations a second) and memory (bytes), from NVIDIA's data sheets of the SXM versions."""
EFFICIENCY = {"gpu": (0.25, 0.45), "cpu": (0.25, 0.6)}
"""Part of the peak that training reaches, low and high; for GPUs what others report of theirs, not measured here."""


@dataclass(frozen=True)
class Shape:
    """Of a base model with its adapter."""

    body: int
    """Weights in the layers' products."""
    head: int
    """Weights of the language-model head."""
    adapter: int
    """Trained weights."""
    layers: int
    """Number of layers."""
    width: int
    """Hidden size."""
    vocabulary: int
    """Tokens."""


@dataclass(frozen=True)
class Estimate:
    """What a run takes."""

    steps: int
    """Optimizer steps of the preference stage."""
    tokens: int
    """Tokens passed through the model in all epochs and stages, forward passes without gradient included."""
    operations: float
    """Floating-point operations."""
    bytes: float
    """Peak memory of one device, roughly."""
    seconds: tuple[float, float]
    """At the high and at the low efficiency."""


def shape_of(recipe: Recipe) -> Shape:
    """Read the base's configuration and lay it out without weights.

    Raises:
        BadInput: the base's configuration cannot be read.
    """
    import torch
    from peft import get_peft_model
    from transformers import AutoConfig, AutoModelForCausalLM

    from conscience.evals.models.base import base_path
    from conscience.training.stages import lora

    try:
        config = AutoConfig.from_pretrained(base_path(recipe.base), revision=recipe.revision)
    except (OSError, ValueError) as error:
        raise BadInput(f"cannot read base {recipe.base!r}: {str(error).splitlines()[0]}") from None
    with torch.device("meta"):
        model: Any = AutoModelForCausalLM.from_config(config)  # type: ignore[no-untyped-call]
        frozen = sum(p.numel() for p in model.parameters())
        embeddings = model.get_input_embeddings().weight.numel()
        tied = model.get_output_embeddings().weight is model.get_input_embeddings().weight
        adapted = get_peft_model(model, lora(recipe, model))
    trained = sum(p.numel() for p in adapted.parameters() if p.requires_grad)
    return Shape(
        body=frozen - embeddings * (1 if tied else 2),
        head=embeddings,
        adapter=trained,
        layers=config.num_hidden_layers,
        width=config.hidden_size,
        vocabulary=config.vocab_size,
    )


def estimate(recipe: Recipe, shape: Shape, rows: Split, processor: Processor) -> Estimate:
    """Add up passes, tokens and memory."""
    method = methods.find(recipe.method)
    layers = min(recipe.lora.last_layers or shape.layers, shape.layers)
    back = layers / shape.layers
    trained = 1 + back + (back if recipe.activation_checkpointing else 0)
    passes = recipe.epochs * (trained + method.extra_forwards) + method.reference

    def cost(row: Row, answers: tuple[list[int], ...]) -> tuple[float, float]:
        labelled = sum(map(len, answers))
        prompts = len(answers) if processor.gpu else 1
        tokens = prompts * len(row.prompt) + labelled
        attention = sum(4 * shape.layers * shape.width * (len(row.prompt) + len(a)) ** 2 / 2 for a in answers)
        return tokens, 2 * (shape.body + shape.adapter) * tokens + 2 * shape.head * labelled + attention

    tokens = operations = 0.0
    for row in rows.train:
        count, one = cost(row, (row.chosen, row.rejected))
        tokens, operations = tokens + passes * count, operations + passes * one
    if recipe.warm_start is not None:
        for row in rows.warm_start:
            count, one = cost(row, (row.chosen,))
            tokens += trained * recipe.warm_start.epochs * count
            operations += trained * recipe.warm_start.epochs * one
    fast, slow = (
        operations / (processor.peak * part * processor.count)
        for part in reversed(EFFICIENCY["gpu" if processor.gpu else "cpu"])
    )
    longest = max(len(row.prompt) + max(len(row.chosen), len(row.rejected)) for row in rows.train)
    return Estimate(
        steps=math.ceil(recipe.epochs * len(rows.train) / recipe.batch_size),
        tokens=round(tokens),
        operations=operations,
        bytes=_memory(recipe, shape, processor, 2 * longest * recipe.micro_batch),
        seconds=(fast, slow),
    )


def _memory(recipe: Recipe, shape: Shape, processor: Processor, tokens: int) -> float:
    """Weights, adapter with gradient and two moments, and what the backward pass keeps for so many tokens at once.

    Activations are 34 bytes a token, layer and unit of width (Korthikanti et al. 2022, arXiv 2205.05198, equation 2 without
    attention scores), half of it products that are kept in two bytes; doubled where residuals are float32.
    """
    rounded = recipe.precision == "bfloat16"
    weight = 2 if rounded else 4
    weights = weight * shape.body + (weight if processor.gpu else 4) * shape.head
    per_layer = 34 * shape.width * (1 if processor.gpu and rounded else 2)
    kept = 2 * shape.width * shape.layers + per_layer if recipe.activation_checkpointing else per_layer * shape.layers
    return weights + 20 * shape.adapter + tokens * (kept + 12 * shape.vocabulary / 2)


def processor(device: str | None, precision: str) -> Processor:
    """A named GPU, or this machine's CPU measured for a moment.

    Raises:
        BadInput: a device that is not known (says which are).
    """
    if device is None:
        return _this_cpu(precision)
    count, times, name = device.lower().rpartition("x")
    known = GPUS.get(name)
    if known is None or (times and not count.isdigit()):
        raise BadInput(f"unknown device {device!r}; there are: {', '.join(GPUS)}, and 2x{next(iter(GPUS))}")
    return Processor(device, known[0], known[1], int(count or 1))


def _this_cpu(precision: str) -> Processor:
    import torch

    dtype = torch.bfloat16 if precision == "bfloat16" else torch.float32
    side = 1024
    factors = [torch.randn(side, side).to(dtype) for _ in range(2)]
    torch.mm(*factors)
    best = math.inf
    for _ in range(10):
        started = time.perf_counter()
        torch.mm(*factors)
        best = min(best, time.perf_counter() - started)
    memory = os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE")
    name = f"this machine ({torch.get_num_threads()} threads, {2 * side**3 / best / 1e9:.0f} GFLOP/s measured)"
    return Processor(name, 2 * side**3 / best, float(memory), processes.world_size(), gpu=False)


def describe(recipe: Recipe, pairs: list[Pair], device: str | None) -> str:
    """The estimate in words, for a recipe and its pairs.

    Raises:
        BadInput: whatever would stop the run: unknown method or parameters, pairs that are too long, no such base or device.
    """
    from transformers import AutoTokenizer

    from conscience.evals.models.base import base_path

    methods.parameters(recipe)
    shape = shape_of(recipe)
    tokenizer: Any = AutoTokenizer.from_pretrained(base_path(recipe.base), revision=recipe.revision)
    rows = split(cut([tokenize(pair, tokenizer) for pair in pairs], recipe), recipe)
    given = processor(device, recipe.precision)
    found = estimate(recipe, shape, rows, given)
    fast, slow = (f"{seconds / 60:.1f}" for seconds in found.seconds)
    return "\n".join(
        [
            f"{recipe.name}: {recipe.method} on {recipe.base}, {shape.adapter:,} of {shape.body + shape.head:,} weights trained",
            f"pairs    {len(rows.train)} to train on, {len(rows.validation)} for validation, "
            f"{len(rows.warm_start) if recipe.warm_start else 0} revisions in the warm start",
            f"steps    {found.steps} of {recipe.batch_size} pairs",
            f"tokens   {found.tokens:,} through the model, {found.operations:.2e} operations",
            f"memory   about {found.bytes / 1e9:.1f} GB a device (it has {given.memory / 1e9:.0f})",
            f"time     {fast} to {slow} minutes on {given.name}, at {_range(given)} of its peak",
        ]
    )


def _range(processor: Processor) -> str:
    low, high = EFFICIENCY["gpu" if processor.gpu else "cpu"]
    return f"{low:.0%} to {high:.0%}"
