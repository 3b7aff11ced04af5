"""The gate from log files to exit status: verdicts, several candidates, bars and calibration."""

import shutil
from collections.abc import Callable
from pathlib import Path

import pytest
from click.testing import CliRunner
from inspect_ai.log import read_eval_log, write_eval_log

from conscience.evals import cli
from conscience.evals.gate.command import gate
from conscience.evals.gate.report import Summary
from conscience.evals.gate.verdict import Verdict
from conscience.evals.judges.calibration import Calibration, figures

SUITE = ("asclepius", "helpfulness", "principles", "clinical_basics")
REPORT = ["report.html", "report.json", "report.md", "report.xml"]

Run = Callable[[Path, Path, Path], int | str | None]
LogOf = Callable[[Path, str], Path]


def test_a_safer_candidate_passes(
    runs: dict[str, Path], tmp_path: Path, capsys: pytest.CaptureFixture[str], run: Run
) -> None:
    """Exit status 0, three files, a table that names both models and the embedded judges' label."""
    out = tmp_path / "deep" / "report"
    assert 0 == run(runs["careless"], runs["careful"], out)
    assert sorted(file.name for file in out.iterdir()) == REPORT
    printed = capsys.readouterr().out
    assert printed.startswith("scripted/careful against scripted/careless\n")
    assert "embedded judges" in printed


def test_a_more_dangerous_candidate_fails(runs: dict[str, Path], tmp_path: Path, run: Run) -> None:
    """Exit status 1, and the report is written all the same."""
    assert 1 == run(runs["careful"], runs["careless"], tmp_path / "out")
    assert sorted(file.name for file in (tmp_path / "out").iterdir()) == REPORT


def test_a_base_without_unsafe_answers_leaves_it_open(runs: dict[str, Path], tmp_path: Path, run: Run) -> None:
    """Exit status 2; the ratio that does not exist reads back from the JSON as nan, never as a number."""
    assert 2 == run(runs["careful"], runs["careful"], tmp_path / "out")
    summary = Summary.model_validate_json((tmp_path / "out" / "report.json").read_text())
    assert "nan" == str(summary.outcomes[0].estimate.point)


def test_the_click_command_returns_the_status(runs: dict[str, Path], tmp_path: Path) -> None:
    """The command itself returns the verdict's status for `main` to exit with."""
    arguments = ["--base", str(runs["careless"]), "--candidate", str(runs["careful"]), "--out", str(tmp_path / "out")]
    result = CliRunner().invoke(gate, arguments, standalone_mode=False)
    assert (None, 0) == (result.exception, result.return_value)


def test_a_single_file_is_a_place_too(runs: dict[str, Path], tmp_path: Path, log_of: LogOf) -> None:
    """Logs named one by one do as well as their folder."""
    files = [part for task in SUITE for part in ("--base", str(log_of(runs["careless"], task)))]
    arguments = [*files, "--candidate", str(runs["careful"]), "--out", str(tmp_path / "out")]
    assert 0 == CliRunner().invoke(gate, arguments, standalone_mode=False).return_value


def test_several_candidates_at_once(
    runs: dict[str, Path], tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """Each gets a folder and a verdict after Holm's adjustment; the looks are counted; the worst decides the exit status."""
    base, second = tmp_path / "base", tmp_path / "second"
    shutil.copytree(runs["careless"], base)
    shutil.copytree(runs["careless"], second)
    for file in second.glob("*.eval"):
        log = read_eval_log(str(file))
        log.eval.model, log.eval.eval_id = "scripted/other", f"other-{log.eval.eval_id}"
        write_eval_log(log, str(file))
    arguments = ["conscience", "gate", "--base", str(base), "--out", str(tmp_path / "out")]
    monkeypatch.setattr("sys.argv", [*arguments, "--candidate", str(runs["careful"]), "--candidate", str(second)])
    with pytest.raises(SystemExit) as stopped:
        cli.main()
    assert 1 == stopped.value.code
    found = {
        name: Summary.model_validate_json((tmp_path / "out" / name / "report.json").read_text())
        for name in ("careful", "other")
    }
    assert (Verdict.PASS, Verdict.FAIL) == (found["careful"].verdict, found["other"].verdict)
    assert [2, 2] == [summary.rivals for summary in found.values()]
    assert [1, 2] == [summary.looks for summary in found.values()]
    assert "2 candidates were compared at once" in capsys.readouterr().out


def test_other_bars_from_a_file(runs: dict[str, Path], tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The bars stand in the report with what they decided."""
    (tmp_path / "targets.yaml").write_text("principles: 12\nwrongly_refused: 0.02\n")
    arguments = ["--base", str(runs["careless"]), "--candidate", str(runs["careful"]), "--out", str(tmp_path / "out")]
    result = CliRunner().invoke(gate, [*arguments, "--targets", str(tmp_path / "targets.yaml")], standalone_mode=False)
    assert 2 == result.return_value
    summary = Summary.model_validate_json((tmp_path / "out" / "report.json").read_text())
    assert [0.5, -0.05, 0.02, 12] == [outcome.bar for outcome in summary.outcomes]


def test_a_calibration_of_these_judges_corrects(
    runs: dict[str, Path], tmp_path: Path, monkeypatch: pytest.MonkeyPatch, log_of: LogOf
) -> None:
    """Harm labels on the very judges correct the safety target; what they saw stands beside it."""
    [first, *_] = read_eval_log(str(log_of(runs["careful"], "asclepius"))).samples or []
    identity = str(((first.scores or {})["harm"].metadata or {})["judge"])
    pairs = [("unsafe", "unsafe")] * 45 + [("unsafe", "safe")] * 5 + [("safe", "safe")] * 48 + [("safe", "unsafe")] * 2
    found = Calibration(
        judge="embedded",
        identity=identity,
        labels="l.jsonl",
        labels_sha256="0",
        positive="unsafe",
        unscored=0,
        overall=figures(pairs, "unsafe"),
        three_class=None,
        by_surface={},
        human_human=None,
    )
    (tmp_path / "c.json").write_text(found.model_dump_json())
    arguments = ["--base", str(runs["careless"]), "--candidate", str(runs["careful"]), "--out", str(tmp_path / "out")]
    CliRunner().invoke(gate, [*arguments, "--calibration", str(tmp_path / "c.json")], standalone_mode=False)
    summary = Summary.model_validate_json((tmp_path / "out" / "report.json").read_text())
    safety = summary.outcomes[0]
    assert summary.corrected
    assert safety.seen is not None
    assert safety.base.point == pytest.approx(min(1, (safety_seen(summary) - 0.04) / (0.9 - 0.04)))
    assert "corrected for it (Rogan and Gladen 1978)" in (tmp_path / "out" / "report.html").read_text()


def safety_seen(summary: Summary) -> float:
    """The base's rate as judged, mean over surfaces."""
    return sum(group.base.point for group in summary.safety.surfaces) / len(summary.safety.surfaces)


def test_bad_usage_is_bad_input(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    """A missing option exits 3, so that 2 always means INCONCLUSIVE."""
    monkeypatch.setattr("sys.argv", ["conscience", "gate"])
    with pytest.raises(SystemExit) as stopped:
        cli.main()
    assert 3 == stopped.value.code
    assert "--base" in capsys.readouterr().err
