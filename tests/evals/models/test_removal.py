"""Removing a name: what is ours can go, what is not stays."""

from pathlib import Path

import pytest

from conscience.evals.errors import BadInput
from conscience.evals.models import card
from conscience.evals.models.card import CARD, CheckpointCard
from conscience.evals.models.embedded import sha256
from conscience.evals.models.integrity import ADAPTER
from conscience.evals.models.removal import remove


@pytest.fixture
def trained(home: Path) -> Path:
    """A checkpoint in the folder of those trained here, registered as `tried`."""
    folder = home / "checkpoints" / "tried-000000000000"
    write(folder)
    card.register(folder, "tried")
    return folder


def write(folder: Path) -> None:
    """Write a checkpoint folder whose adapter is a few bytes."""
    folder.mkdir(parents=True)
    (folder / ADAPTER).write_bytes(b"weights")
    made = CheckpointCard(
        name="tried",
        base="conscience/smollm2-135m",
        method="dpo",
        recipe={},
        pairs=None,
        constitution=None,
        constitution_hash=None,
        chat_template_hash=None,
        adapter_sha256=sha256(folder / ADAPTER),
        fingerprint="3" * 64,
        versions={},
        metrics={},
    )
    (folder / CARD).write_text(made.model_dump_json())


def test_the_name_goes_and_the_files_stay(trained: Path) -> None:
    """Without `--files` nothing but the name is lost."""
    assert trained == remove("tried")
    assert ({}, True) == (card.registered(), (trained / ADAPTER).is_file())


def test_files_go_when_asked(trained: Path) -> None:
    """The whole folder goes, and nothing half-deleted stays beside it."""
    remove("tried", files=True)
    assert ({}, []) == (card.registered(), list(trained.parent.iterdir()))


def test_a_folder_from_elsewhere_is_never_deleted(tmp_path: Path, home: Path) -> None:
    """Neither one outside the cache folder, nor one that a link leads to; the name stays too, so that one can retry."""
    outside = tmp_path / "elsewhere"
    write(outside)
    (home / "checkpoints").mkdir(parents=True)
    link = home / "checkpoints" / "link"
    link.symlink_to(outside)
    for place, name in ((outside, "tried"), (link, "linked")):
        card.register(place, name, card.read_card(place).model_copy(update={"name": name}))
        with pytest.raises(BadInput, match="was not trained here"):
            remove(name, files=True)
    assert (2, True) == (len(card.registered()), (outside / ADAPTER).is_file())


def test_a_folder_under_two_names_is_kept(trained: Path) -> None:
    """Deleting it would break the other name."""
    card.register(trained, "alias")
    with pytest.raises(BadInput, match="is also conscience/alias"):
        remove("tried", files=True)
    assert trained == remove("alias")
    assert trained == remove("tried", files=True)


@pytest.mark.parametrize("name", ["nope", "smollm2-135m", "tried@0.5", "../registry/tried"])
def test_what_is_not_registered_cannot_be_removed(name: str, trained: Path) -> None:
    """The message lists the names that can."""
    with pytest.raises(BadInput, match="to remove; there are: tried"):
        remove(name)
    assert ["tried"] == list(card.registered())
