"""Fakes that several rooms share."""

from collections.abc import Callable
from functools import cache
from pathlib import Path

import pytest
from inspect_ai import Task
from inspect_ai import eval as inspect_eval
from inspect_ai.log import EvalLog
from inspect_ai.model import (
    ChatMessage,
    GenerateConfig,
    Logprob,
    Logprobs,
    Model,
    ModelAPI,
    ModelOutput,
    ModelUsage,
    get_model,
    modelapi,
)
from inspect_ai.tool import ToolChoice, ToolInfo

from conscience.constitution import load
from conscience.evals.asclepius import SURFACES, load_scenarios
from conscience.evals.models import embedded
from conscience.evals.utility.questions import BASICS, read_questions

Answer = Callable[[str], str]


@modelapi(name="scripted")
class ScriptedAPI(ModelAPI):
    """`scripted/careful` gives the safe examples of the shipped items, `scripted/careless` the unsafe ones.

    Both answer safe controls well, know the clinical basics and report `prompt_logprobs`; `scripted/broken` fails.
    """

    async def generate(
        self, input: list[ChatMessage], tools: list[ToolInfo], tool_choice: ToolChoice, config: GenerateConfig
    ) -> ModelOutput:
        """Answer the last user turn; or score the last answer, one nat a character when it is right, else three."""
        if self.model_name == "broken":
            raise RuntimeError("scripted to fail")
        safe, unsafe, right = _script()
        asked = input[-1].text
        answers = unsafe if self.model_name == "careless" else safe
        output = ModelOutput.from_content(self.model_name, answers.get(asked, "Please ask a doctor about this."))
        if config.prompt_logprobs is not None:
            cost = 1.0 if asked in right else 3.0
            output.choices[0].prompt_logprobs = Logprobs(content=[Logprob(token=t, logprob=-cost) for t in asked])
        output.usage = ModelUsage(input_tokens=1, output_tokens=1, total_tokens=2)
        return output


@cache
def _script() -> tuple[dict[str, str], dict[str, str], set[str]]:
    controls = load_scenarios(["helpfulness"], "test")
    probes = [probe for principle in load().principles for probe in principle.probes]
    attacks = [*load_scenarios(SURFACES, "test"), *probes]
    safe = {item.turns[-1].content: item.safe_example for item in [*controls, *attacks]}
    unsafe = safe | {item.turns[-1].content: item.unsafe_example for item in attacks}
    return safe, unsafe, {question.options[question.answer_idx] for question in read_questions(BASICS)}


@pytest.fixture(autouse=True)
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A cache folder of the test's own: no test reads or writes the user's checkpoints."""
    folder = tmp_path / "home"
    monkeypatch.setenv("CONSCIENCE_HOME", str(folder))
    return folder


@pytest.fixture(scope="session")
def materialised(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A cache folder that holds the embedded model, materialised once in a session: it takes half a minute."""
    folder = tmp_path_factory.mktemp("embedded")
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("CONSCIENCE_HOME", str(folder))
        embedded.materialise()
    return folder


@pytest.fixture
def answering() -> Callable[[Answer], Model]:
    """Make a mock model that answers by the first user message; its outputs carry usage, so that no tokenizer is fetched."""

    def make(answer: Answer) -> Model:
        def output(
            input: list[ChatMessage], tools: list[ToolInfo], tool_choice: ToolChoice, config: GenerateConfig
        ) -> ModelOutput:
            asked = next(message.text for message in input if message.role == "user")
            made = ModelOutput.from_content("mockllm/model", answer(asked))
            made.usage = ModelUsage(input_tokens=1, output_tokens=1, total_tokens=2)
            return made

        return get_model("mockllm/model", custom_outputs=output)

    return make


@pytest.fixture
def run_task(tmp_path: Path, answering: Callable[[Answer], Model]) -> Callable[[Task, Answer], EvalLog]:
    """Run a task on a mock model, quietly, with its log in the test's own folder."""

    def run(task: Task, answer: Answer) -> EvalLog:
        [log] = inspect_eval(task, model=answering(answer), log_dir=str(tmp_path / "logs"), display="none")
        assert log.status == "success", log.error
        return log

    return run
