"""The command lines: help, and what a mistake is told. One line, no traceback, the names that exist."""

import subprocess
import sys
from pathlib import Path

import pytest

BIN = Path(sys.executable).parent


@pytest.fixture(autouse=True)
def no_models_of_ones_own(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Only the embedded model exists, whatever was trained on this machine."""
    monkeypatch.setenv("CONSCIENCE_HOME", str(tmp_path / "home"))


def run(command: str, *arguments: str) -> subprocess.CompletedProcess[str]:
    """Run an installed command to its end."""
    return subprocess.run([str(BIN / command), *arguments], capture_output=True, text=True, check=False)


def test_help_lists_every_command() -> None:
    """`conscience --help` exits 0 and lists the subcommands, each with its line."""
    done = run("conscience", "--help")
    assert (0, "") == (done.returncode, done.stderr)
    lines = done.stdout.partition("Commands:")[2].strip("\n").splitlines()
    listed = [
        line.split() for line in lines if line[2:3].strip()
    ]  # a long description goes on, indented, on the next line
    assert [
        "asclepius",
        "calibrate",
        "constitution",
        "evaluate",
        "gate",
        "lm-eval",
        "models",
        "pairs",
        "tradeoff",
        "train",
    ] == [words[0] for words in listed]
    assert all(len(words) > 1 for words in listed)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["nope"], "Error: No such command 'nope'."),
        (["--nope"], "Error: No such option"),
        (["models", "show", "nope"], "conscience: unknown model 'conscience/nope'; there are: conscience/smollm2-135m"),
    ],
)
def test_bad_input_exits_3(arguments: list[str], message: str) -> None:
    """Bad input exits 3 with a line that names it, on stderr, without a traceback."""
    done = run("conscience", *arguments)
    assert (3, "") == (done.returncode, done.stdout)
    assert message in done.stderr.strip().splitlines()[-1]
    assert "Traceback" not in done.stderr


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (
            ["conscience/asclepius", "--model", "conscience/nope"],
            "unknown model 'conscience/nope'; there are: conscience/smollm2-135m",
        ),
        (
            ["conscience/asclepius", "--model", "mockllm/model", "-T", "surface=nope"],
            "unknown surface 'nope'; there are: direct_harm, sycophancy, false_authority, crescendo, dosing, triage",
        ),
        (
            ["conscience/asclepius", "--model", "mockllm/model", "-T", "split=nope"],
            "unknown split 'nope'; there are: train, dev, test",
        ),
        (
            ["conscience/principles", "--model", "mockllm/model", "-T", "principle=nope"],
            "unknown principle 'nope'; there are: scope-of-practice, defer-to-clinician,",
        ),
        (
            ["conscience/principles", "--model", "mockllm/model", "-T", "constitution=nope"],
            "no constitution 'nope'; there are: clinical-v0.1",
        ),
    ],
    ids=["model", "surface", "split", "principle", "constitution"],
)
def test_inspect_tells_what_exists(tmp_path: Path, arguments: list[str], message: str) -> None:
    """A misspelt name is told through `inspect eval` in one sentence with what exists, and no log is written."""
    done = run("inspect", "eval", *arguments, "--log-dir", str(tmp_path / "logs"))
    said = " ".join((done.stdout + done.stderr).split())  # Inspect wraps to the terminal's width
    assert 0 != done.returncode
    assert said.startswith(message)
    assert "Traceback" not in said
    assert [] == list(tmp_path.glob("logs/*"))
