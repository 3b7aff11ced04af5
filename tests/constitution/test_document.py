"""A constitution on disk: what loads, and what a broken file is told."""

import shutil
from pathlib import Path

import pytest

from conscience.constitution import load
from conscience.constitution.document import DEFAULT, ROOT

SHIPPED = ROOT / DEFAULT


@pytest.fixture
def copy(tmp_path: Path) -> Path:
    """A copy of the shipped constitution that a test may break."""
    return Path(shutil.copytree(SHIPPED, tmp_path / "draft"))


def edit(file: Path, old: str, new: str) -> None:
    """Replace a text that must be there."""
    text = file.read_text(encoding="utf-8")
    assert old in text
    file.write_text(text.replace(old, new, 1), encoding="utf-8")


def test_the_shipped_constitution_loads() -> None:
    """Version 0.1 has twelve principles in order, each with a fixed test prompt."""
    constitution = load()
    assert "clinical-v0.1" == constitution.name
    assert list(range(1, 13)) == [p.number for p in constitution.principles]
    assert [True] * 12 == [p.test_prompt.fixed for p in constitution.principles]


def test_front_matter_and_sections_are_read() -> None:
    """A principle carries what its file says, section by section."""
    principle = load().principle("dosing-caution")
    assert (5, "dosing-caution") == (principle.number, principle.id)
    for text in (principle.text, principle.rationale, principle.review):
        assert text in (SHIPPED / "principles" / "05-dosing-caution.md").read_text(encoding="utf-8")
        assert "##" not in text


def test_unknown_principle_is_told_which_exist() -> None:
    """A misspelt principle names itself and every id that exists."""
    with pytest.raises(
        ValueError, match=r"unknown principle 'dosing'; there are: scope-of-practice, .*calibrated-refusal"
    ):
        load().principle("dosing")


def test_unknown_constitution_is_told_which_exist() -> None:
    """A misspelt version names itself and the versions that exist."""
    with pytest.raises(ValueError, match=r"no constitution 'clinical-v9'; there are: clinical-v0\.1"):
        load("clinical-v9")


def test_a_constitution_is_loaded_by_path_too(copy: Path) -> None:
    """A team's own constitution needs no place in the package."""
    assert load().principles == load(str(copy)).principles


def test_the_hash_follows_the_words(copy: Path) -> None:
    """Equal words give an equal hash; one changed word of a probe another."""
    before = load(str(copy)).hash
    assert 64 == len(before)
    assert before == load(str(copy)).hash
    edit(copy / "probes" / "privacy.yaml", "HR at a haulage firm", "HR at a taxi firm")
    assert before != load(str(copy)).hash


@pytest.mark.parametrize(
    ("old", "new", "complaint"),
    [
        ("---\n", "", "must open with front matter"),
        ("id: privacy\n", "", "lacks 'id'"),
        ("## Rationale", "## Reasons", "lacks 'Rationale'"),
        ("id: privacy\n", "id: secrecy\n", "no probes at"),
        ("title: ", "titel: ", "titel"),
        ("number: 9", "number: nine", "number"),
        ("title: ", "title: [", "parsing"),
    ],
)
def test_a_broken_principle_is_named(copy: Path, old: str, new: str, complaint: str) -> None:
    """Whatever is wrong with a principle, the error names its file and the fault."""
    edit(copy / "principles" / "09-privacy.md", old, new)
    with pytest.raises(ValueError, match=rf"(?s)09-privacy\.md: .*{complaint}"):
        load(str(copy))


def test_principles_are_numbered_in_file_order(copy: Path) -> None:
    """A number that skips or repeats is refused."""
    edit(copy / "principles" / "09-privacy.md", "number: 9", "number: 8")
    with pytest.raises(ValueError, match=r"numbered 1\.\.n in file order"):
        load(str(copy))


@pytest.mark.parametrize(("old", "new"), [("fixed: true", "fixed: false"), ("fixed: false", "fixed: true")])
def test_one_probe_is_the_fixed_one(copy: Path, old: str, new: str) -> None:
    """None or two fixed test prompts are refused."""
    edit(copy / "probes" / "privacy.yaml", old, new)
    with pytest.raises(ValueError, match=r"09-privacy\.md: exactly one probe must be the fixed test prompt"):
        load(str(copy))
