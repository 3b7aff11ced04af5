"""What the gate reads of a log, and what it writes to one."""

from collections.abc import Callable
from pathlib import Path
from zipfile import ZipFile

import pytest
from inspect_ai import Task
from inspect_ai.log import (
    EvalLog,
    EvalSample,
    MetadataEdit,
    ProvenanceData,
    TagsEdit,
    edit_eval_log,
    read_eval_log,
    write_eval_log,
)

from conscience.evals import logs
from conscience.evals.errors import BadInput
from conscience.tasks.clinical_basics import clinical_basics
from conscience.tasks.helpfulness import helpfulness

RunTask = Callable[[Task, Callable[[str], str]], EvalLog]
NOT_READ = {"events", "events_data", "timelines", "attachments", "store"}


@pytest.fixture
def file(run_task: RunTask) -> Path:
    """A real log, events and all."""
    return logs.path_of(run_task(helpfulness(quick=True), lambda _: "Rest, and drink enough."))


def content(samples: list[EvalSample] | None, without: set[str] | None = None) -> list[dict[str, object]]:
    """Samples as plain data."""
    return [sample.model_dump(exclude=without) for sample in samples or []]


def raw(file: Path) -> dict[str, bytes]:
    """Everything in a log but its header."""
    with ZipFile(file) as members:
        return {name: members.read(name) for name in members.namelist() if name != "header.json"}


@pytest.mark.parametrize("suffix", [".eval", ".json"])
def test_answers_are_what_inspect_reads(file: Path, suffix: str) -> None:
    """Of a log in either format the gate sees what Inspect's reader gives, in its order, less what is only shown."""
    whole = read_eval_log(str(file))
    write_eval_log(whole, str(file.with_suffix(suffix)))
    found = logs.read_answers(str(file.with_suffix(suffix)))
    assert content(whole.samples, NOT_READ) == content(found.samples, NOT_READ)
    assert (36, whole.eval, whole.results) == (len(found.samples or []), found.eval, found.results)
    assert file.with_suffix(suffix) == logs.path_of(found)


def test_events_are_not_read(file: Path) -> None:
    """A real log holds events, more than half of it; the gate does not carry them about."""
    assert all(sample.events for sample in read_eval_log(str(file)).samples or [])
    assert not any(sample.events or sample.attachments for sample in logs.read_answers(str(file)).samples or [])


def test_a_sample_that_was_logged_again_counts_once(file: Path) -> None:
    """Inspect appends the later record under the same name: that one stands."""
    [first, *_] = read_eval_log(str(file)).samples or []
    name = f"samples/{first.id}_epoch_1.json"
    again = first.model_copy(update={"target": "changed"})
    with ZipFile(file, "a") as members, pytest.warns(UserWarning, match="Duplicate name"):
        members.writestr(name, again.model_dump_json())
    found = logs.read_answers(str(file)).samples or []
    assert (36, "changed") == (len(found), found[0].target)


def test_a_broken_sample_is_named(file: Path) -> None:
    """A member that is no sample: the log's name and the reason, in one line."""
    with ZipFile(file, "a") as members:
        members.writestr("samples/other_epoch_1.json", '{"id": "other"}')
    with pytest.raises(BadInput, match=rf"cannot read log '.*{file.name}': ValidationError: .*epoch"):
        logs.read_answers(str(file))


@pytest.mark.parametrize("suffix", [".eval", ".json"])
def test_a_header_is_written_alone(file: Path, suffix: str) -> None:
    """Tags and metadata go into the log with who set them; events, which were not read, are still there, and no copy is left."""
    place = file.with_suffix(suffix)
    write_eval_log(read_eval_log(str(file)), str(place))
    before = read_eval_log(str(place))
    edits = [TagsEdit(tags_add=["gate:PASS"]), MetadataEdit(metadata_set={"gate": {"verdict": "PASS"}})]
    logs.rewrite_header(edit_eval_log(logs.read_answers(str(place)), edits, ProvenanceData(author="test")))
    after = read_eval_log(str(place))
    assert (["gate:PASS"], {"verdict": "PASS"}) == (after.tags, after.metadata["gate"])
    assert content(before.samples) == content(after.samples)
    assert (before.eval, before.results, before.stats) == (after.eval, after.results, after.stats)
    assert [] == [left.name for left in place.parent.iterdir() if left.name.startswith(".")]


def test_all_else_in_the_file_stays_byte_by_byte(run_task: RunTask) -> None:
    """Samples, summaries and reductions are copied, not written again; a second verdict replaces the first header."""
    file = logs.path_of(run_task(clinical_basics(), lambda _: "A"))
    before = raw(file)
    for tag in ("gate:FAIL", "gate:PASS"):
        logs.rewrite_header(
            edit_eval_log(logs.read_answers(str(file)), [TagsEdit(tags_add=[tag])], ProvenanceData(author="test"))
        )
    assert before == raw(file)
    assert ["gate:FAIL", "gate:PASS"] == sorted(read_eval_log(str(file), header_only=True).tags)


def test_a_log_that_cannot_be_written_to_is_named(file: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A full disk leaves the log as it was, and nothing beside it."""
    before = file.read_bytes()

    def full(*_: object, **__: object) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(logs, "write_eval_log", full)
    with pytest.raises(BadInput, match=r"cannot write '.*\.eval': .*No space left"):
        logs.rewrite_header(logs.read(str(file), header_only=True))
    assert before == file.read_bytes()
    assert [] == [left.name for left in file.parent.iterdir() if left.name.startswith(".")]
