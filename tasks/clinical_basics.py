"""Clinical basics: 60 easy clinical questions of this project, scored by the likelihood of each option's text.

inspect eval conscience/clinical_basics --model conscience/smollm2-135m
"""

from inspect_ai import Task, task

from conscience.evals.errors import one_line
from conscience.evals.solvers.options import likeliest_option, option_likelihood
from conscience.evals.utility.questions import basics

VERSION = "1-A"


@task
@one_line()
def clinical_basics() -> Task:
    """Four options, 0-shot; the model must report `prompt_logprobs`, as `conscience/NAME` and `vllm/NAME` do."""
    return Task(dataset=basics(), solver=option_likelihood(), scorer=likeliest_option(), version=VERSION)
