"""A checkpoint as a folder that anyone can load with PEFT or transformers, with its card for machines and for people."""

import json
import shutil
import tempfile
from pathlib import Path

from conscience.evals.errors import BadInput
from conscience.evals.models import embedded, hub, integrity, modelcard
from conscience.evals.models.card import CARD, CheckpointCard, find, parse
from conscience.evals.models.loading import EMBEDDED, load_model, load_tokenizer, needed, resolve


def export(name: str, out: Path, merged: bool = False) -> CheckpointCard:
    """Write a checkpoint's weights, `checkpoint.json` and `README.md` to a new folder, in one step.

    Args:
        name: registered name; `NAME@S` with `merged` only.
        out: folder to write; it must not hold anything yet.
        merged: whether to merge an adapter into its base: full weights in the base's own precision, and the tokenizer.

    Returns:
        The card of what was written.

    Raises:
        BadInput: not registered or not valid, a strength without `merged`, or the folder cannot be written.
        MissingDependency: the local stack is not installed.
    """
    scale = parse(name).scale
    folder, card = find(name)
    adapter = card.weights == "adapter"
    if scale is not None and not (adapter and merged):
        raise BadInput(f"'conscience/{name}': a strength is exported by merging an adapter with it (--merged)")
    if out.exists() and (not out.is_dir() or any(out.iterdir())):
        raise BadInput(f"{str(out)!r} exists and is not an empty folder")
    try:
        out.parent.mkdir(parents=True, exist_ok=True)
        temporary = Path(tempfile.mkdtemp(prefix=f".{out.name}-", dir=out.parent))
        try:
            card = _merge(name, scale, card, temporary) if adapter and merged else _copy(folder, card, temporary)
            (temporary / CARD).write_text(card.model_dump_json(indent=2), encoding="utf-8")
            (temporary / "README.md").write_text(modelcard.readme(card, scale), encoding="utf-8")
            temporary.chmod(0o755)  # mkdtemp's are the owner's alone
            temporary.rename(out)
        finally:
            shutil.rmtree(temporary, ignore_errors=True)
    except OSError as error:
        raise BadInput(f"cannot write {str(out)!r}: {error}") from None
    return card


def _copy(folder: Path, card: CheckpointCard, target: Path) -> CheckpointCard:
    for name in card.files or (integrity.ADAPTER, integrity.ADAPTER_CONFIG):
        shutil.copyfile(folder / name, target / name)
    if card.weights == "adapter":
        _name_base(card, target / integrity.ADAPTER_CONFIG)
    return card.model_copy(update={"files": integrity.hashes(target)}) if card.files else card


def _name_base(card: CheckpointCard, file: Path) -> None:
    """Let an adapter name its base so that it is found on other machines."""
    base = embedded.PUBLIC if card.base == EMBEDDED else card.base
    if hub.is_id(base) and not Path(base).is_dir():
        revision = None if card.base == EMBEDDED else card.base_revision
        config = json.loads(file.read_text(encoding="utf-8"))
        config |= {"base_model_name_or_path": base, "revision": revision}
        file.write_text(json.dumps(config, indent=2), encoding="utf-8")


def _merge(name: str, scale: float | None, card: CheckpointCard, target: Path) -> CheckpointCard:
    with needed():
        from transformers import AutoConfig

    source = resolve(name)
    tokenizer, model = load_tokenizer(source), load_model(source)
    precision = AutoConfig.from_pretrained(source.weights, revision=source.revision or "main").dtype
    model.to(precision or model.dtype).save_pretrained(target)
    tokenizer.save_pretrained(target)
    files = integrity.hashes(target)
    strength = "" if scale is None else f" at strength {scale:g}"
    return card.model_copy(
        update={
            "name": name,
            "weights": "full",
            "adapter_sha256": None,
            "files": files,
            "fingerprint": integrity.digest(files),
            "notes": (*card.notes, f"Merged from the adapter of fingerprint {card.fingerprint}{strength}."),
        }
    )
