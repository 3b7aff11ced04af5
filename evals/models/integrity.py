"""Which files of a checkpoint folder decide its answers, and whether they are still those that were registered.

Weights are read from safetensors only: a pickle can run code when it is loaded, so none is ever opened.
"""

import hashlib
import json
from collections.abc import Mapping
from pathlib import Path

from conscience.evals.errors import BadInput
from conscience.evals.models.embedded import sha256

ADAPTER = "adapter_model.safetensors"
ADAPTER_CONFIG = "adapter_config.json"
WEIGHTS = "model.safetensors"
INDEX = "model.safetensors.index.json"
READ = (
    "*.safetensors",
    INDEX,
    ADAPTER_CONFIG,
    "config.json",
    "generation_config.json",
    "tokenizer*",
    "special_tokens_map.json",
    "added_tokens.json",
    "vocab*",
    "merges.txt",
    "chat_template*",
)
"""What transformers and PEFT read of a folder: weights, settings, tokenizer."""
PICKLES = ("*.bin", "*.pt", "*.pth", "*.ckpt", "*.pkl")


def hashes(folder: Path) -> dict[str, str]:
    """SHA-256 of every file of a folder that decides its answers, by name."""
    return {file.name: sha256(file) for file in _read(folder)}


def digest(hashed: Mapping[str, str]) -> str:
    """One SHA-256 of all that `hashes` found."""
    return hashlib.sha256(json.dumps(dict(hashed), sort_keys=True).encode()).hexdigest()


def check(folder: Path, expected: Mapping[str, str], closed: bool) -> None:
    """Check a folder's files against their recorded hashes.

    Args:
        folder: the checkpoint.
        expected: SHA-256 by file name.
        closed: whether a further file that would be read is refused too: `model.safetensors` put beside shards would
            be loaded in their place.

    Raises:
        BadInput: a file is missing or differs (names both hashes), or there is one more.
    """
    for name, recorded in expected.items():
        file = folder / name
        found = sha256(file) if file.is_file() else "no file"
        if found != recorded:
            raise BadInput(f"{str(file)!r} has SHA-256 {found}, but its card says {recorded}")
    new = [file for file in _read(folder) if file.name not in expected]
    if closed and new:
        raise BadInput(f"{str(new[0])!r} is not on the checkpoint's card: remove it, or register the folder anew")


def check_weights(folder: Path) -> None:
    """Check that a folder holds a whole set of full weights in safetensors.

    Raises:
        BadInput: no configuration, no safetensors (says so when there are pickles), or a shard is missing.
    """
    if not (folder / "config.json").is_file():
        raise BadInput(f"{str(folder)!r} holds neither an adapter ({ADAPTER_CONFIG}) nor full weights (config.json)")
    index = folder / INDEX
    if (folder / WEIGHTS).is_file():
        return
    if not index.is_file():
        raise BadInput(no_safetensors(folder, f"{WEIGHTS} or {INDEX}"))
    try:
        shards = {str(shard) for shard in json.loads(index.read_text(encoding="utf-8"))["weight_map"].values()}
    except (ValueError, KeyError, TypeError, AttributeError):
        raise BadInput(f"{str(index)!r} is not an index of shards: it has no valid weight_map") from None
    if missing := sorted(shard for shard in shards if not (folder / shard).is_file()):
        raise BadInput(f"{str(folder)!r} lacks shards that its index names: {', '.join(missing)}")


def no_safetensors(folder: Path, wanted: str) -> str:
    """Say that weights are missing, and why the pickles beside are no substitute."""
    pickles = sorted(file.name for pattern in PICKLES for file in folder.glob(pattern))
    found = f"; {pickles[0]!r} is a pickle, which can run code and is never loaded: convert it first" if pickles else ""
    return f"{str(folder)!r} has no {wanted}{found}"


def _read(folder: Path) -> list[Path]:
    return sorted({file for pattern in READ for file in folder.glob(pattern) if file.is_file()})
