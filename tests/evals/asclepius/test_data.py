"""The shipped data: counts, canaries, splits that share nothing, references that resolve."""

import re
from collections import defaultdict
from pathlib import Path
from typing import Any

import pytest

from conscience.constitution import CANARY, load
from conscience.constitution.document import ROOT as CONSTITUTION
from conscience.constitution.rubric import Item
from conscience.evals.asclepius import SURFACES, Scenario, load_scenarios, read_scenarios
from conscience.evals.asclepius.expansion import EXPANSION, expand, wordings
from conscience.evals.asclepius.measures import LADDER
from conscience.evals.asclepius.scenario import DATA, canary_line
from conscience.evals.models.recorded import RECORDINGS, recordings
from conscience.evals.utility.questions import BASICS, read_questions

COUNTS = {
    **{(surface, "train"): 40 for surface in SURFACES},
    **{(surface, "dev"): 30 for surface in SURFACES},
    **{(surface, "test"): 60 for surface in SURFACES},
    ("helpfulness", "train"): 120,
    ("helpfulness", "dev"): 100,
    ("helpfulness", "test"): 115 + 5 * 15 + 10,
    ("principles", "train"): 24,
}
SCENARIOS = [scenario for file in sorted(DATA.glob("*/*.jsonl")) for scenario in read_scenarios(file)]
PRINCIPLES = load().principles
PROBES = [probe for principle in PRINCIPLES for probe in principle.probes]


def words(text: str) -> list[str]:
    """The words of a text, without case and punctuation."""
    return re.findall(r"[a-z0-9']+", text.lower())


def grams(item: Item, n: int) -> set[tuple[str, ...]]:
    """The runs of n words inside an item's turns, scripted answers included."""
    found: set[tuple[str, ...]] = set()
    for turn in item.turns:
        text = words(turn.content)
        found |= {tuple(text[i : i + n]) for i in range(len(text) - n + 1)}
    return found


def test_grams_are_runs_of_words() -> None:
    """The comparison below ignores case and punctuation and reaches the last word."""
    item = Scenario.model_validate({"id": "a", "prompt": "One, two THREE!"})
    assert {("one", "two"), ("two", "three")} == grams(item, 2)


@pytest.mark.parametrize(("surface", "split"), COUNTS)
def test_counts(surface: str, split: str) -> None:
    """Each file holds the promised number of scenarios, all of its own surface and split."""
    found = [(s.surface, s.split) for s in load_scenarios([surface], split) if s.twin != "neutral"]
    assert [(surface, split)] * COUNTS[surface, split] == found


def test_probes_of_a_principle() -> None:
    """Twelve principles, twenty probes each, one of them fixed."""
    assert [(20, 1)] * 12 == [(len(p.probes), sum(probe.fixed for probe in p.probes)) for p in PRINCIPLES]


@pytest.mark.parametrize(
    "path",
    [*sorted(DATA.glob("*/*.jsonl")), *sorted(RECORDINGS.glob("*.jsonl")), BASICS],
    ids=lambda path: f"{path.parent.name}/{path.name}",
)
def test_a_data_file_opens_with_the_canary(path: Path) -> None:
    """The canary is the first line of every JSONL file."""
    assert canary_line() == path.read_text(encoding="utf-8").split("\n")[0]


@pytest.mark.parametrize(
    "path",
    [*sorted(CONSTITUTION.glob("*/probes/*.yaml")), *sorted(EXPANSION.glob("*.yaml"))],
    ids=lambda path: path.name,
)
def test_a_yaml_file_opens_with_the_canary(path: Path) -> None:
    """The canary is the first line of every file of probes or wordings, as a comment."""
    first = path.read_text(encoding="utf-8").split("\n")[0]
    assert first.startswith(f"# {CANARY}")


def test_ids_are_unique() -> None:
    """No id stands for two things anywhere in the project."""
    ids = [*(s.id for s in SCENARIOS), *(p.id for p in PROBES), *(q.id for q in read_questions(BASICS))]
    assert [] == sorted({id for id in ids if ids.count(id) > 1})


def test_no_cluster_crosses_splits() -> None:
    """Scenarios of one clinical situation are all in one split."""
    splits: dict[str, set[str]] = defaultdict(set)
    for scenario in SCENARIOS:
        splits[scenario.cluster].add(scenario.split)
    assert {} == {cluster: names for cluster, names in splits.items() if len(names) > 1}


def test_splits_and_probes_share_no_13_words() -> None:
    """No 13 words in a row stand in prompts of two splits, nor in a prompt and a probe."""
    places: dict[tuple[str, ...], dict[str, str]] = defaultdict(dict)
    for group, item in [*((s.split, s) for s in SCENARIOS), *(("probe", p) for p in PROBES)]:
        for gram in grams(item, 13):
            places[gram][group] = item.id
    assert len(places) > 1000
    assert [] == sorted({tuple(sorted(ids.values())) for ids in places.values() if len(ids) > 1})


def test_no_two_items_of_a_surface_open_alike() -> None:
    """No two items of a surface share their first eight words: none is a rewording of another."""
    openings: dict[tuple[str, ...], list[str]] = defaultdict(list)
    for scenario in SCENARIOS:
        openings[scenario.surface, *words(scenario.turns[0].content)[:8]].append(scenario.id)
    assert [] == [ids for ids in openings.values() if len(ids) > 1]


def test_the_shipped_wordings_give_4000_prompts_that_share_nothing_with_what_is_held_out() -> None:
    """4,000 distinct prompts from all 240 seeds, none with 13 words in a row of a dev or test prompt or of a probe."""
    held_out = {gram for s in SCENARIOS if s.split != "train" for gram in grams(s, 13)}
    held_out |= {gram for probe in PROBES for gram in grams(probe, 13)}
    prompts = expand(4000)
    assert 4000 == len({" ".join(turn.content for turn in prompt.turns) for prompt in prompts})
    assert 240 == len({prompt.cluster for prompt in prompts})
    assert [] == [prompt.id for prompt in prompts if grams(prompt, 13) & held_out]


def test_slots_leave_no_braces_and_seeds_stay_within_their_split() -> None:
    """Every slot of every wording is filled, and each wording names a train scenario of its surface."""
    prompts = expand(4000)
    assert [] == [prompt.id for prompt in prompts if re.search(r"[{}]", " ".join(t.content for t in prompt.turns))]
    seeds = [wording.seed for surface in SURFACES for wording in wordings(surface).seeds]
    assert sorted(s.id for s in load_scenarios(SURFACES, "train")) == sorted(seeds)


@pytest.mark.parametrize("surface", sorted(set(SURFACES) - {"false_authority"}))
def test_half_of_the_test_scenarios_belong_to_a_triad(surface: str) -> None:
    """Attack, role-swapped twin and benign twin: at least half of a surface's test scenarios stand in such a triad."""
    own = [s for s in load_scenarios([surface], "test") if s.attacks]
    benign = {s.twin_of for s in load_scenarios(["helpfulness"], "test") if s.twin == "benign"}
    swapped = {s.twin_of: s for s in own if s.twin == "role"}
    triads = [s for s in own if s.id in benign and s.id in swapped]
    assert 2 * len(triads) >= len(own) / 2
    assert [] == [s.id for s in triads if s.asker == swapped[s.id].asker and not swapped[s.id].system]


def test_the_authority_ladder_has_six_steps() -> None:
    """Ten requests, each asked with every claim, one rubric for all six, and a benign twin."""
    ladders: dict[str, list[Scenario]] = defaultdict(list)
    for scenario in load_scenarios(["false_authority"], "test"):
        ladders[scenario.cluster].append(scenario)
    assert 10 == len(ladders)
    assert [] == [c for c, steps in ladders.items() if sorted(s.style for s in steps) != sorted(LADDER)]
    assert [] == [c for c, steps in ladders.items() if len({s.rubric for s in steps}) != 1]
    benign = {s.cluster for s in load_scenarios(["helpfulness"], "test") if s.twin == "benign"}
    assert set(ladders) <= benign


@pytest.mark.parametrize("split", ["dev", "test"])
def test_every_sycophancy_item_has_its_neutral_twin(split: str) -> None:
    """The delta is paired."""
    scenarios = load_scenarios(["sycophancy"], split)
    neutral = [s.twin_of for s in scenarios if s.twin == "neutral"]
    assert sorted(s.id for s in scenarios if s.twin != "neutral") == sorted(map(str, neutral))


@pytest.mark.parametrize("split", ["dev", "test"])
def test_every_crescendo_script_has_its_objective(split: str) -> None:
    """The adaptive attacker is told something; a script has five to ten user turns."""
    scenarios = load_scenarios(["crescendo"], split)
    assert [] == [s.id for s in scenarios if not s.objective or not 5 <= len(s.turns) <= 10]


def test_no_test_item_reads_like_another() -> None:
    """Nearest neighbours by word bigrams inside a surface share less than a third: no template shows through."""
    close = []
    for surface in (*SURFACES, "helpfulness"):
        items = [s for s in load_scenarios([surface], "test") if s.twin not in ("claim", "neutral")]
        bags = [(s, grams(s, 2)) for s in items]
        for index, (first, mine) in enumerate(bags):
            for second, theirs in bags[index + 1 :]:
                alike = len(mine & theirs) / max(1, min(len(mine), len(theirs)))
                if alike > 1 / 3 and first.cluster != second.cluster:
                    close.append((first.id, second.id, round(alike, 2)))
    assert [] == close


def test_every_principle_that_data_names_exists() -> None:
    """Each scenario names at least one principle, and only principles of the constitution."""
    known = {principle.id for principle in PRINCIPLES}
    assert {} == {s.id: s.principles for s in SCENARIOS if not s.principles or set(s.principles) - known}


def test_a_twin_stands_beside_its_original() -> None:
    """A twin names a scenario of its own split and cluster."""
    originals = {(s.id, s.split, s.cluster) for s in SCENARIOS}
    twins = [s for s in SCENARIOS if s.twin_of]
    assert {"neutral", "role", "benign"} <= {s.twin for s in twins}
    assert [] == [s.id for s in twins if (s.twin_of, s.split, s.cluster) not in originals]


def test_every_training_prompt_has_its_recording() -> None:
    """Every train item has exactly one recording, and every recording its train item."""
    ids = [row for file in sorted(RECORDINGS.glob("*.jsonl")) for row in recorded_ids(file)]
    assert sorted(s.id for s in SCENARIOS if s.split == "train") == sorted(ids)


def recorded_ids(file: Path) -> list[str]:
    """The ids of one recordings file, as they stand in it."""
    return re.findall(r'^\{"id": "([^"]+)"', file.read_text(encoding="utf-8"), re.MULTILINE)


def test_every_critique_names_a_principle() -> None:
    """A recorded critique has a finding, each under a principle of the constitution and with its reason."""
    known = {principle.id for principle in PRINCIPLES}

    def sound(recording: dict[str, Any]) -> bool:
        findings = recording["critique"]
        return bool(findings) and all(f["principle"] in known and f["why"].strip() for f in findings)

    assert [] == [id for id, recording in recordings().items() if not sound(recording)]
