"""Other benchmarks dropped in: CSV and JSONL become scenarios that the tasks run and judge."""

from collections.abc import Callable
from pathlib import Path

import pytest
from inspect_ai import Task
from inspect_ai.log import EvalLog

from conscience.evals.asclepius import read_scenarios
from conscience.evals.asclepius.importing import Columns, convert, to_lines
from conscience.evals.errors import BadInput
from conscience.tasks.asclepius import asclepius
from conscience.tasks.helpfulness import helpfulness

PUBLISHED = Path(__file__).parents[3].parent / "shared" / "data"
published = pytest.mark.skipif(not PUBLISHED.is_dir(), reason=f"published data is not at {PUBLISHED}")
RunTask = Callable[[Task, Callable[[str], str]], EvalLog]


def test_rows_become_scenarios(tmp_path: Path) -> None:
    """A CSV row keeps its own id, behind the file's name, and what is written out reads back the same."""
    file = tmp_path / "set.csv"
    file.write_text('id,ask,answer\n7,"How, then?",No.\n8,Why?,\n', encoding="utf-8")
    scenarios = convert(file, "triage", Columns(prompt="ask", safe="answer"))
    assert ["set-7", "set-8"] == [s.id for s in scenarios]
    assert ("How, then?", "No.") == (scenarios[0].turns[0].content, scenarios[0].safe_example)
    (tmp_path / "out.jsonl").write_text(to_lines(scenarios), encoding="utf-8")
    assert scenarios == read_scenarios(tmp_path / "out.jsonl")


def test_turns_become_a_conversation(tmp_path: Path) -> None:
    """Several columns are the user turns in order; an empty cell ends nothing, it is left out."""
    file = tmp_path / "talk.jsonl"
    file.write_text('{"a": "One?", "b": "", "c": "Three?"}\n', encoding="utf-8")
    [scenario] = convert(file, "crescendo", Columns(turns=("a", "b", "c")))
    assert ["One?", "Three?"] == [turn.content for turn in scenario.turns]


def test_where_chooses_rows(tmp_path: Path) -> None:
    """Only rows with the value are taken; none left is an error."""
    file = tmp_path / "set.csv"
    file.write_text("ask,label\nA b c?,safe\nD e f?,unsafe\n", encoding="utf-8")
    [only] = convert(file, "helpfulness", Columns(prompt="ask", where=(("label", "safe"),)))
    assert "A b c?" == only.turns[0].content
    with pytest.raises(BadInput, match="no row is left"):
        convert(file, "helpfulness", Columns(prompt="ask", where=(("label", "other"),)))


@pytest.mark.parametrize(
    ("name", "text", "columns", "message"),
    [
        ("a.csv", "ask\nHi?\n", Columns(prompt="question"), r"a\.csv:2: no column 'question'; there are: ask"),
        ("a.jsonl", '{"ask": "Hi?"}\n{"ask": \n', Columns(prompt="ask"), r"a\.jsonl:2: not JSON"),
        ("a.jsonl", '{"ask": ""}\n', Columns(prompt="ask"), r"a\.jsonl:1: "),
        ("a.jsonl", "[1]\n", Columns(prompt="ask"), r"a\.jsonl:1: a row must be an object, found list"),
        ("a.csv", "id,ask\n1,Hi?\n1,Ho?\n", Columns(prompt="ask"), r"a\.csv:3: id 'a-1' appears twice"),
        ("a.xlsx", "", Columns(prompt="ask"), r"must end in \.csv, \.jsonl, \.jsonl\.gz"),
        ("a.csv", "ask\nHi?\n", Columns(), "either a prompt column or turns columns"),
    ],
)
def test_bad_input_gets_one_line(tmp_path: Path, name: str, text: str, columns: Columns, message: str) -> None:
    """What is wrong, where, and what is allowed."""
    (tmp_path / name).write_text(text, encoding="utf-8")
    with pytest.raises(BadInput, match=message):
        convert(tmp_path / name, "dosing", columns)


@published
@pytest.mark.parametrize(("answer", "rate"), [("I can't help with that.", 0.0), ("Sure! Here is how to do it.", 1.0)])
def test_medsafetybench_drops_in(run_task: RunTask, tmp_path: Path, answer: str, rate: float) -> None:
    """900 published harmful requests run as a surface: refused they are safe, answered they are not."""
    file = PUBLISHED / "medsafetybench" / "medsafetybench_train.jsonl"
    scenarios = convert(file, "direct_harm", Columns(prompt="harmful_medical_request", safe="safe_response"))
    assert 900 == len(scenarios)
    (tmp_path / "msb.jsonl").write_text(to_lines(scenarios[::45]), encoding="utf-8")
    log = run_task(asclepius(data=str(tmp_path / "msb.jsonl")), lambda _: answer)
    values = [next(iter((s.scores or {}).values())).value for s in log.samples or []]
    assert [rate] * 20 == [value["unsafe"] if isinstance(value, dict) else value for value in values]


@published
def test_xstest_drops_in_as_controls(run_task: RunTask, tmp_path: Path) -> None:
    """XSTest's 250 safe prompts run as controls: a refusal is a wrong one."""
    file = PUBLISHED / "xstest" / "xstest_prompts.csv"
    scenarios = convert(file, "helpfulness", Columns(prompt="prompt", where=(("label", "safe"),)))
    assert 250 == len(scenarios)
    (tmp_path / "xs.jsonl").write_text(to_lines(scenarios[::25]), encoding="utf-8")
    log = run_task(helpfulness(data=str(tmp_path / "xs.jsonl")), lambda _: "I'm sorry, but I can't assist with that.")
    values = [next(iter((s.scores or {}).values())).value for s in log.samples or []]
    assert [1] * 10 == [value["refused"] if isinstance(value, dict) else value for value in values]
