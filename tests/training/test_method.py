"""Methods are found by their entry points, those of other packages too."""

import shutil
import sys
from pathlib import Path

import pytest

from conscience import training
from conscience.evals.errors import BadInput
from conscience.training import method
from conscience.training.pairs import Manifest, Pair
from conscience.training.recipe import Recipe
from conscience.training.run import run

EXAMPLE = Path(str(training.__file__)).parent / "example-method"


@pytest.fixture
def installed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The example package as pip would install it: its module, its metadata, its entry point."""
    shutil.copy(EXAMPLE / "robust_dpo.py", tmp_path)
    about = tmp_path / "conscience_robust_dpo-0.1.0.dist-info"
    about.mkdir()
    (about / "METADATA").write_text("Metadata-Version: 2.1\nName: conscience-robust-dpo\nVersion: 0.1.0\n")
    (about / "entry_points.txt").write_text("[conscience.training]\nrobust-dpo = robust_dpo:ROBUST_DPO\n")
    monkeypatch.syspath_prepend(str(tmp_path))
    monkeypatch.delitem(sys.modules, "robust_dpo", raising=False)


def test_the_example_is_short() -> None:
    """A fifth method is about thirty lines."""
    assert len((EXAMPLE / "robust_dpo.py").read_text().splitlines()) <= 32
    assert 'robust-dpo = "robust_dpo:ROBUST_DPO"' in (EXAMPLE / "pyproject.toml").read_text()


@pytest.mark.model
@pytest.mark.usefixtures("installed")
def test_a_method_from_outside_trains(tiny_base: Path, pairs: list[Pair], manifest: Manifest, home: Path) -> None:
    """Stages, card and registration are the same; its own parameters are checked and change the loss."""
    losses = []
    for flipped in (0.0, 0.3):
        recipe = Recipe(
            name=f"robust-{flipped}",
            method="robust-dpo",
            parameters={"flipped": flipped},
            base=str(tiny_base),
            learning_rate=1e-2,
            batch_size=4,
        )
        losses.append(run(recipe, pairs, manifest)[1].metrics["loss"])
    assert losses[0] != losses[1]
    with pytest.raises(BadInput, match=r"'flipped': Input should be less than 0.5, found 0.6"):
        method.parameters(recipe.model_copy(update={"parameters": {"flipped": 0.6}}))


@pytest.mark.usefixtures("installed")
def test_it_is_listed_beside_ours() -> None:
    """An unknown name shows what there is."""
    with pytest.raises(BadInput, match="unknown method 'ppo'; there are: dpo, ipo, kto, robust-dpo, simpo"):
        method.find("ppo")
