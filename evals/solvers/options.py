"""Multiple choice by likelihood: each option's text is scored as the model's answer to the question.

A small model asked for a letter says the same letter to everything; the likelihood of the option's own words still
tells what it knows. The model must report `prompt_logprobs`: `conscience/NAME` and `vllm/NAME` do.

The score of an option is the sum of the log-probabilities of its tokens divided by its length in characters (the
`acc_norm` of EleutherAI's lm-evaluation-harness), so that long options are not punished.
"""

import anyio
from inspect_ai.model import ChatMessageAssistant, ChatMessageUser, GenerateConfig, Logprob, get_model
from inspect_ai.scorer import Score, Scorer, Target, accuracy, scorer, stderr
from inspect_ai.solver import Generate, Solver, TaskState, solver


@solver
def option_likelihood() -> Solver:
    """Score every choice; the per-character log-likelihoods go into the sample's metadata as `option_scores`."""

    async def solve(state: TaskState, generate: Generate) -> TaskState:
        scores: dict[str, float] = {}

        async def score(letter: str, text: str) -> None:
            output = await get_model().generate(
                [ChatMessageUser(content=state.input_text), ChatMessageAssistant(content=text)],
                config=GenerateConfig(prompt_logprobs=1, max_tokens=1),
            )
            prompt = output.choices[0].prompt_logprobs if output.choices else None
            if prompt is not None:
                scores[letter] = answer_logprob(prompt.content, text) / len(text)

        async with anyio.create_task_group() as group:
            for index, choice in enumerate(state.choices):
                group.start_soon(score, "ABCDEFGH"[index], choice.value)
        state.metadata["option_scores"] = dict(sorted(scores.items()))
        if len(scores) == len(state.choices):
            state.output.completion = max(scores, key=lambda letter: scores[letter])
        state.completed = True
        return state

    return solve


@scorer(metrics=[accuracy(), stderr()])
def likeliest_option() -> Scorer:
    """Whether the likeliest option is the right one; unscored when the model gave no likelihoods."""

    async def score(state: TaskState, target: Target) -> Score:
        scores = state.metadata.get("option_scores", {})
        if len(scores) != len(state.choices):
            return Score.unscored(
                reason="no_prompt_logprobs", explanation="the model reported no likelihood for some option"
            )
        answer = state.output.completion
        lines = "\n".join(f"{letter}: {value:.3f}" for letter, value in scores.items())
        return Score(value=float(answer == target.text), answer=answer, explanation=f"nats a character\n{lines}")

    return score


def answer_logprob(prompt: list[Logprob], answer: str) -> float:
    """Sum the log-probabilities of the last tokens that spell the answer.

    Args:
        prompt: the tokens of the whole conversation, the answer last.
        answer: the answer's text.

    Raises:
        ValueError: the conversation does not end with the answer.
    """
    spelled, total = "", 0.0
    for token in reversed(prompt):
        if len(spelled.strip()) >= len(answer.strip()):
            break
        spelled = token.token + spelled
        total += token.logprob
    if not spelled.strip().endswith(answer.strip()):
        raise ValueError(f"the scored text ends with {spelled!r}, not with the answer {answer!r}")
    return total
