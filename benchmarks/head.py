"""Seconds a pair of TRL's DPO on a CPU: with the completion-only head of `training/head.py`, and with TRL's own head.

24 pairs (recorded revision over a fixed poor answer) on the embedded model, LoRA r=32 on all linear layers, bfloat16
products, batches of 2, reference pass included; both runs see the same pairs, order and seed. The largest difference of
their losses is printed beside the times.
"""

import json
import tempfile
import time
import warnings

warnings.filterwarnings("ignore")

import torch
from datasets import Dataset, disable_progress_bars
from peft import LoraConfig, get_peft_model
from transformers import AutoModelForCausalLM, AutoTokenizer
from transformers.trainer_callback import PrinterCallback
from trl import DPOConfig, DPOTrainer
from trl.trainer import dpo_trainer
from trl.trainer.utils import add_fused_lm_head

from conscience.evals.asclepius import load_scenarios
from conscience.evals.models import embedded
from conscience.evals.models.recorded import recordings
from conscience.training.head import add_completion_head

PAIRS = 24


def measure(head: object) -> tuple[float, list[float]]:
    """Seconds a pair and the losses of one short run."""
    dpo_trainer.add_fused_lm_head = head
    torch.manual_seed(0)
    path = embedded.materialise()
    tokenizer = AutoTokenizer.from_pretrained(path)
    model = get_peft_model(
        AutoModelForCausalLM.from_pretrained(path, dtype=torch.float32),
        LoraConfig(r=32, lora_alpha=64, target_modules="all-linear", task_type="CAUSAL_LM"),
    )
    rows = [
        {
            "prompt": [{"role": "user", "content": scenario.turns[0].content}],
            "chosen": [{"role": "assistant", "content": recordings()[scenario.id]["revision"]}],
            "rejected": [{"role": "assistant", "content": scenario.unsafe_example}],
        }
        for scenario in load_scenarios(["direct_harm", "dosing"], "train")[:PAIRS]
    ]
    with tempfile.TemporaryDirectory() as folder:
        arguments = DPOConfig(
            output_dir=folder,
            per_device_train_batch_size=2,
            num_train_epochs=1,
            learning_rate=5e-5,
            activation_checkpointing=False,
            precompute_ref_log_probs=True,
            bf16=True,
            use_cpu=True,
            logging_steps=1,
            save_strategy="no",
            report_to="none",
            disable_tqdm=True,
        )
        start = time.perf_counter()
        trainer = DPOTrainer(
            model=model, args=arguments, train_dataset=Dataset.from_list(rows), processing_class=tokenizer
        )
        trainer.remove_callback(PrinterCallback)
        trainer.train()
        took = time.perf_counter() - start
    return took / PAIRS, [entry["loss"] for entry in trainer.state.log_history if "loss" in entry]


if __name__ == "__main__":
    disable_progress_bars()
    ours, our_losses = measure(add_completion_head)
    peer, peer_losses = measure(add_fused_lm_head)
    apart = max(abs(a - b) for a, b in zip(our_losses, peer_losses, strict=True))
    print(json.dumps({"largest difference of losses": round(apart, 4), "losses": our_losses}))
    print(f"RESULT head ours={ours:.3f} peer={peer:.3f} ratio={peer / ours:.2f}")
