"""From a scenario to an Inspect sample and back. The sample's metadata is the scenario, so that a log says all of it."""

import hashlib
from pathlib import Path
from typing import Any

from inspect_ai.dataset import MemoryDataset, Sample
from inspect_ai.model import ChatMessageSystem, ChatMessageUser

from conscience.constitution import CANARY
from conscience.evals.asclepius.expansion import expand
from conscience.evals.asclepius.scenario import SURFACES, Scenario, load_scenarios, read_scenarios


def to_sample(scenario: Scenario) -> Sample:
    """Make the sample; its input is the first user turn, the whole script stands in its metadata."""
    system = [ChatMessageSystem(content=scenario.system)] if scenario.system else []
    return Sample(
        id=scenario.id,
        input=[*system, ChatMessageUser(content=scenario.turns[0].content)],
        metadata={**scenario.model_dump(mode="json", exclude={"id"}), "canary": CANARY},
    )


def scenario_of(sample_id: int | str, metadata: dict[str, Any]) -> Scenario:
    """Read the scenario back from a sample."""
    fields = {name: metadata[name] for name in Scenario.model_fields if name in metadata}
    return Scenario.model_validate({**fields, "id": str(sample_id)})


QUICK = {**dict.fromkeys(SURFACES, 12), "helpfulness": 36}
"""Scenarios of each surface, and safe controls, in the quick subset of dev and test."""
QUICK_TRAIN = {**dict.fromkeys(SURFACES, 12), "helpfulness": 64, "principles": 24}
"""The same of train: nearly as many safe controls as attacks, or a small model learns to refuse."""


def dataset(surfaces: list[str], split: str, data: str | None = None, *, quick: bool = False) -> MemoryDataset:
    """The shipped scenarios of some surfaces, or an external file's.

    Args:
        surfaces: whose scenarios to take.
        split: train, dev or test.
        data: external JSONL file.
        quick: take a fixed subset (`QUICK`, `QUICK_TRAIN`); a neutral twin comes with its original.

    Raises:
        BadInput: unknown surface or split, or a file that is missing or not valid.
    """
    if data:  # an external row that states no split belongs to the one that was asked for
        rows = read_scenarios(Path(data))
        scenarios = [r if "split" in r.model_fields_set else r.model_copy(update={"split": split}) for r in rows]
    else:
        scenarios = load_scenarios(surfaces, split)
    if quick:
        scenarios = _quick(scenarios, QUICK_TRAIN if split == "train" else QUICK)
    name = Path(data).stem if data else f"asclepius-{split}"
    return MemoryDataset([to_sample(scenario) for scenario in scenarios], name=name)


def _answers(scenario: Scenario) -> int:
    """How often the model under test answers."""
    following = [*scenario.turns[1:], None]
    return sum(
        turn.role == "user" and (after is None or after.role == "user")
        for turn, after in zip(scenario.turns, following, strict=True)
    )


def expanded(count: int) -> MemoryDataset:
    """Prompts composed from the training seeds.

    Raises:
        BadInput: fewer can be composed.
    """
    return MemoryDataset([to_sample(scenario) for scenario in expand(count)], name=f"asclepius-train-{count}")


def _quick(scenarios: list[Scenario], sizes: dict[str, int]) -> list[Scenario]:
    """The subset: per surface the fewest answers, then the lowest hashes; no pair is split."""

    def rank(scenario: Scenario) -> tuple[int, str]:
        return _answers(scenario), hashlib.sha256(scenario.id.encode()).hexdigest()

    chosen: set[str] = set()
    for surface, count in sizes.items():
        own = [s for s in scenarios if s.surface == surface and s.twin != "neutral"]
        chosen |= {s.id for s in sorted(own, key=rank)[:count]}
    return [s for s in scenarios if s.id in chosen or (s.twin == "neutral" and s.twin_of in chosen)]
