"""The checkpoint card: what a trained model is made of. With Inspect's `EvalLog` it is the only type handed between rooms.

A checkpoint is a folder: a PEFT adapter, or full weights, in safetensors. One trained here has its card beside the
weights, in `checkpoint.json`. A name is registered by one small file that points to such a folder, and that holds the
card of a checkpoint made elsewhere, whose folder is never written to. That file is replaced in one step, so a name
always points to a whole checkpoint.
"""

import json
import re
from pathlib import Path
from typing import Annotated, Any, Literal, NamedTuple

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from conscience.evals.errors import BadInput
from conscience.evals.files import write_atomically
from conscience.evals.models import embedded, integrity

CARD = "checkpoint.json"
ADAPTER = integrity.ADAPTER
EXTERNAL = "external"
"""Method of a checkpoint that was made elsewhere."""
TEMPLATE = "chat_template"
"""Key under which every output's metadata, and so the log, holds the SHA-256 of the chat template."""
MAX_SCALE = 1.5
_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]*")
_SCALE = re.compile(r"[0-9]+(\.[0-9]+)?")


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


class Hardware(BaseModel):
    """What a checkpoint was trained on."""

    model_config = ConfigDict(frozen=True)

    device: str
    """Name of the GPU, or of the processor where there is none."""
    count: int
    """GPUs, or processor cores open to the run."""
    platform: str
    """Operating system and architecture."""


class CheckpointCard(BaseModel):
    """Lineage of one checkpoint. What is not known, as for one made elsewhere, is None and never a guess."""

    model_config = ConfigDict(frozen=True)

    name: str
    """Name under which the checkpoint is evaluated: `conscience/NAME`."""
    base: str
    """Base model: the embedded model's name, a hub id or a local folder. External full weights name themselves."""
    base_revision: str | None = None
    """Commit of a base from the hub; SHA-256 of what a local or the embedded base is made of; None: not known."""
    weights: Literal["adapter", "full"] = "adapter"
    """A LoRA adapter on the base, or weights that need no base."""
    method: str
    """Training method, for example `dpo`; `external`: made elsewhere."""
    recipe: dict[str, Any]
    """The resolved recipe; empty: not known."""
    pairs: PairSource | None
    """The preference pairs; None: not known."""
    constitution: str | None
    """Name of the constitution that the teacher applied; None: not known."""
    constitution_hash: str | None
    """Its SHA-256; None: not known."""
    chat_template_hash: str | None
    """SHA-256 of the tokenizer's chat template in training; evaluation refuses another. None: not known, not checked."""
    adapter_sha256: str | None
    """Hash of the adapter's weights; a card whose adapter differs is refused at load. None: full weights."""
    files: dict[Annotated[str, Field(pattern=r"^[A-Za-z0-9_][^/\\]*$")], str] = Field(default_factory=dict)
    """SHA-256 of every file that decides the answers; any difference is refused. Empty on the oldest cards."""
    fingerprint: str
    """Hash of everything that determines the checkpoint: the same fingerprint means the same checkpoint."""
    versions: dict[str, str]
    """Library versions in training."""
    metrics: dict[str, float]
    """Final training metrics: loss, reward accuracy and margin, seconds."""
    hardware: Hardware | None = None
    """What it was trained on; None: not known."""
    hours: float | None = None
    """Wall time of training: of the process that finished it, without earlier ones that were killed. None: not known."""
    source: str | None = None
    """Where an external checkpoint came from: a hub id or a folder."""
    revision: str | None = None
    """The hub commit of an external checkpoint."""
    notes: tuple[str, ...] = Field(default=())
    """What a reader must know, for example that the teacher was recorded."""


class Named(NamedTuple):
    """What a model name says."""

    name: str
    """The registered name."""
    scale: float | None
    """Factor on the adapter's delta; None where the name gives none, which means 1."""


def parse(name: str) -> Named:
    """Take `NAME@S` apart: the checkpoint NAME with its LoRA delta times S.

    Raises:
        BadInput: S is not a plain decimal number from 0 to 1.5.
    """
    plain, at, scale = name.partition("@")
    if not at:
        return Named(plain, None)
    if not _SCALE.fullmatch(scale) or float(scale) > MAX_SCALE:
        raise BadInput(f"adapter strength {scale!r} in 'conscience/{name}' must be a number from 0 to {MAX_SCALE}")
    return Named(plain, float(scale))


def registry_folder() -> Path:
    """Where registered names lie, one JSON file each."""
    return embedded.cache_folder() / "registry"


def registered() -> dict[str, Path]:
    """Registered names and the checkpoint folders that they point to."""
    return {
        file.name.removesuffix(".json"): Path(json.loads(file.read_text(encoding="utf-8"))["path"])
        for file in sorted(registry_folder().glob("[!.]*.json"))
    }


def register(folder: Path, name: str, card: CheckpointCard | None = None) -> CheckpointCard:
    """Point a name to a checkpoint folder, in one step.

    A name that is held moves only to another training run under that very name, or to the same checkpoint elsewhere.

    Args:
        folder: the checkpoint.
        name: name to evaluate it by.
        card: card of a checkpoint made elsewhere, kept with the name; by default the folder's own card is read.

    Raises:
        BadInput: the folder holds no valid checkpoint; the name is not valid, is the embedded model's, or is taken.
    """
    kept = {} if card is None else {"card": card.model_dump(mode="json")}
    card = card or read_card(folder)
    check_free(name, card)
    write_atomically(registry_folder() / f"{name}.json", json.dumps({"path": str(folder.absolute()), **kept}))
    return card


def check_free(name: str, card: CheckpointCard | None = None) -> None:
    """Check that a name can be given to a checkpoint, by default to one that is yet to be trained under that name.

    Raises:
        BadInput: the name is not valid, is the embedded model's, or belongs to another checkpoint (says to which).
    """
    if name == embedded.NAME:
        raise BadInput(f"the name {name!r} belongs to the embedded base; choose another")
    if not _NAME.fullmatch(name):
        raise BadInput(f"{name!r} cannot be a name: letters, digits, '.', '_' and '-' only, a letter or digit first")
    if name not in registered():
        return
    try:
        folder, holder = lookup(name)
    except BadInput:  # its folder is gone: the name holds nothing
        return
    retrained = holder.method != EXTERNAL and holder.name == name
    if card is not None:
        retrained = retrained and card.method != EXTERNAL and card.name == name
    if not retrained and (card is None or card.fingerprint != holder.fingerprint):
        raise BadInput(
            f"the name {name!r} is taken by {holder.source or str(folder)!r} (method {holder.method}, fingerprint "
            f"{holder.fingerprint[:12]}); choose another, or free it: conscience models remove {name}"
        )


def lookup(name: str) -> tuple[Path, CheckpointCard]:
    """Look a registered checkpoint's folder and card up, without hashing its weights; `NAME@S` finds NAME.

    Raises:
        BadInput: the name is not registered (says which are), or its card cannot be read.
    """
    name = parse(name).name
    if name == embedded.NAME:
        raise BadInput(f"'conscience/{name}' is the embedded base: it has no card")
    names = registered()
    if name not in names:
        known = ", ".join(f"conscience/{n}" for n in (embedded.NAME, *names))
        raise BadInput(f"unknown model 'conscience/{name}'; there are: {known}")
    file = registry_folder() / f"{name}.json"
    kept = json.loads(file.read_text(encoding="utf-8")).get("card")
    return names[name], _card(names[name] / CARD) if kept is None else _valid(file, json.dumps(kept))


def find(name: str) -> tuple[Path, CheckpointCard]:
    """Look a registered checkpoint up and check that its files are those that its card names; `NAME@S` finds NAME.

    Raises:
        BadInput: the name is not registered (says which are), or its checkpoint is not valid.
    """
    folder, card = lookup(name)
    check_files(folder, card)
    return folder, card


def read_card(folder: Path) -> CheckpointCard:
    """Read and check the card of a checkpoint folder.

    Raises:
        BadInput: no card, a card that is not valid, or a file whose hash differs (names both hashes).
    """
    card = _card(folder / CARD)
    check_files(folder, card)
    return card


def check_files(folder: Path, card: CheckpointCard) -> None:
    """Check a checkpoint's files against its card.

    Raises:
        BadInput: a file is missing or differs (names both hashes), one that the card does not know would be read, or
            the card vouches for no weights at all.
    """
    expected = card.files | ({} if card.adapter_sha256 is None else {ADAPTER: card.adapter_sha256})
    if not any(name.endswith(".safetensors") for name in expected):
        raise BadInput(f"the card of {str(folder)!r} holds no hash of weights (adapter_sha256, files)")
    integrity.check(folder, expected, closed=bool(card.files))


def _card(file: Path) -> CheckpointCard:
    try:
        return _valid(file, file.read_text(encoding="utf-8"))
    except (FileNotFoundError, NotADirectoryError):
        raise BadInput(f"{str(file.parent)!r} is not a checkpoint: it has no {CARD}") from None


def _valid(file: Path, text: str) -> CheckpointCard:
    try:
        return CheckpointCard.model_validate_json(text)
    except ValidationError as error:
        first = error.errors()[0]
        raise BadInput(f"{str(file)!r}: {'.'.join(map(str, first['loc']))}: {first['msg']}") from None
