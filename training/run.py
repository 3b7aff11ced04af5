"""One training run from recipe and pairs to a registered checkpoint; killed at any point, it goes on where it was.

Work lies in `$CONSCIENCE_HOME/training/FINGERPRINT`, the finished checkpoint in `$CONSCIENCE_HOME/checkpoints`. The
fingerprint hashes all that decides the result, so that the same run is never done twice and another never mixed in.
"""

import hashlib
import json
import shutil
import tempfile
import time
from collections.abc import Callable
from dataclasses import dataclass
from importlib.metadata import entry_points, version
from pathlib import Path

import click

from conscience.evals.errors import BadInput
from conscience.evals.models import card as cards
from conscience.evals.models.card import CheckpointCard
from conscience.evals.models.embedded import cache_folder, sha256
from conscience.evals.models.external import pin_base
from conscience.evals.models.integrity import ADAPTER_CONFIG
from conscience.training.hardware import hardware
from conscience.training.pairs import Manifest, Pair
from conscience.training.recipe import Recipe

GROUP = "conscience.training"
LIBRARIES = ("torch", "transformers", "peft", "trl", "accelerate", "datasets", "conscience")


@dataclass(frozen=True)
class Trained:
    """What a method hands back."""

    adapter: Path
    """Folder with the PEFT adapter."""
    metrics: dict[str, float]
    """Final figures: loss, reward accuracy and margin, seconds."""
    chat_template_hash: str
    """Of the tokenizer that rendered the pairs."""


Method = Callable[[Recipe, list[Pair], Path], Trained]
"""A training method: recipe, pairs and a work folder in which everything to resume from is kept."""


def method(name: str) -> Method:
    """Find a training method by its entry point.

    Raises:
        BadInput: there is none of that name (says which there are).
    """
    found = {entry.name: entry for entry in entry_points(group=GROUP)}
    if name not in found:
        raise BadInput(f"unknown method {name!r}; there are: {', '.join(sorted(found))}")
    loaded: Method = found[name].load()
    return loaded


def run(recipe: Recipe, pairs: list[Pair], manifest: Manifest) -> tuple[Path, CheckpointCard]:
    """Train, write the checkpoint with its card, register it.

    Raises:
        BadInput: unknown method, pairs sampled from another base, a name that is another checkpoint's, or no room to
            write; the checkpoint that was registered before stays valid.
    """
    train = method(recipe.method)
    if manifest.base != recipe.base:
        raise BadInput(f"the pairs were sampled from {manifest.base!r}, but the recipe's base is {recipe.base!r}")
    cards.check_free(recipe.name)  # now, not after hours of training
    versions = {name: version(name) for name in LIBRARIES}
    identity = json.dumps([recipe.hash(), manifest.source.sha256, versions], sort_keys=True)
    fingerprint = hashlib.sha256(identity.encode()).hexdigest()
    target = cache_folder() / "checkpoints" / f"{recipe.name}-{fingerprint[:12]}"
    try:
        if target.is_dir():
            click.echo(f"{recipe.name}: already trained with this recipe, these pairs and versions")
        else:
            work = cache_folder() / "training" / fingerprint[:12]
            work.mkdir(parents=True, exist_ok=True)
            base, base_revision = pin_base(recipe.base)
            started = time.monotonic()
            trained = train(recipe, pairs, work)
            hours = (time.monotonic() - started) / 3600
            card = CheckpointCard(
                name=recipe.name,
                base=base,
                base_revision=base_revision,
                method=recipe.method,
                recipe=recipe.model_dump(mode="json"),
                pairs=manifest.source,
                constitution=manifest.constitution,
                constitution_hash=manifest.constitution_hash,
                chat_template_hash=trained.chat_template_hash,
                adapter_sha256=sha256(trained.adapter / cards.ADAPTER),
                files={name: sha256(trained.adapter / name) for name in (cards.ADAPTER, ADAPTER_CONFIG)},
                fingerprint=fingerprint,
                versions=versions,
                metrics=trained.metrics,
                hardware=hardware(),
                hours=hours,
                notes=_notes(manifest),
            )
            _publish(trained.adapter, card, target)
            shutil.rmtree(work)
        return target, cards.register(target, recipe.name)
    except OSError as error:
        raise BadInput(f"cannot write the checkpoint: {error}; what was registered before is untouched") from None


def _publish(adapter: Path, card: CheckpointCard, target: Path) -> None:
    """Copy the adapter and write the card into a temporary folder, then rename it."""
    target.parent.mkdir(parents=True, exist_ok=True)
    temporary = Path(tempfile.mkdtemp(prefix=f".{target.name}-", dir=target.parent))
    try:
        for name in (cards.ADAPTER, ADAPTER_CONFIG):
            shutil.copy2(adapter / name, temporary / name)
        (temporary / cards.CARD).write_text(card.model_dump_json(indent=2), encoding="utf-8")
        temporary.rename(target)
    finally:
        shutil.rmtree(temporary, ignore_errors=True)


def _notes(manifest: Manifest) -> tuple[str, ...]:
    if manifest.source.teacher.startswith("recorded/"):
        return (
            "The teacher was recorded: its critiques and revisions were written for the prompts, not for the samples.",
        )
    return ()
