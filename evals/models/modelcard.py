"""A checkpoint's card for people: the lines of `conscience models show`, and a Hugging Face model card (README.md)."""

import json
from pathlib import Path

from jinja2 import Environment, FileSystemLoader, StrictUndefined

from conscience.evals.models import embedded, hub
from conscience.evals.models.card import EXTERNAL, CheckpointCard
from conscience.evals.models.loading import EMBEDDED, needed

TEMPLATES = Path(__file__).parent / "templates"
UNKNOWN = "not known"


def lineage(card: CheckpointCard) -> list[tuple[str, str]]:
    """What a checkpoint is made of, as titles and values; what is not known is said to be so."""
    pairs, machine = card.pairs, card.hardware
    return [
        ("weights", "LoRA adapter" if card.weights == "adapter" else "full weights"),
        ("method", "made elsewhere" if card.method == EXTERNAL else card.method),
        *([("source", card.source)] if card.source else []),
        *([("source revision", card.revision)] if card.revision else []),
        ("base", card.base),
        ("base revision", card.base_revision or UNKNOWN),
        ("pairs", f"{pairs.count}, SHA-256 {pairs.sha256}" if pairs else UNKNOWN),
        ("logs of the pairs", ", ".join(pairs.log_ids) if pairs else UNKNOWN),
        ("teacher", pairs.teacher if pairs else UNKNOWN),
        ("constitution", f"{card.constitution}, SHA-256 {card.constitution_hash}" if card.constitution else UNKNOWN),
        ("chat template", f"SHA-256 {card.chat_template_hash}" if card.chat_template_hash else UNKNOWN),
        ("fingerprint", card.fingerprint),
        *((f"SHA-256 of {name}", digest) for name, digest in _weights(card).items()),
        ("hardware", f"{machine.count} x {machine.device}, {machine.platform}" if machine else UNKNOWN),
        ("hours", UNKNOWN if card.hours is None else f"{card.hours:.2f}"),
        ("versions", ", ".join(f"{name} {version}" for name, version in card.versions.items()) or UNKNOWN),
    ]


def text(card: CheckpointCard) -> str:
    """The whole card, readable in a terminal."""
    rows = lineage(card)
    rows += [(f"recipe: {name}", json.dumps(value)) for name, value in card.recipe.items()]
    rows += [(f"metric: {name}", f"{value:.4g}") for name, value in card.metrics.items()]
    rows += [("note", note) for note in card.notes]
    width = max(len(title) for title, _ in rows)
    return "\n".join([f"conscience/{card.name}", *(f"  {title:<{width}}  {value}" for title, value in rows)])


def readme(card: CheckpointCard, scale: float | None = None) -> str:
    """A Hugging Face model card. It names no licence: that is the base's and the owner's to say.

    Args:
        card: card of the exported checkpoint.
        scale: factor on the adapter's delta where one was merged in.

    Raises:
        MissingDependency: huggingface_hub is not installed.
    """
    with needed():
        from huggingface_hub import ModelCardData

    public = embedded.PUBLIC if card.base == EMBEDDED else None
    known = public or (card.base if hub.is_id(card.base) and card.base != card.source else None)
    adapter = card.weights == "adapter"
    metadata = ModelCardData(
        base_model=known,
        base_model_relation=None if known is None else "adapter" if adapter else "finetune",
        library_name="peft" if adapter else "transformers",
        pipeline_tag="text-generation",
        tags=["conscience", *([] if card.method == EXTERNAL else [card.method]), *(["lora"] if adapter else [])],
    )
    made = "made elsewhere" if card.method == EXTERNAL else f"trained with {card.method}"
    environment = Environment(
        loader=FileSystemLoader(TEMPLATES),
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
        keep_trailing_newline=True,
        autoescape=False,
    )
    return environment.get_template("model_card.md").render(
        c=card,
        metadata=metadata.to_yaml(line_break="\n"),
        kind=f"{'A LoRA adapter' if adapter else 'Full weights'}, {made}; written by Conscience.",
        public_base=public if adapter else None,
        wheel=embedded.WHEEL,
        scale=scale,
        lineage=lineage(card),
        recipe=json.dumps(card.recipe, indent=2),
    )


def _weights(card: CheckpointCard) -> dict[str, str]:
    if card.adapter_sha256 is not None:
        return {"the adapter": card.adapter_sha256}
    return {name: digest for name, digest in card.files.items() if name.endswith(".safetensors")}
