"""What is watched during training: progress, the figures of each step, and how far the model has moved from its base.

A preference loss can fall while nothing changes in what the model says, and a rate that suits full fine-tuning may not move an
adapter at all. So the distance from the base is measured: the mean over answer tokens of the fixed probe set of

    KL(policy || base) = sum over the vocabulary of p(v) (log p(v) - log q(v)),

exactly, in nats a token, at each token's own context.
"""

from collections.abc import Sequence
from typing import Any

from transformers import TrainerCallback

from conscience.training.processes import say
from conscience.training.rows import Row

FIGURES = {
    "loss": "loss",
    "rewards/margins": "margin",
    "rewards/accuracies": "accuracy",
    "grad_norm": "gradient",
    "mean_token_accuracy": "token accuracy",
    "eval_loss": "validation loss",
    "eval_rewards/margins": "validation margin",
    "eval_rewards/accuracies": "validation accuracy",
    "kl_from_base": "KL from the base",
}
"""Figures that are shown and kept, with the words they are shown under."""
SHOWN_EVERY = 5
"""Steps between two lines."""

STILL_KL = 1e-3
"""Nats a token: below it hardly one token in a thousand changes."""
STILL_MARGIN = 0.02
"""Rise of the reward margin; at beta 0.1 that is an odds ratio of 1.2 for a whole answer."""


def distance(model: Any, rows: Sequence[Row]) -> float:
    """KL(policy || base) in nats a token over the chosen and rejected answers of some rows.

    Args:
        model: a PEFT model; its base is what is left with the adapters switched off.
        rows: pairs in tokens.
    """
    import torch

    training = model.training
    model.train(False)
    total, count = 0.0, 0
    with torch.no_grad():
        for row in rows:
            for answer in (row.chosen, row.rejected):
                tokens = torch.tensor([row.prompt + answer], device=model.device)
                here = slice(len(row.prompt) - 1, -1)
                policy = model(input_ids=tokens).logits[0, here].float().log_softmax(-1)
                with model.disable_adapter():
                    base = model(input_ids=tokens).logits[0, here].float().log_softmax(-1)
                total += float((policy.exp() * (policy - base)).sum())
                count += len(answer)
    model.train(training)
    return total / count


def still(history: list[dict[str, float]]) -> bool:
    """Whether a preference stage moved neither the margin nor the distance from where they began: a run that did nothing."""
    margins = [entry["rewards/margins"] for entry in history if "rewards/margins" in entry]
    distances = [entry["kl_from_base"] for entry in history if "kl_from_base" in entry]
    if not margins or len(distances) < 2:
        return False
    quarter = max(1, len(margins) // 4)
    rise = (sum(margins[-quarter:]) - sum(margins[:quarter])) / quarter
    return abs(distances[-1] - distances[0]) < STILL_KL and rise < STILL_MARGIN


class Monitor(TrainerCallback):
    """Prints lines and measures the distance from the base at the start, at each checkpoint and at the end."""

    def __init__(self, trainer: Any, rows: Sequence[Row]) -> None:
        """Take the trainer whose model is watched, and the probe set; an empty one is not measured."""
        self._trainer = trainer
        self._rows = rows

    def on_train_begin(self, args: Any, state: Any, control: Any, **_: Any) -> None:
        """Measure where training starts; a resumed run has it already."""
        if state.global_step == 0:
            self._measure(state)

    def on_step_end(self, args: Any, state: Any, control: Any, **_: Any) -> None:
        """Measure on the way, before a checkpoint is written, so that a resumed run has the figure too."""
        if state.global_step % args.save_steps == 0:
            self._measure(state)

    def on_train_end(self, args: Any, state: Any, control: Any, **_: Any) -> None:
        """Measure where it ends."""
        self._measure(state)

    def on_log(self, args: Any, state: Any, control: Any, logs: dict[str, Any] | None = None, **_: Any) -> None:
        """Print a line every few steps, and every validation."""
        logs = logs or {}
        due = state.global_step in (1, state.max_steps) or state.global_step % SHOWN_EVERY == 0
        shown = "  ".join(f"{word} {float(logs[name]):.3f}" for name, word in FIGURES.items() if name in logs)
        if shown and (due or "eval_loss" in logs):
            say(f"  step {state.global_step}/{state.max_steps}  {shown}")

    def _measure(self, state: Any) -> None:
        if not self._rows or any(e["step"] == state.global_step for e in state.log_history if "kl_from_base" in e):
            return
        with self._trainer.accelerator.autocast():
            value = distance(self._trainer.accelerator.unwrap_model(self._trainer.model), self._rows)
        state.log_history.append({"step": state.global_step, "kl_from_base": value})
        say(f"  step {state.global_step}/{state.max_steps}  KL from the base {value:.4f} nats a token")
