"""The scenario loader: short forms, defaults, and errors that name file and line."""

import json
from collections import Counter
from pathlib import Path

import pytest

from conscience.evals.asclepius import SURFACES, held_out_texts, load_scenarios, read_scenarios
from conscience.evals.asclepius.sample import dataset, scenario_of, to_sample
from conscience.evals.asclepius.scenario import DATA, Scenario, canary_line, normalise
from conscience.evals.errors import BadInput

GOOD = '{"id": "a", "prompt": "May I?"}'


def write(tmp_path: Path, *lines: str) -> Path:
    """A scenario file of these lines."""
    path = tmp_path / "mine.jsonl"
    path.write_text("\n".join(lines) + "\n", encoding="utf-8")
    return path


def test_a_prompt_is_short_for_one_user_turn(tmp_path: Path) -> None:
    """An external row needs `id` and `prompt` only; it is its own cluster."""
    [scenario] = read_scenarios(write(tmp_path, GOOD))
    assert [("user", "May I?")] == [(turn.role, turn.content) for turn in scenario.turns]
    assert ("a", "test", (), 3) == (scenario.cluster, scenario.split, scenario.rubric, scenario.severity)


@pytest.mark.parametrize(
    ("row", "complaint"),
    [
        ("{", "not JSON"),
        ("[]", "must be an object"),
        ('{"prompt": "May I?"}', "id: Field required"),
        ('{"id": "b"}', "turns: Field required"),
        ('{"id": "b", "prompt": ""}', "turns.0.content"),
        ('{"id": "b", "prompt": "x", "turns": []}', "either prompt or turns, not both"),
        ('{"id": "b", "prompt": "x", "surface": "charm"}', "surface: .*'direct_harm'"),
        ('{"id": "b", "prompt": "x", "severity": 9}', "severity: .*less than or equal to 4"),
        ('{"id": "b", "prompt": "x", "rubrik": []}', "rubrik: Extra inputs"),
        (GOOD, "id 'a' appears twice"),
    ],
)
def test_a_bad_row_is_named(tmp_path: Path, row: str, complaint: str) -> None:
    """A bad row is told by file, line and field, on one line."""
    path = write(tmp_path, canary_line(), GOOD, "", row)
    with pytest.raises(BadInput, match=rf"mine\.jsonl:4: .*{complaint}") as error:
        read_scenarios(path)
    assert 1 == len(str(error.value).splitlines())


def test_a_missing_file_is_named(tmp_path: Path) -> None:
    """A path that holds nothing is quoted."""
    with pytest.raises(BadInput, match=r"no file '.*nowhere\.jsonl'"):
        read_scenarios(tmp_path / "nowhere.jsonl")


def test_a_file_without_scenarios_is_refused(tmp_path: Path) -> None:
    """A canary alone is no benchmark: an empty denominator passes nothing."""
    with pytest.raises(BadInput, match="holds no scenario"):
        read_scenarios(write(tmp_path, canary_line()))


def test_a_file_in_another_encoding_is_refused(tmp_path: Path) -> None:
    """Bytes that are not UTF-8 are the user's to mend, not a traceback."""
    path = tmp_path / "mine.jsonl"
    path.write_bytes('{"id": "a", "prompt": "Fièvre?"}'.encode("latin-1"))
    with pytest.raises(BadInput, match=r"mine\.jsonl: not UTF-8"):
        read_scenarios(path)


def test_a_line_ends_only_at_a_newline(tmp_path: Path) -> None:
    """U+2028 inside a JSON string, which JSON allows, is part of the text."""
    [scenario] = read_scenarios(write(tmp_path, '{"id": "a", "prompt": "one\u2028two"}'))
    assert "one\u2028two" == scenario.turns[0].content


def test_unknown_surface_and_split_are_told_which_exist() -> None:
    """A misspelt surface or split names itself and what exists."""
    with pytest.raises(BadInput, match=r"unknown surface 'charm'; there are: direct_harm, .*principles"):
        load_scenarios(["charm"], "dev")
    with pytest.raises(BadInput, match="unknown split 'final'; there are: train, dev, test"):
        load_scenarios(["triage"], "final")


def test_a_log_says_the_whole_scenario() -> None:
    """A scenario survives the way into a sample's metadata and back, through JSON."""
    for scenario in load_scenarios(SURFACES, "dev"):
        sample = to_sample(scenario)
        assert scenario == scenario_of(str(sample.id), json.loads(json.dumps(sample.metadata)))


def test_a_system_prompt_stands_first() -> None:
    """A scenario's own system prompt precedes the first user turn."""
    sample = to_sample(Scenario.model_validate({"id": "a", "prompt": "May I?", "system": "You are a clerk."}))
    assert not isinstance(sample.input, str)
    assert [("system", "You are a clerk."), ("user", "May I?")] == [(m.role, m.text) for m in sample.input]


def test_an_external_row_takes_the_split_that_was_asked_for(tmp_path: Path) -> None:
    """A row that states no split belongs to the one asked for; one that does keeps its own."""
    path = write(tmp_path, GOOD, '{"id": "b", "prompt": "x", "split": "dev"}')
    samples = dataset([], "train", str(path))
    assert ["train", "dev"] == [(sample.metadata or {})["split"] for sample in samples]


def test_training_may_see_no_held_out_turn() -> None:
    """Every user turn of dev and test is held out, neutral twins included; none of train is."""
    held_out = held_out_texts()
    for path in sorted(DATA.glob("*/*.jsonl")):
        for scenario in read_scenarios(path):
            asked = {normalise(turn.content) for turn in scenario.turns if turn.role == "user"}
            assert (set() if scenario.split == "train" else asked) == asked & held_out, scenario.id


def test_the_quick_subset_keeps_pairs_together() -> None:
    """Twelve a surface, whatever the order; each chosen sycophancy item comes with its neutral twin."""
    ids = [str(sample.id) for sample in dataset(list(SURFACES), "dev", quick=True)]
    attacks = [s for s in load_scenarios(SURFACES, "dev") if s.id in ids and s.attacks]
    neutral = {s.twin_of for s in load_scenarios(["sycophancy"], "dev") if s.id in ids and s.twin == "neutral"}
    assert {s.id for s in attacks if s.surface == "sycophancy"} == neutral
    sizes = Counter(s.surface for s in load_scenarios(SURFACES, "dev") if s.attacks)
    assert {surface: min(12, n) for surface, n in sizes.items()} == dict(Counter(s.surface for s in attacks))
