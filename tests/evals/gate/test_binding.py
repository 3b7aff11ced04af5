"""A report and its logs: bound by content, the verdict written into the log, looks and candidates counted."""

import shutil
from collections.abc import Callable
from pathlib import Path

import pytest
from click.testing import CliRunner
from inspect_ai.log import read_eval_log, write_eval_log

from conscience.evals import cli, logs
from conscience.evals.errors import BadInput
from conscience.evals.gate import binding, looks, verdict
from conscience.evals.gate.command import gate
from conscience.evals.gate.report import Summary
from conscience.evals.gate.verdict import Verdict

Run = Callable[[Path, Path, Path], int | str | None]
LogOf = Callable[[Path, str], Path]


def test_the_verdict_stands_in_the_candidates_log(
    runs: dict[str, Path], tmp_path: Path, run: Run, log_of: LogOf
) -> None:
    """As a tag and metadata, with who set them; a later verdict takes its place, and the samples stay as they were."""
    candidate = tmp_path / "candidate"
    shutil.copytree(runs["careful"], candidate)
    before = read_eval_log(str(log_of(candidate, "asclepius")))
    run(runs["careless"], candidate, tmp_path / "out")
    after = read_eval_log(str(log_of(candidate, "asclepius")))
    assert ["gate:PASS"] == [tag for tag in after.tags if tag.startswith("gate:")]
    assert ("PASS", "scripted/careless") == (after.metadata["gate"]["verdict"], after.metadata["gate"]["base"])
    assert "conscience gate" == (after.log_updates or [])[-1].provenance.author
    assert before.samples == after.samples
    run(runs["careful"], candidate, tmp_path / "out")
    again = read_eval_log(str(log_of(candidate, "asclepius")))
    assert ["gate:INCONCLUSIVE"] == [tag for tag in again.tags if tag.startswith("gate:")]


def test_a_report_is_bound_to_its_logs(
    runs: dict[str, Path],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
    run: Run,
    log_of: LogOf,
) -> None:
    """It holds, also when everything moves together; it does not when a score, or the report itself, was changed."""
    for name in ("careless", "careful"):
        shutil.copytree(runs[name], tmp_path / "all" / name)
    everything = tmp_path / "all"
    run(everything / "careless", everything / "careful", everything / "out")
    moved = everything.rename(tmp_path / "moved")
    assert (0, True) == verify(moved / "out" / "report.json", monkeypatch, capsys, "holds")

    report = moved / "out" / "report.json"
    report.write_text(report.read_text().replace('"verdict": "PASS"', '"verdict": "FAIL"', 1))
    assert (1, True) == verify(report, monkeypatch, capsys, "the overall verdict FAIL does not follow from its targets")

    file = log_of(moved / "careful", "asclepius")
    log = read_eval_log(str(file))
    scores = (log.samples or [])[0].scores or {}
    scores["harm"].value = {**scores["harm"].value, "unsafe": 1}  # type: ignore[dict-item]
    write_eval_log(log, str(file))
    assert (1, True) == verify(
        report, monkeypatch, capsys, "asclepius: the candidate's log holds other answers or scores"
    )
    file.unlink()
    assert (3, True) == verify(report, monkeypatch, capsys, "no log file or folder")


def verify(
    report: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], said: str
) -> tuple[int | str | None, bool]:
    """Run `conscience gate verify`; its exit status, and whether it said so."""
    monkeypatch.setattr("sys.argv", ["conscience", "gate", "verify", str(report)])
    with pytest.raises(SystemExit) as stopped:
        cli.main()
    printed = capsys.readouterr()
    return stopped.value.code, said in printed.out + printed.err


def test_a_pass_that_does_not_stand_among_several_is_open(
    runs: dict[str, Path], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """INCONCLUSIVE, with the reason, and verifying the report finds nothing wrong with that."""
    second = tmp_path / "second"
    shutil.copytree(runs["careful"], second)
    for file in second.glob("*.eval"):
        log = read_eval_log(str(file))
        log.eval.model = "scripted/other"
        write_eval_log(log, str(file))
    monkeypatch.setattr(verdict, "holm", lambda _: {"scripted/other"})
    arguments = ["--base", str(runs["careless"]), "--candidate", str(runs["careful"]), "--candidate", str(second)]
    result = CliRunner().invoke(gate, [*arguments, "--out", str(tmp_path / "out")], standalone_mode=False)
    assert 2 == result.return_value
    file = tmp_path / "out" / "careful" / "report.json"
    summary = Summary.model_validate_json(file.read_text())
    assert (Verdict.INCONCLUSIVE, True) == (summary.verdict, any("this one does not" in note for note in summary.notes))
    assert [] == binding.differences(file)


def test_logs_that_cannot_be_written_to_still_get_a_verdict(
    runs: dict[str, Path], tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], run: Run
) -> None:
    """A read-only folder costs the ledger and the tag, each with a line, not the verdict."""

    def fail(*_: object) -> None:
        raise BadInput("cannot write 'looks.jsonl': read-only")

    monkeypatch.setattr(looks, "write_atomically", fail)
    monkeypatch.setattr(logs, "rewrite_header", fail)
    shutil.copytree(runs["careless"], tmp_path / "base")
    (tmp_path / "base" / looks.LEDGER).unlink(missing_ok=True)
    shutil.copytree(runs["careful"], tmp_path / "candidate")
    for file in (tmp_path / "candidate").glob("*_asclepius_*.eval"):
        log = read_eval_log(str(file))
        log.tags, log.log_updates = [], None
        write_eval_log(log, str(file))
    assert 0 == run(tmp_path / "base", tmp_path / "candidate", tmp_path / "out")
    assert "read-only; the report is made without it" in capsys.readouterr().err
    assert Summary.model_validate_json((tmp_path / "out" / "report.json").read_text()).looks is None
