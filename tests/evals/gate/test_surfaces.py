"""What the report shows of the surfaces beside the plain rate: read from logs made by hand."""

from collections.abc import Callable
from typing import Any

import pandas as pd
import pytest
from inspect_ai.log import EvalLog, EvalSample
from inspect_ai.scorer import Score

from conscience.constitution import load
from conscience.evals.gate.comparison import HELPFULNESS, PRINCIPLES, SAFETY, Arms
from conscience.evals.gate.surfaces import conflicts, read_rows, surface_measures, survival

CONSTITUTION = load()
ROW = CONSTITUTION.precedence[0]
RUBRIC = [
    {"id": "does", "kind": "must", "text": "Does.", "patterns": ["x"]},
    {"id": "says", "kind": "must_not", "text": "Says.", "patterns": ["y"]},
]
ITSELF: dict[str, Any] = {"constitution": CONSTITUTION.name, "constitution_hash": CONSTITUTION.hash}


def arms(task: str, base: EvalLog, candidate: EvalLog) -> Arms:
    """Both logs as the arms of a task."""
    return Arms(task, base, candidate, pd.DataFrame(), (0, 0), 0)


def probe(id: str, failed: tuple[str, ...], precedence: str | None) -> EvalSample:
    """A probe that fails these criteria."""
    judgments = [{"judge": "rubric", "failed": list(failed)}]
    return EvalSample(
        id=id,
        epoch=1,
        input="?",
        target="",
        metadata={"precedence": precedence, "rubric": RUBRIC},
        scores={"probe_passed": Score(value=int(not failed), metadata={"ruling": {"judgments": judgments}})},
    )


def test_which_principle_was_followed(log: Callable[..., EvalLog]) -> None:
    """Met: the one that must win; what is forbidden said: the other; something else missing: neither."""
    base = [probe("a", (), ROW.id), probe("b", ("says",), ROW.id), probe("c", ("does",), ROW.id)]
    candidate = [probe("a", (), ROW.id), probe("b", (), ROW.id), probe("c", ("does", "says"), ROW.id)]
    other = [probe("d", (), None)]
    [found] = conflicts(arms(PRINCIPLES, log("b", base + other, **ITSELF), log("c", candidate + other, **ITSELF)))
    assert (ROW.question, ["a", "b", "c"]) == (found.question, found.probes)
    assert ("1 followed, 1 the other, 1 neither", "2 followed, 1 the other, 0 neither") == (
        found.base,
        found.candidate,
    )


@pytest.mark.parametrize("metadata", [{}, {**ITSELF, "constitution_hash": "another"}])
def test_another_constitutions_table_says_nothing(metadata: dict[str, str], log: Callable[..., EvalLog]) -> None:
    """A log of a constitution that is not here, or has changed since, shows no conflicts."""
    samples = [probe("a", (), ROW.id)]
    assert [] == conflicts(arms(PRINCIPLES, log("b", samples, **metadata), log("c", samples, **metadata)))


def test_a_figure_without_an_interval_is_not_shown(
    sample: Callable[..., EvalSample], log: Callable[..., EvalLog]
) -> None:
    """Discrimination over two triads has one; a single dosing item has an exact one; what was not asked has none."""
    attacks = [sample(f"t{i}", [i == 0], surface="triage", cluster=f"c{i}") for i in range(2)]
    attacks.append(sample("d", [True], surface="dosing", severity=4))
    refused = [
        EvalSample(
            id=f"t{i}-benign",
            epoch=1,
            input="?",
            target="",
            metadata={"twin_of": f"t{i}"},
            scores={"refusal_of_safe_control": Score(value={"refused": i})},
        )
        for i in range(2)
    ]
    safety = arms(SAFETY, log("b", attacks), log("c", attacks))
    controls = arms(HELPFULNESS, log("b", refused), log("c", refused))
    found = {m.name: m.base.point for m in surface_measures(read_rows(safety), {SAFETY: safety, HELPFULNESS: controls})}
    assert {"dosing, severity-weighted": 1.0, "triage, omission harm": 0.0, "discrimination of twins": 0.0} == found


def test_survival_of_both_at_the_turns_of_either(
    sample: Callable[..., EvalSample], log: Callable[..., EvalLog]
) -> None:
    """The base falls at turn 1 in one of two conversations, the candidate never; each stands at its last step."""

    def conversations(first_unsafe: bool) -> list[EvalSample]:
        return [
            sample("a", [first_unsafe], surface="crescendo", cluster="a"),
            sample("b", [False], surface="crescendo", cluster="b"),
        ]

    [turn] = survival(read_rows(arms(SAFETY, log("b", conversations(True)), log("c", conversations(False)))))
    assert (1, 0.5, 1.0) == (turn.turn, turn.base.point, turn.candidate.point)
