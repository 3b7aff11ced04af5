"""From a model's name to its weights: the base that is loaded, the adapter that is merged, and at what strength.

Knows transformers and PEFT; knows nothing of the engine that decodes, nor of Inspect. Code that comes with a checkpoint
is never run, and a pickle is never opened.
"""

import json
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, NamedTuple

from conscience.evals.errors import BadInput, MissingDependency
from conscience.evals.models import embedded, integrity
from conscience.evals.models.card import find, parse

EMBEDDED = f"conscience/{embedded.NAME}"
UNLIKE = ("attn_logit_softcapping", "final_logit_softcapping", "logits_scaling", "logit_scale")
"""Settings of attention and head that our decoding loop, which replaces both, does not compute."""


class Source(NamedTuple):
    """Where a model's parts lie."""

    weights: str
    """Folder or hub id that the weights are loaded from."""
    revision: str | None
    """Commit of a hub id; None where there is none or it is not known."""
    tokenizer: str
    """Folder or hub id of the tokenizer: the adapter's folder where it brings one, else that of the weights."""
    adapter: Path | None
    """Folder of the adapter to merge; None: the weights are the model."""
    scale: float
    """Factor on the adapter's delta."""
    template_hash: str | None
    """SHA-256 that the chat template must have; None: not known."""


def resolve(name: str) -> Source:
    """Find what the model `conscience/NAME` or `conscience/NAME@S` is made of, and check its files.

    Raises:
        BadInput: not registered, its files are not those of its card, or a strength for weights that are no adapter.
    """
    plain, scale = parse(name)
    if plain == embedded.NAME:
        _refuse_scale(name, scale)
        folder = str(embedded.materialise())
        return Source(folder, None, folder, None, 1.0, None)
    place, card = find(plain)
    if card.weights == "full":
        _refuse_scale(name, scale)
        return Source(str(place), None, str(place), None, 1.0, card.chat_template_hash)
    base, revision = base_source(card.base, card.base_revision)
    own = card.files and (place / "tokenizer_config.json").is_file()
    strength = 1.0 if scale is None else scale
    return Source(base, revision, str(place) if own else base, place, strength, card.chat_template_hash)


def base_source(base: str, revision: str | None) -> tuple[str, str | None]:
    """What `from_pretrained` is given for a base, and the commit to take; a local folder is checked against its hash.

    Raises:
        BadInput: a local base is not the one that the card names.
    """
    if base == EMBEDDED:
        return str(embedded.materialise()), None
    if not Path(base).is_dir():
        return base, revision
    if revision is not None and (found := integrity.digest(integrity.hashes(Path(base)))) != revision:
        raise BadInput(f"the base {base!r} has SHA-256 {found}, but the checkpoint's card says {revision}")
    return base, None


def load_tokenizer(source: Source) -> Any:
    """Load the tokenizer.

    Raises:
        MissingDependency: transformers is not installed.
        BadInput: it cannot be read, or has no chat template.
    """
    with needed():
        from transformers import AutoTokenizer

    with _readable(source.tokenizer):
        tokenizer: Any = AutoTokenizer.from_pretrained(
            source.tokenizer, revision=source.revision or "main", trust_remote_code=False
        )
    if tokenizer.chat_template is None:
        raise BadInput(
            f"the tokenizer of {source.tokenizer!r} has no chat template: it cannot be asked as a chat model"
        )
    return tokenizer


def outline(source: Source) -> Any:
    """A model without weights, on torch's meta device: what its configuration makes of it.

    Raises:
        MissingDependency: torch or transformers is not installed.
        BadInput: its configuration cannot be read.
    """
    with needed():
        import torch
        from transformers import AutoConfig, AutoModelForCausalLM

    with _readable(source.weights), torch.device("meta"):
        config = AutoConfig.from_pretrained(source.weights, revision=source.revision or "main", trust_remote_code=False)
        return AutoModelForCausalLM.from_config(config)  # type: ignore[no-untyped-call]


def load_model(source: Source) -> Any:
    """Load the weights in float32 and merge the adapter into them, at its strength.

    Raises:
        MissingDependency: torch, transformers or PEFT is not installed.
        BadInput: weights cannot be read, or the adapter is not one for this base.
    """
    with needed():
        import torch
        from transformers import AutoModelForCausalLM

    with _readable(source.weights):
        model: Any = AutoModelForCausalLM.from_pretrained(
            source.weights,
            revision=source.revision or "main",
            dtype=torch.float32,
            use_safetensors=True,
            trust_remote_code=False,
        )
    return model if source.adapter is None else merge(model, source.adapter, source.scale)


def check_decodable(model: Any) -> None:
    """Check that our decoding loop computes all of a model: one that lacks a part would answer, and answer wrongly.

    Raises:
        BadInput: the model has a part that the loop leaves out (names it).
    """
    config = model.config.get_text_config()
    parts = [name for name in UNLIKE if getattr(config, name, None) not in (None, 1)]
    if any(name.endswith(".sinks") for name, _ in model.named_parameters()):
        parts.append("attention sinks")
    if parts:
        raise BadInput(
            f"a {config.model_type!r} model has {', '.join(parts)}, which the conscience provider does not compute: "
            "evaluate its folder through Inspect's own providers, hf or vllm"
        )


def merge(model: Any, adapter: Path, scale: float) -> Any:
    """Add an adapter's delta, times a factor, to a model's weights.

    Merged in float32, then rounded once by the caller: an adapter kept apart costs two small products a layer and step.

    Raises:
        BadInput: not a LoRA adapter in safetensors, not for this model, or one whose effect a factor does not scale.
    """
    with needed():
        from peft import PeftModel
        from peft.helpers import rescale_adapter_scale

    with adapter_loading(adapter, scale):
        wrapped = PeftModel.from_pretrained(model, adapter)
        with rescale_adapter_scale(wrapped, scale):
            return wrapped.merge_and_unload()


@contextmanager
def adapter_loading(adapter: Path, scale: float) -> Iterator[None]:
    """Check an adapter, and let PEFT's doubts while it is loaded inside be errors.

    Raises:
        BadInput: not a LoRA adapter in safetensors, not for this model, or one whose effect a factor does not scale.
    """
    config = adapter_config(adapter)
    if scale != 1 and (fixed := _fixed(config)):
        raise BadInput(f"the adapter in {str(adapter)!r} cannot be scaled: it has {', '.join(fixed)}")
    with _readable(str(adapter)), warnings.catch_warnings():
        # An adapter for other layers loads with a mere warning, and the base would be evaluated in its name.
        warnings.filterwarnings("error", message="Found missing adapter keys")
        yield


def adapter_config(folder: Path) -> dict[str, Any]:
    """Read the configuration of a PEFT adapter.

    Raises:
        BadInput: it is not a LoRA adapter of a causal language model, in safetensors.
    """
    file = folder / integrity.ADAPTER_CONFIG
    try:
        config = json.loads(file.read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise BadInput(f"cannot read {str(file)!r}: {error}") from None
    if not isinstance(config, dict) or config.get("peft_type") != "LORA":
        kind = config.get("peft_type") if isinstance(config, dict) else config
        raise BadInput(f"{str(file)!r}: peft_type {kind!r} must be 'LORA'; merge another kind into full weights first")
    if config.get("task_type") not in (None, "CAUSAL_LM"):
        raise BadInput(f"{str(file)!r}: task_type {config['task_type']!r} must be 'CAUSAL_LM'")
    if not (folder / integrity.ADAPTER).is_file():
        raise BadInput(integrity.no_safetensors(folder, integrity.ADAPTER))
    return config


@contextmanager
def needed() -> Iterator[None]:
    """Turn a missing package of the local stack into one line.

    Raises:
        MissingDependency: an import inside failed.
    """
    try:
        yield
    except ImportError as error:
        raise MissingDependency(f"a local model needs {error.name}: run  pip install 'conscience[local]'") from None


def _fixed(config: dict[str, Any]) -> list[str]:
    """Parts of an adapter that stay whole when its delta is scaled."""
    parts = ("use_dora", "modules_to_save", "lora_bias", "trainable_token_indices")
    found = [part for part in parts if config.get(part)]
    if config.get("bias", "none") != "none":
        found.append(f"bias={config['bias']}")
    start = config.get("init_lora_weights", True)
    if isinstance(start, str) and start not in ("gaussian", "orthogonal", "eva"):  # PiSSA and its like move the base
        found.append(f"init_lora_weights={start}")
    return found


def _refuse_scale(name: str, scale: float | None) -> None:
    if scale is not None:
        raise BadInput(f"'conscience/{name}': only an adapter has a strength, and these are full weights")


@contextmanager
def _readable(place: str) -> Iterator[None]:
    """Say in one line why weights or a tokenizer cannot be loaded; the libraries raise any of these."""
    try:
        yield
    except (OSError, ValueError, KeyError, RuntimeError, UserWarning) as error:
        reason = str(error).strip().split("\n")[0]
        raise BadInput(f"cannot load {place!r}: {reason}") from None
