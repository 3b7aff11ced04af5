"""From a name to weights: the right base, the right strength, and nothing unpickled or run."""

import asyncio
import json
import shutil
from pathlib import Path
from typing import Any

import pytest

from conscience.evals.errors import BadInput
from conscience.evals.models import external, loading

Adapter = Any
# PEFT still asks transformers by an old name.
pytestmark = pytest.mark.filterwarnings("ignore:.is_gradient_checkpointing. is deprecated:FutureWarning")


def weights(name: str) -> dict[str, Any]:
    """The loaded weights of a registered model, by name."""
    return dict(loading.load_model(loading.resolve(name)).state_dict())


def say(model: Any, question: str, tokens: int = 16) -> str:
    """What a model answers greedily."""
    from inspect_ai.model import ChatMessageUser, GenerateConfig

    asked = [ChatMessageUser(content=question)]
    output = asyncio.run(model.generate(asked, [], "none", GenerateConfig(max_tokens=tokens)))
    return str(output.completion)


def test_strength_scales_the_delta(tiny: Path, adapter: Adapter) -> None:
    """At 0 the weights are the base's to the bit, at 1 the checkpoint's, and in between on the straight line."""
    import torch

    external.register(str(tiny), "base")
    external.register(str(adapter(tiny)), "tried")
    base, plain = weights("base"), weights("tried")
    at = {scale: weights(f"tried@{scale}") for scale in ("0", "0.5", "1", "1.5")}
    moved = [key for key in base if not torch.equal(base[key], plain[key])]
    assert 6 == len(moved)  # three modules in each of two layers
    for key in base:
        assert torch.equal(base[key], at["0"][key])
        assert torch.equal(plain[key], at["1"][key])
        for scale in ("0.5", "1.5"):
            expected = base[key] + float(scale) * (plain[key] - base[key])
            torch.testing.assert_close(at[scale][key], expected, atol=1e-5, rtol=0)


@pytest.mark.parametrize(
    ("settings", "part"),
    [
        ({"use_dora": True}, "use_dora"),
        ({"bias": "lora_only"}, "bias=lora_only"),
        ({"modules_to_save": ["lm_head"]}, "modules_to_save"),
    ],
)
def test_what_a_factor_does_not_scale_has_no_strength(
    settings: dict[str, Any], part: str, tiny: Path, adapter: Adapter
) -> None:
    """Such an adapter loads whole, but at strength 0 it would not be its base, so strengths are refused."""
    external.register(str(adapter(tiny, **settings)), "tried")
    assert weights("tried")
    with pytest.raises(BadInput, match=f"cannot be scaled: it has {part}"):
        weights("tried@0.5")


@pytest.mark.parametrize("name", ["full@0.5", "full@1", "smollm2-135m@0.5"])
def test_full_weights_have_no_strength(name: str, tiny: Path) -> None:
    """There is no delta to scale; strength 1 is refused too, so that a log's name is never misread."""
    external.register(str(tiny), "full")
    with pytest.raises(BadInput, match="only an adapter has a strength"):
        loading.resolve(name)


def test_full_weights_answer(tiny: Path) -> None:
    """A folder of full weights is evaluated as `conscience/NAME`, though its tokenizer has no padding token."""
    from conscience.evals.models.local import ConscienceAPI

    external.register(str(tiny), "full")
    model = ConscienceAPI("full", dtype="float32")
    assert say(model, "how much is safe") == say(model, "how much is safe") != ""


def test_an_adapter_of_another_model_is_refused(tiny: Path, adapter: Adapter, tmp_path: Path) -> None:
    """PEFT only warns when an adapter has no weights for a layer: the base would be evaluated in its name."""
    folder = adapter(tiny)
    config = json.loads((folder / "adapter_config.json").read_text())
    config["target_modules"] = ["q_proj", "gate_proj"]
    (folder / "adapter_config.json").write_text(json.dumps(config))
    external.register(str(folder), "tried")
    with pytest.raises(BadInput, match="Found missing adapter keys"):
        weights("tried")


def test_a_changed_local_base_is_refused(tiny: Path, adapter: Adapter, tmp_path: Path) -> None:
    """The adapter's card pins its base: another base would be another model under the same name."""
    base = Path(shutil.copytree(tiny, tmp_path / "base"))
    external.register(str(adapter(base)), "tried")
    (base / "generation_config.json").write_text("{}")
    with pytest.raises(BadInput, match=f"the base '{base}' has SHA-256"):
        loading.resolve("tried")


def test_a_pickle_beside_safetensors_is_never_opened(tiny: Path, adapter: Adapter, tmp_path: Path) -> None:
    """Loading leaves a booby-trapped pickle alone, in full weights and in an adapter's folder."""
    trap = f"cos\nsystem\n(S'touch {tmp_path / 'sprung'}'\ntR.".encode()
    full, lora = Path(shutil.copytree(tiny, tmp_path / "full")), adapter(tiny)
    for file in (full / "pytorch_model.bin", lora / "adapter_model.bin", full / "training_args.bin"):
        file.write_bytes(trap)
    external.register(str(full), "full")
    external.register(str(lora), "tried")
    assert (True, True, False) == (bool(weights("full")), bool(weights("tried")), (tmp_path / "sprung").exists())


def test_code_in_a_checkpoint_is_not_run(tiny: Path, tmp_path: Path) -> None:
    """A model that brings its own class is refused in one line, or loaded by transformers' own class; never run."""
    folder = Path(shutil.copytree(tiny, tmp_path / "full"))
    config = json.loads((folder / "config.json").read_text())
    config |= {"model_type": "mine", "auto_map": {"AutoConfig": "mine.Mine", "AutoModelForCausalLM": "mine.Model"}}
    (folder / "config.json").write_text(json.dumps(config))
    (folder / "mine.py").write_text(f"open({str(tmp_path / 'sprung')!r}, 'w')\nclass Mine: ...\nclass Model: ...\n")
    external.register(str(folder), "full")
    with pytest.raises(BadInput, match="cannot load"):
        weights("full")
    assert not (tmp_path / "sprung").exists()


def test_a_model_without_a_chat_template_is_refused(tiny: Path, tmp_path: Path) -> None:
    """A plain language model cannot be asked as a chat model, and no template is invented for it."""
    folder = Path(shutil.copytree(tiny, tmp_path / "full"))
    (folder / "chat_template.jinja").unlink()
    external.register(str(folder), "full")
    with pytest.raises(BadInput, match="has no chat template"):
        loading.load_tokenizer(loading.resolve("full"))


def test_a_model_that_the_engine_would_get_wrong_is_refused(tiny: Path, tmp_path: Path) -> None:
    """Granite divides its logits and Gemma 2 caps its attention; the engine's own loop does neither."""
    from inspect_ai._util.error import PrerequisiteError
    from transformers import GraniteConfig, GraniteForCausalLM

    from conscience.evals.models.local import ConscienceAPI

    folder = Path(shutil.copytree(tiny, tmp_path / "granite"))
    sizes: dict[str, Any] = {"vocab_size": 14, "hidden_size": 32, "intermediate_size": 64, "num_hidden_layers": 1}
    config = GraniteConfig(**sizes, num_attention_heads=4, num_key_value_heads=2, eos_token_id=1, logits_scaling=8.0)
    GraniteForCausalLM(config).save_pretrained(folder)
    external.register(str(folder), "granite")
    with pytest.raises(PrerequisiteError, match="a 'granite' model has logits_scaling, which the conscience provider"):
        ConscienceAPI("granite", dtype="float32")


@pytest.mark.model
def test_strengths_of_the_embedded_model(
    materialised: Path, home: Path, adapter: Adapter, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Real weights, an untrained random adapter: @0 answers as the base, @1 as the checkpoint, @0.5 as neither."""
    from inspect_ai.model import get_model

    from conscience.evals.models.local import ConscienceAPI

    home.mkdir()
    (home / "smollm2-135m").symlink_to(materialised / "smollm2-135m")
    external.register(str(adapter(home / "smollm2-135m")), "tried")
    question = "How much ibuprofen is safe for an adult in a day?"
    said = {
        name: say(ConscienceAPI(name, dtype="float32"), question, 24)
        for name in ("smollm2-135m", "tried", "tried@0", "tried@0.5", "tried@1")
    }
    assert said["smollm2-135m"] == said["tried@0"]
    assert said["tried"] == said["tried@1"]
    assert 3 == len({said["tried@0"], said["tried@0.5"], said["tried@1"]})
    assert "conscience/tried@0.5" == str(get_model("conscience/tried@0.5", dtype="float32"))
