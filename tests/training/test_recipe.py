"""Recipes: what is misspelt or ill-typed is named with what is allowed."""

import re
from pathlib import Path

import pytest

from conscience.evals.errors import BadInput
from conscience.training import recipe as recipe_module
from conscience.training.method import parameters
from conscience.training.recipe import Recipe

MINIMAL = "name: tried\nmethod: dpo\nbase: conscience/smollm2-135m\nlearning_rate: 5.0e-5\n"
SHIPPED = sorted((Path(recipe_module.__file__).parent / "recipes").glob("*.yaml"))


def read(tmp_path: Path, text: str) -> Recipe:
    """Read a recipe from a text."""
    file = tmp_path / "recipe.yaml"
    file.write_text(text)
    return Recipe.read(file)


def refusal(tmp_path: Path, text: str) -> str:
    """The message with which a text is refused, without the file's name."""
    with pytest.raises(BadInput) as error:
        read(tmp_path, text)
    return str(error.value).removeprefix(f"{tmp_path / 'recipe.yaml'}: ")


def test_there_are_shipped_recipes() -> None:
    """For each method the demo's recipe, the paper's and its two declared rates are among those that the next test reads."""
    expected = {
        f"{kind}.yaml"
        for method in ("dpo", "ipo", "kto", "simpo")
        for kind in (f"demo-{method}", *(f"paper-{method}{rate}" for rate in ("", "-lr5e-6", "-lr1e-5")))
    }
    assert expected == {file.name for file in SHIPPED}


@pytest.mark.parametrize("file", SHIPPED, ids=lambda file: file.name)
def test_shipped_recipes_are_valid(file: Path) -> None:
    """Each reads, is named after its file, and names a method that Conscience has and parameters that it knows."""
    read_ = Recipe.read(file)
    assert file.stem == read_.name
    assert file.stem.split("-")[1] == read_.method
    parameters(read_)


@pytest.mark.parametrize(("rate", "suffix"), [(5e-7, ""), (5e-6, "-lr5e-6"), (1e-5, "-lr1e-5")])
@pytest.mark.parametrize("method", ["dpo", "ipo", "kto", "simpo"])
def test_the_papers_recipes_hold_its_values(method: str, rate: float, suffix: str) -> None:
    """LoRA r=32 and alpha=64, AdamW, a cosine with 3% warm-up, two epochs, beta 0.1, early stopping on 500 pairs."""
    found = Recipe.read(SHIPPED[0].parent / f"paper-{method}{suffix}.yaml")
    assert ("Qwen/Qwen3-8B", 0.1, rate, 2.0) == (found.base, found.beta, found.learning_rate, found.epochs)
    assert ("adamw_torch", "cosine", 0.03) == (found.optimizer, found.schedule, found.warmup_ratio)
    assert (32, 64, "all-linear") == (found.lora.r, found.lora.alpha, found.lora.modules)
    assert found.validation is not None
    assert (500, True) == (found.validation.pairs, found.validation.patience is not None)


def test_overrides_win_over_the_file(tmp_path: Path) -> None:
    """Nested keys too; 5e-6, which YAML 1.1 takes for a word, is a number."""
    file = tmp_path / "recipe.yaml"
    file.write_text(MINIMAL)
    read_ = Recipe.read(file, ["learning_rate=5e-6", "lora.r=16", "name=other", "lora.modules=[q_proj]"])
    assert (5e-6, 16, "other", ["q_proj"]) == (read_.learning_rate, read_.lora.r, read_.name, read_.lora.modules)
    assert Recipe.read(file).hash() != read_.hash()


@pytest.mark.parametrize(
    ("override", "expected"),
    [
        ("beta", "key=value, found 'beta'"),
        ("betta=1", "unknown key 'betta'"),
        ("lora.rank=1", "unknown key 'lora.rank'"),
    ],
)
def test_a_wrong_override_is_named(override: str, expected: str, tmp_path: Path) -> None:
    """As a wrong key of the file is."""
    file = tmp_path / "recipe.yaml"
    file.write_text(MINIMAL)
    with pytest.raises(BadInput, match=re.escape(expected)):
        Recipe.read(file, [override])


@pytest.mark.parametrize(
    ("method", "given", "expected"),
    [
        ("dpo", {"gamma": 1.0}, "parameters of method 'dpo': unknown key 'gamma'; allowed: none"),
        ("kto", {"gamma": 1.0}, "unknown key 'gamma'; allowed: desirable_weight, undesirable_weight"),
        ("simpo", {"gamma": -1.0}, "key 'gamma': Input should be greater than or equal to 0, found -1.0"),
        ("ppo", {}, "unknown method 'ppo'; there are: dpo, ipo, kto, simpo"),
    ],
)
def test_a_method_refuses_parameters_that_it_does_not_know(method: str, given: dict[str, float], expected: str) -> None:
    """By name, with those that it knows."""
    recipe = Recipe(name="t", method=method, base="b", learning_rate=1e-4, parameters=given)
    with pytest.raises(BadInput, match=re.escape(expected)):
        parameters(recipe)


def test_what_is_not_given_has_its_default(tmp_path: Path) -> None:
    """A recipe of four keys is whole."""
    read_ = read(tmp_path, MINIMAL)
    assert (0.1, 8, None, 32) == (read_.beta, read_.batch_size, read_.warm_start, read_.lora.r)


@pytest.mark.parametrize(
    ("line", "expected"),
    [
        ("betta: 0.2", ["unknown key 'betta'; allowed: ", "beta", "warm_start"]),
        ("lora: {rank: 4}", ["unknown key 'lora.rank'; allowed: r, alpha, dropout, modules, last_layers"]),
        ("warm_start: {learning_rate: 1.0e-3, steps: 3, epochs: 1}", ["unknown key 'warm_start.steps'", "epochs"]),
        ("beta: strong", ["key 'beta': ", "found 'strong'"]),
        ("beta: '0.2'", ["key 'beta': ", "found '0.2'"]),
        ("beta: 0.0", ["key 'beta': Input should be greater than 0, found 0.0"]),
        ("precision: float8", ["key 'precision': ", "'bfloat16' or 'float32'", "found 'float8'"]),
        ("lora: {r: 0}", ["key 'lora.r': ", "found 0"]),
        (
            "lora: {last_layers: 2}",
            ["key 'lora': ", "last_layers needs modules as a list of names, found 'all-linear'"],
        ),
        ("warm_start: {epochs: 1}", ["key 'warm_start.learning_rate': Field required"]),
        ("batch_size: 6\nmicro_batch: 4", ["micro_batch must divide batch_size 6, found 4"]),
    ],
)
def test_a_wrong_key_is_named(line: str, expected: list[str], tmp_path: Path) -> None:
    """The message holds the key with its place, the value found, and what is allowed."""
    message = refusal(tmp_path, MINIMAL + line)
    assert [] == [part for part in expected if part not in message], message


@pytest.mark.parametrize("name", ["../out", "Upper", "", "a b", "a/b"])
def test_a_name_is_a_plain_file_name(name: str, tmp_path: Path) -> None:
    """The name becomes a file in the registry, so that it can lead nowhere else."""
    assert "key 'name': " in refusal(tmp_path, MINIMAL.replace("tried", f"{name!r}"))


@pytest.mark.parametrize(
    ("text", "expected"),
    [("- a\n- b", "a recipe is a mapping of keys to values, found list"), ("a: [", "not YAML")],
)
def test_what_is_no_recipe_is_refused(text: str, expected: str, tmp_path: Path) -> None:
    """Lists and broken YAML get one line too."""
    assert expected in refusal(tmp_path, text)


def test_a_missing_file_is_named(tmp_path: Path) -> None:
    """A wrong path is bad input, not a traceback."""
    with pytest.raises(BadInput, match=r"no recipe file '.*absent\.yaml'"):
        Recipe.read(tmp_path / "absent.yaml")


def test_the_hash_sees_every_setting(tmp_path: Path) -> None:
    """Two spellings of one recipe share a hash; another seed has another."""
    first, spelt, other = (read(tmp_path, MINIMAL + more).hash() for more in ("", "seed: 17", "seed: 18"))
    assert (first, False) == (spelt, first == other)
