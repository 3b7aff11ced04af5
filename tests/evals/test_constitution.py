"""The constitution's commands: what they show, what fails the lint, and what a change makes stale."""

import shutil
from pathlib import Path

import pytest
from click.testing import CliRunner, Result

from conscience.constitution import load
from conscience.constitution.coverage import Coverage, lint
from conscience.constitution.document import DEFAULT, ROOT
from conscience.constitution.revision import diff as compare
from conscience.evals.constitution import constitution, covered, stale_artefacts


def run(*arguments: str) -> Result:
    """Run a subcommand in this process."""
    return CliRunner().invoke(constitution, list(arguments), standalone_mode=False)


@pytest.fixture
def revised(tmp_path: Path) -> Path:
    """A copy of the shipped version, to change."""
    folder = tmp_path / "clinical-v9.9"
    shutil.copytree(ROOT / DEFAULT, folder)
    return folder


def edit(file: Path, old: str, new: str) -> None:
    """Replace text that must be there."""
    text = file.read_text(encoding="utf-8")
    assert old in text
    file.write_text(text.replace(old, new, 1), encoding="utf-8")


def test_show_names_the_version_and_every_principle() -> None:
    """The hash that logs carry, twelve principles, and the precedence table."""
    printed = run("show").output
    shipped = load()
    assert shipped.hash in printed
    assert [] == [p.id for p in shipped.principles if p.id not in printed]
    assert [] == [row.question for row in shipped.precedence if row.question not in printed]


def test_show_one_principle() -> None:
    """Its text and its fixed test prompt, marked."""
    principle = load().principle("privacy")
    printed = run("show", "--principle", "privacy").output
    assert principle.text in printed
    assert f"* {principle.test_prompt.id}" in printed


def test_the_matrix_counts() -> None:
    """A row for each principle, its probes first."""
    lines = run("matrix").output.splitlines()
    assert 13 == len(lines)
    found = next(line for line in lines if line.startswith("privacy")).split()
    assert str(len(load().principle("privacy").probes)) == found[1]


def test_what_is_not_covered_fails_the_lint() -> None:
    """A principle that no scenario and no training prompt puts in play, and an id that is no principle."""
    full = {p.id: Coverage(surfaces={"dosing": 1}, training=1) for p in load().principles}
    problems = lint(load(), {**full, "privacy": Coverage(), "nope": Coverage()})
    assert "privacy: no scenario of any surface puts it in play" in problems
    assert "privacy: no training prompt puts it in play" in problems
    assert "nope: named by scenarios, but not a principle" in problems
    assert set(lint(load(), full)) < set(problems)


def test_the_shipped_data_covers_every_principle() -> None:
    """Each principle is put in play by a scenario and by a training prompt."""
    found = covered()
    assert [] == [p.id for p in load().principles if not (found[p.id].surfaces and found[p.id].training)]


def test_nothing_changed(revised: Path) -> None:
    """A copy differs in name alone."""
    assert "nothing changed\n" == run("diff", DEFAULT, str(revised)).output


def test_a_changed_text_makes_what_was_taught_stale(revised: Path) -> None:
    """The principle by id, and the teacher's work has to run again."""
    edit(revised / "principles" / "09-privacy.md", "## Text\n", "## Text\n\nOne more sentence.")
    printed = run("diff", DEFAULT, str(revised)).output
    assert "text changed: privacy" in printed
    assert "run again: inspect eval conscience/critique_revise -T constitution=clinical-v9.9" in printed
    assert "conscience/principles" not in printed


def test_a_changed_probe_leaves_what_was_taught(revised: Path, tmp_path: Path) -> None:
    """Only the probes' task and the reports are stale; a report is found by the old hash that it carries."""
    edit(revised / "probes" / "privacy.yaml", "severity: ", "severity:  ")
    assert "nothing changed\n" == run("diff", DEFAULT, str(revised)).output
    text = (revised / "probes" / "privacy.yaml").read_text(encoding="utf-8")
    (revised / "probes" / "privacy.yaml").write_text(text.replace("safe_example: '", "safe_example: 'Well. ", 1))
    (tmp_path / "report").mkdir()
    (tmp_path / "report" / "report.json").write_text(f'{{"schema_version": 2, "constitution": "{load().hash}"}}')
    printed = run("diff", DEFAULT, str(revised), "--in", str(tmp_path / "report")).output
    assert "probe changed: privacy-0" in printed
    assert f"stale: report {tmp_path / 'report' / 'report.json'}" in printed
    assert "run again: inspect eval conscience/principles" in printed
    assert "critique_revise" not in printed


def test_stale_pairs_are_found(revised: Path, tmp_path: Path) -> None:
    """Pairs whose manifest carries the old hash."""
    edit(revised / "principles" / "09-privacy.md", "## Text\n", "## Text\n\nOne more sentence.")
    (tmp_path / "pairs").mkdir()
    manifest = f'{{"source": {{}}, "constitution_hash": "{load().hash}"}}'
    (tmp_path / "pairs" / "manifest.json").write_text(manifest)
    revision = compare(load(), load(str(revised)))
    assert [f"pairs {tmp_path / 'pairs'}"] == list(stale_artefacts(load(), revision, [tmp_path / "pairs"]))


def test_an_unknown_version_is_named() -> None:
    """What exists is said."""
    result = run("show", "clinical-v7")
    assert "no constitution 'clinical-v7'; there are: clinical-v0.1" in str(result.exception)


def test_a_probe_must_name_a_row_that_exists(revised: Path) -> None:
    """An unknown precedence row is refused at load."""
    edit(revised / "probes" / "privacy.yaml", "  severity:", "  precedence: nope\n  severity:")
    with pytest.raises(ValueError, match="unknown precedence row 'nope'"):
        load(str(revised))
