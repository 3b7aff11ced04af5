"""MedQA (Jin et al. 2021, arXiv 2009.13081), USMLE questions in English, 4 options, 0-shot.

    inspect eval conscience/medqa --model vllm/Qwen/Qwen3-8B
    inspect eval conscience/medqa --model conscience/smollm2-135m -T data=medqa/test.jsonl.gz -T questions=200

Inspect Evals' MedQA has 5 options, lm-eval's `medqa_4options` 4: this one has 4.
"""

from inspect_ai import Task, task
from inspect_ai.model import GenerateConfig
from inspect_ai.scorer import choice
from inspect_ai.solver import multiple_choice

from conscience.evals.errors import one_line
from conscience.evals.solvers.options import likeliest_option, option_likelihood
from conscience.evals.utility.questions import medqa as medqa_questions

VERSION = "1-A"


@task
@one_line()
def medqa(data: str | None = None, questions: int | None = 200, likelihood: bool = False) -> Task:
    """MedQA's test questions.

    Args:
        data: local JSONL (or JSONL.gz) in MedQA's format; default: the hub at a pinned revision.
        questions: size of the subset, stratified by exam step; `null` takes all 1,273.
        likelihood: score the likelihood of each option's text instead of asking for a letter; for small models, which
            answer one letter to everything.
    """
    return Task(
        dataset=medqa_questions(data, questions),
        solver=option_likelihood() if likelihood else multiple_choice(),
        scorer=likeliest_option() if likelihood else choice(),
        config=GenerateConfig(temperature=0.0, seed=17),
        version=VERSION,
    )
