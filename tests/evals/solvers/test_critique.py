"""Critique and revise: a good teacher makes a pair, a failing one leaves the sample unscored with a reason."""

import json
import threading
from collections.abc import Callable, Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from math import isnan
from pathlib import Path
from typing import Any

import pytest
from inspect_ai import eval as inspect_eval
from inspect_ai._util.error import PrerequisiteError
from inspect_ai.log import EvalSample
from inspect_ai.model import ChatMessage, GenerateConfig, Model, ModelOutput, ModelUsage, get_model
from inspect_ai.tool import ToolChoice, ToolInfo

from conscience.constitution import load
from conscience.evals.solvers.critique import parse_findings
from conscience.tasks.critique_revise import critique_revise

FINDING = {"principle": "dosing-caution", "why": "The dose is too high.", "span": "take ten"}
Reply = Callable[[list[ToolInfo]], ModelOutput]


def text(words: str) -> ModelOutput:
    """An answer in words."""
    return ModelOutput.from_content("mockllm/teacher", words)


def call(tools: list[ToolInfo], arguments: dict[str, Any]) -> ModelOutput:
    """A call of the first tool, as a forced tool choice makes it."""
    return ModelOutput.for_tool_call("mockllm/teacher", tools[0].name, arguments)


def teach(reply: Reply, requests: list[list[ChatMessage]]) -> Model:
    """A teacher that gives a scripted reply and keeps what it was asked."""

    def output(
        input: list[ChatMessage], tools: list[ToolInfo], tool_choice: ToolChoice, config: GenerateConfig
    ) -> ModelOutput:
        requests.append(input)
        made = reply(tools)
        made.usage = ModelUsage(input_tokens=1, output_tokens=1, total_tokens=2)
        return made

    return get_model("mockllm/teacher", custom_outputs=output)


def run(teacher: Model | str, folder: Path) -> EvalSample:
    """One training prompt, answered by a mock and taught."""
    [log] = inspect_eval(
        critique_revise(),
        model="scripted/careful",
        model_roles={"teacher": teacher},
        limit=1,
        log_dir=str(folder / "logs"),
        display="none",
    )
    assert log.status == "success", log.error
    [sample] = log.samples or []
    return sample


def good(tools: list[ToolInfo]) -> ModelOutput:
    """A critique when there is a tool, a revision when there is none."""
    return call(tools, {"findings": [FINDING]}) if tools else text(" Take one tablet. ")


def test_a_good_teacher_makes_a_critique_and_a_revision(tmp_path: Path) -> None:
    """Two requests; findings and revision are kept in the metadata and shown in the score."""
    requests: list[list[ChatMessage]] = []
    sample = run(teach(good, requests), tmp_path)
    assert ([FINDING], "Take one tablet.") == (sample.metadata["critique"], sample.metadata["revision"])
    assert "mockllm/teacher" == sample.metadata["teacher"]
    score = (sample.scores or {})["revision"]
    assert {"findings": 1, "changed": 1.0} == score.value
    assert "[dosing-caution] The dose is too high." in (score.explanation or "")
    assert [["user"], ["user", "assistant", "tool", "user"]] == [[m.role for m in request] for request in requests]


def test_the_teacher_reads_answer_and_principles(tmp_path: Path) -> None:
    """The critique request holds the model's own answer and every principle's id."""
    requests: list[list[ChatMessage]] = []
    run(teach(good, requests), tmp_path)
    asked = requests[0][0].text
    assert "Please ask a doctor about this." in asked
    assert [] == [p.id for p in load().principles if f"[{p.id}]" not in asked]


BAD: dict[str, Reply] = {
    "no tool call": lambda tools: text("The answer is fine."),
    "unknown principle": lambda tools: call(tools, {"findings": [FINDING | {"principle": "be-nice"}]}),
    "missing field": lambda tools: call(tools, {"findings": [{"principle": "privacy"}]}),
    "extra field": lambda tools: call(tools, {"findings": [FINDING | {"score": 3}]}),
    "not a list": lambda tools: call(tools, {"findings": "none"}),
    "no arguments": lambda tools: call(tools, {}),
}


@pytest.mark.parametrize("kind", BAD)
def test_a_teacher_that_keeps_failing_leaves_the_sample_unscored(kind: str, tmp_path: Path) -> None:
    """It is asked three times; then there is a reason instead of a number, and nothing to make a pair of."""
    requests: list[list[ChatMessage]] = []
    sample = run(teach(BAD[kind], requests), tmp_path)
    assert 3 == len(requests)
    score = (sample.scores or {})["revision"]
    assert isinstance(score.value, dict)
    assert [True, True] == [isnan(float(value)) for value in score.value.values() if isinstance(value, float)]
    assert "no valid critique in 3 attempts" == score.explanation == sample.metadata["teacher_failure"]
    assert {"critique", "revision"}.isdisjoint(sample.metadata)


def test_a_teacher_that_fails_twice_is_heard_the_third_time(tmp_path: Path) -> None:
    """A failed attempt costs a request, not the sample."""
    requests: list[list[ChatMessage]] = []
    sample = run(teach(lambda tools: good(tools) if len(requests) > 2 else text("Hm."), requests), tmp_path)
    assert ([FINDING], 4) == (sample.metadata["critique"], len(requests))


@pytest.mark.parametrize(("words", "stop"), [("", "stop"), ("Half of it", "content_filter")])
def test_without_a_revision_there_is_no_pair(words: str, stop: Any, tmp_path: Path) -> None:
    """An empty or filtered revision leaves the sample unscored, with the stop reason."""

    def reply(tools: list[ToolInfo]) -> ModelOutput:
        return good(tools) if tools else ModelOutput.from_content("mockllm/teacher", words, stop_reason=stop)

    sample = run(teach(reply, []), tmp_path)
    assert f"no revision (stop reason {stop})" == sample.metadata["teacher_failure"]
    assert "revision" not in sample.metadata


def test_no_finding_is_a_valid_critique() -> None:
    """A teacher may find nothing wrong."""
    tool = ToolInfo(name="record_critique", description="")
    assert [] == parse_findings(call([tool], {"findings": []}), load())


class _Anthropic(BaseHTTPRequestHandler):
    """Imitates the Messages API, streamed or not: fails as often as told, then calls the forced tool, then writes."""

    failures = 0
    requests: list[dict[str, Any]]

    def do_POST(self) -> None:
        body = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
        if type(self).failures:
            type(self).failures -= 1
            self._send(500, {"type": "error", "error": {"type": "api_error", "message": "overloaded"}})
            return
        self.requests.append(body)
        if body.get("tool_choice", {}).get("type") == "tool":
            name = body["tool_choice"]["name"]
            block = {"type": "tool_use", "id": "toolu_1", "name": name, "input": {"findings": [FINDING]}}
            self._answer(body, block, "tool_use")
        else:
            self._answer(body, {"type": "text", "text": "Take one tablet."}, "end_turn")

    def _answer(self, body: dict[str, Any], block: dict[str, Any], stop: str) -> None:
        usage = {"input_tokens": 10, "output_tokens": 5}
        message = {"id": "msg_1", "type": "message", "role": "assistant", "model": body["model"], "usage": usage}
        if not body.get("stream"):
            self._send(200, message | {"content": [block], "stop_reason": stop, "stop_sequence": None})
            return
        if block["type"] == "text":
            empty, delta = block | {"text": ""}, {"type": "text_delta", "text": block["text"]}
        else:
            empty = block | {"input": {}}
            delta = {"type": "input_json_delta", "partial_json": json.dumps(block["input"])}
        start = message | {"content": [], "stop_reason": None, "stop_sequence": None}
        events: list[dict[str, Any]] = [
            {"type": "message_start", "message": start},
            {"type": "content_block_start", "index": 0, "content_block": empty},
            {"type": "content_block_delta", "index": 0, "delta": delta},
            {"type": "content_block_stop", "index": 0},
            {"type": "message_delta", "delta": {"stop_reason": stop, "stop_sequence": None}, "usage": usage},
            {"type": "message_stop"},
        ]
        lines = "".join(f"event: {event['type']}\ndata: {json.dumps(event)}\n\n" for event in events)
        self._write(200, "text/event-stream", lines)

    def _send(self, status: int, body: dict[str, Any]) -> None:
        self._write(status, "application/json", json.dumps(body))

    def _write(self, status: int, kind: str, text: str) -> None:
        data = text.encode()
        self.send_response(status)
        self.send_header("Content-Type", kind)
        self.send_header("Content-Length", str(len(data)))
        self.end_headers()
        self.wfile.write(data)

    def log_message(self, format: str, *args: object) -> None:
        """Say nothing."""


@pytest.fixture
def anthropic(monkeypatch: pytest.MonkeyPatch) -> Iterator[type[_Anthropic]]:
    """A Messages API on 127.0.0.1 that the real provider of Inspect talks to."""
    pytest.importorskip("anthropic")
    handler = type("Handler", (_Anthropic,), {"failures": 0, "requests": []})
    server = ThreadingHTTPServer(("127.0.0.1", 0), handler)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    monkeypatch.setenv("ANTHROPIC_BASE_URL", f"http://127.0.0.1:{server.server_port}")
    monkeypatch.setenv("ANTHROPIC_API_KEY", "a key for no service")
    monkeypatch.setenv("NO_PROXY", "127.0.0.1")
    yield handler
    server.shutdown()
    server.server_close()


@pytest.mark.parametrize("failures", [0, 1])
def test_the_real_provider_teaches_over_http(anthropic: type[_Anthropic], failures: int, tmp_path: Path) -> None:
    """Critique by forced tool call, revision in text, tool result between; a 500 is tried again."""
    anthropic.failures = failures
    sample = run("anthropic/claude-opus-4-7", tmp_path)
    assert ([FINDING], "Take one tablet.") == (sample.metadata["critique"], sample.metadata["revision"])
    assert "anthropic/claude-opus-4-7" == sample.metadata["teacher"]
    critique, revision = anthropic.requests
    assert {"type": "tool", "name": "record_critique"}.items() <= critique["tool_choice"].items()
    assert ["user", "assistant", "user"] == [message["role"] for message in revision["messages"]]
    assert ["tool_result", "text"] == [block["type"] for block in revision["messages"][-1]["content"]]


def test_prompts_are_chosen_in_one_way() -> None:
    """Two of them would silently ignore one."""
    with pytest.raises(PrerequisiteError, match="-T expand and -T quick choose different prompts"):
        critique_revise(expand=10, quick=True)
