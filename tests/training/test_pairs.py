"""Pairs from a real critique_revise log: traceable, counted, and never out of a held-out split."""

import shutil
from collections.abc import Callable
from pathlib import Path

import pytest
from click.testing import CliRunner
from inspect_ai import eval as inspect_eval
from inspect_ai.log import EvalLog, EvalSample, read_eval_log, write_eval_log

from conscience.constitution import CANARY, load
from conscience.evals.asclepius import load_scenarios
from conscience.evals.asclepius.scenario import prompt_digest
from conscience.evals.errors import BadInput
from conscience.evals.models.recorded import recordings
from conscience.training import command, pairs

SAMPLES = 8
Edit = Callable[[list[EvalSample]], object]


@pytest.fixture(scope="module")
def recorded(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A log of eight training prompts, answered by a mock, revised by the recorded teacher."""
    folder = tmp_path_factory.mktemp("recorded")
    task, model = "conscience/critique_revise", "scripted/careless"
    [log] = inspect_eval(task, model=model, limit=SAMPLES, log_dir=str(folder), display="none")
    assert log.status == "success", log.error
    return Path(log.location)


@pytest.fixture
def edited(recorded: Path, tmp_path: Path) -> Callable[[Edit], str]:
    """Copy the log and change its samples."""

    def make(edit: Edit) -> str:
        log = read_eval_log(str(recorded))
        assert log.samples is not None
        edit(log.samples)
        write_eval_log(log, str(tmp_path / "edited.eval"))
        return str(tmp_path / "edited.eval")

    return make


def test_a_pair_is_revision_over_sample(recorded: Path, tmp_path: Path) -> None:
    """Chosen is the recorded revision, rejected the model's answer, the prompt ends with the user; all is traceable."""
    manifest = pairs.build([str(recorded)], tmp_path / "out")
    log = read_eval_log(str(recorded))
    rows, again = pairs.load(tmp_path / "out")
    assert (SAMPLES, {}, manifest) == (manifest.source.count, manifest.dropped, again)
    assert [str(sample.id) for sample in log.samples or []] == [row.sample_id for row in rows]
    assert {log.eval.eval_id} == {row.log_id for row in rows}
    assert [recordings()[row.sample_id]["revision"] for row in rows] == [row.chosen[0].content for row in rows]
    assert {"Please ask a doctor about this."} == {row.rejected[0].content for row in rows}
    assert {"user"} == {row.prompt[-1].role for row in rows}
    assert ("recorded/teacher", "scripted/careless") == (manifest.source.teacher, manifest.base)
    assert (load().name, load().hash) == (manifest.constitution, manifest.constitution_hash)
    asked = {prompt_digest(m.content) for row in rows for m in row.prompt if m.role == "user"}
    assert sorted(asked) == list(manifest.source.prompt_digests or ())


def test_what_makes_no_pair_is_dropped_and_counted(edited: Callable[[Edit], str], tmp_path: Path) -> None:
    """Empty sides, a revision equal to the sample, the same pair twice: each under its reason."""

    def spoil(samples: list[EvalSample]) -> None:
        samples[0].output.completion = "  "
        samples[1].output.completion = str(samples[1].metadata["revision"])
        del samples[2].metadata["revision"]
        samples[3].messages, samples[3].metadata = samples[4].messages, samples[4].metadata

    manifest = pairs.build([edited(spoil)], tmp_path / "out")
    assert {"duplicate": 1, "empty_sample": 1, "identical": 1, "teacher_failed": 1} == manifest.dropped
    assert SAMPLES - 4 == manifest.source.count == len(pairs.load(tmp_path / "out")[0])


def test_a_sample_cut_at_its_limit_is_marked(edited: Callable[[Edit], str], tmp_path: Path) -> None:
    """Training must not teach that an answer ends where it was cut."""

    def cut(samples: list[EvalSample]) -> None:
        samples[0].output.choices[0].stop_reason = "max_tokens"

    pairs.build([edited(cut)], tmp_path / "out")
    assert [True] + [False] * (SAMPLES - 1) == [row.truncated for row in pairs.load(tmp_path / "out")[0]]


def test_no_pair_left_is_an_error(edited: Callable[[Edit], str], tmp_path: Path) -> None:
    """Nothing is written, and the reasons are told."""
    file = edited(lambda samples: [sample.metadata.pop("revision") for sample in samples])
    with pytest.raises(BadInput, match=r"no pair is left of 8 samples; dropped: \{'teacher_failed': 8\}"):
        pairs.build([file], tmp_path / "out")
    assert not (tmp_path / "out").exists()


def _split(samples: list[EvalSample]) -> None:
    samples[3].metadata["split"] = "dev"


def _words(samples: list[EvalSample]) -> None:
    held_out = load_scenarios(["triage"], "test")[0].turns[0].content
    samples[3].messages[0].content = f"  {held_out.upper()} "


def _canary(samples: list[EvalSample]) -> None:
    samples[3].messages[0].content = f"{CANARY} What is a safe dose?"


@pytest.mark.parametrize("edit", [_split, _words, _canary])
def test_held_out_content_is_refused(edit: Edit, edited: Callable[[Edit], str], tmp_path: Path) -> None:
    """By its split, its words in any case and spacing, or its canary: the sample is named and nothing is written."""
    with pytest.raises(BadInput, match=r"sample '\S+-train-\d+' belongs to the held-out split"):
        pairs.build([edited(edit)], tmp_path / "out")
    assert not (tmp_path / "out").exists()


def test_tampered_pairs_are_refused(recorded: Path, tmp_path: Path) -> None:
    """The manifest's hash is the file's, or nothing is loaded."""
    manifest = pairs.build([str(recorded)], tmp_path)
    (tmp_path / "pairs.jsonl").write_text((tmp_path / "pairs.jsonl").read_text().replace("doctor", "neighbour"))
    with pytest.raises(BadInput, match=rf"its manifest says {manifest.source.sha256}: build again"):
        pairs.load(tmp_path)


def test_a_folder_without_pairs_is_refused(tmp_path: Path) -> None:
    """The message says which file is missing."""
    with pytest.raises(BadInput, match=r"is not a folder of pairs: no manifest\.json"):
        pairs.load(tmp_path)


def test_an_errored_log_is_refused(tmp_path: Path) -> None:
    """Half an evaluation is not training data."""
    task, model = "conscience/critique_revise", "scripted/broken"
    inspect_eval(task, model=model, limit=1, log_dir=str(tmp_path / "logs"), display="none")
    with pytest.raises(BadInput, match="has status 'error', not 'success'"):
        pairs.build([str(tmp_path / "logs")], tmp_path / "out")
    assert not (tmp_path / "out").exists()


def test_a_log_of_another_task_is_refused(tmp_path: Path) -> None:
    """An evaluation's answers never become pairs."""
    inspect_eval("conscience/helpfulness", model="scripted/careful", limit=1, log_dir=str(tmp_path), display="none")
    with pytest.raises(BadInput, match="is of task 'conscience/helpfulness'; pairs are built from critique_revise"):
        pairs.build([str(tmp_path)], tmp_path / "out")


def test_logs_of_two_models_are_refused(recorded: Path, tmp_path: Path) -> None:
    """The rejected side has one author."""

    def rename(log: EvalLog) -> EvalLog:
        log.eval.model = "scripted/other"
        for sample in log.samples or []:
            sample.output.completion += " Really."
        return log

    shutil.copy(recorded, tmp_path / "one.eval")
    write_eval_log(rename(read_eval_log(str(recorded))), str(tmp_path / "two.eval"))
    with pytest.raises(BadInput, match="must share one model, found: scripted/careless, scripted/other"):
        pairs.build([str(tmp_path)], tmp_path / "out")


def test_the_command_tells_what_it_did(recorded: Path, tmp_path: Path) -> None:
    """Counts, drops and teacher in one line."""
    arguments = ["build", str(recorded), "--out", str(tmp_path / "out")]
    printed = CliRunner().invoke(command.pairs, arguments, standalone_mode=False).output
    assert f"8 pairs in {tmp_path / 'out'} (dropped: none); teacher: recorded/teacher\n" == printed
