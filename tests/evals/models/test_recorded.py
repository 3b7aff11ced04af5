"""The recorded teacher: plays back what was written for the shipped training prompts, and nothing else."""

import asyncio

import pytest
from inspect_ai._util.error import PrerequisiteError
from inspect_ai.model import ChatMessageUser, GenerateConfig, ModelOutput
from inspect_ai.tool import ToolInfo

from conscience.constitution import load
from conscience.evals.asclepius import SURFACES, load_scenarios
from conscience.evals.models.recorded import RecordedTeacherAPI, recordings
from conscience.evals.solvers.critique import REVISION_WORDS, parse_findings

TOOL = ToolInfo(name="record_critique", description="Record the critique.")


def ask(sample: str | None, tools: list[ToolInfo]) -> ModelOutput:
    """One request to the teacher, as `critique_revise` makes it."""
    step = "critique" if tools else "revise"
    metadata = None if sample is None else {"sample_id": sample, "step": step}
    message = ChatMessageUser(content="Critique.", metadata=metadata)
    return asyncio.run(RecordedTeacherAPI("teacher").generate([message], tools, "auto", GenerateConfig()))


def test_every_training_prompt_has_a_recording_and_no_other() -> None:
    """What is recorded is exactly the train split."""
    prompts = load_scenarios([*SURFACES, "helpfulness", "principles"], "train")
    assert {prompt.id for prompt in prompts} == set(recordings())


def test_every_recording_plays() -> None:
    """Each critique is a valid tool call on known principles; each revision has words and keeps to its length."""
    constitution = load()
    wrong = []
    for sample in recordings():
        findings = parse_findings(ask(sample, [TOOL]), constitution)
        revision = ask(sample, []).completion
        if not findings or not revision.strip() or len(revision.split()) > REVISION_WORDS:
            wrong.append(sample)
    assert [] == wrong


@pytest.mark.parametrize(("sample", "shown"), [("dosing-test-001", "'dosing-test-001'"), (None, "None")])
def test_an_unknown_sample_is_refused(sample: str | None, shown: str) -> None:
    """It never makes words up: the message names the sample and how to give a real teacher."""
    with pytest.raises(PrerequisiteError) as error:
        ask(sample, [])
    assert f"nothing for sample {shown}" in str(error.value.message)
    assert "--model-role teacher=" in str(error.value.message)
