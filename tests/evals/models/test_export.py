"""Exported checkpoints: loadable without this package, with the lineage beside them."""

import json
from pathlib import Path
from typing import Any

import pytest
import yaml

from conscience.evals.errors import BadInput
from conscience.evals.models import card, embedded, external, loading
from conscience.evals.models.card import ADAPTER, CARD, CheckpointCard, Hardware, PairSource
from conscience.evals.models.export import export
from conscience.evals.models.modelcard import readme

Adapter = Any
pytestmark = pytest.mark.filterwarnings("ignore:.is_gradient_checkpointing. is deprecated:FutureWarning")


@pytest.fixture
def trained(tiny: Path, adapter: Adapter, home: Path) -> CheckpointCard:
    """An adapter with a card as our own training writes it, registered as `tried`."""
    folder = adapter(tiny)
    made = CheckpointCard(
        name="tried",
        base=str(tiny),
        base_revision=None,
        method="dpo",
        recipe={"learning_rate": 1e-4},
        pairs=PairSource(sha256="5" * 64, count=7, log_ids=("logA", "logB"), teacher="recorded/teacher"),
        constitution="clinical-v0.1",
        constitution_hash="1" * 64,
        chat_template_hash="2" * 64,
        adapter_sha256=embedded.sha256(folder / ADAPTER),
        fingerprint="3" * 64,
        versions={"trl": "1.16.0"},
        metrics={"loss": 0.25},
        hardware=Hardware(device="Some CPU", count=2, platform="Linux"),
        hours=0.5,
        notes=("The teacher was recorded.",),
    )
    (folder / CARD).write_text(made.model_dump_json())
    return card.register(folder, "tried")


def front_matter(text: str) -> dict[str, Any]:
    """The YAML at the head of a model card."""
    parsed = yaml.safe_load(text.split("---\n")[1])
    assert isinstance(parsed, dict)
    return parsed


def test_an_adapter_is_exported_as_it_is(trained: CheckpointCard, tmp_path: Path) -> None:
    """PEFT loads it, its hash is that of the card, and the folder registers again with its whole lineage."""
    assert trained == export("tried", tmp_path / "out")
    assert {ADAPTER, "adapter_config.json", CARD, "README.md"} == {file.name for file in (tmp_path / "out").iterdir()}
    assert trained == external.register(str(tmp_path / "out"), "tried")
    assert {"tried": tmp_path / "out"} == card.registered()


def test_peft_alone_loads_an_exported_adapter(trained: CheckpointCard, tmp_path: Path) -> None:
    """As its README says; the merged weights are those that are evaluated under the name."""
    import torch
    from peft import AutoPeftModelForCausalLM

    export("tried", tmp_path / "out")
    found = AutoPeftModelForCausalLM.from_pretrained(str(tmp_path / "out")).merge_and_unload().state_dict()
    expected = loading.load_model(loading.resolve("tried")).state_dict()
    assert all(torch.equal(expected[key], found[key]) for key in expected)


@pytest.mark.parametrize("name", ["tried", "tried@0.5"])
def test_a_merged_export_is_the_model(name: str, trained: CheckpointCard, tiny: Path, tmp_path: Path) -> None:
    """Transformers alone loads the very weights that are evaluated under the name, and the tokenizer."""
    import torch
    from transformers import AutoModelForCausalLM, AutoTokenizer

    made = export(name, tmp_path / "out", merged=True)
    assert ("full", None, trained.pairs) == (made.weights, made.adapter_sha256, made.pairs)
    assert any("Merged from the adapter of fingerprint 3333" in note for note in made.notes)
    expected = loading.load_model(loading.resolve(name)).state_dict()
    found = AutoModelForCausalLM.from_pretrained(tmp_path / "out").state_dict()
    assert all(torch.equal(expected[key], found[key]) for key in expected)
    base = AutoTokenizer.from_pretrained(tiny)
    assert base.chat_template == AutoTokenizer.from_pretrained(tmp_path / "out").chat_template
    assert made.files == external.register(str(tmp_path / "out"), "merged").files
    assert ("The adapter's delta was multiplied by 0.5" in (tmp_path / "out" / "README.md").read_text()) == (
        "@" in name
    )


def test_the_model_card_holds_the_lineage(trained: CheckpointCard, tmp_path: Path) -> None:
    """Pairs and their logs, constitution, recipe, template, versions, metrics, hardware, hours: all in the README."""
    export("tried", tmp_path / "out")
    text = (tmp_path / "out" / "README.md").read_text()
    for expected in (
        f"- **pairs:** 7, SHA-256 {'5' * 64}",
        "- **logs of the pairs:** logA, logB",
        f"- **constitution:** clinical-v0.1, SHA-256 {'1' * 64}",
        f"- **chat template:** SHA-256 {'2' * 64}",
        "- **versions:** trl 1.16.0",
        "- **hardware:** 2 x Some CPU, Linux",
        "- **hours:** 0.50",
        '"learning_rate": 0.0001',
        "| loss | 0.25 |",
        "The teacher was recorded.",
    ):
        assert expected in text
    assert not [line for line in text.splitlines() if "{%" in line or "{{" in line]


def test_the_metadata_names_base_and_library_but_no_licence(trained: CheckpointCard) -> None:
    """A local base has no hub id and is left out; the embedded one is known on the hub by another name."""
    local = front_matter(readme(trained))
    assert ("peft", ["conscience", "dpo", "lora"], False, False) == (
        local["library_name"],
        local["tags"],
        "base_model" in local,
        "license" in local,
    )
    ours = front_matter(readme(trained.model_copy(update={"base": "conscience/smollm2-135m"})))
    assert (embedded.PUBLIC, "adapter") == (ours["base_model"], ours["base_model_relation"])
    elsewhere = readme(trained.model_copy(update={"base": "Qwen/Qwen3-8B", "base_revision": "c" * 40}))
    assert "Qwen/Qwen3-8B" == front_matter(elsewhere)["base_model"]


def test_an_exported_adapter_names_its_base_for_others(
    trained: CheckpointCard, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A base on the hub is written with its commit into PEFT's configuration, in place of a path of this machine."""
    folder, made = card.find("tried")
    moved = made.model_copy(update={"base": "Qwen/Qwen3-8B", "base_revision": "c" * 40})
    (folder / CARD).write_text(moved.model_dump_json())
    export("tried", tmp_path / "out")
    config = json.loads((tmp_path / "out" / "adapter_config.json").read_text())
    assert ("Qwen/Qwen3-8B", "c" * 40) == (config["base_model_name_or_path"], config["revision"])


def test_external_weights_are_copied(tiny: Path, tmp_path: Path) -> None:
    """Full weights from elsewhere keep their files and their hashes."""
    made = external.register(str(tiny), "full")
    export("full", tmp_path / "out")
    assert made.files == external.register(str(tmp_path / "out"), "again").files


def test_what_cannot_be_exported_writes_nothing(trained: CheckpointCard, tmp_path: Path) -> None:
    """A strength without merging, a folder that holds something, the base itself."""
    (tmp_path / "full").mkdir()
    (tmp_path / "full" / "file").touch()
    for name, out, expected in (
        ("tried@0.5", "out", "by merging"),
        ("tried", "full", "is not an empty folder"),
        ("smollm2-135m", "out", "is the embedded base: it has no card"),
    ):
        with pytest.raises(BadInput, match=expected):
            export(name, tmp_path / out)
    assert not (tmp_path / "out").exists()


def test_a_failed_export_leaves_no_half_folder(
    trained: CheckpointCard, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The folder appears whole or not at all."""

    def full(*_: Any) -> None:
        raise OSError("disk full")

    monkeypatch.setattr("shutil.copyfile", full)
    (tmp_path / "place").mkdir()
    with pytest.raises(BadInput, match="disk full"):
        export("tried", tmp_path / "place" / "out")
    assert [] == list((tmp_path / "place").iterdir())
