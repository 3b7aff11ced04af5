"""Real training of a tiny base by each method: it learns or says it did not, resumes after `kill -9`, runs in two processes."""

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from conscience.training.pairs import Manifest, Pair
from conscience.training.recipe import Recipe, Validation, WarmStart
from conscience.training.run import run

pytestmark = pytest.mark.model
METHODS = ("dpo", "ipo", "kto", "simpo")
SAME_CURVE = 1e-4
"""Largest difference of a step's loss between a run that was killed and one that was not; both are float32."""
SAME_IN_TWO = 1e-3
"""Between one process and two: sums of gradients are rounded in another order."""


def recipe(base: Path, method: str, **changes: Any) -> Recipe:
    """Few steps of a high rate, in float32."""
    given: dict[str, Any] = {
        "name": f"tiny-{method}",
        "method": method,
        "base": str(base),
        "learning_rate": 1e-2,
        "epochs": 4.0,
        "batch_size": 4,
        "micro_batch": 2,
        "save_steps": 2,
        "precision": "float32",
    }
    return Recipe(**{**given, **changes})


@pytest.fixture(autouse=True)
def one_thread(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """Here and in the processes that are started: threads of several runs that wait for each other spin."""
    import torch

    before = torch.get_num_threads()
    monkeypatch.setenv("OMP_NUM_THREADS", "1")
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(before)


def losses(folder: Path, stage: str) -> list[float]:
    """The loss of each step."""
    history = json.loads((folder / "history.json").read_text())[stage]
    return [entry["loss"] for entry in history if "loss" in entry]


@pytest.mark.parametrize("method", METHODS)
def test_each_method_learns_what_is_chosen(
    method: str, tiny_base: Path, pairs: list[Pair], manifest: Manifest, home: Path
) -> None:
    """Margin and distance from the base rise, validation is watched, and the card holds it all."""
    given = recipe(
        tiny_base,
        method,
        epochs=6.0,
        precision="bfloat16",
        warm_start=WarmStart(learning_rate=1e-2, epochs=1.0),
        validation=Validation(pairs=2, every=2, patience=3),
        sft_weight=0.0 if method == "kto" else 0.1,
    )
    folder, card = run(given, pairs, manifest)
    history = json.loads((folder / "history.json").read_text())
    margins = [entry["rewards/margins"] for entry in history[method] if "rewards/margins" in entry]
    distances = [entry["kl_from_base"] for entry in history[method] if "kl_from_base" in entry]
    assert margins[-1] > margins[0] + 0.1
    assert distances[-1] > distances[0] > 0  # the warm start has moved it before
    assert {"warm start", method} == set(history)
    assert {"loss", "kl_from_base", "eval_loss", "grad_norm", "warm_start_loss", "seconds"} <= set(card.metrics)
    assert () == card.notes
    assert "<svg" in (folder / "training.svg").read_text()


@pytest.mark.parametrize("method", METHODS)
def test_a_run_that_does_nothing_says_so(
    method: str, tiny_base: Path, pairs: list[Pair], manifest: Manifest, home: Path
) -> None:
    """A rate too low to move an adapter is a note in the card, loudly."""
    _, card = run(recipe(tiny_base, method, learning_rate=1e-8), pairs, manifest)
    assert 1 == len(card.notes)
    assert card.notes[0].startswith("NOTHING WAS LEARNED") and "learning rate than 1e-08" in card.notes[0]


def test_an_untouched_model_is_its_base(tiny_base: Path, pairs: list[Pair]) -> None:
    """Before training the distance from the base is zero, and a larger delta is farther away."""
    import torch
    from peft import get_peft_model
    from transformers import AutoTokenizer

    from conscience.training.monitor import distance
    from conscience.training.rows import tokenize
    from conscience.training.stages import load_base, lora

    given = recipe(tiny_base, "dpo")
    base = load_base(given)
    model = get_peft_model(base, lora(given, base))
    rows = [tokenize(pair, AutoTokenizer.from_pretrained(tiny_base)) for pair in pairs[:3]]
    assert 0.0 == distance(model, rows)
    moved = []
    for size in (0.01, 0.05):
        with torch.no_grad():
            for name, parameter in model.named_parameters():
                if "lora_B" in name:
                    parameter.fill_(size)
        moved.append(distance(model, rows))
    assert 0 < moved[0] < moved[1]


SCRIPT = """
import sys
from pathlib import Path
from conscience.training.pairs import Manifest, Pair
from conscience.training.recipe import Recipe
from conscience.training.run import run
folder = Path(sys.argv[1])
recipe = Recipe.model_validate_json((folder / "recipe.json").read_text())
pairs = [Pair.model_validate_json(line) for line in (folder / "pairs.jsonl").read_text().splitlines()]
run(recipe, pairs, Manifest.model_validate_json((folder / "manifest.json").read_text()))
"""


def prepared(folder: Path, given: Recipe, pairs: list[Pair], manifest: Manifest) -> list[str]:
    """Arguments of a run in processes of their own."""
    folder.mkdir()
    (folder / "run.py").write_text(SCRIPT)
    (folder / "recipe.json").write_text(given.model_dump_json())
    (folder / "manifest.json").write_text(manifest.model_dump_json())
    (folder / "pairs.jsonl").write_text("\n".join(pair.model_dump_json() for pair in pairs))
    return [str(folder / "run.py"), str(folder)]


@pytest.mark.parametrize("method", METHODS)
def test_a_killed_run_ends_with_the_same_curve(
    method: str, tiny_base: Path, pairs: list[Pair], manifest: Manifest, home: Path, tmp_path: Path
) -> None:
    """`kill -9` behind a checkpoint, then again: same order, same losses, same weights but for rounding."""
    given = recipe(tiny_base, method, epochs=6.0)
    whole = losses(run(given, pairs, manifest)[0], method)
    other = tmp_path / "other"
    other.mkdir()
    arguments = prepared(tmp_path / "run", given, pairs, manifest)
    environment = {**os.environ, "CONSCIENCE_HOME": str(other)}
    process = subprocess.Popen(
        [sys.executable, *arguments], env=environment, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL
    )
    deadline = time.monotonic() + 120
    while not list(other.glob("training/*/preferences/checkpoint-*/trainer_state.json")):
        assert time.monotonic() < deadline and process.poll() is None
        time.sleep(0.02)
    process.send_signal(signal.SIGKILL)
    process.wait()
    assert [] == list((other / "checkpoints").glob("*"))
    done = subprocess.run([sys.executable, *arguments], env=environment, capture_output=True, text=True, check=False)
    assert 0 == done.returncode, done.stderr
    assert "step 1/" not in done.stdout  # it went on, and did not begin again
    resumed = losses(next((other / "checkpoints").iterdir()), method)
    assert whole == pytest.approx(resumed, abs=SAME_CURVE)


def in_two(arguments: list[str], home: Path) -> "subprocess.Popen[str]":
    """Start a run in two processes on this machine; FACTS of `accelerate launch --cpu`: it starts one and says nothing."""
    environment = {**os.environ, "CONSCIENCE_HOME": str(home), "ACCELERATE_USE_CPU": "true", "OMP_NUM_THREADS": "1"}
    command = [sys.executable, "-m", "torch.distributed.run", "--standalone", "--nproc_per_node", "2", *arguments]
    return subprocess.Popen(command, env=environment, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)


@pytest.mark.parametrize("method", ["dpo", "kto"])
def test_two_processes_train_as_one(
    method: str, tiny_base: Path, pairs: list[Pair], manifest: Manifest, home: Path, tmp_path: Path
) -> None:
    """The same losses, one card, and nobody speaks twice. KTO's KL is estimated in each process, so its order is another."""
    given = recipe(tiny_base, method, epochs=2.0, save_steps=100)
    eight = pairs[:8]
    alone = losses(run(given, eight, manifest)[0], method)
    other = tmp_path / "other"
    other.mkdir()
    process = in_two(prepared(tmp_path / "run", given, eight, manifest), other)
    said, wrong = process.communicate(timeout=300)
    assert 0 == process.returncode, wrong[-2000:]
    assert 1 == said.count(f"{method}: 8 pairs")
    (folder,) = (other / "checkpoints").iterdir()
    tolerance = SAME_IN_TWO if method == "dpo" else 0.05
    assert alone == pytest.approx(losses(folder, method), abs=tolerance)
    assert given.name == json.loads((folder / "checkpoint.json").read_text())["name"]


def test_a_dead_process_ends_the_other_with_a_message(
    tiny_base: Path, pairs: list[Pair], manifest: Manifest, tmp_path: Path
) -> None:
    """No hanging: the launcher stops the survivor, names the signal, and no checkpoint appears."""
    home = tmp_path / "other"
    home.mkdir()
    given = recipe(tiny_base, "dpo", epochs=500.0)
    process = in_two(prepared(tmp_path / "run", given, pairs, manifest), home)
    deadline = time.monotonic() + 180
    while not list(home.glob("training/*/preferences/checkpoint-*/trainer_state.json")):
        assert time.monotonic() < deadline and process.poll() is None
        time.sleep(0.05)
    children = subprocess.run(
        ["pgrep", "-P", str(process.pid)], capture_output=True, text=True, check=True
    ).stdout.split()
    os.kill(int(children[-1]), signal.SIGKILL)
    _, wrong = process.communicate(timeout=120)
    assert 0 != process.returncode
    assert "SIGKILL" in wrong
    assert [] == list((home / "checkpoints").glob("*"))
