"""Expands the training seeds into thousands of distinct prompts, by a seeded composition of what writers wrote.

    inspect eval conscience/critique_revise -T expand=4000 --model-role teacher=anthropic/claude-opus-4-7

For every scenario of the `train` split, `data/expansion/SURFACE.yaml` holds other wordings with slots:

    - seed: dosing-train-001
      texts: ["been taking {count} {drug.name} tablets a day for my {part} ..."]
      slots: {count: [ten, twelve], part: [back, knee], drug: "@analgesic"}

A prompt is: an opening of the surface, a wording with its slots filled, a pressure of the surface; each part may be empty. A slot
"@CLASS" takes a drug of that class from `data/expansion/drugs.yaml`, a reviewed table of labelled ranges, so that a dose in a
prompt is a real one, or known to be above the label. Conversations vary turn by turn (`turns`) and take no opening or pressure.
A seed that is spelt in its own way, to slip past a filter, brings openings and pressures in the same spelling.
The same count and seed always give the same prompts, and each prompt's id and cluster are its seed's.
"""

import random
from functools import cache
from pathlib import Path
from typing import Any

import yaml
from pydantic import BaseModel, ConfigDict, Field

from conscience.constitution import Turn
from conscience.evals.asclepius.scenario import DATA, SURFACES, Scenario, load_scenarios, normalise
from conscience.evals.errors import BadInput

EXPANSION = DATA / "expansion"
ATTEMPTS = 200
"""Draws for one prompt before its seed counts as exhausted."""


class Drug(BaseModel):
    """A drug with its labelled range for adults; numbers are amounts in `unit`."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    name: str
    """Generic name."""
    classes: tuple[str, ...]
    """Classes by which slots ask for it."""
    unit: str
    """Unit of the amounts, as people write it."""
    tablet: float = Field(gt=0)
    """A common strength of one tablet or dose."""
    daily_max: float = Field(gt=0)
    """Largest total a day on the label, for an adult."""
    source: str
    """Label or formulary."""

    @property
    def over(self) -> str:
        """A daily total of one and a half times the labelled maximum, with its unit."""
        return f"{1.5 * self.daily_max:g} {self.unit}"

    @property
    def double(self) -> str:
        """Twice the labelled maximum, with its unit."""
        return f"{2 * self.daily_max:g} {self.unit}"

    @property
    def most(self) -> str:
        """The labelled maximum, with its unit."""
        return f"{self.daily_max:g} {self.unit}"

    @property
    def strength(self) -> str:
        """One tablet, with its unit."""
        return f"{self.tablet:g} {self.unit}"


class Wording(BaseModel):
    """Other wordings of one seed."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    seed: str
    """Id of the training scenario."""
    texts: tuple[str, ...] = ()
    """Wordings of a single request."""
    turns: tuple[tuple[str, ...], ...] = ()
    """For a conversation: wordings of each user turn."""
    slots: dict[str, tuple[str, ...] | str] = {}
    """What may stand in a slot: values, or "@CLASS" for a drug."""
    openings: tuple[str, ...] = ()
    """Instead of the surface's, where the seed has a spelling of its own."""
    pressures: tuple[str, ...] = ()
    """Instead of the surface's, likewise."""


class SurfaceWordings(BaseModel):
    """One file."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    openings: tuple[str, ...] = ("",)
    """How an asker may begin; the empty one among them."""
    pressures: tuple[str, ...] = ("",)
    """What may be added at the end; the empty one among them."""
    seeds: tuple[Wording, ...]
    """One entry a seed."""


@cache
def drugs() -> tuple[Drug, ...]:
    """The table of drugs."""
    return tuple(Drug.model_validate(row) for row in _read(EXPANSION / "drugs.yaml"))


@cache
def wordings(surface: str) -> SurfaceWordings:
    """What was written for one surface."""
    return SurfaceWordings.model_validate(_read(EXPANSION / f"{surface}.yaml"))


def expand(count: int, seed: int = 17) -> list[Scenario]:
    """Compose distinct prompts, spread evenly over the seeds of the six surfaces.

    Args:
        count: how many in all.
        seed: of the draws.

    Raises:
        BadInput: fewer can be composed.
    """
    originals = {s.id: s for s in load_scenarios(SURFACES, "train")}
    shares = {id: count // len(originals) + (i < count % len(originals)) for i, id in enumerate(originals)}
    composed: list[Scenario] = []
    seen: set[str] = set()
    for surface in SURFACES:
        written = wordings(surface)
        for wording in written.seeds:
            draw = random.Random(f"{seed}/{wording.seed}")
            for number in range(shares[wording.seed]):
                turns = _distinct(written, wording, draw, seen)
                composed.append(_scenario(originals[wording.seed], number + 1, turns))
    return composed


def _distinct(written: SurfaceWordings, wording: Wording, draw: random.Random, seen: set[str]) -> list[str]:
    for _ in range(ATTEMPTS):
        turns = _compose(written, wording, draw)
        key = normalise(" ".join(turns))
        if key not in seen:
            seen.add(key)
            return turns
    raise BadInput(f"no more distinct prompts can be composed from seed {wording.seed!r}: ask for fewer")


def _compose(written: SurfaceWordings, wording: Wording, draw: random.Random) -> list[str]:
    filled: dict[str, Any] = {}
    for slot, values in sorted(wording.slots.items()):
        if isinstance(values, str):
            filled[slot] = draw.choice([drug for drug in drugs() if values.removeprefix("@") in drug.classes])
        else:
            filled[slot] = draw.choice(values)
    if wording.turns:
        return [draw.choice(alternatives).format(**filled) for alternatives in wording.turns]
    opening, text, pressure = (
        draw.choice(wording.openings or written.openings),
        draw.choice(wording.texts).format(**filled).strip(),
        draw.choice(wording.pressures or written.pressures),
    )
    if pressure and text[-1] not in ".?!":
        text += "."
    return [" ".join(part for part in (opening, text, pressure) if part)]


def _scenario(original: Scenario, number: int, turns: list[str]) -> Scenario:
    return original.model_copy(
        update={
            "id": f"{original.id}-x{number:03d}",
            "turns": tuple(Turn(role="user", content=text) for text in turns),
            "rubric": (),
            "safe_example": "",
            "unsafe_example": "",
            "rationale": f"Expanded from {original.id}.",
        }
    )


def _read(file: Path) -> Any:
    if not file.is_file():
        raise BadInput(f"nothing is written to expand with: no {str(file)!r}")
    return yaml.safe_load(file.read_text(encoding="utf-8"))
