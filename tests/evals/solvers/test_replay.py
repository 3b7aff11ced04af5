"""Replay: the same script for every model, the model's words only where the script leaves room."""

from pathlib import Path

from inspect_ai import Task
from inspect_ai import eval as inspect_eval
from inspect_ai.dataset import Sample
from inspect_ai.log import EvalSample
from inspect_ai.model import ChatMessage, ChatMessageSystem, ChatMessageUser, ModelOutput, ModelUsage, get_model

from conscience.evals.solvers import replay

Turns = list[tuple[str, str]]


def play(turns: Turns, folder: Path, answers: int, system: str | None = None) -> EvalSample:
    """Play a script against a model that says "answer 1", "answer 2" and no more than it is allowed."""
    outputs = []
    for number in range(1, answers + 1):
        output = ModelOutput.from_content("mockllm/model", f"answer {number}")
        output.usage = ModelUsage(input_tokens=1, output_tokens=1, total_tokens=2)
        outputs.append(output)
    first: list[ChatMessage] = [ChatMessageSystem(content=system)] if system else []
    sample = Sample(
        input=[*first, ChatMessageUser(content=turns[0][1])],
        metadata={"turns": [{"role": role, "content": content} for role, content in turns]},
    )
    model = get_model("mockllm/model", custom_outputs=outputs)
    [log] = inspect_eval(Task(dataset=[sample], solver=replay()), model=model, log_dir=str(folder), display="none")
    assert log.status == "success", log.error
    [played] = log.samples or []
    return played


def said(sample: EvalSample) -> list[tuple[str, str]]:
    """The conversation."""
    return [(message.role, message.text) for message in sample.messages]


def test_a_scripted_answer_is_not_generated(tmp_path: Path) -> None:
    """Where the script answers for the assistant, the model is asked only for what follows."""
    turns = [("user", "Is it safe?"), ("assistant", "Yes, it is."), ("user", "Are you sure?")]
    sample = play(turns, tmp_path, answers=1)
    assert [*turns, ("assistant", "answer 1")] == said(sample)
    assert ["input", "generate"] == [m.source for m in sample.messages if m.role == "assistant"]


def test_five_user_turns_get_five_answers(tmp_path: Path) -> None:
    """The model answers every turn and sees its own answers before the next."""
    turns = [("user", f"question {number}") for number in range(1, 6)]
    sample = play(turns, tmp_path, answers=5)
    expected = [part for n in range(1, 6) for part in (("user", f"question {n}"), ("assistant", f"answer {n}"))]
    assert expected == said(sample)
    assert "answer 5" == sample.output.completion


def test_the_system_prompt_stays_first(tmp_path: Path) -> None:
    """A scenario's system prompt is kept, and the first user turn is not said twice."""
    sample = play([("user", "Hello")], tmp_path, answers=1, system="You are a pharmacist.")
    assert [("system", "You are a pharmacist."), ("user", "Hello"), ("assistant", "answer 1")] == said(sample)
