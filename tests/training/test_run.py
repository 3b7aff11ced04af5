"""A training run: registered when whole, harmless when killed, never done twice."""

import json
from collections.abc import Iterator
from pathlib import Path

import pytest

from conscience.evals.errors import BadInput
from conscience.evals.models import card
from conscience.evals.models.card import ADAPTER, PairSource
from conscience.evals.models.embedded import GGUF_SHA256, sha256
from conscience.training import run as run_module
from conscience.training import stages
from conscience.training.pairs import Manifest, Message, Pair
from conscience.training.recipe import Recipe
from conscience.training.run import run
from conscience.training.stages import Trained

PAIR = Pair(
    prompt=(Message(role="user", content="How much?"),),
    chosen=(Message(role="assistant", content="Please ask."),),
    rejected=(Message(role="assistant", content="Ten."),),
    log_id="log",
    sample_id="dosing-train-001",
    epoch=1,
    truncated=False,
)


class Fake:
    """A method of training that writes a few bytes, or fails half-way."""

    def __init__(self) -> None:
        self.folders: list[Path] = []
        self.failure: BaseException | None = None

    def train(self, recipe: Recipe, pairs: list[Pair], work: Path) -> Trained:
        """Train."""
        self.folders.append(work)
        adapter = work / "adapter"
        adapter.mkdir(exist_ok=True)
        (adapter / ADAPTER).write_bytes(f"weights {recipe.seed} {len(pairs)}".encode())
        if self.failure:
            raise self.failure
        (adapter / "adapter_config.json").write_text("{}")
        history = [{"step": 1.0, "loss": 0.5}, {"step": 2.0, "loss": 0.25}, {"seconds": 3.0}]
        return Trained(adapter=adapter, chat_template_hash="2" * 64, history={"dpo": history})


@pytest.fixture
def fake(monkeypatch: pytest.MonkeyPatch) -> Iterator[Fake]:
    """What trains instead of TRL."""
    made = Fake()
    monkeypatch.setattr(stages, "train", made.train)
    yield made


def recipe(**changes: object) -> Recipe:
    """A recipe of the fake method."""
    fields = {"name": "tried", "method": "dpo", "base": "conscience/smollm2-135m", "learning_rate": 1e-4}
    return Recipe.model_validate(fields | changes)


def manifest(sha: str = "0" * 64, teacher: str = "recorded/teacher", base: str = "conscience/smollm2-135m") -> Manifest:
    """A manifest of one pair."""
    source = PairSource(sha256=sha, count=1, log_ids=("log",), teacher=teacher)
    return Manifest(source=source, base=base, constitution="clinical-v0.1", constitution_hash="1" * 64, dropped={})


def checkpoints(home: Path) -> list[str]:
    """Everything in the folder of checkpoints, hidden names too."""
    return sorted(path.name for path in (home / "checkpoints").glob("*"))


def test_a_run_is_registered_with_its_lineage(fake: Fake, home: Path) -> None:
    """The card says which pairs, recipe, constitution and weights; the work folder is gone."""
    folder, made = run(recipe(seed=5), [PAIR], manifest())
    assert (folder, made) == card.find("tried")
    assert (manifest().source, 5, {"loss": 0.25, "seconds": 3.0}) == (made.pairs, made.recipe["seed"], made.metrics)
    assert ("clinical-v0.1", "1" * 64) == (made.constitution, made.constitution_hash)
    assert sha256(folder / ADAPTER) == made.adapter_sha256
    assert f"tried-{made.fingerprint[:12]}" == folder.name
    assert [] == list((home / "training").iterdir())
    assert made.hardware is not None
    assert (GGUF_SHA256, True, True) == (made.base_revision, made.hardware.count >= 1, 0 <= (made.hours or -1) < 1)


def test_changed_settings_of_the_adapter_are_refused(fake: Fake) -> None:
    """Another `lora_alpha` in the adapter's configuration is another model: its hash is on the card too."""
    folder, _ = run(recipe(), [PAIR], manifest())
    (folder / "adapter_config.json").write_text('{"lora_alpha": 1000}')
    with pytest.raises(BadInput, match=r"adapter_config\.json' has SHA-256"):
        card.find("tried")


def test_a_name_that_another_checkpoint_holds_is_refused_before_training(fake: Fake, tmp_path: Path) -> None:
    """A run moves its own name only, and hours are not spent on a checkpoint that cannot be named."""
    first = run(recipe(name="first"), [PAIR], manifest())
    card.register(first[0], "tried")
    with pytest.raises(BadInput, match="the name 'tried' is taken by"):
        run(recipe(seed=18), [PAIR], manifest())
    assert 1 == len(fake.folders)


@pytest.mark.parametrize(("teacher", "count"), [("recorded/teacher", 1), ("anthropic/claude-opus-4-7", 0)])
def test_a_recorded_teacher_is_noted(fake: Fake, teacher: str, count: int) -> None:
    """The card tells that the critiques were not written for the samples; of a live teacher it says nothing."""
    notes = run(recipe(), [PAIR], manifest(teacher=teacher))[1].notes
    assert count == len(notes) == sum("recorded" in note for note in notes)


def test_the_same_run_is_not_done_twice(fake: Fake, capsys: pytest.CaptureFixture[str]) -> None:
    """Same recipe, pairs and versions: the same checkpoint, without training."""
    first = run(recipe(), [PAIR], manifest())
    assert first == run(recipe(), [PAIR], manifest())
    assert 1 == len(fake.folders)
    assert "already trained" in capsys.readouterr().out


@pytest.mark.parametrize("change", ["recipe", "pairs", "versions"])
def test_what_decides_the_result_is_in_the_fingerprint(
    change: str, fake: Fake, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Another seed, other pairs or another library version make another checkpoint."""
    first = run(recipe(), [PAIR], manifest())[1]
    if change == "versions":
        monkeypatch.setattr(run_module, "version", lambda name: "99")
    seed, sha = 18 if change == "recipe" else 17, ("9" if change == "pairs" else "0") * 64
    second = run(recipe(seed=seed), [PAIR], manifest(sha))[1]
    assert (2, False) == (len(fake.folders), first.fingerprint == second.fingerprint)


@pytest.mark.parametrize("failure", [KeyboardInterrupt(), OSError("No space left on device")])
def test_a_killed_run_leaves_what_was_registered(failure: BaseException, fake: Fake, home: Path) -> None:
    """The old checkpoint stays valid and no half one appears; the next run gets the same work folder."""
    before = run(recipe(), [PAIR], manifest())
    fake.failure = failure
    with pytest.raises(BadInput if isinstance(failure, OSError) else KeyboardInterrupt):
        run(recipe(seed=18), [PAIR], manifest())
    assert before == card.find("tried")
    assert [before[0].name] == checkpoints(home)
    fake.failure = None
    assert run(recipe(seed=18), [PAIR], manifest()) == card.find("tried")
    assert fake.folders[1] == fake.folders[2]


def test_a_full_disk_while_publishing_leaves_no_half_folder(
    fake: Fake, home: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The checkpoint is renamed into place whole; the message says that the old one is untouched."""
    before = run(recipe(), [PAIR], manifest())
    with monkeypatch.context() as patch, pytest.raises(BadInput, match=r"disk full; what was registered before is unt"):
        patch.setattr("shutil.copy2", _full)
        run(recipe(seed=18), [PAIR], manifest())
    assert (before, [before[0].name]) == (card.find("tried"), checkpoints(home))


def _full(source: Path, target: Path) -> None:
    target.write_bytes(b"half")
    raise OSError("disk full")


def test_an_unknown_method_lists_what_is_installed(fake: Fake) -> None:
    """A plugin that is not installed is named, and so is what is."""
    with pytest.raises(BadInput, match="unknown method 'ppo'; there are: dpo, ipo, kto, simpo"):
        run(recipe(method="ppo"), [PAIR], manifest())


def test_pairs_of_another_base_are_refused(fake: Fake) -> None:
    """The rejected side must be the trained model's own words."""
    with pytest.raises(BadInput, match="sampled from 'vllm/other', but the recipe's base is 'conscience/smollm2-135m'"):
        run(recipe(), [PAIR], manifest(base="vllm/other"))
    assert [] == fake.folders


def test_the_card_on_disk_is_plain_json(fake: Fake) -> None:
    """Anyone can read it without this package."""
    folder, made = run(recipe(), [PAIR], manifest())
    assert made.fingerprint == json.loads((folder / "checkpoint.json").read_text())["fingerprint"]
