"""The report's files: JSON, Markdown, a self-contained HTML page, JUnit XML, and the table for a terminal.

All are drawn from the summary; what they show and in which order is in `templates/`.
"""

from collections.abc import Iterable
from itertools import groupby
from math import isinf, isnan
from pathlib import Path
from typing import Any
from xml.etree import ElementTree

from jinja2 import Environment, FileSystemLoader, StrictUndefined
from markupsafe import Markup

from conscience.evals.files import write_atomically
from conscience.evals.gate import drawing
from conscience.evals.gate.breakdown import Churn, Row
from conscience.evals.gate.flips import Flip, viewers
from conscience.evals.gate.report import Summary
from conscience.evals.gate.surfaces import Measure, Turn
from conscience.evals.gate.verdict import Outcome, Verdict
from conscience.evals.judges.calibration import Interval
from conscience.evals.statistics import Estimate

TEMPLATES = Path(__file__).parent / "templates"
OPEN_BELOW = 12
"""A group of changed samples stands open on the page when it is smaller than this."""


def templates() -> Environment:
    """The templates with what they call."""
    environment = Environment(
        loader=FileSystemLoader(TEMPLATES),
        autoescape=lambda name: bool(name and name.endswith(".html")),
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
        keep_trailing_newline=True,
    )
    environment.filters |= {"figure": figure, "shown": interval, "more": more, "label": label, "measured": measured}
    return environment


def write(summary: Summary, out: Path) -> None:
    """Write the four files, each in one step."""
    environment = templates()
    facts = {"s": summary, "changed": changed(summary.flips), "viewers": _viewers(summary)}
    page = environment.get_template("report.html").render(
        **facts,
        targets_figure=Markup(drawing.targets(summary.outcomes)),
        survival_figure=Markup(drawing.survival(summary.survival)) if summary.survival else "",
        open_below=OPEN_BELOW,
    )
    markdown = environment.get_template("report.md").render(**facts, table=markdown_table(summary))
    write_atomically(out / "report.json", summary.model_dump_json(indent=2))
    write_atomically(out / "report.xml", junit(summary))
    write_atomically(out / "report.md", markdown)
    write_atomically(out / "report.html", page)


def changed(flips: Iterable[Flip]) -> list[tuple[str, str, list[Flip]]]:
    """Samples that changed, by task and by what changed, as they come."""
    return [(*key, list(group)) for key, group in groupby(flips, lambda flip: (flip.task, flip.direction))]


def _viewers(summary: Summary) -> dict[str, dict[str, Any]]:
    """By task, the way to both models' logs: the inputs name a log a task, in the order of the provenance."""
    tasks = [str(facts["task"]) for facts in summary.provenance]
    ways = zip(tasks, viewers(summary.inputs.base, "base"), viewers(summary.inputs.candidate, "candidate"), strict=True)
    return {task: {"base": base, "candidate": candidate} for task, base, candidate in ways}


def label(row: Row | Measure | Turn | Churn) -> str:
    """What a row of a table is about."""
    return str(row.turn) if isinstance(row, Turn) else row.name


def measured(figures: Interval) -> str:
    """A calibration's figure with its interval."""
    return _with_limits(figures.estimate, figures.low, figures.high)


def figure(value: float) -> str:
    """A number for people: three digits, or an en dash where there is none."""
    if isinf(value):
        return "∞"
    return "–" if isnan(value) else f"{value:.3g}" if abs(value) < 10 else f"{value:.0f}"


def interval(estimate: Estimate) -> str:
    """Point and 95% interval."""
    return _with_limits(estimate.point, estimate.low, estimate.high)


def _with_limits(point: float, low: float, high: float) -> str:
    """A figure with its limits; without limits it is not shown."""
    return "–" if isnan(low) or isnan(high) else f"{figure(point)} [{figure(low)}, {figure(high)}]"


def rows(summary: Summary) -> list[tuple[str, ...]]:
    """The verdict table, cell by cell."""
    header = ("target", "base", "candidate", "estimate [95% interval]", "bar", "verdict", "point")
    body = [
        (
            outcome.target,
            figure(outcome.base.point),
            figure(outcome.candidate.point),
            interval(outcome.estimate),
            f"{'<=' if outcome.better == 'lower' else '>='} {figure(outcome.bar)}",
            outcome.verdict.value,
            outcome.point.value,
        )
        for outcome in summary.outcomes
    ]
    return [header, *body, ("overall", "", "", "", "", summary.verdict.value, summary.point.value)]


def table(summary: Summary) -> str:
    """The verdict table for a terminal, with the notes below it."""
    cells = rows(summary)
    widths = [max(len(row[column]) for row in cells) for column in range(len(cells[0]))]
    lines = ["  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)).rstrip() for row in cells]
    lines.insert(1, "  ".join("-" * width for width in widths))
    notes = [f"note: {note}" for note in summary.notes]
    open_ = [f"{outcome.target}: {more(outcome)}" for outcome in summary.outcomes if outcome.more]
    return "\n".join([f"{summary.candidate} against {summary.base}", "", *lines, "", *open_, *notes])


def markdown_table(summary: Summary) -> str:
    """The verdict table in Markdown."""
    header, *body = rows(summary)
    rule = ["---"] * len(header)
    return "\n".join("| " + " | ".join(row) + " |" for row in [header, tuple(rule), *body])


def more(outcome: Outcome) -> str:
    """What would decide an open target."""
    return f"about {outcome.more:,} more items would decide it, should the rates stay" if outcome.more else ""


def junit(summary: Summary) -> str:
    """The targets as JUnit test cases: FAIL is a failure, INCONCLUSIVE an error, for nothing was shown."""
    tags = {Verdict.FAIL: "failure", Verdict.INCONCLUSIVE: "error"}
    counts = {f"{tag}s": str(sum(tags.get(o.verdict) == tag for o in summary.outcomes)) for tag in tags.values()}
    suite = ElementTree.Element("testsuite", {"name": summary.candidate, "tests": str(len(summary.outcomes)), **counts})
    properties = ElementTree.SubElement(suite, "properties")
    for name, value in _facts(summary):
        ElementTree.SubElement(properties, "property", name=name, value=value)
    for outcome in summary.outcomes:
        case = ElementTree.SubElement(suite, "testcase", classname="conscience.gate", name=outcome.target)
        said = f"{outcome.metric}: {interval(outcome.estimate)}, bar {figure(outcome.bar)}"
        if outcome.verdict in tags:
            reason = "; ".join(part for part in (said, outcome.note, more(outcome)) if part)
            ElementTree.SubElement(case, tags[outcome.verdict], type=outcome.verdict.value, message=reason)
        ElementTree.SubElement(case, "system-out").text = said
    return ElementTree.tostring(suite, encoding="unicode", xml_declaration=True) + "\n"


def _facts(summary: Summary) -> list[tuple[str, str]]:
    """What a reader of the CI's page wants beside the targets."""
    return [
        ("verdict", summary.verdict.value),
        ("base", summary.base),
        ("judges", ", ".join(summary.judges)),
        ("looks at the test split", "not counted" if summary.looks is None else str(summary.looks)),
        *((f"{task}, {direction}", str(len(flips))) for task, direction, flips in changed(summary.flips)),
    ]
