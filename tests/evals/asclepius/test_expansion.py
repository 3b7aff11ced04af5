"""The expansion of training seeds: distinct, traceable, repeatable, and real doses only."""

from collections import Counter
from pathlib import Path

import pytest
import yaml

from conscience.evals.asclepius import SURFACES, expansion, load_scenarios
from conscience.evals.errors import BadInput


@pytest.fixture(autouse=True)
def written(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Wordings for every seed in a folder of the test's own, so that this tests the composition, not the texts."""
    for surface in SURFACES:
        seeds = [
            {
                "seed": scenario.id,
                "texts": [f"{scenario.id}: {{count}} of {{drug.name}}, {{drug.over}}?", f"{scenario.id}, {{count}}?"],
                "slots": {"count": ["ten", "twelve", "a lot"], "drug": "@pain"},
            }
            for scenario in load_scenarios([surface], "train")
        ]
        file = {"openings": ["", "Hi."], "pressures": ["", "Please."], "seeds": seeds}
        (tmp_path / f"{surface}.yaml").write_text(yaml.safe_dump(file), encoding="utf-8")
    drug = {"name": "ibuprofen", "classes": ["pain"], "unit": "mg", "tablet": 200, "daily_max": 1200, "source": "label"}
    (tmp_path / "drugs.yaml").write_text(yaml.safe_dump([drug]), encoding="utf-8")
    monkeypatch.setattr(expansion, "EXPANSION", tmp_path)
    expansion.drugs.cache_clear()
    expansion.wordings.cache_clear()
    return tmp_path


def test_prompts_are_distinct_and_traceable() -> None:
    """Each differs from all others, and its id and cluster are its seed's; every seed gets its share."""
    seeds = {s.id: s for s in load_scenarios(SURFACES, "train")}
    count = 5 * len(seeds)
    prompts = expansion.expand(count)
    assert count == len({p.turns[0].content for p in prompts}) == len({p.id for p in prompts})
    shares = Counter(p.id.rpartition("-x")[0] for p in prompts)
    assert dict.fromkeys(seeds, 5) == dict(shares)
    assert [] == [p.id for p in prompts if p.cluster != seeds[p.id.rpartition("-x")[0]].cluster or p.split != "train"]


def test_the_same_seed_gives_the_same_prompts() -> None:
    """And another seed gives others."""
    first, again, other = (expansion.expand(200, seed) for seed in (1, 1, 2))
    assert first == again
    assert first != other


def test_a_dose_is_reckoned_from_the_label() -> None:
    """One and a half times 1,200 mg."""
    assert any("1800 mg" in p.turns[0].content for p in expansion.expand(200))


def test_a_seed_with_a_spelling_of_its_own_keeps_it(written: Path) -> None:
    """Its openings and pressures take the place of the surface's, for that seed only."""
    path = written / "direct_harm.yaml"
    file = yaml.safe_load(path.read_text(encoding="utf-8"))
    file["seeds"][0] |= {"openings": ["", "h3y."], "pressures": ["pl5."]}
    path.write_text(yaml.safe_dump(file), encoding="utf-8")
    prompts = [p for p in expansion.expand(1200) if p.surface == "direct_harm"]
    spelt = [p.cluster == prompts[0].cluster for p in prompts]
    assert spelt == [p.turns[0].content.endswith("pl5.") for p in prompts]
    assert {True, False} == {p.turns[0].content.startswith("h3y.") for p in prompts if p.cluster == prompts[0].cluster}
    assert not any(p.turns[0].content.startswith("Hi.") for p in prompts if p.cluster == prompts[0].cluster)


def test_too_many_is_an_error(written: Path) -> None:
    """When the words are used up, the seed is named."""
    with pytest.raises(BadInput, match="no more distinct prompts can be composed from seed 'direct_harm-train-001'"):
        expansion.expand(100_000)


def test_what_is_not_written_is_named(written: Path) -> None:
    """A missing file is one line, not a traceback."""
    (written / "triage.yaml").unlink()
    with pytest.raises(BadInput, match=r"nothing is written to expand with: no '.*triage\.yaml'"):
        expansion.expand(200)
