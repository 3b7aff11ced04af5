"""The recorded teacher, `recorded/teacher`: plays back critiques and revisions written for the shipped training prompts.

It stands in for a teacher model where there is no key or network. It has *not* seen the sample that it critiques: what
it plays back was written for the prompt. The log names it as the model of the `teacher` role; card and report repeat it.

It finds what to play by the metadata that `critique_revise` puts on its request, `{"sample_id": ..., "step": ...}`.
"""

import json
from functools import cache
from pathlib import Path
from typing import Any

from inspect_ai._util.error import PrerequisiteError
from inspect_ai.model import ChatMessage, GenerateConfig, ModelAPI, ModelOutput, ModelUsage
from inspect_ai.tool import ToolChoice, ToolInfo

RECORDINGS = Path(__file__).parent / "recordings"


@cache
def recordings() -> dict[str, dict[str, Any]]:
    """All recorded turns, by sample id."""
    rows = (
        json.loads(line)
        for file in sorted(RECORDINGS.glob("*.jsonl"))
        for line in file.read_text(encoding="utf-8").split("\n")
        if line
    )
    return {row["id"]: row for row in rows if "id" in row}


class RecordedTeacherAPI(ModelAPI):
    """Answers a critique request with a tool call and a revision request with text."""

    async def generate(
        self, input: list[ChatMessage], tools: list[ToolInfo], tool_choice: ToolChoice, config: GenerateConfig
    ) -> ModelOutput:
        """Play back the recording for the request's sample id."""
        asked = next((m.metadata for m in reversed(input) if m.metadata and "sample_id" in m.metadata), None)
        if asked is None or asked["sample_id"] not in recordings():
            sample = asked["sample_id"] if asked else None
            raise PrerequisiteError(
                f"the recorded teacher has nothing for sample {sample!r}: it knows the shipped training prompts only; "
                "for others give a model, for example --model-role teacher=anthropic/claude-opus-4-7"
            )
        recording = recordings()[asked["sample_id"]]
        if asked["step"] == "critique":
            output = ModelOutput.for_tool_call(self.model_name, tools[0].name, {"findings": recording["critique"]})
        else:
            output = ModelOutput.from_content(self.model_name, recording["revision"])
        output.usage = ModelUsage()
        return output
