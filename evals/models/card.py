"""The checkpoint card: what a trained model is made of. With Inspect's `EvalLog` it is the only type handed between rooms.

A checkpoint is a folder with `checkpoint.json` (the card) and a PEFT adapter beside it. A name is registered by one small
file that points to such a folder; it is replaced in one step, so a name always points to a whole checkpoint.
"""

import json
from pathlib import Path
from typing import Any

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from conscience.evals.errors import BadInput
from conscience.evals.files import write_atomically
from conscience.evals.models import embedded

CARD = "checkpoint.json"
ADAPTER = "adapter_model.safetensors"
TEMPLATE = "chat_template"
"""Key under which every output's metadata, and so the log, holds the SHA-256 of the chat template."""


class PairSource(BaseModel):
    """Where a checkpoint's preference pairs come from."""

    model_config = ConfigDict(frozen=True)

    sha256: str
    """Hash of the pairs file."""
    count: int
    """Number of pairs."""
    log_ids: tuple[str, ...]
    """Eval ids of the logs that hold the samples, critiques and revisions."""
    teacher: str
    """Model that critiqued and revised; `recorded/teacher` has not seen the samples."""
    prompt_digests: tuple[str, ...] | None = None
    """Of every user turn of the pairs' prompts, see `conscience.evals.asclepius.scenario.prompt_digest`; the gate refuses to
    evaluate on them. None: not kept, in a card of before."""


class CheckpointCard(BaseModel):
    """Lineage of one checkpoint."""

    model_config = ConfigDict(frozen=True)

    name: str
    """Name under which the checkpoint is evaluated: `conscience/NAME`."""
    base: str
    """Base model: the embedded model's name, a hub id or a local folder."""
    method: str
    """Training method, for example `dpo`."""
    recipe: dict[str, Any]
    """The resolved recipe."""
    pairs: PairSource
    """The preference pairs."""
    constitution: str
    """Name of the constitution that the teacher applied."""
    constitution_hash: str
    """Its SHA-256."""
    chat_template_hash: str
    """SHA-256 of the tokenizer's chat template in training; evaluation refuses another."""
    adapter_sha256: str
    """Hash of the adapter's weights; a card whose adapter differs is refused at load."""
    fingerprint: str
    """Hash of everything that determines the training run: the same fingerprint means the same checkpoint."""
    versions: dict[str, str]
    """Library versions."""
    metrics: dict[str, float]
    """Final training metrics: loss, reward accuracy and margin, seconds."""
    notes: tuple[str, ...] = Field(default=())
    """What a reader must know, for example that the teacher was recorded."""


def registry_folder() -> Path:
    """Where registered names lie, one JSON file each."""
    return embedded.cache_folder() / "registry"


def registered() -> dict[str, Path]:
    """Registered names and the checkpoint folders that they point to."""
    return {
        file.stem: Path(json.loads(file.read_text(encoding="utf-8"))["path"])
        for file in sorted(registry_folder().glob("*.json"))
    }


def register(folder: Path, name: str) -> CheckpointCard:
    """Point a name to a checkpoint folder, in one step.

    Raises:
        BadInput: the folder holds no valid checkpoint, or the name is the embedded model's.
    """
    if name == embedded.NAME:
        raise BadInput(f"the name {name!r} belongs to the embedded base; choose another")
    card = read_card(folder)
    write_atomically(registry_folder() / f"{name}.json", json.dumps({"path": str(folder.absolute())}))
    return card


def find(name: str) -> tuple[Path, CheckpointCard]:
    """Look a registered checkpoint up.

    Raises:
        BadInput: the name is not registered (says which are), or its checkpoint is not valid.
    """
    names = registered()
    if name not in names:
        known = ", ".join(f"conscience/{n}" for n in (embedded.NAME, *names))
        raise BadInput(f"unknown model 'conscience/{name}'; there are: {known}")
    return names[name], read_card(names[name])


def read_card(folder: Path) -> CheckpointCard:
    """Read and check the card of a checkpoint folder.

    Raises:
        BadInput: no card, a card that is not valid, or an adapter whose hash differs (names both hashes).
    """
    file = folder / CARD
    try:
        card = CheckpointCard.model_validate_json(file.read_text(encoding="utf-8"))
    except FileNotFoundError:
        raise BadInput(f"{str(folder)!r} is not a checkpoint: it has no {CARD}") from None
    except ValidationError as error:
        first = error.errors()[0]
        raise BadInput(f"{str(file)!r}: {'.'.join(map(str, first['loc']))}: {first['msg']}") from None
    adapter = folder / ADAPTER
    found = embedded.sha256(adapter) if adapter.is_file() else "no file"
    if found != card.adapter_sha256:
        raise BadInput(f"{str(adapter)!r} has SHA-256 {found}, but its card says {card.adapter_sha256}")
    return card
