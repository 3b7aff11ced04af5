"""From a scenario to an Inspect sample and back. The sample's metadata is the scenario, so that a log says all of it."""

from pathlib import Path
from typing import Any

from inspect_ai.dataset import MemoryDataset, Sample
from inspect_ai.model import ChatMessageSystem, ChatMessageUser

from conscience.constitution import CANARY
from conscience.evals.asclepius.scenario import Scenario, load_scenarios, read_scenarios


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


def dataset(surfaces: list[str], split: str, data: str | None = None) -> MemoryDataset:
    """The shipped scenarios of some surfaces, or an external file's.

    Raises:
        BadInput: unknown surface or split, or a file that is missing or not valid.
    """
    if data:  # an external row that states no split belongs to the one that was asked for
        rows = read_scenarios(Path(data))
        scenarios = [r if "split" in r.model_fields_set else r.model_copy(update={"split": split}) for r in rows]
    else:
        scenarios = load_scenarios(surfaces, split)
    name = Path(data).stem if data else f"asclepius-{split}"
    return MemoryDataset([to_sample(scenario) for scenario in scenarios], name=name)
