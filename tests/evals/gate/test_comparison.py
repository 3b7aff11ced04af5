"""What the gate refuses to compare, and what it leaves open: from log files to exit status and one line of reason."""

import shutil
from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace

import pytest
from inspect_ai import eval as inspect_eval
from inspect_ai.log import EvalLog, list_eval_logs, read_eval_log, write_eval_log

from conscience.evals.asclepius import SURFACES
from conscience.evals.gate import trust
from conscience.evals.gate.report import Summary
from conscience.evals.gate.verdict import Verdict

Run = Callable[[Path, Path, Path], int | str | None]
LogOf = Callable[[Path, str], Path]
Edit = Callable[[EvalLog], object]
Edited = Callable[[str, str, Edit], Path]


def _version(log: EvalLog) -> None:
    log.eval.task_version = "9-A"


def _settings(log: EvalLog) -> None:
    log.plan.config.temperature = 0.5


def _seed(log: EvalLog) -> None:
    log.plan.config.seed = 7


def _epochs(log: EvalLog) -> None:
    log.eval.config.epochs = 3


def _judge(log: EvalLog) -> None:
    for sample in log.samples or []:
        for score in (sample.scores or {}).values():
            score.metadata = {**(score.metadata or {}), "judge": "embedded@other"}


def _unnamed(log: EvalLog) -> None:
    for sample in log.samples or []:
        for score in (sample.scores or {}).values():
            score.metadata = {name: value for name, value in (score.metadata or {}).items() if name != "judge"}


def _mixed(log: EvalLog) -> None:
    for score in ((log.samples or [])[0].scores or {}).values():
        score.metadata = {**(score.metadata or {}), "judge": "embedded@other"}


def _drop(log: EvalLog) -> None:
    log.samples = (log.samples or [])[1:]


def _arguments(log: EvalLog) -> None:
    log.eval.task_args = {"split": "dev"}


def _status(log: EvalLog) -> None:
    log.status = "cancelled"


@pytest.mark.parametrize(
    ("edit", "reasons"),
    [
        (_version, ["helpfulness: task version differs", "'2-A'", "'9-A'"]),
        (_settings, ["helpfulness: generation settings differs", "'temperature': 0.0", "'temperature': 0.5"]),
        (_seed, ["helpfulness: generation settings differs", "'seed': 7"]),
        (_epochs, ["helpfulness: epochs differs", "candidate 3"]),
        (_judge, ["helpfulness: judge differs", "'embedded@other'"]),
        (_unnamed, ["helpfulness: the scores of log", "must all name one and the same judges, found: none"]),
        (_mixed, ["helpfulness: the scores of log", "one and the same judges, found: embedded@", ", embedded@other"]),
        (_drop, ["helpfulness: sample ids differ, 1 in one arm only"]),
        (_arguments, ["helpfulness: task arguments differs", "'dev'"]),
        (_status, ["status 'cancelled', not 'success'"]),
    ],
)
def test_what_differs_is_not_compared(
    edit: Edit,
    reasons: list[str],
    edited: Edited,
    runs: dict[str, Path],
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
    run: Run,
) -> None:
    """Exit status 3, one line that names the task, what differs and both values, and nothing is written."""
    candidate = edited("careful", "helpfulness", edit)
    assert 3 == run(runs["careless"], candidate, tmp_path / "out")
    error = capsys.readouterr().err
    assert [] == [reason for reason in reasons if reason not in error], error
    assert (1, False) == (len(error.splitlines()), (tmp_path / "out").exists())


def test_a_comparison_that_only_the_teachers_family_judged_is_refused(
    runs: dict[str, Path], tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], run: Run
) -> None:
    """Exit status 3 for a checkpoint whose teacher is of the judges' own family; the line says how to add a judge."""
    student = tmp_path / "student"
    shutil.copytree(runs["careful"], student)
    for file in student.glob("*.eval"):
        log = read_eval_log(str(file))
        log.eval.model = "conscience/student"
        write_eval_log(log, str(file))
    card = SimpleNamespace(pairs=SimpleNamespace(teacher="recorded/embedded"))
    monkeypatch.setattr(trust, "lookup", lambda _: (Path(), card))
    assert 3 == run(runs["careless"], student, tmp_path / "out")
    error = capsys.readouterr().err
    assert "asclepius: only embedded@" in error
    assert "of the family of the teacher 'recorded/embedded'; add another judge" in error
    assert not (tmp_path / "out").exists()


def _missing(folder: Path, log_of: LogOf) -> str:
    log_of(folder, "principles").unlink()
    return "the candidate's logs hold no 'principles'; they hold: asclepius, clinical_basics, helpfulness"


def _truncated(folder: Path, log_of: LogOf) -> str:
    file = log_of(folder, "asclepius")
    file.write_bytes(file.read_bytes()[: file.stat().st_size // 2])
    return f"{file.name}': ValueError: EOCD not found"


def _nothing(folder: Path, log_of: LogOf) -> str:
    shutil.rmtree(folder)
    return f"no log file or folder {str(folder)!r}"


def _empty(folder: Path, log_of: LogOf) -> str:
    _nothing(folder, log_of)
    folder.mkdir()
    return f"no log in {str(folder)!r}"


@pytest.mark.parametrize("spoil", [_missing, _truncated, _nothing, _empty])
def test_logs_that_cannot_be_relied_on_are_refused(
    spoil: Callable[[Path, LogOf], str],
    runs: dict[str, Path],
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
    run: Run,
    log_of: LogOf,
) -> None:
    """Exit status 3, one line that names the file or task, and nothing is written."""
    candidate = tmp_path / "candidate"
    shutil.copytree(runs["careful"], candidate)
    reason = spoil(candidate, log_of)
    assert 3 == run(runs["careless"], candidate, tmp_path / "out")
    error = capsys.readouterr().err
    assert reason in error
    assert (1, False) == (len(error.splitlines()), (tmp_path / "out").exists())


def test_an_errored_evaluation_is_refused(
    runs: dict[str, Path], tmp_path: Path, capsys: pytest.CaptureFixture[str], run: Run
) -> None:
    """`inspect eval` exits 0 on a run that failed; the gate reads the log's status and names the reason."""
    [log] = inspect_eval("conscience/helpfulness", model="scripted/broken", limit=1, log_dir=str(tmp_path / "bad"))
    assert "error" == log.status
    assert 3 == run(runs["careless"], tmp_path / "bad", tmp_path / "out")
    error = capsys.readouterr().err
    assert "has status 'error', not 'success': RuntimeError('scripted to fail')" in error
    assert not (tmp_path / "out").exists()


def test_a_folder_of_two_models_is_refused(
    runs: dict[str, Path], tmp_path: Path, capsys: pytest.CaptureFixture[str], run: Run, log_of: LogOf
) -> None:
    """The base's own logs among the candidates' are a slip: it names the models that it found."""
    mixed = tmp_path / "mixed"
    shutil.copytree(runs["careful"], mixed)
    shutil.copy(log_of(runs["careless"], "asclepius"), mixed)
    assert 3 == run(runs["careless"], mixed, tmp_path / "out")
    error = capsys.readouterr().err
    assert (
        "the candidates' logs hold the base's, 'scripted/careless', among scripted/careful, scripted/careless" in error
    )
    assert not (tmp_path / "out").exists()


def test_the_newest_log_of_a_task_counts(
    edited: Edited, runs: dict[str, Path], tmp_path: Path, run: Run, log_of: LogOf
) -> None:
    """A task that was run again answers by its last run, whatever the order of the files."""
    again = edited("careful", "helpfulness", lambda log: setattr(log.eval, "created", "2999-01-01T00:00:00+00:00"))
    older = log_of(runs["careful"], "helpfulness")
    shutil.copy(older, again / f"9999{older.name}")
    assert 4 + 1 == len(list_eval_logs(str(again)))
    assert 0 == run(runs["careless"], again, tmp_path / "out")
    assert f" {older.name}" in (tmp_path / "out" / "report.json").read_text()


def test_unscored_samples_leave_it_open(edited: Edited, runs: dict[str, Path], tmp_path: Path, run: Run) -> None:
    """A sixth of the conversations without a score is more than 2%: INCONCLUSIVE, and the report counts them."""
    unscored = []

    def unscore(log: EvalLog) -> None:
        for sample in (log.samples or [])[::6]:
            sample.scores = {}
            unscored.extend([sample.id] if sample.metadata["twin"] != "neutral" else [])

    candidate = edited("careful", "asclepius", unscore)
    assert 2 == run(runs["careless"], candidate, tmp_path / "out")
    summary = Summary.model_validate_json((tmp_path / "out" / "report.json").read_text())
    total = 12 * len(SURFACES)
    assert (total - len(unscored), Verdict.INCONCLUSIVE) == (
        summary.outcomes[0].estimate.n,
        summary.outcomes[0].verdict,
    )
    assert (
        f"0 of the base's and {len(unscored)} of the candidate's {total} samples are unscored"
        == summary.outcomes[0].note
    )


def _template(name: str) -> Edit:
    def edit(log: EvalLog) -> None:
        for sample in log.samples or []:
            sample.output.metadata = {"chat_template": name}

    return edit


def test_another_chat_template_is_refused(
    edited: Edited,
    tmp_path: Path,
    run: Run,
    capsys: pytest.CaptureFixture[str],
) -> None:
    """Where both logs name one; the line holds both."""
    base, candidate = (edited(name, "principles", _template(name)) for name in ("careless", "careful"))
    assert 3 == run(base, candidate, tmp_path / "out")
    said = "principles: chat template differs: base ['careless'], candidate ['careful']"
    assert said in capsys.readouterr().err
