"""A constitution as it lies on disk: one Markdown file a principle, one YAML file of probes a principle.

Example, the front matter of `clinical-v0.1/principles/05-dosing-caution.md`:

    ---
    id: dosing-caution
    number: 5
    title: Dosing caution
    summary: Gives doses only with the facts they depend on, and never above the label.
    sources: [WHO Medication Without Harm]
    ---
    ## Text
    The assistant ...
"""

import hashlib
import re
from functools import cached_property
from pathlib import Path
from typing import Any

import yaml
from pydantic import BaseModel, ConfigDict, Field, ValidationError

from conscience.constitution.rubric import Item

ROOT = Path(__file__).parent
DEFAULT = "clinical-v0.1"


class Probe(Item):
    """A question that tells whether a principle is followed."""

    fixed: bool = False
    """Whether it is the principle's fixed test prompt, the one that reviewers read in every version."""
    precedence: str | None = None
    """Row of the precedence table that it puts in play; the principle that it belongs to is the one that must win."""


class Principle(BaseModel):
    """One principle with its probes."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    id: str
    """Slug by which data files refer to the principle."""
    number: int = Field(ge=1)
    """Position in the constitution."""
    title: str
    """Name for people."""
    summary: str
    """One sentence."""
    sources: tuple[str, ...]
    """Published documents that the principle rests on."""
    text: str = Field(min_length=1)
    """The normative text."""
    rationale: str = Field(min_length=1)
    """Why the principle is there."""
    review: str = Field(min_length=1)
    """How a reviewer reads an answer against it."""
    probes: tuple[Probe, ...] = Field(min_length=1)
    """Probes; exactly one is the fixed test prompt."""

    @property
    def test_prompt(self) -> Probe:
        """The fixed test prompt."""
        return next(probe for probe in self.probes if probe.fixed)


class Precedence(BaseModel):
    """One row of the precedence table: which of two principles yields when they pull apart."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    id: str
    """Name by which probes refer to the row."""
    between: tuple[str, str]
    """Ids of the two principles."""
    question: str
    """The conflict in words."""
    rule: str
    """When which of them yields."""
    rationale: str
    """Why, with the documents it rests on."""


class Crosswalk(BaseModel):
    """What a principle answers to in published principle sets; not normative, and not part of the hash."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    AMA: tuple[str, ...]
    """Numbers of the AMA Principles of Medical Ethics."""
    CARES: str
    """What of the CARES benchmark."""
    Claude: str
    """Section of Claude's constitution."""


class Constitution(BaseModel):
    """A version of the constitution."""

    model_config = ConfigDict(frozen=True)

    name: str
    """Folder name, version included."""
    principles: tuple[Principle, ...]
    """In order of their numbers."""
    precedence: tuple[Precedence, ...] = ()
    """Which principle yields when two pull apart."""
    crosswalk: dict[str, Crosswalk] = Field(default={}, exclude=True)
    """Published principle sets, by principle."""

    @cached_property
    def hash(self) -> str:
        """SHA-256 over names, texts, precedence and probes, in order; 64 hex digits. Logs, cards and reports carry it."""
        return hashlib.sha256(self.model_dump_json().encode()).hexdigest()

    def principle(self, id: str) -> Principle:
        """Look a principle up.

        Raises:
            ValueError: there is none of that id.
        """
        for principle in self.principles:
            if principle.id == id:
                return principle
        raise ValueError(f"unknown principle {id!r}; there are: {', '.join(p.id for p in self.principles)}")


def load(name: str = DEFAULT) -> Constitution:
    """Load a constitution by its folder name under `constitution/`, or by path.

    Raises:
        ValueError: there is no such constitution, or one of its files is not valid (names the file).
    """
    folder = Path(name) if (Path(name) / "principles").is_dir() else ROOT / name
    files = sorted((folder / "principles").glob("*.md"))
    if not files:
        known = sorted(path.parent.name for path in ROOT.glob("*/principles"))
        raise ValueError(f"no constitution {name!r}; there are: {', '.join(known)}")
    principles = [_read_principle(file) for file in files]
    if [p.number for p in principles] != list(range(1, len(principles) + 1)):
        raise ValueError(f"{folder}: principles must be numbered 1..n in file order")
    try:
        found = Constitution(
            name=folder.name,
            principles=tuple(principles),
            precedence=_read_yaml(folder / "precedence.yaml") or (),
            crosswalk=_read_yaml(folder / "crosswalk.yaml") or {},
        )
    except ValidationError as error:
        first = error.errors()[0]
        raise ValueError(f"{folder}: {'.'.join(map(str, first['loc']))}: {first['msg']}") from None
    rows = {row.id for row in found.precedence}
    named = {*(id for row in found.precedence for id in row.between), *found.crosswalk}
    if unknown := sorted(named - {principle.id for principle in principles}):
        raise ValueError(f"{folder}: precedence or crosswalk names unknown principles: {', '.join(unknown)}")
    for probe in (probe for principle in principles for probe in principle.probes):
        if probe.precedence not in (None, *rows):
            raise ValueError(f"{folder}: probe {probe.id!r} names an unknown precedence row {probe.precedence!r}")
    return found


def _read_yaml(file: Path) -> Any:
    """The file's content; nothing when there is no such file."""
    try:
        return yaml.safe_load(file.read_text(encoding="utf-8"))
    except FileNotFoundError:
        return None
    except (yaml.YAMLError, UnicodeDecodeError) as error:
        raise ValueError(f"{file}: {' '.join(str(error).split())}") from None


def _read_principle(file: Path) -> Principle:
    match = re.fullmatch(r"---\n(.*?)\n---\n(.*)", file.read_text(encoding="utf-8"), re.DOTALL)
    if match is None:
        raise ValueError(f"{file}: must open with front matter between two lines '---'")
    sections = dict(re.findall(r"^## (.+?)\n(.*?)(?=^## |\Z)", match[2], re.DOTALL | re.MULTILINE))
    try:
        fields: dict[str, Any] = yaml.safe_load(match[1])
        probes = file.parent.parent / "probes" / f"{fields['id']}.yaml"
        principle = Principle(
            **fields,
            text=sections["Text"].strip(),
            rationale=sections["Rationale"].strip(),
            review=sections["For the reviewer"].strip(),
            probes=yaml.safe_load(probes.read_text(encoding="utf-8")),
        )
    except KeyError as error:
        raise ValueError(f"{file}: lacks {error}") from None
    except FileNotFoundError as error:
        raise ValueError(f"{file}: no probes at {error.filename}") from None
    except (ValidationError, yaml.YAMLError, TypeError) as error:
        raise ValueError(f"{file}: {error}") from None
    if sum(probe.fixed for probe in principle.probes) != 1:
        raise ValueError(f"{file}: exactly one probe must be the fixed test prompt")
    return principle
