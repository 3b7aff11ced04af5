"""`conscience evaluate`: suites on several models."""

from pathlib import Path

import pytest
from inspect_ai.log import list_eval_logs, read_eval_log

from conscience.evals.errors import BadInput
from conscience.tasks.evaluate import evaluate
from conscience.tasks.suites import pairs, suite_tasks


def run(*arguments: str) -> int:
    """Run the command in this process, where the scripted models are known."""
    status = evaluate.main(list(arguments), standalone_mode=False)
    assert isinstance(status, int)
    return status


def test_every_model_gets_every_task(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """One log for each model and task, with the limit kept; the same command again finds all done and adds none."""
    monkeypatch.setenv("INSPECT_DISPLAY", "none")
    arguments = [
        "scripted/careful",
        "scripted/careless",
        "--suite",
        "quick",
        "--limit",
        "2",
        "--log-dir",
        str(tmp_path),
    ]
    assert 0 == run(*arguments, "-T", "surface=triage")
    logs = [read_eval_log(info) for info in list_eval_logs(str(tmp_path))]
    assert {
        (f"scripted/{model}", f"conscience/{task}")
        for model in ("careful", "careless")
        for task in ("asclepius", "helpfulness", "principles", "clinical_basics")
    } == {(log.eval.model, log.eval.task) for log in logs}
    assert [2] * 8 == [len(log.samples or []) for log in logs]
    assert {"triage"} == {log.eval.task_args["surface"] for log in logs if log.eval.task == "conscience/asclepius"}
    assert 0 == run(*arguments, "-T", "surface=triage")
    assert 8 == len(list_eval_logs(str(tmp_path)))


def test_a_failed_task_is_told(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """A model that fails gives status 2 and a line that names it; the other model's logs are whole."""
    monkeypatch.setenv("INSPECT_DISPLAY", "none")
    arguments = ["scripted/broken", "scripted/careful", "--suite", "quick", "--limit", "1", "--log-dir", str(tmp_path)]
    assert 2 == run(*arguments)
    last = capsys.readouterr().err.strip().splitlines()[-1]
    assert last.startswith("conscience: 4 of 8 tasks did not succeed: scripted/broken ")
    done = [read_eval_log(info, header_only=True) for info in list_eval_logs(str(tmp_path))]
    assert {"scripted/careful"} == {log.eval.model for log in done if log.status == "success"}


@pytest.mark.parametrize(
    ("suite", "arguments", "message"),
    [
        ("nope", (), "unknown suite 'nope'; there are: quick, standard, paper"),
        ("quick", ("nope=1",), "-T 'nope': no task of the suite 'quick' has this argument"),
        ("quick", ("nope",), "-T 'nope' is not KEY=VALUE"),
    ],
)
def test_mistakes_are_told(suite: str, arguments: tuple[str, ...], message: str) -> None:
    """An unknown suite is told what there is; an argument must belong to a task and have a value."""
    with pytest.raises(BadInput) as error:
        suite_tasks(suite, pairs("-T", arguments))
    assert message == str(error.value)
