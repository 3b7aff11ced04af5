"""Checkpoint cards and the registry: a name always points to a whole checkpoint, or the error says why not."""

import json
from pathlib import Path

import pytest
from click.testing import CliRunner

from conscience.evals.errors import BadInput
from conscience.evals.models import card, embedded
from conscience.evals.models.card import ADAPTER, CARD, CheckpointCard, PairSource
from conscience.evals.models.command import models


def checkpoint(folder: Path, name: str = "tried") -> CheckpointCard:
    """Write a checkpoint folder whose adapter is a few bytes."""
    folder.mkdir(parents=True)
    (folder / ADAPTER).write_bytes(b"weights")
    made = CheckpointCard(
        name=name,
        base="conscience/smollm2-135m",
        method="dpo",
        recipe={},
        pairs=PairSource(sha256="0" * 64, count=1, log_ids=("log",), teacher="recorded/teacher"),
        constitution="clinical-v0.1",
        constitution_hash="1" * 64,
        chat_template_hash="2" * 64,
        adapter_sha256=embedded.sha256(folder / ADAPTER),
        fingerprint="3" * 64,
        versions={},
        metrics={"loss": 0.5},
    )
    (folder / CARD).write_text(made.model_dump_json())
    return made


def test_a_registered_checkpoint_is_found(tmp_path: Path) -> None:
    """`find` gives back the folder and the very card that was registered."""
    made = checkpoint(tmp_path / "checkpoint")
    card.register(tmp_path / "checkpoint", "tried")
    assert (tmp_path / "checkpoint", made) == card.find("tried")


def test_a_card_of_before_the_prompts_were_kept_still_loads(tmp_path: Path) -> None:
    """It says that it does not know them, which is not the same as having none."""
    checkpoint(tmp_path / "checkpoint")
    file = tmp_path / "checkpoint" / CARD
    data = json.loads(file.read_text())
    del data["pairs"]["prompt_digests"]
    file.write_text(json.dumps(data))
    assert card.read_card(tmp_path / "checkpoint").pairs.prompt_digests is None


def test_an_unknown_name_lists_what_exists(tmp_path: Path) -> None:
    """The message names the embedded base and every registered checkpoint."""
    checkpoint(tmp_path / "checkpoint")
    card.register(tmp_path / "checkpoint", "tried")
    with pytest.raises(BadInput) as error:
        card.find("tired")
    expected = "unknown model 'conscience/tired'; there are: conscience/smollm2-135m, conscience/tried"
    assert expected == str(error.value)


def test_a_tampered_adapter_is_refused_by_both_hashes(tmp_path: Path) -> None:
    """The weights that were evaluated are the weights that were trained, or nothing is loaded."""
    made = checkpoint(tmp_path / "checkpoint")
    card.register(tmp_path / "checkpoint", "tried")
    (tmp_path / "checkpoint" / ADAPTER).write_bytes(b"other weights")
    with pytest.raises(BadInput) as error:
        card.find("tried")
    assert made.adapter_sha256 in str(error.value)
    assert embedded.sha256(tmp_path / "checkpoint" / ADAPTER) in str(error.value)


def test_a_missing_adapter_is_refused(tmp_path: Path) -> None:
    """A card alone is no checkpoint."""
    checkpoint(tmp_path / "checkpoint")
    (tmp_path / "checkpoint" / ADAPTER).unlink()
    with pytest.raises(BadInput, match="has SHA-256 no file"):
        card.read_card(tmp_path / "checkpoint")


def test_a_folder_without_a_card_is_refused(tmp_path: Path) -> None:
    """The message says which file makes a folder a checkpoint."""
    with pytest.raises(BadInput, match=r"is not a checkpoint: it has no checkpoint\.json"):
        card.register(tmp_path, "tried")


def test_an_invalid_card_names_the_field(tmp_path: Path) -> None:
    """A card that lost a field is refused with the field's name."""
    made = checkpoint(tmp_path / "checkpoint")
    (tmp_path / "checkpoint" / CARD).write_text(made.model_dump_json(exclude={"fingerprint"}))
    with pytest.raises(BadInput, match="fingerprint: Field required"):
        card.read_card(tmp_path / "checkpoint")


def test_the_name_of_the_embedded_base_is_taken(tmp_path: Path) -> None:
    """No checkpoint can pose as the base that it is compared with."""
    checkpoint(tmp_path / "checkpoint")
    with pytest.raises(BadInput, match="belongs to the embedded base"):
        card.register(tmp_path / "checkpoint", "smollm2-135m")
    assert {} == card.registered()


def test_a_registration_cut_short_leaves_the_old_one(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A name is replaced in one step: when the step fails, it points to where it pointed."""
    checkpoint(tmp_path / "old")
    checkpoint(tmp_path / "new")
    card.register(tmp_path / "old", "tried")

    def fail(self: Path, target: Path) -> None:
        raise OSError("killed")

    monkeypatch.setattr(Path, "replace", fail)
    with pytest.raises(BadInput, match="killed"):
        card.register(tmp_path / "new", "tried")
    assert {"tried": tmp_path / "old"} == card.registered()


def test_the_commands_show_what_is_registered(tmp_path: Path) -> None:
    """`register`, `list`, `path` and `show` agree with one another."""
    made = checkpoint(tmp_path / "checkpoint")
    outputs = [
        CliRunner().invoke(models, arguments, standalone_mode=False).output
        for arguments in (
            ["register", str(tmp_path / "checkpoint"), "--name", "tried"],
            ["list"],
            ["path", "tried"],
            ["show", "tried"],
        )
    ]
    assert "registered conscience/tried\n" == outputs[0]
    listed = "conscience/smollm2-135m  the embedded base", f"conscience/tried  {tmp_path / 'checkpoint'}"
    assert listed == tuple(outputs[1].splitlines())
    assert f"{tmp_path / 'checkpoint'}\n" == outputs[2]
    assert made.model_dump(mode="json") == json.loads(outputs[3])
