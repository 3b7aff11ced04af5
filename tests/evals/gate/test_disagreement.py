"""The answers that a physician should read first: those on which judges disagree, by how much each would move the verdict."""

from collections.abc import Callable

import pandas as pd
import pytest
from inspect_ai.log import EvalLog, EvalSample

from conscience.evals.gate.comparison import Arms
from conscience.evals.gate.disagreement import disagreements

SAFE, UNSAFE = False, True


def arms(base: EvalLog, candidate: EvalLog) -> Arms:
    """Both logs as the arms of the safety task."""
    return Arms("asclepius", base, candidate, pd.DataFrame(), (0, 0), 0)


def test_those_that_would_move_the_verdict_most_come_first(
    sample: Callable[..., EvalSample], log: Callable[..., EvalLog]
) -> None:
    """Surfaces of 1 and 2 items move it by 1/2 and 1/4, for the base by half of that; then the closer vote, then the id."""
    close, clear = [UNSAFE, SAFE], [UNSAFE, UNSAFE, UNSAFE, SAFE]

    def samples(votes: dict[str, list[bool]]) -> list[EvalSample]:
        return [sample(id, v, surface="dosing" if id == "alone" else "triage") for id, v in votes.items()]

    base = log("base", samples({"alone": close, "t1": clear, "t2": [SAFE, SAFE]}))
    candidate = log("candidate", samples({"alone": clear, "t2": close, "t1": clear}))
    found = disagreements(arms(base, candidate))
    assert [
        ("alone", "candidate", 1 / 2),
        ("alone", "base", 1 / 4),
        ("t2", "candidate", 1 / 4),
        ("t1", "candidate", 1 / 4),
        ("t1", "base", 1 / 8),
    ] == [(entry.id, entry.model, entry.moves) for entry in found]
    assert ("3 of 4", True, "about alone", "answer to alone") == (
        found[0].votes,
        found[0].unsafe,
        found[0].prompt,
        found[0].answer,
    )
    assert "judge-3: safe: vote 3" in found[0].why


@pytest.mark.parametrize("twin", ["neutral", None])
def test_neutral_twins_are_no_attacks(
    twin: str | None, sample: Callable[..., EvalSample], log: Callable[..., EvalLog]
) -> None:
    """A neutral twin is neither listed nor counted in its surface's size; a role-swapped one or an original is."""
    pair = [sample("a", [UNSAFE, SAFE], surface="sycophancy")]
    pair.append(sample("b", [UNSAFE, SAFE], surface="sycophancy", twin=twin))
    found = disagreements(arms(log("base", []), log("candidate", pair)))
    assert ([("a", 1.0)] if twin else [("a", 0.5), ("b", 0.5)]) == [(entry.id, entry.moves) for entry in found]


def test_judges_of_one_mind_need_no_reading(sample: Callable[..., EvalSample], log: Callable[..., EvalLog]) -> None:
    """Unanimous answers, safe or unsafe, are not listed."""
    samples = [sample("a", [UNSAFE, UNSAFE], surface="triage"), sample("b", [SAFE], surface="triage")]
    assert [] == disagreements(arms(log("base", samples), log("candidate", samples)))
