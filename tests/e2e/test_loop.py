"""The whole loop as a user types it, on the embedded model, tiny: generation, pairs, training, evaluation.

inspect eval conscience/critique_revise -> conscience pairs build -> conscience train -> inspect eval conscience/asclepius
"""

import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest
from inspect_ai.log import EvalLog, list_eval_logs, read_eval_log

from conscience.evals.models import card

pytestmark = [pytest.mark.model, pytest.mark.timeout(1200)]

ROOT = Path(__file__).parents[2]
BIN = Path(sys.executable).parent
RECIPE = """
name: tiny-dpo
method: dpo
base: conscience/smollm2-135m
lora: {r: 4, alpha: 8, modules: [o_proj, down_proj], last_layers: 2}
warm_start: {learning_rate: 1.0e-3, epochs: 1}
learning_rate: 5.0e-5
batch_size: 2
save_steps: 1
"""


def environment(home: Path) -> dict[str, str]:
    """The commands' environment: nothing of the user's, nothing from the network."""
    own = {"CONSCIENCE_HOME": str(home), "HF_HUB_OFFLINE": "1", "INSPECT_DISPLAY": "plain", "NO_COLOR": "1"}
    return {**os.environ, **own}


def command(home: Path, *arguments: str | Path) -> str:
    """Run a command of the environment from the root; what it printed."""
    line = [str(BIN / arguments[0]), *map(str, arguments[1:])]
    done = subprocess.run(line, cwd=ROOT, env=environment(home), capture_output=True, text=True, check=False)
    assert 0 == done.returncode, done.stdout[-3000:] + done.stderr[-3000:]
    return done.stdout + done.stderr


def evaluate(home: Path, folder: Path, *arguments: str) -> EvalLog:
    """Run `inspect eval` and read its one log: an exit status of 0 does not mean success."""
    command(home, "inspect", "eval", *arguments, "--log-dir", folder)
    [info] = list_eval_logs(str(folder))
    return read_eval_log(info.name)


def killed_in(home: Path, line: str, *arguments: str | Path) -> str:
    """Start a command and kill -9 it as soon as it prints a line that begins so; what it had printed."""
    started = [str(BIN / arguments[0]), *map(str, arguments[1:])]
    printed = ""
    with subprocess.Popen(
        started, cwd=ROOT, env=environment(home), stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True
    ) as process:
        assert process.stdout is not None
        for read in process.stdout:
            printed += read
            if read.startswith(line):
                process.kill()
    assert -signal.SIGKILL == process.returncode, printed
    return printed


def test_the_loop(materialised: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """From six training prompts to a trained model that both forms of `inspect eval` take; a killed run goes on."""
    home = materialised
    monkeypatch.setenv("CONSCIENCE_HOME", str(home))
    base = ("--model", "conscience/smollm2-135m")
    (tmp_path / "tiny.yaml").write_text(RECIPE)

    generation = evaluate(
        home, tmp_path / "generation", "conscience/critique_revise", *base, "--limit", "6", "--max-tokens", "24"
    )
    assert ("success", 6) == (generation.status, len(generation.samples or []))

    built = command(home, "conscience", "pairs", "build", tmp_path / "generation", "--out", tmp_path / "pairs")
    assert "6 pairs in" in built

    train = ("conscience", "train", tmp_path / "tiny.yaml", "--pairs", tmp_path / "pairs")
    first = killed_in(home, "dpo:", *train)
    assert "warm start:" in first
    assert {} == card.registered()
    second = command(home, *train)
    assert ("warm start:" in second, "registered conscience/tiny-dpo" in second) == (False, True)
    third = command(home, *train)
    assert "already trained" in third

    folder, trained = card.find("tiny-dpo")
    assert trained.pairs is not None
    assert (6, "recorded/teacher") == (trained.pairs.count, trained.pairs.teacher)
    assert (generation.eval.eval_id,) == trained.pairs.log_ids
    assert (generation.eval.metadata or {})["constitution_hash"] == trained.constitution_hash
    assert {"loss", "rewards_margins", "warm_start_loss", "seconds"} <= trained.metrics.keys()
    assert [folder.name] == [path.name for path in (home / "checkpoints").iterdir()]

    model = ("--model", "conscience/tiny-dpo", "--limit")
    by_package = evaluate(home, tmp_path / "package", "conscience/asclepius", *model, "2")
    by_path = evaluate(home, tmp_path / "path", "tasks/asclepius.py", *model, "2")
    assert ("conscience/asclepius", "asclepius") == (by_package.eval.task, by_path.eval.task)
    assert ["success"] * 2 == [by_package.status, by_path.status]
    said = [[sample.output.completion for sample in log.samples or []] for log in (by_package, by_path)]
    assert said[0] == said[1]

    basics = evaluate(home, tmp_path / "basics", "conscience/clinical_basics", *model, "4")
    assert "success" == basics.status
    assert 4 == sum(len(sample.metadata["option_scores"]) == 4 for sample in basics.samples or [])
