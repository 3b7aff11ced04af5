"""Checkpoints made elsewhere: a PEFT adapter, a folder of full weights, or either of them on the hub.

Their card says what their files say, and no more. Their folder is only read: the card is kept with the name.
"""

from pathlib import Path

from conscience.evals.errors import BadInput
from conscience.evals.models import card as cards
from conscience.evals.models import embedded, hub, integrity
from conscience.evals.models.card import CheckpointCard
from conscience.evals.models.loading import EMBEDDED, adapter_config

NOTE = "Made elsewhere: its pairs, constitution, recipe and training are not known here."
UNPINNED = "The base's commit is not known: the hub was not reached, and what it holds can change."


def register(where: str, name: str, base: str | None = None, revision: str | None = None) -> CheckpointCard:
    """Register any checkpoint: a folder with a card, an adapter, full weights in safetensors, or a hub id.

    Args:
        where: a folder or a hub id.
        name: name to evaluate it by.
        base: base model of an adapter; by default the one that the adapter's own configuration names.
        revision: commit, branch or tag: of the hub id, or for an adapter's folder of its base on the hub.

    Raises:
        BadInput: not a checkpoint, weights that are not safetensors, the hub cannot be reached, or the name is taken.
    """
    folder = Path(where).expanduser().absolute()
    commit = None
    if folder.is_dir():
        source = str(folder)
    elif hub.is_id(where) and not folder.exists():
        source, folder = where, hub.download(where, revision)
        commit = folder.name
    else:
        raise BadInput(f"no checkpoint folder {where!r}, and not a hub id (OWNER/NAME)")
    if commit is None and (folder / cards.CARD).is_file():
        if base or revision:
            raise BadInput(f"{where!r} has a card, which names its base: leave --base and --revision out")
        return cards.register(folder, name)
    if (folder / integrity.ADAPTER_CONFIG).is_file():
        card = _adapter(folder, name, base, revision if commit is None else None)
    elif base or (revision and commit is None):
        raise BadInput(
            f"{where!r} is no adapter (it has no {integrity.ADAPTER_CONFIG}): leave --base and --revision out"
        )
    else:
        card = _full(folder, name, source, commit)
    return cards.register(folder, name, card.model_copy(update={"source": source, "revision": commit}))


def pin_base(base: str, revision: str | None = None) -> tuple[str, str | None]:
    """A base by the name that a card gives it, and what pins it: see `CheckpointCard.base_revision`.

    Raises:
        BadInput: not a base that can be loaded, or a revision for one that is not on the hub.
    """
    folder = Path(base).expanduser().absolute()
    ours = embedded.cache_folder() / embedded.NAME
    local = folder.is_dir()
    if revision is not None and (local or base == EMBEDDED):
        raise BadInput(f"--revision {revision!r} is for a base on the hub, which {base!r} is not")
    if base == EMBEDDED or (local and ours.is_dir() and folder.samefile(ours)):
        return EMBEDDED, embedded.GGUF_SHA256
    if local:
        integrity.check_weights(folder)
        return str(folder), integrity.digest(integrity.hashes(folder))
    if base.startswith("conscience/") or not hub.is_id(base):
        raise BadInput(f"the base {base!r} must be {EMBEDDED!r}, a hub id or a folder")
    return base, hub.commit_of(base, revision)


def _full(folder: Path, name: str, source: str, commit: str | None) -> CheckpointCard:
    integrity.check_weights(folder)
    files = integrity.hashes(folder)
    card = _card(name, files, integrity.digest(files))
    return card.model_copy(update={"base": source, "base_revision": commit, "weights": "full"})


def _adapter(folder: Path, name: str, base: str | None, revision: str | None) -> CheckpointCard:
    config = adapter_config(folder)
    if base is None:
        base = config.get("base_model_name_or_path")
        local = base == EMBEDDED or Path(str(base)).is_dir()
        revision = revision or (None if local else config.get("revision"))
    if not base:
        raise BadInput(f"{str(folder)!r} names no base: give --base")
    base, commit = pin_base(base, revision)
    files = integrity.hashes(folder)
    card = _card(name, files, integrity.digest(files | {"base": base, "base revision": commit or ""}))
    return card.model_copy(
        update={
            "base": base,
            "base_revision": commit,
            "adapter_sha256": files[integrity.ADAPTER],
            "notes": (NOTE,) if commit else (NOTE, UNPINNED),
        }
    )


def _card(name: str, files: dict[str, str], fingerprint: str) -> CheckpointCard:
    return CheckpointCard(
        name=name,
        base="",
        method=cards.EXTERNAL,
        recipe={},
        pairs=None,
        constitution=None,
        constitution_hash=None,
        chat_template_hash=None,
        adapter_sha256=None,
        files=files,
        fingerprint=fingerprint,
        versions={},
        metrics={},
        notes=(NOTE,),
    )
