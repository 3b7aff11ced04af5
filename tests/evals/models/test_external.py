"""Checkpoints made elsewhere: told apart, pinned by their files, and described by what is known."""

import json
import shutil
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner

from conscience.evals.errors import BadInput
from conscience.evals.models import card, embedded, external
from conscience.evals.models.card import ADAPTER
from conscience.evals.models.command import models

Adapter = Any
pytestmark = pytest.mark.filterwarnings("ignore:.is_gradient_checkpointing. is deprecated:FutureWarning")


@pytest.fixture
def full(tiny: Path, tmp_path: Path) -> Path:
    """A folder of full weights that a test may change."""
    return Path(shutil.copytree(tiny, tmp_path / "full"))


def plain_adapter(folder: Path, **config: Any) -> Path:
    """An adapter's folder with a few bytes for weights."""
    folder.mkdir()
    (folder / ADAPTER).write_bytes(b"weights")
    (folder / "adapter_config.json").write_text(json.dumps({"peft_type": "LORA", "task_type": "CAUSAL_LM"} | config))
    return folder


def test_full_weights_say_what_is_known(full: Path) -> None:
    """Every file that decides the answers is hashed; of the training nothing is invented, and nothing written there."""
    before = sorted(full.iterdir())
    made = external.register(str(full), "tried")
    assert (full, made) == card.find("tried")
    assert ("external", "full", str(full), None) == (made.method, made.weights, made.base, made.base_revision)
    assert (None, None, None, None, {}, None) == (
        made.pairs,
        made.constitution,
        made.constitution_hash,
        made.chat_template_hash,
        made.recipe,
        made.hours,
    )
    assert embedded.sha256(full / "model.safetensors") == made.files["model.safetensors"]
    assert {"config.json", "tokenizer.json", "chat_template.jinja"} <= set(made.files)
    assert before == sorted(full.iterdir())


@pytest.mark.parametrize("file", ["model.safetensors", "config.json", "chat_template.jinja"])
def test_a_changed_file_is_refused(file: str, full: Path) -> None:
    """What is evaluated is what was registered, down to the chat template."""
    external.register(str(full), "tried")
    (full / file).write_bytes((full / file).read_bytes() + b" ")
    with pytest.raises(BadInput, match=r"has SHA-256 .* but its card says"):
        card.find("tried")


def test_a_file_that_would_be_read_instead_is_refused(full: Path) -> None:
    """Further weights beside the registered ones could be loaded in their place."""
    external.register(str(full), "tried")
    (full / "model-00001-of-00002.safetensors").write_bytes(b"more")
    with pytest.raises(BadInput, match=r"model-00001-of-00002\.safetensors' is not on the checkpoint's card"):
        card.find("tried")
    (full / "model-00001-of-00002.safetensors").rename(full / "notes.md")
    assert full == card.find("tried")[0]


@pytest.mark.parametrize("name", ["pytorch_model.bin", "model.pt"])
def test_pickled_weights_are_refused(name: str, full: Path) -> None:
    """Only safetensors are weights; the message says why and what to do."""
    (full / "model.safetensors").rename(full / name)
    with pytest.raises(
        BadInput, match=f"'{name}' is a pickle, which can run code and is never loaded: convert it first"
    ):
        external.register(str(full), "tried")
    assert {} == card.registered()


def test_a_pickled_adapter_is_refused(tmp_path: Path) -> None:
    """PEFT would fall back to the pickle, so the adapter must be there in safetensors."""
    folder = plain_adapter(tmp_path / "adapter")
    (folder / ADAPTER).rename(folder / "adapter_model.bin")
    with pytest.raises(BadInput, match=r"'adapter_model\.bin' is a pickle"):
        external.register(str(folder), "tried", base="conscience/smollm2-135m")


def test_a_missing_shard_is_refused(full: Path) -> None:
    """Half a download is no checkpoint."""
    (full / "model.safetensors").rename(full / "model-00001-of-00002.safetensors")
    shards = {"a": "model-00001-of-00002.safetensors", "b": "model-00002-of-00002.safetensors"}
    (full / "model.safetensors.index.json").write_text(json.dumps({"weight_map": shards}))
    with pytest.raises(BadInput, match=r"lacks shards that its index names: model-00002-of-00002\.safetensors"):
        external.register(str(full), "tried")


def test_an_empty_folder_is_refused(tmp_path: Path) -> None:
    """The message says what makes a folder a checkpoint."""
    with pytest.raises(BadInput, match="holds neither an adapter"):
        external.register(str(tmp_path), "tried")


def test_an_adapter_names_its_base(tiny: Path, adapter: Adapter) -> None:
    """The base is the one in PEFT's configuration, and a local one is pinned by its files."""
    made = external.register(str(adapter(tiny)), "tried")
    assert ("adapter", str(tiny), 64) == (made.weights, made.base, len(made.base_revision or ""))
    assert made.files[ADAPTER] == made.adapter_sha256


def test_the_embedded_base_is_known_by_its_folder(home: Path, tmp_path: Path) -> None:
    """An adapter trained here names the materialised folder: its base is `conscience/smollm2-135m` all the same."""
    (home / "smollm2-135m").mkdir(parents=True)
    folder = plain_adapter(tmp_path / "adapter", base_model_name_or_path=str(home / "smollm2-135m"))
    made = external.register(str(folder), "tried")
    assert ("conscience/smollm2-135m", embedded.GGUF_SHA256) == (made.base, made.base_revision)


def test_an_unpinned_base_is_noted(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Offline the commit behind a branch is not known; a whole commit pins the base without the hub."""
    monkeypatch.setattr("conscience.evals.models.hub.commit_of", lambda _, revision: revision)
    folder = plain_adapter(tmp_path / "adapter", base_model_name_or_path="Qwen/Qwen3-8B", revision=None)
    loose = external.register(str(folder), "loose")
    pinned = external.register(str(folder), "pinned", revision="c" * 40)
    assert (None, external.UNPINNED in loose.notes) == (loose.base_revision, True)
    assert ("c" * 40, external.UNPINNED in pinned.notes) == (pinned.base_revision, False)
    assert loose.fingerprint != pinned.fingerprint


@pytest.mark.parametrize(
    ("config", "base", "revision", "expected"),
    [
        ({}, None, None, "names no base: give --base"),
        ({}, "conscience/other", None, "must be 'conscience/smollm2-135m', a hub id or a folder"),
        ({}, "conscience/smollm2-135m", "main", "--revision 'main' is for a base on the hub"),
        ({"peft_type": "IA3"}, "conscience/smollm2-135m", None, "peft_type 'IA3' must be 'LORA'"),
        ({"task_type": "SEQ_CLS"}, "conscience/smollm2-135m", None, "task_type 'SEQ_CLS' must be 'CAUSAL_LM'"),
    ],
)
def test_an_adapter_that_cannot_be_evaluated_is_refused(
    config: dict[str, str], base: str | None, revision: str | None, expected: str, tmp_path: Path
) -> None:
    """At registration, not when an evaluation starts."""
    with pytest.raises(BadInput, match=expected):
        external.register(str(plain_adapter(tmp_path / "adapter", **config)), "tried", base, revision)


def test_full_weights_take_no_base(full: Path) -> None:
    """An option that would be ignored is refused."""
    with pytest.raises(BadInput, match="is no adapter"):
        external.register(str(full), "tried", base="conscience/smollm2-135m")


def test_a_taken_name_is_not_moved(full: Path, tiny: Path) -> None:
    """Another checkpoint is refused and the holder named; the same one registers again."""
    first = external.register(str(tiny), "tried")
    assert first.fingerprint == external.register(str(tiny), "tried").fingerprint
    (full / "generation_config.json").write_text("{}")
    with pytest.raises(BadInput, match=f"the name 'tried' is taken by '{tiny}'"):
        external.register(str(full), "tried")
    assert {"tried": tiny} == card.registered()


def test_training_does_not_take_an_external_name(tiny: Path) -> None:
    """A run is refused before it trains for hours, as `check_free` is what it asks first."""
    external.register(str(tiny), "demo-dpo")
    with pytest.raises(BadInput, match="the name 'demo-dpo' is taken"):
        card.check_free("demo-dpo")


def test_the_commands_take_any_checkpoint(tiny: Path, adapter: Adapter) -> None:
    """`register`, `list` and `show` on the command line; what is not known is said to be so."""
    folder = adapter(tiny)

    def run(*arguments: str) -> str:
        return CliRunner().invoke(models, arguments, catch_exceptions=False).output

    assert "registered conscience/tried\n" == run("register", str(folder), "--name", "tried", "--base", str(tiny))
    assert f"conscience/tried  {folder}  (external, adapter on {tiny})" == run("list").splitlines()[1]
    shown = [" ".join(line.split()) for line in run("show", "tried").splitlines()]
    assert {"method made elsewhere", "pairs not known", "constitution not known", f"note {external.NOTE}"} <= set(shown)
    assert f"removed conscience/tried; left {folder}\n" == run("remove", "tried")
    assert (folder / ADAPTER).is_file()
