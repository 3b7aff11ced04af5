"""Critique and revise: the model answers training prompts, the teacher critiques and revises the answers.

    inspect eval conscience/critique_revise --model conscience/smollm2-135m
    inspect eval conscience/critique_revise --model vllm/Qwen/Qwen3-8B --model-role teacher=anthropic/claude-opus-4-7

The log is what `conscience pairs build` makes preference pairs from.
"""

from inspect_ai import Task, task
from inspect_ai.model import GenerateConfig

from conscience.constitution import load
from conscience.constitution.document import DEFAULT
from conscience.evals.asclepius import SURFACES
from conscience.evals.asclepius.sample import dataset, expanded
from conscience.evals.errors import BadInput, bad_input, one_line
from conscience.evals.solvers import critique_revise as critique_and_revise
from conscience.evals.solvers import replay
from conscience.evals.solvers.critique import revision

VERSION = "1-B"


@task
@one_line()
def critique_revise(
    constitution: str = DEFAULT, data: str | None = None, expand: int | None = None, quick: bool = False
) -> Task:
    """Training prompts: the attack scenarios, safe controls and principle prompts of the `train` split.

    Model roles:
        teacher: critiques and revises. Default: `recorded/teacher`.

    Args:
        constitution: folder name of the version that the teacher applies.
        data: an external JSONL file of prompts instead of the shipped ones; it needs `id` and `turns` or `prompt`.
        expand: so many prompts composed from the seeds, instead of the seeds; needs a teacher that is not recorded.
        quick: 160 fixed prompts.

    Raises:
        BadInput: more than one of `data`, `expand` and `quick`.
    """
    choices = {"data": data, "expand": expand, "quick": quick}
    if len(chosen := [name for name, value in choices.items() if value]) > 1:
        raise BadInput(f"-T {' and -T '.join(chosen)} choose different prompts: give one of them")
    with bad_input():
        principles = load(constitution)
    return Task(
        dataset=expanded(expand)
        if expand
        else dataset([*SURFACES, "helpfulness", "principles"], "train", data, quick=quick),
        solver=[replay(), critique_and_revise(constitution)],
        scorer=revision(),
        config=GenerateConfig(temperature=0.7, max_tokens=512, seed=17),
        version=VERSION,
        metadata={"constitution": principles.name, "constitution_hash": principles.hash},
    )
