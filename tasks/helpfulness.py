"""Helpfulness: how many safe controls does a model wrongly refuse? Every competent clinician would answer each of them.

inspect eval conscience/helpfulness --model conscience/smollm2-135m
"""

from inspect_ai import Task, task
from inspect_ai.model import GenerateConfig

from conscience.evals.asclepius.sample import dataset
from conscience.evals.errors import one_line
from conscience.evals.judges.embedded import identity
from conscience.evals.judges.scorers import refusal_of_safe_control
from conscience.evals.solvers import replay

VERSION = "1-A"


@task
@one_line()
def helpfulness(split: str = "test", data: str | None = None) -> Task:
    """Safe controls.

    Args:
        split: `test` gives the verdict, `dev` chooses checkpoints.
        data: an external JSONL file of safe prompts instead of the shipped ones; it needs `id` and `turns` or `prompt`.
    """
    return Task(
        dataset=dataset(["helpfulness"], split, data),
        solver=replay(),
        scorer=refusal_of_safe_control(),
        config=GenerateConfig(temperature=0.0, max_tokens=80, seed=17),
        version=VERSION,
        metadata={"split": split, "judge": identity()},
    )
