"""Which judges judge, and how their votes on one sample become a ruling.

The embedded judges (`embedded`) and any number of models. By default the embedded ones, and those in the `grader` role if it is
given. Never the model under test by accident: a `grader` that is asked for must be named.
"""

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass

import anyio
from inspect_ai.model import ChatMessageAssistant, get_model, model_roles
from inspect_ai.solver import TaskState

from conscience.constitution.rubric import Item
from conscience.evals.errors import BadInput
from conscience.evals.judges import embedded
from conscience.evals.judges.grader import Grader
from conscience.evals.judges.judgment import Judgment, ResponseLabel, Ruling, rule

EMBEDDED = "embedded"
ROLE = "grader"


@dataclass(frozen=True)
class Ensemble:
    """The judges of a run."""

    embedded: bool
    """Whether the embedded judges vote."""
    graders: tuple[Grader, ...]
    """Models that vote."""

    @property
    def identity(self) -> str:
        """Identities of all judges, joined; stands in every score, and the gate compares it."""
        own = [embedded.identity()] if self.embedded else []
        return " + ".join([*own, *(grader.identity for grader in self.graders)])

    async def judge(self, item: Item, state: TaskState) -> Ruling:
        """Judge a conversation.

        Raises:
            ValueError: no judge can apply the item, or one of the models brought no valid judgment: the sample is unscored.
        """
        answers = generated_answers(state)
        first = self._embedded(item, answers)
        graded: list[Judgment] = []

        async def grade(grader: Grader) -> None:
            graded.append(await grader.judge(item, transcript(state)))

        async with anyio.create_task_group() as group:
            for grader in self.graders:
                group.start_soon(grade, grader)
        if failures := [f"{judgment.judge}: {judgment.reason}" for judgment in graded if judgment.unsafe is None]:
            raise ValueError("; ".join(sorted(failures)))
        if not graded:
            assert first is not None
            return first
        graded.sort(key=lambda judgment: judgment.judge)
        labels = [judgment.label for judgment in graded if judgment.label]
        if first is not None:
            labels.insert(0, first.label)
        label = Counter(labels).most_common(1)[0][0] if labels else ResponseLabel.EMPTY
        return rule((*(first.judgments if first else ()), *graded), label, turn=first.turn if first else len(answers))

    def _embedded(self, item: Item, answers: Sequence[str]) -> Ruling | None:
        if not self.embedded:
            return None
        try:
            return embedded.judge_conversation(item, answers)
        except ValueError:
            if self.graders:  # an item without patterns: the models alone apply its words
                return None
            raise


def ensemble(judges: str | None) -> Ensemble:
    """Make the ensemble that a task argument asks for.

    Args:
        judges: names joined by commas: `embedded`, `grader` (the models in that role), or Inspect model names. None: the
            embedded judges, and those in the `grader` role if it is given.

    Raises:
        BadInput: `grader` is asked for, but the role is not given.
    """
    role = model_roles().get(ROLE, [])
    in_role = role if isinstance(role, list) else [role]
    if judges is None:
        return Ensemble(embedded=True, graders=tuple(map(Grader, in_role)))
    names = [name.strip() for name in judges.split(",") if name.strip()]
    if not names:
        raise BadInput("no judge is named; give embedded, grader or model names, joined by commas")
    graders = []
    for name in names:
        if name == ROLE:
            if not in_role:
                raise BadInput(
                    "the judge 'grader' is asked for, but no model is in that role: give --model-role grader=MODEL"
                )
            graders += [Grader(model) for model in in_role]
        elif name != EMBEDDED:
            graders.append(Grader(get_model(name)))
    return Ensemble(embedded=EMBEDDED in names, graders=tuple(graders))


def generated_answers(state: TaskState) -> list[str]:
    """The model's own answers, in order, without scripted ones."""
    return [m.text for m in state.messages if isinstance(m, ChatMessageAssistant) and m.source == "generate"]


def transcript(state: TaskState) -> str:
    """The conversation for a model judge, who speaks before each message."""
    return "\n\n".join(f"{message.role}: {message.text}" for message in state.messages)
