"""Options by likelihood: which tokens are the answer's, and what happens without likelihoods."""

from collections.abc import Callable
from math import isnan
from pathlib import Path

import pytest
from inspect_ai import Task
from inspect_ai import eval as inspect_eval
from inspect_ai.dataset import Sample
from inspect_ai.log import EvalLog
from inspect_ai.model import Logprob

from conscience.evals.solvers.options import answer_logprob, likeliest_option, option_likelihood
from conscience.tasks.clinical_basics import clinical_basics

PROMPT = [
    Logprob(token=token, logprob=logprob)
    for token, logprob in [
        ("Which", -9.0),
        (" organ?", -9.0),
        ("\n", -9.0),
        ("The", -1.0),
        (" pan", -2.0),
        ("creas", -4.0),
    ]
]


def test_the_answers_tokens_are_the_last_ones() -> None:
    """Only the tokens that spell the answer count, not the question's."""
    assert -7.0 == answer_logprob(PROMPT, "The pancreas")


@pytest.mark.parametrize("answer", [" The pancreas", "The pancreas\n"])
def test_blanks_around_the_answer_do_not_count(answer: str) -> None:
    """A template may strip the answer or the tokenizer join a blank to it."""
    assert -7.0 == answer_logprob(PROMPT, answer)


@pytest.mark.parametrize("answer", ["The spleen", "organ"])
def test_another_ending_is_refused(answer: str) -> None:
    """When the conversation does not end with the answer, no likelihood is made up."""
    with pytest.raises(ValueError, match=f"not with the answer '{answer}'"):
        answer_logprob(PROMPT, answer)


def test_the_likeliest_option_is_scored(tmp_path: Path) -> None:
    """One nat a character against three: the right option is chosen whatever the lengths."""
    [log] = inspect_eval(clinical_basics(), model="scripted/careful", limit=5, log_dir=str(tmp_path), display="none")
    scores = [(sample.scores or {})["likeliest_option"] for sample in log.samples or []]
    assert [1.0] * 5 == [score.value for score in scores]
    assert [-3.0, -3.0, -3.0, -1.0] == sorted((log.samples or [])[0].metadata["option_scores"].values())


def test_without_likelihoods_a_sample_is_unscored(
    run_task: Callable[[Task, Callable[[str], str]], EvalLog],
) -> None:
    """A model that reports no `prompt_logprobs` is not wrong on every question: it has no score."""
    sample = Sample(input="Which organ makes insulin?", choices=["The liver", "The pancreas"], target="B")
    log = run_task(Task(dataset=[sample], solver=option_likelihood(), scorer=likeliest_option()), lambda asked: "B")
    [played] = log.samples or []
    score = (played.scores or {})["likeliest_option"]
    assert ("no_prompt_logprobs", True) == (score.reason, isnan(score.as_float()))
