"""Checkpoint cards and the registry: a name always points to a whole checkpoint, or the error says why not."""

import json
import shutil
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
    pairs = card.read_card(tmp_path / "checkpoint").pairs
    assert pairs is not None and pairs.prompt_digests is None


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
    assert str(made.adapter_sha256) in str(error.value)
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


@pytest.mark.parametrize("field", ["base_revision", "weights", "files", "hardware", "hours", "source", "revision"])
def test_a_card_written_before_a_field_existed_still_loads(field: str, tmp_path: Path) -> None:
    """What later versions added has a default that says: not known."""
    made = checkpoint(tmp_path / "checkpoint")
    (tmp_path / "checkpoint" / CARD).write_text(made.model_dump_json(exclude={field}))
    assert made == card.read_card(tmp_path / "checkpoint")


def test_a_card_that_vouches_for_no_weights_is_refused(tmp_path: Path) -> None:
    """Without a hash anything could lie beside the card, a pickle too."""
    made = checkpoint(tmp_path / "checkpoint")
    (tmp_path / "checkpoint" / CARD).write_text(made.model_copy(update={"adapter_sha256": None}).model_dump_json())
    with pytest.raises(BadInput, match="holds no hash of weights"):
        card.read_card(tmp_path / "checkpoint")


@pytest.mark.parametrize("file", ["../stolen.safetensors", "/etc/passwd", "a/b.safetensors", ".."])
def test_a_card_names_files_of_its_own_folder_only(file: str, tmp_path: Path) -> None:
    """A card from elsewhere cannot make an export copy to or from another place."""
    made = checkpoint(tmp_path / "checkpoint").model_dump(mode="json") | {"files": {file: "0" * 64}}
    (tmp_path / "checkpoint" / CARD).write_text(json.dumps(made))
    with pytest.raises(BadInput, match="files"):
        card.read_card(tmp_path / "checkpoint")


@pytest.mark.parametrize(
    ("name", "expected"),
    [
        ("tried", ("tried", None)),
        ("tried@0", ("tried", 0.0)),
        ("tried@0.25", ("tried", 0.25)),
        ("a-b_c.1@1.5", ("a-b_c.1", 1.5)),
    ],
)
def test_a_name_says_its_strength(name: str, expected: tuple[str, float | None]) -> None:
    """`NAME@S` is the checkpoint NAME at strength S; a plain name gives none."""
    assert expected == card.parse(name)


@pytest.mark.parametrize(
    "scale", ["", "1.51", "2", "-0.5", "+1", "nan", "inf", "1e0", ".5", "1.", "0.5@1", "half", " 1", "\u0661"]
)
def test_another_strength_is_refused(scale: str) -> None:
    """Only plain decimal numbers from 0 to 1.5, so that a strength has few spellings."""
    with pytest.raises(BadInput, match=r"must be a number from 0 to 1\.5"):
        card.parse(f"tried@{scale}")


def test_a_strength_finds_the_checkpoint(tmp_path: Path) -> None:
    """The gate finds lineage by the name in the log, whatever the strength."""
    made = checkpoint(tmp_path / "checkpoint")
    card.register(tmp_path / "checkpoint", "tried")
    assert (tmp_path / "checkpoint", made) == card.find("tried@0.5") == card.lookup("tried@0.5")


@pytest.mark.parametrize("name", ["tried@0.5", "../tried", "a/b", "", ".hidden", "two words", "-x", "nächste"])
def test_a_name_that_could_mean_something_else_is_refused(name: str, tmp_path: Path) -> None:
    """A name is a file name and part of a model's name: neither paths nor strengths."""
    checkpoint(tmp_path / "checkpoint")
    with pytest.raises(BadInput, match="cannot be a name"):
        card.register(tmp_path / "checkpoint", name)


def test_a_taken_name_says_what_holds_it(tmp_path: Path) -> None:
    """A checkpoint of another name cannot take it; the message names the holder and how to free the name."""
    checkpoint(tmp_path / "first")
    checkpoint(tmp_path / "second", name="other")
    card.register(tmp_path / "first", "tried")
    change_fingerprint(tmp_path / "second", "4" * 64)
    with pytest.raises(BadInput) as error:
        card.register(tmp_path / "second", "tried")
    assert f"the name 'tried' is taken by '{tmp_path / 'first'}' (method dpo, fingerprint 333333333333)" in str(
        error.value
    )
    assert "conscience models remove tried" in str(error.value)
    assert {"tried": tmp_path / "first"} == card.registered()


def change_fingerprint(folder: Path, fingerprint: str) -> None:
    """Give a checkpoint another fingerprint."""
    changed = card.read_card(folder).model_copy(update={"fingerprint": fingerprint})
    (folder / CARD).write_text(changed.model_dump_json())


def test_training_again_moves_its_own_name(tmp_path: Path) -> None:
    """Another run under the same name takes the name over; the older folder stays."""
    for folder, fingerprint in (("old", "3" * 64), ("new", "4" * 64)):
        checkpoint(tmp_path / folder)
        change_fingerprint(tmp_path / folder, fingerprint)
        card.register(tmp_path / folder, "tried")
    assert ({"tried": tmp_path / "new"}, True) == (card.registered(), (tmp_path / "old" / CARD).is_file())


def test_a_name_whose_folder_is_gone_is_free(tmp_path: Path) -> None:
    """A pointer to nothing blocks nobody."""
    checkpoint(tmp_path / "old", name="other")
    card.register(tmp_path / "old", "tried")
    shutil.rmtree(tmp_path / "old")
    checkpoint(tmp_path / "new")
    card.register(tmp_path / "new", "tried")
    assert {"tried": tmp_path / "new"} == card.registered()


def test_the_commands_show_what_is_registered(tmp_path: Path) -> None:
    """`register`, `list`, `path` and `show` agree with one another."""
    made = checkpoint(tmp_path / "checkpoint")
    outputs = [
        CliRunner().invoke(models, arguments, standalone_mode=False).output
        for arguments in (
            ["register", str(tmp_path / "checkpoint"), "--name", "tried"],
            ["list"],
            ["path", "tried"],
            ["show", "tried", "--json"],
            ["show", "tried"],
        )
    ]
    place = tmp_path / "checkpoint"
    assert "registered conscience/tried\n" == outputs[0]
    tried = f"conscience/tried  {place}  (dpo, adapter on conscience/smollm2-135m)"
    assert ["conscience/smollm2-135m  the embedded base", tried] == outputs[1].splitlines()
    assert f"{place}\n" == outputs[2]
    assert made.model_dump(mode="json") == json.loads(outputs[3])
    shown = [" ".join(line.split()) for line in outputs[4].splitlines()]
    assert "conscience/tried" == shown[0]
    assert {
        "base conscience/smollm2-135m",
        "base revision not known",
        f"pairs 1, SHA-256 {'0' * 64}",
        "logs of the pairs log",
        f"constitution clinical-v0.1, SHA-256 {'1' * 64}",
        f"SHA-256 of the adapter {made.adapter_sha256}",
        "hours not known",
        "metric: loss 0.5",
    } <= set(shown)


def test_a_broken_checkpoint_does_not_hide_the_others(tmp_path: Path) -> None:
    """`list` says what is wrong with one and goes on."""
    for name in ("broken", "tried"):
        checkpoint(tmp_path / name, name)
        card.register(tmp_path / name, name)
    (tmp_path / "broken" / CARD).unlink()
    listed = CliRunner().invoke(models, ["list"], standalone_mode=False).output.splitlines()
    assert ["cannot be used" in line for line in listed] == [False, True, False]
