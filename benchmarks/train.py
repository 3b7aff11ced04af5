"""Preference training on a CPU against TRL's own trainer with its defaults: pairs a second, peak memory, faithfulness.

    .venv/bin/python benchmarks/train.py [--method dpo|ipo|kto|simpo] [--pairs 16] [--repeats 3]

Both sides train the embedded model with the same pairs (recorded revision over an unsafe example), order, seed, LoRA r=32 on all
linear layers, rate, batch of 4 and two epochs, in processes of their own with the same environment variables (malloc told to
keep memory), interleaved; the reference pass is timed, loading is not. The same TRL trainer in float32, once, gives the losses
that ours are held against, step by step; TRL's defaults are held against them too. Bars: 2 times as fast, losses within
0.01, 1.3 times the memory.
"""

import argparse
import json
import os
import resource
import statistics
import subprocess
import sys
import tempfile
import time
import warnings
from pathlib import Path
from typing import Any

METHODS = ("dpo", "ipo", "kto", "simpo")
BATCH, RATE, EPOCHS, SEED = 4, 5e-5, 2, 17
MALLOC = {
    "MALLOC_MMAP_MAX_": "0",
    "MALLOC_TRIM_THRESHOLD_": "100000000000",
    "MALLOC_TOP_PAD_": "268435456",
}


def texts(count: int) -> list[tuple[str, str, str]]:
    """User message, revision and unsafe example of training scenarios."""
    from conscience.evals.asclepius import load_scenarios
    from conscience.evals.models.recorded import recordings

    scenarios = load_scenarios(["direct_harm", "dosing", "triage", "sycophancy"], "train")
    chosen = [scenarios[place * len(scenarios) // count] for place in range(count)]
    return [(s.turns[0].content, recordings()[s.id]["revision"], str(s.unsafe_example)) for s in chosen]


def ours(method: str, count: int, folder: str) -> tuple[float, list[float]]:
    """Seconds and the loss of each step, by the plugin."""
    import torch
    from peft import get_peft_model
    from transformers import AutoTokenizer

    from conscience.evals.models.embedded import materialise
    from conscience.evals.models.engine import keep_freed_memory
    from conscience.training import method as methods
    from conscience.training import packing, stages
    from conscience.training.pairs import Message, Pair
    from conscience.training.recipe import Recipe
    from conscience.training.rows import tokenize

    recipe = Recipe(
        name="bench",
        method=method,
        base="conscience/smollm2-135m",
        learning_rate=RATE,
        epochs=EPOCHS,
        batch_size=BATCH,
        micro_batch=BATCH,
        max_length=1024,
        warmup_ratio=0.0,
        schedule="linear",
        seed=SEED,
        save_steps=10_000,
    )
    packing.install(rounded=recipe.precision == "bfloat16")
    keep_freed_memory()
    torch.manual_seed(SEED)
    tokenizer: Any = AutoTokenizer.from_pretrained(materialise())
    pairs = [
        Pair(
            prompt=(Message(role="user", content=prompt),),
            chosen=(Message(role="assistant", content=chosen),),
            rejected=(Message(role="assistant", content=rejected),),
            log_id="",
            sample_id="",
            epoch=1,
            truncated=False,
        )
        for prompt, chosen, rejected in texts(count)
    ]
    rows = [tokenize(pair, tokenizer) for pair in pairs]
    base = stages.load_base(recipe)
    model = get_peft_model(base, stages.lora(recipe, base))
    arguments = stages.common(recipe, count, Path(folder))
    started = time.perf_counter()
    setup = methods.Setup(recipe, methods.parameters(recipe), model, tokenizer, rows, [], arguments)
    trainer = methods.find(method).trainer(setup)
    trainer.train()
    return time.perf_counter() - started, [entry["loss"] for entry in trainer.state.log_history if "loss" in entry]


def peer(method: str, count: int, folder: str, float32: bool) -> tuple[float, list[float]]:
    """The same by TRL's trainer with its defaults, or with float32 instead of its default precision."""
    import random

    import torch
    from datasets import Dataset
    from peft import LoraConfig
    from transformers import AutoModelForCausalLM, AutoTokenizer
    from trl import DPOConfig, DPOTrainer, KTOConfig, KTOTrainer
    from trl.experimental.cpo import CPOConfig, CPOTrainer

    from conscience.evals.models.embedded import materialise

    torch.manual_seed(SEED)
    path = materialise()
    tokenizer: Any = AutoTokenizer.from_pretrained(path)
    model = AutoModelForCausalLM.from_pretrained(path, dtype=torch.float32)
    lora = LoraConfig(r=32, lora_alpha=64, target_modules="all-linear", task_type="CAUSAL_LM")
    rows = [
        {
            "prompt": tokenizer.apply_chat_template(
                [{"role": "user", "content": prompt}], tokenize=False, add_generation_prompt=True
            ),
            "chosen": chosen,
            "rejected": rejected,
        }
        for prompt, chosen, rejected in texts(count)
    ]
    same: dict[str, Any] = {
        "output_dir": folder,
        "num_train_epochs": EPOCHS,
        "learning_rate": RATE,
        "per_device_train_batch_size": BATCH,
        "seed": SEED,
        "data_seed": SEED,
        "use_cpu": True,
        "logging_steps": 1,
        "save_strategy": "no",
        "report_to": "none",
        "disable_tqdm": True,
        **({"bf16": False} if float32 else {}),
    }
    started = time.perf_counter()
    if method == "kto":
        shuffled = random.Random(SEED).sample(rows, len(rows))
        answers = [
            {"prompt": row["prompt"], "completion": row[side], "label": side == "chosen"}
            for start in range(0, count, BATCH)
            for side in ("chosen", "rejected")
            for row in shuffled[start : start + BATCH]
        ]
        batch = 2 * BATCH
        trainer = KTOTrainer(
            model=model,
            args=KTOConfig(**{**same, "per_device_train_batch_size": batch}, train_sampling_strategy="sequential"),
            train_dataset=Dataset.from_list(answers),
            processing_class=tokenizer,
            peft_config=lora,
        )
    elif method == "simpo":
        arguments = CPOConfig(loss_type="simpo", cpo_alpha=0.0, simpo_gamma=0.5, **same)
        trainer = CPOTrainer(
            model=model,
            args=arguments,
            train_dataset=Dataset.from_list(rows),
            processing_class=tokenizer,
            peft_config=lora,
        )
    else:
        arguments = DPOConfig(loss_type=["sigmoid" if method == "dpo" else "ipo"], **same)
        trainer = DPOTrainer(
            model=model,
            args=arguments,
            train_dataset=Dataset.from_list(rows),
            processing_class=tokenizer,
            peft_config=lora,
        )
    trainer.train()
    return time.perf_counter() - started, [entry["loss"] for entry in trainer.state.log_history if "loss" in entry]


def run(side: str, method: str, count: int) -> dict[str, Any]:
    """One side in a process of its own: seconds, losses, peak memory in GB."""
    command = [sys.executable, __file__, "--side", side, "--method", method, "--pairs", str(count)]
    done = subprocess.run(command, env={**os.environ, **MALLOC}, capture_output=True, text=True, check=False)
    if done.returncode:
        sys.exit(f"{side}: {done.stderr[-2000:]}")
    found: dict[str, Any] = json.loads(done.stdout.splitlines()[-1])
    return found


def one_side(side: str, method: str, count: int) -> None:
    """Run in this process and print one line of JSON."""
    warnings.filterwarnings("ignore")
    from datasets import disable_progress_bars

    disable_progress_bars()
    with tempfile.TemporaryDirectory() as folder:
        if side == "ours":
            seconds, losses = ours(method, count, folder)
        else:
            seconds, losses = peer(method, count, folder, side == "float32")
    memory = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1e6
    print(json.dumps({"seconds": seconds, "losses": losses, "memory": memory}))


def main() -> None:
    """Interleave the sides, compare, print."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--method", choices=METHODS, default="dpo")
    parser.add_argument("--pairs", type=int, default=16)
    parser.add_argument("--repeats", type=int, default=3)
    parser.add_argument("--side", choices=("ours", "peer", "float32"), help=argparse.SUPPRESS)
    given = parser.parse_args()
    if given.side:
        one_side(given.side, given.method, given.pairs)
        return
    results: dict[str, list[dict[str, Any]]] = {"ours": [], "peer": []}
    for _ in range(given.repeats):
        for side, runs in results.items():
            runs.append(run(side, given.method, given.pairs))
    exact = run("float32", given.method, given.pairs)["losses"]
    trained = EPOCHS * given.pairs
    speed = {side: trained / statistics.median(r["seconds"] for r in runs) for side, runs in results.items()}
    memory = {side: statistics.median(r["memory"] for r in runs) for side, runs in results.items()}
    apart = {
        side: max(abs(a - b) for a, b in zip(runs[0]["losses"], exact, strict=True)) for side, runs in results.items()
    }
    seconds = {side: [round(r["seconds"], 1) for r in runs] for side, runs in results.items()}
    print(f"{given.method}: seconds {seconds}, losses in float32 {[round(loss, 4) for loss in exact]}")
    print(
        f"largest difference from float32 at any step: ours {apart['ours']:.4f}, TRL's defaults {apart['peer']:.4f}; "
        f"peak GB: ours {memory['ours']:.2f}, TRL's defaults {memory['peer']:.2f} (x {memory['ours'] / memory['peer']:.2f})"
    )
    ratio = speed["ours"] / speed["peer"]
    print(f"RESULT train-{given.method} ours={speed['ours']:.3f} peer={speed['peer']:.3f} ratio={ratio:.2f}")


if __name__ == "__main__":
    main()
