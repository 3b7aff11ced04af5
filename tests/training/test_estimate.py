"""Estimates: what is added up, and that a dry run refuses what a run would."""

from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner

from conscience.evals.errors import BadInput
from conscience.training import estimate
from conscience.training.estimate import Processor, Shape
from conscience.training.recipe import Recipe, WarmStart
from conscience.training.rows import Row, Split

SHAPE = Shape(body=1000, head=100, adapter=10, layers=2, width=8, vocabulary=50)
GPU = Processor("gpu", peak=1e6, memory=1e9, count=2)
CPU = Processor("cpu", peak=1e6, memory=1e9, gpu=False)
ROWS = Split([Row([0] * 3, [0] * 4, [0] * 5)] * 8, [], [Row([0] * 3, [0] * 4, [0] * 5)] * 8)


def recipe(**changes: Any) -> Recipe:
    """Two epochs in batches of four."""
    return Recipe(**{"name": "t", "method": "dpo", "base": "b", "learning_rate": 1e-4, "epochs": 2.0, **changes})


def test_tokens_and_operations_are_added_up() -> None:
    """DPO: two epochs of forward and backward and one reference pass are five passes; a CPU runs a prompt once."""
    one = 3 + 4 + 5
    found = estimate.estimate(recipe(batch_size=4), SHAPE, ROWS, CPU)
    assert (4, 8 * 5 * one) == (found.steps, found.tokens)
    forward = 2 * (1010 * one + 100 * 9) + 4 * 2 * 8 * (7**2 + 8**2) / 2
    assert 8 * 5 * forward == pytest.approx(found.operations)
    low, high = estimate.EFFICIENCY["cpu"]
    assert (found.operations / 1e6 / high, found.operations / 1e6 / low) == pytest.approx(found.seconds)
    assert 8 * 5 * (one + 3) == estimate.estimate(recipe(), SHAPE, ROWS, GPU).tokens


@pytest.mark.parametrize(
    ("changes", "passes"),
    [
        ({"method": "ipo"}, 5),
        ({"method": "kto"}, 7),
        ({"method": "simpo"}, 4),
        ({"activation_checkpointing": True}, 7),
        ({"lora": {"modules": ["q"], "last_layers": 1}}, 4),
    ],
)
def test_each_method_has_its_passes(changes: dict[str, Any], passes: int) -> None:
    """KTO scores mismatched answers too, SimPO has no reference; half of the layers are half of a backward pass."""
    assert 8 * passes * 12 == estimate.estimate(recipe(**changes), SHAPE, ROWS, CPU).tokens


def test_a_warm_start_comes_on_top() -> None:
    """One epoch, forward and backward, of prompts and revisions."""
    warm = recipe(warm_start=WarmStart(learning_rate=1e-3, epochs=1.0))
    assert 8 * 5 * 12 + 8 * 2 * 7 == estimate.estimate(warm, SHAPE, ROWS, CPU).tokens


def test_activations_count() -> None:
    """Checkpointing them costs less memory than keeping them."""
    kept, again = (
        estimate.estimate(recipe(activation_checkpointing=on), SHAPE, ROWS, GPU).bytes for on in (False, True)
    )
    assert kept > again > 2 * 1100


def test_devices_by_name() -> None:
    """With a number before them; another is refused with what there is."""
    assert (989e12, 2) == (
        estimate.processor("2xH100", "bfloat16").peak,
        estimate.processor("2xH100", "bfloat16").count,
    )
    assert 1 == estimate.processor("a100", "bfloat16").count
    for wrong in ("v100", "twoxh100"):
        with pytest.raises(BadInput, match=f"unknown device '{wrong}'; there are: a100, h100, h200"):
            estimate.processor(wrong, "bfloat16")


@pytest.mark.model
def test_the_embedded_models_shape() -> None:
    """As its card says: 134,515,008 weights, of which 28,311,552 are the tied head."""
    shape = estimate.shape_of(Recipe(name="t", method="dpo", base="conscience/smollm2-135m", learning_rate=1e-4))
    assert (134_515_008, 28_311_552, 30, 576) == (shape.body + shape.head, shape.head, shape.layers, shape.width)
    assert 9_768_960 == shape.adapter


def test_a_dry_run_needs_its_pairs(tmp_path: Path) -> None:
    """As a run does."""
    from conscience.training.command import train

    file = tmp_path / "r.yaml"
    file.write_text("name: t\nmethod: dpo\nbase: conscience/smollm2-135m\nlearning_rate: 1.0e-4\n")
    with pytest.raises(BadInput, match="is not a folder of pairs"):
        CliRunner().invoke(
            train,
            [str(file), "--pairs", str(tmp_path), "--dry-run"],
            standalone_mode=False,
            catch_exceptions=False,
        )
