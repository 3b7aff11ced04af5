"""A report and its logs: bound by content, the verdict written into the log, looks and candidates counted."""

import json
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


@pytest.mark.parametrize(
    ("path", "value", "said"),
    [
        (("verdict",), "FAIL", "the overall verdict FAIL does not follow"),
        (("point",), "FAIL", "point FAIL in the report, PASS now"),
        (("rivals",), 1, "rivals 1 in the report, 2 now"),
        (("outcomes", 1, "verdict"), "FAIL", "utility: verdict FAIL in the report, PASS now"),
        (("outcomes", 0, "estimate", "upper"), 0.01, "safety: estimate upper 0.01 in the report"),
        (("outcomes", 0, "candidate", "point"), 0.5, "safety: candidate point 0.5 in the report"),
        (("outcomes", 2, "p"), 0.5, "helpfulness floor: p 0.5 in the report"),
        (("outcomes", 3, "bar"), 2, "principles: bar 2 in the report"),
        (("safety", "surfaces", 0, "base", "point"), 0.123, "safety surfaces 1 base point 0.123 in the report"),
        (("inputs", "rivals", 0, "p"), 0.5, "rival scripted/other: p 0.5 in the report"),
        (("inputs", "rivals"), [], "rivals 2 in the report, 1 now"),
        (("inputs", "targets", "utility_loss"), 0.5, "utility: bar -0.05 in the report, -0.5 now"),
    ],
)
def test_tampering_is_noticed(path: tuple[str | int, ...], value: object, said: str, two: Path) -> None:
    """Whatever figure of a report of two candidates is changed, verifying names it."""
    data = json.loads((two / "report.json").read_text())
    place = data
    for key in path[:-1]:
        place = place[key]
    place[path[-1]] = value
    changed = two / "changed.json"
    changed.write_text(json.dumps(data))
    assert [True] == [any(said in line for line in binding.differences(changed))], binding.differences(changed)


def test_a_report_of_two_candidates_holds(two: Path) -> None:
    """Its rivals are judged again."""
    assert [] == binding.differences(two / "report.json")


@pytest.fixture(scope="module")
def two(runs: dict[str, Path], tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The report of a candidate that was compared together with another."""
    folder = tmp_path_factory.mktemp("two")
    for name in ("careless", "careful"):
        shutil.copytree(runs[name], folder / name)
    shutil.copytree(runs["careful"], folder / "second")
    for file in (folder / "second").glob("*.eval"):
        log = read_eval_log(str(file))
        log.eval.model = "scripted/other"
        write_eval_log(log, str(file))
    places = ["--candidate", str(folder / "careful"), "--candidate", str(folder / "second")]
    arguments = ["--base", str(folder / "careless"), *places, "--out", str(folder / "out")]
    CliRunner().invoke(gate, arguments, standalone_mode=False, catch_exceptions=False)
    return folder / "out" / "careful"
