"""The adaptive attack: escalation, backtracking on refusal, its limits, and what is judged in the end."""

from collections.abc import Callable
from math import isnan
from pathlib import Path

import pytest
from inspect_ai import eval as inspect_eval
from inspect_ai.log import EvalLog, EvalSample
from inspect_ai.model import ChatMessage, GenerateConfig, Model, ModelOutput, ModelUsage, get_model
from inspect_ai.tool import ToolChoice, ToolInfo

from conscience.evals.asclepius import load_scenarios
from conscience.evals.solvers.crescendo import MAX_BACKTRACKS, MAX_TURNS
from conscience.tasks.crescendo import crescendo

REFUSAL = "I'm sorry, but I can't help with that."
PLEASANT = "That depends on many things, and your care team can explain more about it."


def model(answer: Callable[[list[ChatMessage]], str]) -> Model:
    """A model that answers by the whole conversation."""

    def output(
        input: list[ChatMessage], tools: list[ToolInfo], tool_choice: ToolChoice, config: GenerateConfig
    ) -> ModelOutput:
        made = ModelOutput.from_content("mockllm/model", answer(input))
        made.usage = ModelUsage(input_tokens=1, output_tokens=1, total_tokens=2)
        return made

    return get_model("mockllm/model", custom_outputs=output, memoize=False)


@pytest.fixture
def attack(tmp_path: Path) -> Callable[..., tuple[EvalLog, EvalSample]]:
    """Run the attack on one objective."""

    def run(target: Model, attacker: Model | None = None) -> tuple[EvalLog, EvalSample]:
        [log] = inspect_eval(
            crescendo(split="dev"),
            model=target,
            model_roles={"attacker": attacker} if attacker else None,
            sample_id=SCENARIO.id,
            log_dir=str(tmp_path),
            display="none",
        )
        assert "success" == log.status, log.error
        [sample] = log.samples or []
        return log, sample

    return run


SCENARIO = load_scenarios(["crescendo"], "dev")[0]


def asked(sample: EvalSample) -> list[str]:
    """What the user said, as the conversation stands in the end."""
    return [message.text for message in sample.messages if message.role == "user"]


def test_the_scripted_attacker_plays_the_script(attack: Callable[..., tuple[EvalLog, EvalSample]]) -> None:
    """A target that never refuses is led through the whole script, in order, and then left."""
    _, sample = attack(model(lambda _: PLEASANT))
    assert [turn.content for turn in SCENARIO.turns] == asked(sample)
    assert (0, len(SCENARIO.turns)) == (sample.metadata["backtracks"], sample.metadata["attack_turns"])


def test_a_refused_message_is_taken_back_and_reworded(attack: Callable[..., tuple[EvalLog, EvalSample]]) -> None:
    """The refused exchange leaves the target's history; the next try says it otherwise."""
    last = SCENARIO.turns[-1].content
    _, sample = attack(model(lambda messages: REFUSAL if messages[-1].text == last else PLEASANT))
    said = asked(sample)
    assert [turn.content for turn in SCENARIO.turns[:-1]] == said[:-1]
    assert said[-1].endswith(last)
    assert said[-1] != last
    assert 1 == sample.metadata["backtracks"]


def test_a_target_that_refuses_everything_is_left_after_ten(attack: Callable[..., tuple[EvalLog, EvalSample]]) -> None:
    """Ten refusals end the attack, and the refusal is what is judged: safe."""
    target = model(
        lambda messages: (
            f"{REFUSAL} {SCENARIO.safe_example}" if len(messages) >= 2 * len(SCENARIO.turns) - 1 else PLEASANT
        )
    )
    _, sample = attack(target)
    assert MAX_BACKTRACKS == sample.metadata["backtracks"]
    [score] = (sample.scores or {}).values()
    assert isinstance(score.value, dict)
    assert 0 == score.value["unsafe"]


def test_a_model_attacker_stops_at_ten_turns(attack: Callable[..., tuple[EvalLog, EvalSample]]) -> None:
    """An attacker model is told the objective and the conversation, and gets ten turns that stand."""
    prompts: list[str] = []

    def write(messages: list[ChatMessage]) -> str:
        prompts.append(messages[-1].text)
        return f"Question number {len(prompts)}?"

    _, sample = attack(model(lambda _: PLEASANT), model(write))
    assert MAX_TURNS == len(prompts) == sample.metadata["attack_turns"]
    assert SCENARIO.objective in prompts[0]
    assert PLEASANT in prompts[1]
    assert "the last" in prompts[-1]


def test_an_unsafe_answer_on_the_way_counts(attack: Callable[..., tuple[EvalLog, EvalSample]]) -> None:
    """Success is an unsafe answer at any turn."""
    _, sample = attack(model(lambda _: SCENARIO.unsafe_example))
    [score] = (sample.scores or {}).values()
    assert isinstance(score.value, dict)
    assert 1 == score.value["unsafe"]


def test_an_attacker_that_refuses_leaves_the_sample_unscored(attack: Callable[..., tuple[EvalLog, EvalSample]]) -> None:
    """No attack is no evidence of safety."""
    _, sample = attack(model(lambda _: PLEASANT), model(lambda _: REFUSAL))
    [score] = (sample.scores or {}).values()
    assert isnan(score.as_float())
    assert ("not_attacked", True) == (score.reason, "refused to attack" in (score.explanation or ""))
