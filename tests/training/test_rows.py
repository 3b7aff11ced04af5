"""Pairs in tokens, cut and divided; and what a run resumes from. No model runs here."""

import json
from pathlib import Path
from typing import Any

import pytest

from conscience.evals.errors import BadInput
from conscience.training.kto import answers
from conscience.training.pairs import Message, Pair
from conscience.training.recipe import Recipe, Validation
from conscience.training.rows import Row, cut, split, tokenize
from conscience.training.stages import last_whole_checkpoint

END = 0


class Letters:
    """A tokenizer of one token a letter, with a template that marks who speaks."""

    eos_token_id = END

    def __call__(self, text: str, add_special_tokens: bool) -> dict[str, list[int]]:
        """Tokenize; special tokens would be a second beginning."""
        assert not add_special_tokens
        return {"input_ids": [ord(letter) for letter in text]}

    def apply_chat_template(
        self, messages: list[dict[str, Any]], tokenize: bool, add_generation_prompt: bool, enable_thinking: bool
    ) -> str:
        """Render as the model is prompted in evaluation."""
        assert (False, True, False) == (tokenize, add_generation_prompt, enable_thinking)
        return "".join(f"<{message['role']}>{message['content']}" for message in messages) + "<assistant>"


def pair(truncated: bool) -> Pair:
    """A pair of few letters."""
    return Pair(
        prompt=(Message(role="user", content="dose?"),),
        chosen=(Message(role="assistant", content="ask"),),
        rejected=(Message(role="assistant", content="ten"),),
        log_id="log",
        sample_id="dosing-train-001",
        epoch=1,
        truncated=truncated,
    )


@pytest.mark.parametrize(("truncated", "end"), [(False, [END]), (True, [])])
def test_only_an_answer_that_ended_gets_an_end_token(truncated: bool, end: list[int]) -> None:
    """A revision always ends; a sample that was cut does not, or the model would learn to stop there."""
    row = tokenize(pair(truncated), Letters())
    assert [ord(letter) for letter in "<user>dose?<assistant>"] == row.prompt
    assert [*(ord(letter) for letter in "ask"), END] == row.chosen
    assert [ord(letter) for letter in "ten"] + end == row.rejected


def test_the_newest_whole_checkpoint_is_resumed(tmp_path: Path) -> None:
    """By step, not by name: 10 comes after 9. Half-written ones are removed, so that nothing trips over them."""
    for step in (9, 10):
        (tmp_path / f"checkpoint-{step}").mkdir()
        (tmp_path / f"checkpoint-{step}" / "trainer_state.json").write_text(json.dumps({"global_step": step}))
    (tmp_path / "checkpoint-11").mkdir()
    (tmp_path / "checkpoint-12").mkdir()
    (tmp_path / "checkpoint-12" / "trainer_state.json").write_text('{"global_st')
    assert str(tmp_path / "checkpoint-10") == last_whole_checkpoint(tmp_path)
    assert ["checkpoint-10", "checkpoint-9"] == sorted(path.name for path in tmp_path.iterdir())


def test_without_a_checkpoint_a_run_starts_afresh(tmp_path: Path) -> None:
    """Neither an empty folder nor a missing one is an error."""
    assert (None, None) == (last_whole_checkpoint(tmp_path), last_whole_checkpoint(tmp_path / "absent"))


def rows(count: int) -> list[Row]:
    """Pairs with prompts of their own, but the last, which shares its prompt with the first."""
    made = [Row([number, 7], [1] * (number + 1), [2, 3]) for number in range(count - 1)]
    return [*made, Row([0, 7], [9], [8])]


def recipe(**changes: Any) -> Recipe:
    """A recipe with few keys."""
    return Recipe(**{"name": "t", "method": "dpo", "base": "b", "learning_rate": 1e-4, "max_length": 16, **changes})


def test_what_is_too_long_loses_its_end() -> None:
    """Both answers, never the prompt."""
    short = cut([Row([1] * 10, [2] * 9, [3] * 2)], recipe(max_truncated=1.0))
    assert [Row([1] * 10, [2] * 6, [3] * 2)] == short


@pytest.mark.parametrize(("long", "refused"), [(1, False), (2, True)])
def test_more_cut_pairs_than_allowed_are_refused(long: int, refused: bool) -> None:
    """One in a hundred by default; the message says how many, the longest, and what to do."""
    given = [Row([1], [2] * (30 if number < long else 3), [3]) for number in range(100)]
    if refused:
        with pytest.raises(
            BadInput, match="max_length 16 cuts 2 of 100 pairs, allowed are 1%; the longest has 31 tokens"
        ):
            cut(given, recipe())
    else:
        assert 100 == len(cut(given, recipe()))


def test_a_prompt_without_room_is_refused() -> None:
    """It could not be trained on at all."""
    with pytest.raises(BadInput, match="a prompt of 16 tokens leaves no room for an answer in max_length 16"):
        cut([Row([1] * 16, [2], [3])], recipe())


def test_validation_pairs_are_never_trained_on() -> None:
    """Nor is any pair of their prompts; the same seed draws the same ones."""
    given = rows(40)
    parts = split(given, recipe(validation=Validation(pairs=10)))
    held = {tuple(row.prompt) for row in parts.validation}
    assert 10 <= len(parts.validation) <= 11
    assert held.isdisjoint(tuple(row.prompt) for row in parts.warm_start)
    assert len(given) == len(parts.validation) + len(parts.warm_start)
    assert parts == split(given, recipe(validation=Validation(pairs=10)))
    assert parts != split(given, recipe(validation=Validation(pairs=10), seed=3))


def test_the_preference_stage_may_see_fewer_pairs_than_the_warm_start() -> None:
    """`max_pairs` are drawn by the seed."""
    parts = split(rows(40), recipe(max_pairs=12))
    assert (12, 40, 0) == (len(parts.train), len(parts.warm_start), len(parts.validation))


@pytest.mark.parametrize("pairs", [40, 60])
def test_validation_must_leave_something(pairs: int) -> None:
    """All pairs held back is a mistake."""
    with pytest.raises(BadInput, match=f"validation takes {pairs} pairs, but there are only 40"):
        split(rows(40), recipe(validation=Validation(pairs=pairs)))


@pytest.mark.parametrize("count", [4, 5, 7])
def test_kto_never_shows_an_answer_its_own_prompt_as_another(count: int) -> None:
    """In every micro-batch of two pairs, the last smaller one included, and both labels are in each."""
    given = [Row([number], [10 + number], [20 + number]) for number in range(count)]
    made = answers(given, 2)
    assert 2 * count == len(made)
    for start in range(0, len(made), 4):
        assert {True, False} == {answer["label"] for answer in made[start : start + 4]}
    for answer in made:
        assert answer["prompt_ids"][0] != answer["KL_completion_ids"][0] % 10
        assert answer["prompt_ids"][0] == answer["completion_ids"][0] % 10
