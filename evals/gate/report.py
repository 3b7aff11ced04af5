"""The gate's report: one summary, written as JSON, Markdown and a self-contained HTML page.

The JSON is the summary itself (schema version in it); the other two are drawn from it by templates.
"""

from collections.abc import Iterable, Sequence
from datetime import UTC, datetime
from math import isfinite, isinf, isnan
from pathlib import Path
from typing import Any
from xml.etree import ElementTree

from jinja2 import Environment, FileSystemLoader, StrictUndefined
from markupsafe import Markup
from pydantic import BaseModel, ConfigDict

from conscience.evals import statistics
from conscience.evals.files import write_atomically
from conscience.evals.gate import surfaces, trust, verdict
from conscience.evals.gate.comparison import HELPFULNESS, PRINCIPLES, SAFETY, Arms
from conscience.evals.gate.disagreement import Disagreement, disagreements
from conscience.evals.gate.drawing import to_svg
from conscience.evals.gate.surfaces import Conflict, Measure, Turn
from conscience.evals.gate.verdict import Outcome, Targets, Verdict
from conscience.evals.judges.calibration import Calibration
from conscience.evals.statistics import Estimate

SCHEMA = 3
TEMPLATES = Path(__file__).parent / "templates"


class Group(BaseModel):
    """One surface or principle: the rate of both models."""

    name: str
    """Surface or principle id."""
    base: Estimate
    """Base's rate, exact limits."""
    candidate: Estimate
    """Candidate's rate, exact limits."""


class Flip(BaseModel):
    """A sample on which base and candidate differ."""

    task: str
    """Task."""
    id: str
    """Sample id, in both logs."""
    direction: str
    """What changed."""
    prompt: str
    """What was asked."""
    base: str
    """The base's answer."""
    candidate: str
    """The candidate's answer."""
    why: str
    """What the judges said of the candidate's answer."""


class Inputs(BaseModel):
    """What the report was made from, so that it can be made again; paths are relative to the report's folder."""

    base: list[str]
    """The base's logs."""
    candidate: list[str]
    """The candidate's logs."""
    calibrations: list[str]
    """Calibration files."""
    targets: Targets
    """Bars."""


class Summary(BaseModel):
    """Everything the report says."""

    model_config = ConfigDict(ser_json_inf_nan="null")

    schema_version: int = SCHEMA
    """Version of this layout."""
    verdict: Verdict
    """Overall."""
    point: Verdict
    """Overall on point estimates alone."""
    base: str
    """Model under comparison."""
    candidate: str
    """Model that wants to pass."""
    created: str
    """UTC."""
    outcomes: list[Outcome]
    """The four targets."""
    surfaces: list[Group]
    """Unsafe rate by surface."""
    principles: list[Group]
    """Share of probes passed by principle."""
    measures: list[Measure]
    """What the surfaces measure besides."""
    styles: list[Measure]
    """Unsafe rate by style."""
    askers: list[Measure]
    """Unsafe rate by who asks."""
    survival: list[Turn]
    """Crescendo: share of conversations without an unsafe answer, turn by turn."""
    conflicts: list[Conflict]
    """Precedence: which principle was followed."""
    judges: list[str]
    """Identities of the judges."""
    calibrations: list[Calibration]
    """Their error as measured on human labels, where a file was given."""
    corrected: bool
    """Whether the safety target is corrected for it."""
    rivals: int
    """Candidates compared at once; a PASS stands only after Holm's adjustment for them."""
    looks: int | None
    """Runs that were held against this base's run of the test split so far; null for another split."""
    disagreements: list[Disagreement]
    """Answers on which the judges disagree, those first that matter most to the verdict."""
    utility_p: float
    """McNemar's exact p of the utility task."""
    notes: list[str]
    """What a reader must know before believing a figure."""
    provenance: list[dict[str, Any]]
    """Logs, versions, settings, judges."""
    flips: list[Flip]
    """Every sample on which the two differ."""
    inputs: Inputs
    """What it was made from."""


def summarise(
    arms: dict[str, Arms],
    outcomes: list[Outcome],
    inputs: Inputs,
    calibrations: Sequence[Calibration] = (),
    looks: int | None = None,
    *,
    rivals: int = 1,
    stands: bool = True,
) -> Summary:
    """Gather what the report says.

    Args:
        arms: what was compared, by task.
        outcomes: the four targets.
        inputs: files behind it.
        calibrations: of the judges.
        looks: see `conscience.evals.gate.looks`.
        rivals: candidates that were compared at once.
        stands: whether a PASS stands after the adjustment for them.
    """
    utility = next(a for task, a in arms.items() if task not in (SAFETY, HELPFULNESS, PRINCIPLES))
    found = verdict.worst(outcome.verdict for outcome in outcomes)
    rows = surfaces.read_rows(arms[SAFETY])
    return Summary(
        verdict=Verdict.INCONCLUSIVE if found is Verdict.PASS and not stands else found,
        point=verdict.worst(outcome.point for outcome in outcomes),
        rivals=rivals,
        base=arms[SAFETY].base.eval.model,
        candidate=arms[SAFETY].candidate.eval.model,
        created=datetime.now(UTC).isoformat(timespec="seconds"),
        outcomes=outcomes,
        surfaces=_groups(arms[SAFETY]),
        principles=_groups(arms[PRINCIPLES]),
        measures=surfaces.surface_measures(rows, arms),
        styles=surfaces.rates_by(rows, "style"),
        askers=surfaces.rates_by(rows, "asker"),
        survival=surfaces.survival(rows),
        conflicts=surfaces.conflicts(arms[PRINCIPLES]),
        judges=trust.identities(arms),
        calibrations=list(calibrations),
        corrected=outcomes[0].seen is not None,
        looks=looks,
        disagreements=disagreements(arms[SAFETY]),
        utility_p=statistics.mcnemar(utility.samples["base"].to_numpy(), utility.samples["candidate"].to_numpy()),
        notes=[*_multiplicity(rivals, looks, demoted=found is Verdict.PASS and not stands), *_notes(arms, outcomes)],
        provenance=[_provenance(a) for a in arms.values()],
        flips=[flip for a in arms.values() for flip in _flips(a)],
        inputs=inputs,
    )


def write(summary: Summary, out: Path) -> None:
    """Write the four files, each in one step."""
    environment = Environment(
        loader=FileSystemLoader(TEMPLATES),
        autoescape=lambda name: bool(name and name.endswith(".html")),
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
        keep_trailing_newline=True,
    )
    environment.filters |= {"figure": figure, "shown": interval, "more": more}
    environment.globals["arms"] = _both
    page = environment.get_template("report.html").render(s=summary, drawing=Markup(draw(summary.outcomes)))
    markdown = environment.get_template("report.md").render(s=summary, table=markdown_table(summary))
    write_atomically(out / "report.json", summary.model_dump_json(indent=2))
    write_atomically(out / "report.xml", junit(summary))
    write_atomically(out / "report.md", markdown)
    write_atomically(out / "report.html", page)


def _both(rows: Iterable[Group | Measure | Turn]) -> list[tuple[str, Estimate, Estimate]]:
    """Rows of a table that shows base beside candidate."""
    return [(str(row.turn) if isinstance(row, Turn) else row.name, row.base, row.candidate) for row in rows]


def figure(value: float) -> str:
    """A number for people: three digits, or an en dash where there is none."""
    if isinf(value):
        return "∞"
    return "–" if isnan(value) else f"{value:.3g}" if abs(value) < 10 else f"{value:.0f}"


def interval(estimate: Estimate) -> str:
    """Point and 95% interval."""
    return f"{figure(estimate.point)} [{figure(estimate.low)}, {figure(estimate.high)}]"


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


def draw(outcomes: list[Outcome]) -> str:
    """Every target's interval against its bar, as inline SVG with a text alternative; safe side shaded."""
    import matplotlib as mpl

    mpl.use("Agg")
    from matplotlib import pyplot as plt

    shown = [outcome for outcome in outcomes if isfinite(outcome.estimate.low) and isfinite(outcome.estimate.high)]
    mpl.rcParams |= {"svg.fonttype": "none", "font.family": "sans-serif", "svg.hashsalt": "conscience"}
    height = 0.95 * max(1, len(shown)) + 0.3
    drawing, axes = plt.subplots(max(1, len(shown)), 1, figsize=(7.2, height), squeeze=False, layout="constrained")
    for axis, outcome in zip(axes[:, 0], shown, strict=False):
        estimate, bar = outcome.estimate, outcome.bar
        span = [estimate.low, estimate.high, bar, 0.0]
        pad = 0.08 * (max(span) - min(span) or 1)
        left, right = min(span) - pad, max(span) + pad
        axis.axvspan(*((left, bar) if outcome.better == "lower" else (bar, right)), color="#d9ecdf", zorder=0)
        axis.axvline(bar, color="#2b5d3a", linestyle="--", linewidth=1)
        axis.plot([estimate.low, estimate.high], [0, 0], color="#1f2a44", linewidth=2)
        axis.plot([estimate.point], [0], "o", color="#1f2a44")
        axis.set(xlim=(left, right), ylim=(-1, 1), yticks=[])
        axis.set_title(f"{outcome.target}: {outcome.metric}", fontsize=9, loc="left")
        axis.tick_params(labelsize=8)
        for side in ("top", "left", "right"):
            axis.spines[side].set_visible(False)
    words = "; ".join(f"{o.target} {interval(o.estimate)}, bar {figure(o.bar)}, {o.verdict.value}" for o in outcomes)
    return to_svg(drawing, words)


def more(outcome: Outcome) -> str:
    """What would decide an open target."""
    return f"about {outcome.more:,} more items would decide it, should the rates stay" if outcome.more else ""


def junit(summary: Summary) -> str:
    """The targets as JUnit test cases: FAIL is a failure, INCONCLUSIVE an error, for nothing was shown."""
    tags = {Verdict.FAIL: "failure", Verdict.INCONCLUSIVE: "error"}
    counts = {f"{tag}s": str(sum(tags.get(o.verdict) == tag for o in summary.outcomes)) for tag in tags.values()}
    suite = ElementTree.Element("testsuite", {"name": summary.candidate, "tests": str(len(summary.outcomes)), **counts})
    for outcome in summary.outcomes:
        case = ElementTree.SubElement(suite, "testcase", classname="conscience.gate", name=outcome.target)
        said = f"{outcome.metric}: {interval(outcome.estimate)}, bar {figure(outcome.bar)}"
        if outcome.verdict in tags:
            reason = "; ".join(part for part in (said, outcome.note, more(outcome)) if part)
            ElementTree.SubElement(case, tags[outcome.verdict], type=outcome.verdict.value, message=reason)
        ElementTree.SubElement(case, "system-out").text = said
    return ElementTree.tostring(suite, encoding="unicode", xml_declaration=True) + "\n"


def _groups(arms: Arms) -> list[Group]:
    found = []
    for name, rows_ in arms.samples.groupby("group"):
        base, candidate = (statistics.proportion(round(rows_[arm].sum()), len(rows_)) for arm in ("base", "candidate"))
        found.append(Group(name=str(name), base=base, candidate=candidate))
    return found


def _flips(arms: Arms) -> list[Flip]:
    bad = {SAFETY: ("became unsafe", "became safe"), HELPFULNESS: ("now refused", "no longer refused")}
    up, down = bad.get(arms.task, ("became right", "became wrong"))
    changed = arms.samples[arms.samples["base"] != arms.samples["candidate"]]
    return [
        Flip(
            task=arms.task,
            id=row["id"],
            direction=up if row["candidate"] > row["base"] else down,
            prompt=row["prompt"],
            base=row["base_answer"],
            candidate=row["candidate_answer"],
            why=row["candidate_explanation"],
        )
        for row in changed.to_dict("records")
    ]


def _notes(arms: dict[str, Arms], outcomes: list[Outcome]) -> list[str]:
    notes = [f"{outcome.target}: {outcome.note}" for outcome in outcomes if outcome.note]
    if any(judge.startswith("embedded@") for judge in trust.identities(arms)):
        error = (
            "whose error is corrected for in the safety target"
            if outcomes[0].seen
            else "whose error is not corrected for"
        )
        notes.append(
            "Safety, helpfulness and principles are measured by the embedded judges (patterns of each item's rubric, and a "
            f"refusal classifier), {error}."
        )
    if "clinical_basics" in arms:
        notes.append("Utility is measured on clinical_basics, 60 easy questions of this project, not on MedQA.")
    if quick := [task for task, a in arms.items() if a.candidate.eval.task_args.get("quick")]:
        notes.append(
            f"Quick subset of: {', '.join(quick)}. It shows large changes only; run the whole test split to release."
        )
    notes += _lineage(arms[SAFETY].candidate.eval.model)
    small = [outcome.target for outcome in outcomes if 0 < outcome.estimate.n < 200]
    if small:
        notes.append(
            f"Fewer than 200 items behind: {', '.join(small)}. Intervals are wide; INCONCLUSIVE means just that."
        )
    return notes


def _multiplicity(rivals: int, looks: int | None, *, demoted: bool) -> list[str]:
    notes = []
    if rivals > 1:
        notes.append(
            f"{rivals} candidates were compared at once: a PASS stands only if it does after Holm's adjustment"
            + (", and this one does not." if demoted else ".")
        )
    if looks is not None and looks > 1:
        notes.append(f"{looks} runs were held against this base's test split so far: choose on dev, look at test once.")
    return notes


def _lineage(model: str) -> list[str]:
    """The card's own notes, where the candidate is a checkpoint registered here."""
    from conscience.evals.errors import BadInput
    from conscience.evals.models.card import lookup

    if not model.startswith("conscience/"):
        return []
    try:
        return list(lookup(model.removeprefix("conscience/"))[1].notes)
    except BadInput:
        return ["The candidate's card is not on this machine: its lineage is not checked."]


def _provenance(arms: Arms) -> dict[str, Any]:
    same = {name: value for name, value in arms.settings.items() if name != "sample ids" and value is not None}
    return {
        "task": arms.task,
        "samples": arms.total,
        "unscored (base, candidate)": f"{arms.unscored[0]}, {arms.unscored[1]}",
        "base content": arms.content(arms.base),
        "candidate content": arms.content(arms.candidate),
        "base log": f"{arms.base.eval.eval_id} {Path(arms.base.location).name}",
        "candidate log": f"{arms.candidate.eval.eval_id} {Path(arms.candidate.location).name}",
        **{name: str(value) for name, value in same.items()},
        "packages": str(arms.base.eval.packages),
    }
