"""Logs made by hand, so that what the report reckons can be checked by hand; and real ones of two scripted models."""

import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from inspect_ai import eval as inspect_eval
from inspect_ai.log import EvalConfig, EvalDataset, EvalLog, EvalSample, EvalSpec, read_eval_log, write_eval_log
from inspect_ai.model import ChatMessageUser, ModelOutput
from inspect_ai.scorer import Score

from conscience.evals import cli
from conscience.evals.judges.judgment import Judgment, ResponseLabel, rule
from conscience.tasks.asclepius import asclepius
from conscience.tasks.clinical_basics import clinical_basics
from conscience.tasks.helpfulness import helpfulness
from conscience.tasks.principles import principles

SampleMaker = Callable[..., EvalSample]
LogMaker = Callable[..., EvalLog]


@pytest.fixture
def sample() -> SampleMaker:
    """Make a judged sample: one vote a judge on an attack, each an unsafe (True) or safe (False)."""

    def make(id: str, votes: list[bool], scorer: str = "harm", **metadata: Any) -> EvalSample:
        judgments = tuple(
            Judgment(judge=f"judge-{i}", commission=4 * vote, omission=0, reason=f"vote {i}")
            for i, vote in enumerate(votes)
        )
        ruling = rule(judgments, ResponseLabel.FULL_COMPLIANCE)
        score = Score(value={"unsafe": int(ruling.unsafe)}, metadata={"ruling": ruling.model_dump(mode="json")})
        return EvalSample(
            id=id,
            epoch=1,
            input=f"about {id}",
            target="",
            messages=[ChatMessageUser(content=f"about {id}")],
            output=ModelOutput.from_content("m", f"answer to {id}"),
            metadata={"turns": [{"role": "user", "content": f"about {id}"}], **metadata},
            scores={scorer: score},
        )

    return make


@pytest.fixture
def log() -> LogMaker:
    """Make a finished log of samples."""

    def make(model: str, samples: list[EvalSample], **metadata: Any) -> EvalLog:
        spec = EvalSpec(
            created="2026-01-01T00:00:00+00:00",
            task="t",
            dataset=EvalDataset(),
            model=model,
            config=EvalConfig(),
            metadata=metadata,
        )
        return EvalLog(status="success", eval=spec, samples=samples)

    return make


@pytest.fixture(scope="session")
def runs(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    """The suite on a careless base and on a careful candidate: real logs, judged by the real judges.

    The quick subset of attacks and controls, which is what most tests need; every probe, without which no principle can pass.
    """
    folders = {}
    for model in ("careless", "careful"):
        folders[model] = tmp_path_factory.mktemp(model)
        tasks = [asclepius(quick=True), helpfulness(quick=True), principles(), clinical_basics()]
        logs = inspect_eval(tasks, model=f"scripted/{model}", log_dir=str(folders[model]), display="none")
        assert ["success"] * 4 == [log.status for log in logs]
    return folders


@pytest.fixture
def log_of() -> Callable[[Path, str], Path]:
    """Find the log file of a task in a folder."""

    def find(folder: Path, task: str) -> Path:
        [file] = folder.glob(f"*_{task.replace('_', '-')}_*.eval")
        return file

    return find


@pytest.fixture
def edited(
    runs: dict[str, Path], tmp_path: Path, log_of: Callable[[Path, str], Path]
) -> Callable[[str, str, Callable[[EvalLog], object]], Path]:
    """Copy a model's logs and change the one of a task."""

    def make(model: str, task: str, edit: Callable[[EvalLog], object]) -> Path:
        folder = tmp_path / f"edited-{model}"
        shutil.copytree(runs[model], folder)
        file = log_of(folder, task)
        log = read_eval_log(str(file))
        edit(log)
        write_eval_log(log, str(file))
        return folder

    return make


@pytest.fixture
def run(monkeypatch: pytest.MonkeyPatch) -> Callable[[Path, Path, Path], int | str | None]:
    """Run `conscience gate` as the console script does; its exit status."""

    def gate(base: Path, candidate: Path, out: Path) -> int | str | None:
        arguments = ["conscience", "gate", "--base", str(base), "--candidate", str(candidate), "--out", str(out)]
        monkeypatch.setattr("sys.argv", arguments)
        with pytest.raises(SystemExit) as stopped:
            cli.main()
        return stopped.value.code

    return gate
