"""Physicians' labels from draw to verdict: the draw is not chosen, a part of it is refused, the report says what was used."""

import json
from collections.abc import Callable
from itertools import pairwise
from pathlib import Path

import pytest
from click.testing import CliRunner

from conscience.evals import logs
from conscience.evals.asclepius import SURFACES
from conscience.evals.errors import BadInput, NotComparable
from conscience.evals.gate import binding, evidence, labels
from conscience.evals.gate.command import gate
from conscience.evals.gate.comparison import SAFETY, Arms, compare_task, judged_values
from conscience.evals.gate.report import Summary
from conscience.evals.gate.verdict import Verdict

Fill = Callable[[list[dict[str, object]]], object]


@pytest.fixture(scope="module")
def arms(runs: dict[str, Path]) -> Arms:
    """The safety task of the careless base and the careful candidate: 12 items a surface."""
    base, candidate = (logs.newest_by_task([str(runs[name])])[SAFETY] for name in ("careless", "careful"))
    return compare_task(SAFETY, base, candidate)


@pytest.fixture
def filled(arms: Arms, tmp_path: Path) -> Callable[..., Path]:
    """Draw everything and label it as the judges do, but for what an edit changes."""

    def make(edit: Fill = lambda rows: None) -> Path:
        said = {
            (arm, str(row["id"])): row["value"]
            for arm, log in enumerate((arms.base, arms.candidate))
            for row in judged_values(SAFETY, log).to_dict("records")
        }
        rows = [
            {**d.row.model_dump(mode="json"), "unsafe": bool(said[d.arm, d.unit.id]), "rater": "Dr A"}
            for d in labels.draw(arms, 15, 1).values()
        ]
        edit(rows)
        file = tmp_path / "labels.jsonl"
        file.write_text("".join(json.dumps(row) + "\n" for row in rows))
        return file

    return make


def test_the_draw_is_the_seeds(arms: Arms) -> None:
    """The same seed gives the same items of both models; another seed others; a larger draw holds the smaller."""
    small, again, other, large = (set(labels.units(arms, *how)) for how in ((4, 1), (4, 1), (4, 2), (8, 1)))
    assert 4 * len(SURFACES) == len(small)
    assert small == again
    assert small != other
    assert small < large
    drawn = labels.draw(arms, 15, 1).values()
    assert {d.unit for d in drawn if d.arm == 0} == {d.unit for d in drawn if d.arm == 1}


def test_clusters_come_before_their_second_items(arms: Arms) -> None:
    """A small draw takes as many situations as it can."""
    frame = judged_values(SAFETY, arms.base)
    cluster = dict(zip(frame["id"], frame["cluster"], strict=True))
    drawn = labels.units(arms, 5, 3)
    for surface in SURFACES:
        taken = {cluster[unit.id] for unit in drawn if unit.surface == surface}
        assert min(5, frame[frame["group"] == surface]["cluster"].nunique()) == len(taken)


def test_a_row_does_not_say_whose_answer_it_is(arms: Arms) -> None:
    """Neither model, sample id nor arm; and the order mixes both models."""
    drawn = labels.draw(arms, 15, 1)
    for answer in drawn.values():
        text = answer.row.model_dump_json(exclude={"messages"})
        assert not any(word in text for word in ("careless", "careful", answer.unit.id, "base", "candidate"))
    changes = [a.arm for a in drawn.values()]
    assert sum(x != y for x, y in pairwise(changes)) > len(changes) / 4


def test_labels_decide(runs: dict[str, Path], filled: Callable[..., Path], tmp_path: Path) -> None:
    """Physicians who call nearly all of both models' answers unsafe turn the judges' PASS; the report says who and how drawn."""

    def strict(rows: list[dict[str, object]]) -> None:
        for row in rows:
            row |= {"unsafe": True, "rater": "Dr B"}

    arguments = ["--base", str(runs["careless"]), "--candidate", str(runs["careful"]), "--out", str(tmp_path / "out")]
    found = []
    for edit in (lambda rows: None, strict):
        file = filled(edit)
        CliRunner().invoke(gate, [*arguments, "--labels", str(file)], standalone_mode=False, catch_exceptions=False)
        found.append(Summary.model_validate_json((tmp_path / "out" / "report.json").read_text()))
        assert [] == binding.differences(tmp_path / "out" / "report.json")
    assert [Verdict.PASS, Verdict.FAIL] == [summary.outcomes[0].verdict for summary in found]
    used = found[1].labels
    assert used is not None
    assert (144, {"Dr B": 144}, 1, 15) == (used.answers, used.raters, used.seed, used.per_surface)
    assert any("144 physicians' labels (Dr B 144)" in note and "seed 1" in note for note in found[1].notes)
    assert (False, True) == (found[1].corrected, found[1].outcomes[0].seen == found[0].outcomes[0].seen)


def _unlabelled(rows: list[dict[str, object]]) -> None:
    rows[3]["unsafe"] = None


def _gone(rows: list[dict[str, object]]) -> None:
    del rows[3:5]


def _other_seed(rows: list[dict[str, object]]) -> None:
    rows[0]["seed"] = 9


def _strange(rows: list[dict[str, object]]) -> None:
    rows[0]["key"] = "0" * 16


def _nobody(rows: list[dict[str, object]]) -> None:
    rows[0]["rater"] = " "


def _twice(rows: list[dict[str, object]]) -> None:
    rows.append(rows[0])


def _words(rows: list[dict[str, object]]) -> None:
    rows[1]["unsafe"] = "perhaps"


@pytest.mark.parametrize(
    ("edit", "error", "message"),
    [
        (_unlabelled, NotComparable, "1 of 144 drawn answers have no label, for example to .* epoch 1; label them all"),
        (_gone, NotComparable, "2 of 144 drawn answers have no label"),
        (_other_seed, BadInput, r"rows of several draws, seed and per_surface are \[\(1, 15\), \(9, 15\)\]"),
        (_strange, NotComparable, "1 rows are not of the draw with seed 1 and 15 a surface, .* key '0000000000000000'"),
        (_nobody, BadInput, "labels.jsonl:1: a label without a rater, found rater ' '"),
        (_twice, BadInput, "labels.jsonl:145: key '.*' appears twice"),
        (_words, BadInput, "labels.jsonl:2: unsafe: .*, found 'perhaps'"),
        (lambda rows: rows.clear(), BadInput, "holds no row"),
    ],
)
def test_what_is_not_the_whole_draw_is_refused(
    edit: Fill, error: type[Exception], message: str, filled: Callable[..., Path], arms: Arms
) -> None:
    """With one line that names what is missing or wrong."""
    with pytest.raises(error, match=message):
        evidence.find([filled(edit)], arms)


def test_labels_of_other_answers_are_refused(filled: Callable[..., Path], arms: Arms) -> None:
    """Drawn for this candidate, they do not fit another: here base and candidate change places."""
    turned = compare_task(SAFETY, arms.candidate, arms.base)
    with pytest.raises(NotComparable, match=r"0 of the label files .* were drawn from answers of 'scripted/careless'"):
        evidence.find([filled()], turned)


def test_the_command_draws(runs: dict[str, Path], tmp_path: Path) -> None:
    """A file of open rows, and a second run does not write over what may hold labels."""
    arguments = ["sample-labels", "--base", str(runs["careless"]), "--candidate", str(runs["careful"])]
    arguments += ["--per-surface", "15", "--out", str(tmp_path / "l.jsonl")]
    result = CliRunner().invoke(gate, arguments, standalone_mode=False, catch_exceptions=False)
    assert "144 answers to label" in result.output
    rows = labels.read_file(tmp_path / "l.jsonl")
    assert {None} == {row.unsafe for row in rows.values()}
    assert isinstance(CliRunner().invoke(gate, arguments, standalone_mode=False).exception, BadInput)
