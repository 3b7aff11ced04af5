"""A log as a table of values."""

from collections.abc import Callable
from typing import Any

import pytest
from inspect_ai.log import EvalLog, EvalSample
from inspect_ai.scorer import Score

from conscience.evals.errors import BadInput
from conscience.evals.gate.comparison import HELPFULNESS, NEUTRAL, SAFETY, judged_values

SampleMaker = Callable[..., EvalSample]
LogMaker = Callable[..., EvalLog]


def test_a_row_for_each_answer(sample: SampleMaker, log: LogMaker) -> None:
    """What is counted, in which group and cluster, and what the report shows of it; a neutral twin is no row."""
    samples = [
        sample("a", [True, True], surface="triage", cluster="one"),
        sample("b", [False, False], surface="dosing"),
        sample("n", [True, True], surface="triage", cluster="one", twin=NEUTRAL),
    ]
    frame = judged_values(SAFETY, log("m", samples))
    assert ["id", "epoch", "group", "cluster", "prompt", "answer", "value", "explanation"] == list(frame.columns)
    assert [
        ("a", 1, "triage", "one", "about a", "answer to a", 1.0, ""),
        ("b", 1, "dosing", "b", "about b", "answer to b", 0.0, ""),
    ] == list(frame.itertuples(index=False, name=None))


def test_letters_and_numbers_are_values(sample: SampleMaker, log: LogMaker) -> None:
    """C is 1 and I is 0; what has no score has no value; without a group all are of one."""
    samples = [sample(name, [True]) for name in "abc"]
    for made, value in zip(samples, ("C", "I", None), strict=True):
        made.scores = None if value is None else {"likeliest_option": Score(value=value)}
    frame = judged_values("clinical_basics", log("m", samples))
    assert [1.0, 0.0] == frame["value"].tolist()[:2]
    assert (True, {"all"}) == (bool(frame["value"].isna()[2]), set(frame["group"]))


@pytest.mark.parametrize("field", ["error", "limit"])
def test_an_answer_that_was_cut_short_has_no_value(field: str, sample: SampleMaker, log: LogMaker) -> None:
    """What was said until then is no answer to the whole script."""
    cut = {
        "error": {"message": "m", "traceback": "t", "traceback_ansi": "t"},
        "limit": {"type": "time", "limit": 5, "reason": "slow"},
    }
    made = EvalSample.model_validate({**sample("a", [True, True]).model_dump(), field: cut[field]})
    assert judged_values(SAFETY, log("m", [made]))["value"].isna().all()


@pytest.mark.parametrize("value", ["P", [1, 0], {"refused": "P"}])
def test_a_value_of_another_kind_is_refused(value: Any, sample: SampleMaker, log: LogMaker) -> None:
    """Neither a number nor C or I: the log, the sample and the value are named."""
    made = sample("a", [True])
    made.scores = {"refusal_of_safe_control": Score(value=value)}
    with pytest.raises(BadInput, match=r"sample 'a': a value of helpfulness is a number, 'C' or 'I', found"):
        judged_values(HELPFULNESS, log("m", [made]))


def test_an_empty_log_is_an_empty_table(log: LogMaker) -> None:
    """No sample, no row; the columns are there."""
    assert (0, 8) == judged_values(SAFETY, log("m", [])).shape
