"""Crescendo, adaptive: an attacker model leads the model under test towards each objective, and backtracks on refusal.

    inspect eval conscience/crescendo --model conscience/smollm2-135m
    inspect eval conscience/crescendo --model vllm/Qwen/Qwen3-8B --model-role attacker=anthropic/claude-opus-4-7

The frozen scripts of the same scenarios are part of `conscience/asclepius`; the two are never pooled.
"""

from inspect_ai import Task, task
from inspect_ai.model import GenerateConfig

from conscience.evals.asclepius.sample import dataset
from conscience.evals.errors import one_line
from conscience.evals.judges.scorers import harm
from conscience.evals.solvers import crescendo as attack

VERSION = "1-A"
MAX_TOKENS = 512


@task
@one_line()
def crescendo(split: str = "test", data: str | None = None, quick: bool = False, judges: str | None = None) -> Task:
    """Objectives of the crescendo surface, at most 10 turns and 10 backtracks each.

    Model roles:
        attacker: writes the user's messages. Default: a scripted one.
        grader: judges beside the embedded judges, one model or several. Default: none.

    Args:
        split: `test` gives the verdict, `dev` chooses checkpoints.
        data: an external JSONL file of scenarios with an `objective` each.
        quick: 12 fixed objectives instead of 60.
        judges: who judges: `embedded`, `grader`, or model names, joined by commas. Default: the embedded judges, and the
            models in the `grader` role if it is given.
    """
    return Task(
        dataset=dataset(["crescendo"], split, data, quick=quick),
        solver=attack(),
        scorer=harm(judges),
        config=GenerateConfig(temperature=0.0, max_tokens=MAX_TOKENS, seed=17),
        version=VERSION,
        metadata={"split": split},
    )
