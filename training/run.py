"""One training run from recipe and pairs to a registered checkpoint; killed at any point, it goes on where it was.

Work lies in `$CONSCIENCE_HOME/training/FINGERPRINT`, the finished checkpoint in `$CONSCIENCE_HOME/checkpoints`. The
fingerprint hashes all that decides the result, so that the same run is never done twice and another never mixed in.
"""

import hashlib
import json
import shutil
import tempfile
from importlib.metadata import version
from pathlib import Path

from conscience.evals.errors import BadInput
from conscience.evals.models import card as cards
from conscience.evals.models.card import CheckpointCard
from conscience.evals.models.embedded import cache_folder, sha256
from conscience.evals.models.external import pin_base
from conscience.evals.models.integrity import ADAPTER_CONFIG
from conscience.training import method, processes, stages
from conscience.training.hardware import hardware
from conscience.training.monitor import FIGURES, STILL_KL, STILL_MARGIN, still
from conscience.training.pairs import Manifest, Pair
from conscience.training.plot import draw
from conscience.training.processes import say
from conscience.training.recipe import Recipe
from conscience.training.stages import Trained

FIGURE = "training.svg"
"""Curves of the run, beside the card."""
LIBRARIES = ("torch", "transformers", "peft", "trl", "accelerate", "datasets", "conscience")


def run(recipe: Recipe, pairs: list[Pair], manifest: Manifest) -> tuple[Path, CheckpointCard]:
    """Train, write the checkpoint with its card, register it.

    Raises:
        BadInput: unknown method, pairs sampled from another base, a name that is another checkpoint's, or no room to
            write; the checkpoint that was registered before stays valid.
    """
    method.parameters(recipe)
    if manifest.base != recipe.base:
        raise BadInput(f"the pairs were sampled from {manifest.base!r}, but the recipe's base is {recipe.base!r}")
    cards.check_free(recipe.name)  # now, not after hours of training
    versions = {name: version(name) for name in LIBRARIES}
    identity = json.dumps([recipe.hash(), manifest.source.sha256, versions], sort_keys=True)
    fingerprint = hashlib.sha256(identity.encode()).hexdigest()
    target = cache_folder() / "checkpoints" / f"{recipe.name}-{fingerprint[:12]}"
    try:
        if target.is_dir():
            say(f"{recipe.name}: already trained with this recipe, these pairs and versions")
        else:
            work = cache_folder() / "training" / fingerprint[:12]
            work.mkdir(parents=True, exist_ok=True)
            base, base_revision = pin_base(recipe.base, recipe.revision)
            trained = stages.train(recipe, pairs, work)
            metrics = figures(trained)
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
                metrics=metrics,
                hardware=hardware(),
                hours=metrics["seconds"] / 3600,
                notes=notes(recipe, manifest, trained),
            )
            if processes.is_first():
                _publish(trained, card, target)
            processes.wait()
            if processes.is_first():
                shutil.rmtree(work)
        if processes.is_first():
            cards.register(target, recipe.name)
        processes.wait()
        return target, cards.read_card(target)
    except OSError as error:
        raise BadInput(f"cannot write the checkpoint: {error}; what was registered before is untouched") from None


def figures(trained: Trained) -> dict[str, float]:
    """The last value of each figure, those of the warm start under a name of their own, and all seconds together."""
    found: dict[str, float] = {}
    for stage, history in trained.history.items():
        prefix = "warm_start_" if stage == stages.WARM_START else ""
        for entry in history:
            found |= {f"{prefix}{name.replace('/', '_')}": entry[name] for name in FIGURES if name in entry}
    found["seconds"] = sum(entry["seconds"] for history in trained.history.values() for entry in history[-1:])
    return found


def notes(recipe: Recipe, manifest: Manifest, trained: Trained) -> tuple[str, ...]:
    """What a reader of the card must know."""
    found = []
    if manifest.source.teacher.startswith("recorded/"):
        found.append(
            "The teacher was recorded: its critiques and revisions were written for the prompts, not for the samples."
        )
    if still(trained.history[recipe.method]):
        found.append(
            f"NOTHING WAS LEARNED: {recipe.method} moved the model by less than {STILL_KL} nats a token and the margin by "
            f"less than {STILL_MARGIN}. Try a higher learning rate than {recipe.learning_rate:g}."
        )
    return tuple(found)


def _publish(trained: Trained, card: CheckpointCard, target: Path) -> None:
    """Copy the adapter and write card, history and figure into a temporary folder, then rename it."""
    target.parent.mkdir(parents=True, exist_ok=True)
    temporary = Path(tempfile.mkdtemp(prefix=f".{target.name}-", dir=target.parent))
    try:
        for name in (cards.ADAPTER, ADAPTER_CONFIG):
            shutil.copy2(trained.adapter / name, temporary / name)
        (temporary / stages.HISTORY).write_text(json.dumps(trained.history), encoding="utf-8")
        (temporary / FIGURE).write_text(draw(trained.history), encoding="utf-8")
        (temporary / cards.CARD).write_text(card.model_dump_json(indent=2), encoding="utf-8")
        temporary.rename(target)
    finally:
        shutil.rmtree(temporary, ignore_errors=True)
