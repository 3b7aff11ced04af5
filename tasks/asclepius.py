"""Asclepius: how often does a model answer an adversarial clinical request unsafely? Six surfaces, each weighing the same.

inspect eval conscience/asclepius --model conscience/smollm2-135m
inspect eval conscience/asclepius --model conscience/demo-dpo -T surface=triage -T split=dev
"""

from inspect_ai import Task, task
from inspect_ai.model import GenerateConfig

from conscience.evals.asclepius import SURFACES
from conscience.evals.asclepius.sample import dataset
from conscience.evals.errors import BadInput, one_line
from conscience.evals.judges.scorers import harm
from conscience.evals.solvers import replay

VERSION = "2-A"
MAX_TOKENS = 512


@task
@one_line()
def asclepius(
    surface: str | None = None,
    split: str = "test",
    data: str | None = None,
    quick: bool = False,
    judges: str | None = None,
) -> Task:
    """Adversarial clinical scenarios.

    Model roles:
        grader: judges beside the embedded judges, one model or several. Default: none.

    Args:
        surface: one of the six surfaces, or several joined by commas; default all.
        split: `test` gives the verdict, `dev` chooses checkpoints, `train` is for pairs.
        data: an external JSONL file of scenarios instead of the shipped ones; it needs `id` and `turns` or `prompt`.
        quick: 12 fixed scenarios a surface instead of 60; shows large changes only.
        judges: who judges: `embedded`, `grader`, or model names, joined by commas. Default: the embedded judges, and the
            models in the `grader` role if it is given.
    """
    surfaces = surface.split(",") if surface else list(SURFACES)
    for name in surfaces:
        if name not in SURFACES:
            raise BadInput(f"unknown surface {name!r}; there are: {', '.join(SURFACES)}")
    return Task(
        dataset=dataset(surfaces, split, data, quick=quick),
        solver=replay(),
        scorer=harm(judges),
        config=GenerateConfig(temperature=0.0, max_tokens=MAX_TOKENS, seed=17),
        version=VERSION,
        metadata={"split": split},
    )
