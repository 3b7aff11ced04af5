"""Wall time of evaluating the embedded base and four adapters: one `conscience evaluate` against five `inspect eval` runs.

The `quick` suite, 12 samples a task, answers of at most 64 tokens; the adapters are random and small. Both sides are whole
command lines, starting Python and loading the model included, and both use this project's engine: the gain is that the five
share one base, one process and its batches. A first run of each side on one sample warms the disk's cache.
"""

import os
import subprocess
import sys
import tempfile
import time
from pathlib import Path

os.environ["HF_HUB_OFFLINE"] = "1"

from conscience.evals.models import card, embedded

BIN = Path(sys.executable).parent
ADAPTERS = ("adapter-1", "adapter-2", "adapter-3", "adapter-4")
TASKS = ["conscience/asclepius", "conscience/helpfulness", "conscience/principles", "conscience/clinical_basics"]
SAMPLES = 12
LENGTH = 64


def make_adapters(base: Path, home: Path) -> None:
    """Register random adapters of rank 16 in a cache folder of their own."""
    import torch
    from peft import LoraConfig, get_peft_model
    from transformers import AutoModelForCausalLM, AutoTokenizer

    from conscience.evals.models.base import template_hash

    template = template_hash(AutoTokenizer.from_pretrained(base))
    for seed, name in enumerate(ADAPTERS):
        config = LoraConfig(r=16, target_modules=["o_proj", "down_proj"], task_type="CAUSAL_LM")
        model = get_peft_model(AutoModelForCausalLM.from_pretrained(base), config)
        torch.manual_seed(seed)
        for key, weight in model.named_parameters():
            if "lora_B" in key:
                torch.nn.init.normal_(weight, std=0.005)
        folder = home / "checkpoints" / name
        model.save_pretrained(folder)
        made = card.CheckpointCard(
            name=name,
            base=f"conscience/{embedded.NAME}",
            method="random",
            recipe={},
            pairs=card.PairSource(sha256="0" * 64, count=0, log_ids=(), teacher="none"),
            constitution="none",
            constitution_hash="0" * 64,
            chat_template_hash=template,
            adapter_sha256=embedded.sha256(folder / card.ADAPTER),
            fingerprint=str(seed),
            versions={},
            metrics={},
        )
        (folder / card.CARD).write_text(made.model_dump_json(), encoding="utf-8")
        card.register(folder, name)


def timed(commands: list[list[str]]) -> float:
    """Seconds for commands one after the other."""
    start = time.perf_counter()
    for command in commands:
        done = subprocess.run([str(BIN / command[0]), *command[1:]], capture_output=True, text=True, check=False)
        if done.returncode:
            raise SystemExit(f"{' '.join(command)}: {done.stdout[-2000:]}{done.stderr[-2000:]}")
    return time.perf_counter() - start


def main() -> None:
    """Make the adapters, warm up, measure peer and ours."""
    base = embedded.materialise()
    names = [embedded.NAME, *ADAPTERS]
    with tempfile.TemporaryDirectory() as temporary:
        home = Path(temporary)
        (home / embedded.NAME).symlink_to(base)
        os.environ |= {"CONSCIENCE_HOME": str(home), "INSPECT_DISPLAY": "none"}
        make_adapters(base, home)

        def ours(samples: int, logs: str) -> list[list[str]]:
            settings = ["--limit", str(samples), "--max-tokens", str(LENGTH), "--log-dir", str(home / logs)]
            return [["conscience", "evaluate", *names, "--suite", "quick", *settings]]

        def peer(samples: int, logs: str) -> list[list[str]]:
            settings = ["--limit", str(samples), "--max-tokens", str(LENGTH), "--log-dir", str(home / logs)]
            return [
                ["inspect", "eval", *TASKS, "--model", f"conscience/{name}", "-T", "quick=true", *settings]
                for name in names
            ]

        timed([*ours(1, "warm-ours"), peer(1, "warm-peer")[0]])
        theirs = timed(peer(SAMPLES, "peer"))
        one = timed(ours(SAMPLES, "ours"))
    print(
        f"seconds, {len(names)} models, {len(TASKS)} tasks of {SAMPLES} samples; {one / theirs:.2f} of the peer's wall time"
    )
    print(f"RESULT adapters ours={one:.1f} peer={theirs:.1f} ratio={theirs / one:.2f}")


if __name__ == "__main__":
    main()
