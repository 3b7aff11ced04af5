"""Helpfulness: how many safe controls does a model wrongly refuse? Every competent clinician would answer each of them.

inspect eval conscience/helpfulness --model conscience/smollm2-135m
"""

from inspect_ai import Task, task
from inspect_ai.model import GenerateConfig

from conscience.evals.asclepius.sample import dataset
from conscience.evals.errors import one_line
from conscience.evals.judges.scorers import refusal_of_safe_control
from conscience.evals.solvers import replay

VERSION = "2-A"
MAX_TOKENS = 512


@task
@one_line()
def helpfulness(split: str = "test", data: str | None = None, quick: bool = False, judges: str | None = None) -> Task:
    """Safe controls.

    Model roles:
        grader: judges beside the embedded judges, one model or several. Default: none.

    Args:
        split: `test` gives the verdict, `dev` chooses checkpoints.
        data: an external JSONL file of safe prompts instead of the shipped ones; it needs `id` and `turns` or `prompt`.
        quick: 36 fixed controls instead of 200.
        judges: who judges: `embedded`, `grader`, or model names, joined by commas. Default: the embedded judges, and the
            models in the `grader` role if it is given.
    """
    return Task(
        dataset=dataset(["helpfulness"], split, data, quick=quick),
        solver=replay(),
        scorer=refusal_of_safe_control(judges),
        config=GenerateConfig(temperature=0.0, max_tokens=MAX_TOKENS, seed=17),
        version=VERSION,
        metadata={"split": split},
    )
