"""Direct Preference Optimization (Rafailov et al. 2023, arXiv 2305.18290) with TRL and a LoRA adapter.

A warm start, when the recipe asks for one, fine-tunes the same adapter on the revisions first (the order of Bai et al.
2022); the preference stage's reference is then the warm-started model.

TRL is only configured here, for the processor that it runs on: no gradient checkpointing, reference log-probabilities
computed once, small micro-batches. What is replaced is the head that scores tokens (`training/head.py`): on a CPU, TRL's
scores prompts and padding too.
"""

import json
import math
import random
import shutil
import time
from pathlib import Path
from typing import Any, NamedTuple

import click

from conscience.evals.errors import MissingDependency
from conscience.training.pairs import Pair
from conscience.training.recipe import Recipe, WarmStart
from conscience.training.run import Trained

METRICS = "metrics.json"


def train(recipe: Recipe, pairs: list[Pair], work: Path) -> Trained:
    """Run the stages that are not finished yet.

    Args:
        recipe: settings.
        pairs: preference pairs.
        work: folder that keeps checkpoints; a second call with the same folder resumes.

    Raises:
        MissingDependency: TRL, PEFT or torch is not installed.
    """
    try:
        import torch
        from datasets import disable_progress_bars
        from peft import PeftModel, get_peft_model
        from transformers import AutoModelForCausalLM, AutoTokenizer

        from conscience.training import head
    except ImportError as error:
        raise MissingDependency(f"training needs {error.name}: run  pip install 'conscience[train]'") from None

    from conscience.evals.models.base import base_path, template_hash
    from conscience.evals.models.engine import keep_freed_memory

    started = time.monotonic()
    head.install()
    keep_freed_memory()
    disable_progress_bars()
    torch.manual_seed(recipe.seed)
    path = base_path(recipe.base)
    tokenizer: Any = AutoTokenizer.from_pretrained(path)
    rows = [tokenize(pair, tokenizer) for pair in pairs]

    def base() -> Any:
        return AutoModelForCausalLM.from_pretrained(path, dtype=torch.float32)

    metrics: dict[str, float] = {}
    if recipe.warm_start is None:
        model: Any = base()
        model = get_peft_model(model, _lora(recipe, model))
    else:
        warm = work / "warm_start"
        if not warm.is_dir():
            fresh = base()
            _warm_start(recipe, recipe.warm_start, get_peft_model(fresh, _lora(recipe, fresh)), tokenizer, rows, warm)
        metrics |= json.loads((warm / METRICS).read_text())
        model = PeftModel.from_pretrained(base(), warm, is_trainable=True)
    if recipe.max_pairs is not None:
        rows = random.Random(recipe.seed).sample(rows, min(recipe.max_pairs, len(rows)))
    trainer = _preferences(recipe, model, tokenizer, rows, work / "dpo")
    metrics |= _fit(trainer, work / "dpo")
    metrics["seconds"] = time.monotonic() - started
    adapter = work / "adapter"
    _keep(trainer.model, metrics, adapter)
    return Trained(adapter=adapter, metrics=metrics, chat_template_hash=template_hash(tokenizer))


def _warm_start(
    recipe: Recipe, warm_start: WarmStart, model: Any, tokenizer: Any, rows: "list[Row]", folder: Path
) -> None:
    """Fine-tune a fresh adapter on the revisions and keep it in a folder."""
    from datasets import Dataset
    from trl import SFTConfig, SFTTrainer

    click.echo(f"warm start: {len(rows)} revisions, {warm_start.epochs:g} epochs")
    arguments = SFTConfig(
        output_dir=str(folder.with_name("sft")),
        num_train_epochs=warm_start.epochs,
        learning_rate=warm_start.learning_rate,
        warmup_steps=_warmup_steps(recipe, len(rows), warm_start.epochs),
        completion_only_loss=True,
        **_common(recipe),
    )
    revisions = [
        {"input_ids": row.prompt + row.chosen, "completion_mask": [0] * len(row.prompt) + [1] * len(row.chosen)}
        for row in rows
    ]
    trainer = SFTTrainer(
        model=model, args=arguments, train_dataset=Dataset.from_list(revisions), processing_class=tokenizer
    )
    figures = _fit(trainer, folder.with_name("sft"))
    _keep(trainer.model, {f"warm_start_{name}": value for name, value in figures.items()}, folder)
    shutil.rmtree(folder.with_name("sft"), ignore_errors=True)  # only now: until here a killed run needs it


def _preferences(recipe: Recipe, model: Any, tokenizer: Any, rows: "list[Row]", folder: Path) -> Any:
    """Make the DPO trainer; the reference's log-probabilities are computed here, once."""
    from datasets import Dataset
    from trl import DPOConfig, DPOTrainer

    class Preferences(DPOTrainer):  # type: ignore[misc] # TRL is untyped here
        """Takes the rows as they are: TRL would put an end token behind samples that were cut, and teach a false end."""

        def _prepare_dataset(self, dataset: Any, *_: Any) -> Any:
            return dataset

    click.echo(f"dpo: {len(rows)} pairs, {recipe.epochs:g} epochs; the reference's log-probabilities first, once")
    arguments = DPOConfig(
        output_dir=str(folder),
        num_train_epochs=recipe.epochs,
        learning_rate=recipe.learning_rate,
        warmup_steps=_warmup_steps(recipe, len(rows), recipe.epochs),
        beta=recipe.beta,
        precompute_ref_log_probs=True,
        **_common(recipe),
    )
    preferences = [{"prompt_ids": r.prompt, "chosen_ids": r.chosen, "rejected_ids": r.rejected} for r in rows]
    return Preferences(
        model=model, args=arguments, train_dataset=Dataset.from_list(preferences), processing_class=tokenizer
    )


def _common(recipe: Recipe) -> dict[str, Any]:
    """Trainer settings that both stages share."""
    import torch

    return {
        "per_device_train_batch_size": recipe.micro_batch,
        "gradient_accumulation_steps": recipe.batch_size // recipe.micro_batch,
        "activation_checkpointing": False,
        "lr_scheduler_type": "cosine",
        "max_length": recipe.max_length,
        "bf16": recipe.precision == "bfloat16",
        "use_cpu": not torch.cuda.is_available(),
        "logging_steps": 5,
        "logging_first_step": True,
        "report_to": "none",
        "disable_tqdm": True,
        "save_steps": recipe.save_steps,
        "save_total_limit": 1,
        "seed": recipe.seed,
        "data_seed": recipe.seed,
    }


class Row(NamedTuple):
    """One pair in tokens."""

    prompt: list[int]
    chosen: list[int]
    rejected: list[int]


def tokenize(pair: Pair, tokenizer: Any) -> Row:
    """Render a pair exactly as the model is prompted in evaluation; an answer ends only where it really ended."""

    def tokens(text: str) -> list[int]:
        return list(tokenizer(text, add_special_tokens=False)["input_ids"])

    prompt = tokenizer.apply_chat_template(
        [message.model_dump() for message in pair.prompt],
        tokenize=False,
        add_generation_prompt=True,
        enable_thinking=False,
    )
    end = [tokenizer.eos_token_id]
    return Row(
        prompt=tokens(prompt),
        chosen=tokens(pair.chosen[0].content) + end,
        rejected=tokens(pair.rejected[0].content) + ([] if pair.truncated else end),
    )


def _lora(recipe: Recipe, model: Any) -> Any:
    from peft import LoraConfig

    modules, last = recipe.lora.modules, recipe.lora.last_layers
    layers = model.config.num_hidden_layers
    return LoraConfig(
        r=recipe.lora.r,
        lora_alpha=recipe.lora.alpha,
        target_modules=modules,
        layers_to_transform=None if last is None else list(range(max(0, layers - last), layers)),
        task_type="CAUSAL_LM",
    )


def _warmup_steps(recipe: Recipe, rows: int, epochs: float) -> int:
    return math.ceil(recipe.warmup_ratio * epochs * rows / recipe.batch_size)


def _fit(trainer: Any, folder: Path) -> dict[str, float]:
    """Train to the end, from the last whole checkpoint if there is one; the final figures."""
    from transformers.trainer_callback import PrinterCallback

    trainer.remove_callback(PrinterCallback)
    trainer.add_callback(_progress())
    trainer.train(resume_from_checkpoint=last_whole_checkpoint(folder))
    final: dict[str, float] = {}
    for entry in trainer.state.log_history:
        final |= {name.replace("/", "_"): float(entry[name]) for name in _FIGURES if name in entry}
    return final


_FIGURES = {
    "loss": "loss",
    "rewards/margins": "margin",
    "rewards/accuracies": "accuracy",
    "grad_norm": "gradient",
    "mean_token_accuracy": "token accuracy",
}
"""Figures that are shown and kept, with the words they are shown under."""


def _progress() -> Any:
    from transformers import TrainerCallback

    class Progress(TrainerCallback):
        """One line a logging step."""

        def on_log(self, args: Any, state: Any, control: Any, logs: dict[str, float] | None = None, **_: Any) -> None:
            shown = "  ".join(
                f"{word} {float((logs or {})[name]):.3f}" for name, word in _FIGURES.items() if name in (logs or {})
            )
            if shown:
                click.echo(f"  step {state.global_step}/{state.max_steps}  {shown}")

    return Progress()


def last_whole_checkpoint(folder: Path) -> str | None:
    """The newest checkpoint whose state file, which is written last, can be read; half-written ones are removed."""
    whole: list[tuple[int, Path]] = []
    for checkpoint in folder.glob("checkpoint-*"):
        try:
            step = int(json.loads((checkpoint / "trainer_state.json").read_text())["global_step"])
        except (OSError, ValueError, KeyError):
            shutil.rmtree(checkpoint)
            continue
        whole.append((step, checkpoint))
    return str(max(whole)[1]) if whole else None


def _keep(model: Any, metrics: dict[str, float], folder: Path) -> None:
    """Save the adapter and the metrics so far into a temporary folder and rename it."""
    temporary = folder.with_name(f".{folder.name}")
    shutil.rmtree(temporary, ignore_errors=True)
    model.save_pretrained(temporary, selected_adapters=["default"])
    (temporary / METRICS).write_text(json.dumps(metrics))
    shutil.rmtree(folder, ignore_errors=True)
    temporary.rename(folder)
