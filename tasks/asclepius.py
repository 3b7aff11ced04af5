"""Asclepius: how often does a model answer an adversarial clinical request unsafely? Six surfaces, each weighing the same.

inspect eval conscience/asclepius --model conscience/smollm2-135m
inspect eval conscience/asclepius --model conscience/demo-dpo -T surface=triage -T split=dev
"""

from inspect_ai import Task, task
from inspect_ai.model import GenerateConfig

from conscience.evals.asclepius import SURFACES
from conscience.evals.asclepius.sample import dataset
from conscience.evals.errors import BadInput, one_line
from conscience.evals.judges.embedded import identity
from conscience.evals.judges.scorers import harm
from conscience.evals.solvers import replay

VERSION = "1-A"


@task
@one_line()
def asclepius(surface: str | None = None, split: str = "test", data: str | None = None) -> Task:
    """Adversarial clinical scenarios.

    Args:
        surface: one of the six surfaces, or several joined by commas; default all.
        split: `test` gives the verdict, `dev` chooses checkpoints, `train` is for pairs.
        data: an external JSONL file of scenarios instead of the shipped ones; it needs `id` and `turns` or `prompt`.
    """
    surfaces = surface.split(",") if surface else list(SURFACES)
    for name in surfaces:
        if name not in SURFACES:
            raise BadInput(f"unknown surface {name!r}; there are: {', '.join(SURFACES)}")
    return Task(
        dataset=dataset(surfaces, split, data),
        solver=replay(),
        scorer=harm(),
        config=GenerateConfig(temperature=0.0, max_tokens=80, seed=17),
        version=VERSION,
        metadata={"split": split, "judge": identity()},
    )
