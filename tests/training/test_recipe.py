"""Recipes: what is misspelt or ill-typed is named with what is allowed."""

from pathlib import Path

import pytest

from conscience.evals.errors import BadInput
from conscience.training import recipe as recipe_module
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
    """The demo's recipe is among those that the next test reads."""
    assert "demo.yaml" in [file.name for file in SHIPPED]


@pytest.mark.parametrize("file", SHIPPED, ids=lambda file: file.name)
def test_shipped_recipes_are_valid(file: Path) -> None:
    """Each reads, and names a method that Conscience has."""
    assert "dpo" == Recipe.read(file).method


def test_what_is_not_given_has_its_default(tmp_path: Path) -> None:
    """A recipe of four keys is whole."""
    read_ = read(tmp_path, MINIMAL)
    assert (0.1, 8, None, 32) == (read_.beta, read_.batch_size, read_.warm_start, read_.lora.r)


@pytest.mark.parametrize(
    ("line", "expected"),
    [
        ("betta: 0.2", ["unknown key 'betta'; allowed: ", "beta", "warm_start"]),
        ("lora: {rank: 4}", ["unknown key 'lora.rank'; allowed: r, alpha, modules, last_layers"]),
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
