"""What DPO is fed and what it resumes from; no model runs here."""

import json
from pathlib import Path
from typing import Any

import pytest

from conscience.training.dpo import last_whole_checkpoint, tokenize
from conscience.training.pairs import Message, Pair

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
