"""From pairs to an adapter: a warm start when the recipe asks for one, then the preference method; each resumes.

TRL's trainers are only configured here, for the processor that they run on: no activation checkpointing unless asked for,
reference log-probabilities computed once, small micro-batches. What is replaced on a CPU is the forward pass that scores a
batch (`training/packing.py`), and how bfloat16 is used (`training/rounding.py`).
"""

import json
import math
import shutil
import sys
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from conscience.evals.errors import BadInput, MissingDependency
from conscience.training import method as methods
from conscience.training import processes, warm_start
from conscience.training.method import Setup
from conscience.training.pairs import Pair
from conscience.training.processes import say
from conscience.training.recipe import Recipe
from conscience.training.rows import Row, cut, split, tokenize

HISTORY = "history.json"
PROBES = 8
"""Pairs on which the distance from the base is watched."""
WARM_START = "warm start"
"""Name of the supervised stage in the history."""


@dataclass(frozen=True)
class Trained:
    """What training hands back."""

    adapter: Path
    """Folder with the PEFT adapter."""
    chat_template_hash: str
    """Of the tokenizer that rendered the pairs."""
    history: dict[str, list[dict[str, float]]]
    """Everything that was logged, by stage; the last entry of a stage holds its seconds."""


def train(recipe: Recipe, pairs: list[Pair], work: Path) -> Trained:
    """Run the stages that are not finished yet.

    Args:
        recipe: settings.
        pairs: preference pairs.
        work: folder that keeps checkpoints; a second call with the same folder resumes.

    Raises:
        MissingDependency: TRL, PEFT or torch is not installed.
        BadInput: unknown method or parameters, pairs that are too long or too few, another chat template than the recipe's.
    """
    method, parameters = methods.find(recipe.method), methods.parameters(recipe)
    try:
        import torch
        from datasets import disable_progress_bars
        from peft import PeftModel, get_peft_model
        from transformers import AutoTokenizer

        from conscience.training import packing
    except ImportError as error:
        raise MissingDependency(f"training needs {error.name}: run  pip install 'conscience[train]'") from None

    from conscience.evals.models.base import base_path, template_hash
    from conscience.evals.models.engine import keep_freed_memory

    packing.install(rounded=recipe.precision == "bfloat16")
    keep_freed_memory()
    disable_progress_bars()
    torch.manual_seed(recipe.seed)
    tokenizer: Any = AutoTokenizer.from_pretrained(base_path(recipe.base), revision=recipe.revision)
    template = template_hash(tokenizer)
    if recipe.chat_template_sha256 not in (None, template):
        raise BadInput(
            f"the recipe expects chat template {recipe.chat_template_sha256}, base {recipe.base!r} has {template}"
        )
    rows = split(cut([tokenize(pair, tokenizer) for pair in pairs], recipe), recipe)

    def setup(model: Any, train_rows: list[Row], validation: list[Row], arguments: dict[str, Any]) -> Setup:
        return Setup(recipe, parameters, model, tokenizer, train_rows, validation, arguments)

    base = load_base(recipe)
    if recipe.warm_start is None:
        model: Any = get_peft_model(base, lora(recipe, base))
    else:
        warm = work / "warm_start"
        if not warm.is_dir():
            say(f"warm start: {len(rows.warm_start)} revisions, {recipe.warm_start.epochs:g} epochs")
            fresh = get_peft_model(base, lora(recipe, base))
            warm_recipe = recipe.model_copy(
                update={
                    "learning_rate": recipe.warm_start.learning_rate,
                    "epochs": recipe.warm_start.epochs,
                    "validation": None,
                }
            )
            folder = work / "sft"
            made = warm_start.trainer(
                setup(fresh, rows.warm_start, [], common(warm_recipe, len(rows.warm_start), folder))
            )
            keep(made.model, {WARM_START: fit(made, folder)}, warm)
            shutil.rmtree(folder, ignore_errors=True)  # only now: until here a killed run needs it
            base = load_base(recipe)
        model = PeftModel.from_pretrained(base, warm, is_trainable=True)
    history = {} if recipe.warm_start is None else json.loads((work / "warm_start" / HISTORY).read_text())
    adapter = work / "adapter"
    if not adapter.is_dir():
        say(f"{recipe.method}: {len(rows.train)} pairs, {recipe.epochs:g} epochs")
        folder = work / "preferences"
        made = method.trainer(setup(model, rows.train, rows.validation, common(recipe, len(rows.train), folder)))
        patience = recipe.validation.patience if recipe.validation else None
        history[recipe.method] = fit(made, folder, (rows.validation or rows.train)[:PROBES], patience)
        keep(made.model, history, adapter)
    return Trained(adapter, template, json.loads((adapter / HISTORY).read_text(encoding="utf-8")))


def load_base(recipe: Recipe) -> Any:
    """The base model, in float32 on a CPU."""
    import torch
    from transformers import AutoModelForCausalLM

    from conscience.evals.models.base import base_path

    dtype = torch.bfloat16 if torch.cuda.is_available() and recipe.precision == "bfloat16" else torch.float32
    model: Any = AutoModelForCausalLM.from_pretrained(
        base_path(recipe.base), revision=recipe.revision, dtype=dtype, use_safetensors=True, trust_remote_code=False
    )
    return model


def lora(recipe: Recipe, model: Any) -> Any:
    """The adapter's configuration for PEFT."""
    from peft import LoraConfig

    modules, last = recipe.lora.modules, recipe.lora.last_layers
    layers = model.config.num_hidden_layers
    return LoraConfig(
        r=recipe.lora.r,
        lora_alpha=recipe.lora.alpha,
        lora_dropout=recipe.lora.dropout,
        target_modules=modules,
        layers_to_transform=None if last is None else list(range(max(0, layers - last), layers)),
        task_type="CAUSAL_LM",
    )


def common(recipe: Recipe, rows: int, folder: Path) -> dict[str, Any]:
    """Settings of `transformers.TrainingArguments` that all stages and methods share.

    Raises:
        BadInput: the batch cannot be divided over the processes.
    """
    import torch

    share = recipe.micro_batch * processes.world_size()
    if recipe.batch_size % share:
        raise BadInput(
            f"batch_size {recipe.batch_size} is no multiple of micro_batch {recipe.micro_batch} "
            f"x {processes.world_size()} processes"
        )
    settings: dict[str, Any] = {
        "output_dir": str(folder),
        "num_train_epochs": recipe.epochs,
        "learning_rate": recipe.learning_rate,
        "optim": recipe.optimizer,
        "lr_scheduler_type": recipe.schedule,
        "warmup_steps": math.ceil(recipe.warmup_ratio * recipe.epochs * rows / recipe.batch_size),
        "per_device_train_batch_size": recipe.micro_batch,
        "per_device_eval_batch_size": recipe.micro_batch,
        "gradient_accumulation_steps": recipe.batch_size // share,
        "activation_checkpointing": recipe.activation_checkpointing,
        "bf16": recipe.precision == "bfloat16" and torch.cuda.is_available(),
        "use_cpu": not torch.cuda.is_available(),
        "logging_steps": 1,
        "report_to": recipe.report_to or "none",
        "run_name": recipe.name,
        "disable_tqdm": not sys.stderr.isatty(),
        "save_steps": recipe.save_steps,
        "save_total_limit": 1,
        "seed": recipe.seed,
        "data_seed": recipe.seed,
        # Without it DDP warns; with an adapter on every layer each parameter takes part in each step.
        "ddp_find_unused_parameters": False,
    }
    if (validation := recipe.validation) is not None:
        settings |= {"eval_strategy": "steps", "eval_steps": validation.every}
        if validation.patience is not None:
            settings |= {
                "save_steps": validation.every,
                "save_total_limit": 2,
                "load_best_model_at_end": True,
                "metric_for_best_model": "eval_loss",
                "greater_is_better": False,
            }
    return settings


def fit(
    trainer: Any, folder: Path, probe_rows: Sequence[Row] = (), patience: int | None = None
) -> list[dict[str, float]]:
    """Train to the end, from the last whole checkpoint if there is one; everything that was logged."""
    from transformers import EarlyStoppingCallback
    from transformers.trainer_callback import PrinterCallback

    from conscience.training.monitor import Monitor

    trainer.remove_callback(PrinterCallback)
    trainer.add_callback(Monitor(trainer, probe_rows))
    if patience is not None:
        trainer.add_callback(EarlyStoppingCallback(early_stopping_patience=patience))
    started = time.monotonic()
    trainer.train(resume_from_checkpoint=last_whole_checkpoint(folder))
    numbers = (int, float)
    history = [{n: float(v) for n, v in entry.items() if isinstance(v, numbers)} for entry in trainer.state.log_history]
    return [*history, {"seconds": time.monotonic() - started}]


def last_whole_checkpoint(folder: Path) -> str | None:
    """The newest checkpoint whose state file, which is written last, can be read; half-written ones are removed."""
    whole: list[tuple[int, Path]] = []
    for checkpoint in folder.glob("checkpoint-*"):
        try:
            step = int(json.loads((checkpoint / "trainer_state.json").read_text())["global_step"])
        except (OSError, ValueError, KeyError):
            if processes.is_first():
                shutil.rmtree(checkpoint)
            continue
        whole.append((step, checkpoint))
    return str(max(whole)[1]) if whole else None


def keep(model: Any, history: dict[str, list[dict[str, float]]], folder: Path) -> None:
    """Save the adapter and what was logged into a temporary folder and rename it; one process writes, all wait."""
    temporary = folder.with_name(f".{folder.name}")
    if processes.is_first():
        shutil.rmtree(temporary, ignore_errors=True)
    processes.wait()
    model.save_pretrained(temporary, selected_adapters=["default"], is_main_process=processes.is_first())
    if processes.is_first():
        (temporary / HISTORY).write_text(json.dumps(history), encoding="utf-8")
        shutil.rmtree(folder, ignore_errors=True)
        temporary.rename(folder)
    processes.wait()
