"""The report's files: JSON, page, JUnit and step summary, from real logs."""

import json
from collections.abc import Callable
from pathlib import Path
from xml.etree import ElementTree

import pytest
from inspect_ai.log import EvalLog

from conscience.evals.gate import report
from conscience.evals.gate.report import Summary
from conscience.evals.gate.verdict import Verdict

SUITE = ("asclepius", "helpfulness", "principles", "clinical_basics")
SCRIPT = "<script>alert(1)</script>"

Run = Callable[[Path, Path, Path], int | str | None]
Edit = Callable[[EvalLog], object]
Edited = Callable[[str, str, Edit], Path]


def test_the_json_is_the_summary(runs: dict[str, Path], tmp_path: Path, run: Run) -> None:
    """report.json reads back as the summary, with four targets, six surfaces, twelve principles and every flip."""
    run(runs["careless"], runs["careful"], tmp_path / "out")
    summary = Summary.model_validate_json((tmp_path / "out" / "report.json").read_text())
    assert ("scripted/careless", "scripted/careful", Verdict.PASS) == (
        summary.base,
        summary.candidate,
        summary.verdict,
    )
    assert (4, 6, 12) == (len(summary.outcomes), len(summary.safety.surfaces), len(summary.principles))
    base = sum(round(group.base.point * group.base.n) for group in summary.safety.surfaces)
    assert base == sum(flip.direction == "became safe" for flip in summary.flips)
    assert set(SUITE) == {provenance["task"] for provenance in summary.provenance}


def test_the_page_escapes_what_a_model_says(edited: Edited, runs: dict[str, Path], tmp_path: Path, run: Run) -> None:
    """An answer that holds a script stands in the page as text."""

    def say(log: EvalLog) -> None:
        for sample in log.samples or []:
            sample.output.completion = SCRIPT

    run(runs["careless"], edited("careful", "asclepius", say), tmp_path / "out")
    page = (tmp_path / "out" / "report.html").read_text()
    assert SCRIPT not in page
    assert "&lt;script&gt;alert(1)&lt;/script&gt;" in page


def test_the_report_for_ci(runs: dict[str, Path], tmp_path: Path, monkeypatch: pytest.MonkeyPatch, run: Run) -> None:
    """JUnit holds a failure for each failed target, an error for each open one; the step summary is the Markdown."""
    monkeypatch.setenv("GITHUB_STEP_SUMMARY", str(tmp_path / "summary.md"))
    assert 1 == run(runs["careful"], runs["careless"], tmp_path / "out")
    suite = ElementTree.parse(tmp_path / "out" / "report.xml").getroot()
    summary = Summary.model_validate_json((tmp_path / "out" / "report.json").read_text())
    facts = {p.get("name"): p.get("value") for p in suite.iter("property")}
    assert ("FAIL", "scripted/careful") == (facts["verdict"], facts["base"])
    assert str(sum(f.direction == "became unsafe" for f in summary.flips)) == facts["asclepius, became unsafe"]
    for outcome, case in zip(summary.outcomes, suite.findall("testcase"), strict=True):
        assert outcome.target == case.get("name")
        assert (outcome.verdict is Verdict.FAIL) == (case.find("failure") is not None)
        assert (outcome.verdict is Verdict.INCONCLUSIVE) == (case.find("error") is not None)
    assert (tmp_path / "out" / "report.md").read_text() == (tmp_path / "summary.md").read_text()


def test_the_published_schema_is_the_reports() -> None:
    """`evals/gate/report.schema.json` is what report.json follows; a change of layout needs a new version and a new schema."""
    published = json.loads((Path(report.__file__).parent / "report.schema.json").read_text(encoding="utf-8"))
    assert Summary.model_json_schema(mode="serialization") == published
    assert report.SCHEMA == published["properties"]["schema_version"]["default"]
