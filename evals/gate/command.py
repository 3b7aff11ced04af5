"""`conscience gate`: compare candidates with their base and give a verdict; plan, verify, and test the gate itself."""

import os
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import TypeVar

import click

Written = TypeVar("Written")

_LOGS = "Log file or folder of the {}; may be repeated."


@click.group(invoke_without_command=True)
@click.option("--base", multiple=True, help=_LOGS.format("base"))
@click.option("--candidate", multiple=True, help=_LOGS.format("candidate, or of several, compared at once"))
@click.option(
    "--calibration",
    "calibrations",
    multiple=True,
    type=click.Path(path_type=Path),
    help="What `conscience calibrate --out` wrote on a judge of these logs; may be repeated.",
)
@click.option(
    "--labels",
    multiple=True,
    type=click.Path(path_type=Path),
    help="What `conscience gate sample-labels` drew, filled in by physicians; a file for each candidate.",
)
@click.option("--targets", type=click.Path(path_type=Path), help="YAML with other bars.")
@click.option("--out", type=click.Path(path_type=Path), help="Folder for the report.")
@click.option(
    "--self-test", "self_test", multiple=True, help="Logs of one model: print the gate's own error rates on them."
)
@click.pass_context
def gate(
    context: click.Context,
    base: tuple[str, ...],
    candidate: tuple[str, ...],
    calibrations: tuple[Path, ...],
    labels: tuple[Path, ...],
    targets: Path | None,
    out: Path | None,
    self_test: tuple[str, ...],
) -> int:
    """Compare a candidate with its base on the four targets.

    Writes report.html, report.md, report.json and report.xml (JUnit), and the verdict into the candidate's log. Several
    candidates get a folder each, and pass only if they do after Holm's adjustment. Exit status: 0 PASS (all candidates), 1 FAIL
    (any), 2 INCONCLUSIVE, 3 bad input (nothing is written).
    """
    if context.invoked_subcommand:
        return 0
    from conscience.evals import logs
    from conscience.evals.errors import BadInput
    from conscience.evals.gate import binding, judging, looks, output, report, selftest, verdict
    from conscience.evals.gate.comparison import SAFETY

    context.with_resource(logs.collector_paused())
    bars = verdict.read_targets(targets) if targets else verdict.Targets()
    if self_test:
        click.echo(selftest.table(selftest.self_test(logs.newest_by_task(self_test), bars)))
        return 0
    for name, value in (("--base", base), ("--candidate", candidate), ("--out", out)):
        if not value:
            raise click.UsageError(f"Missing option '{name}'.")
    assert out is not None
    ours, candidates = logs.newest_by_task(base), logs.by_model(candidate)
    own = next(iter(ours.values())).eval.model
    if len(candidates) > 1 and own in candidates:
        raise BadInput(
            f"the candidates' logs hold the base's, {own!r}, among {', '.join(candidates)}; name candidates only"
        )
    compared = {model: judging.judge(ours, found, bars, calibrations, labels) for model, found in candidates.items()}
    used = {judged.labels.sha256 for judged in compared.values() if judged.labels}
    if len(used) < len(labels):
        raise BadInput(
            f"{len(labels)} files of labels are given, and {len(used)} belong to these logs: name those only"
        )
    stands = verdict.holm({model: judged.outcomes for model, judged in compared.items()})
    verdicts = []
    for model, judged in compared.items():
        arms = judged.arms
        folder = out / model.rsplit("/", 1)[-1] if len(compared) > 1 else out
        summary = report.summarise(
            arms,
            judged.outcomes,
            binding.inputs(model, compared, calibrations, labels, bars, folder),
            judged.calibrations,
            judged.labels,
            _unless_read_only(partial(looks.record, arms[SAFETY])),
            rivals=len(compared),
            stands=len(compared) == 1 or model in stands,
        )
        output.write(summary, folder)
        _unless_read_only(partial(binding.label, arms[SAFETY], summary))
        verdicts.append(summary.verdict)
        click.echo(output.table(summary))
        click.echo(f"\nreport: {folder / 'report.html'}")
        if step := os.environ.get("GITHUB_STEP_SUMMARY"):
            with Path(step).open("a", encoding="utf-8") as file:
                file.write((folder / "report.md").read_text(encoding="utf-8"))
    return verdict.EXIT_CODE[verdict.worst(verdicts)]


def _unless_read_only(write: Callable[[], Written]) -> Written | None:
    """Write beside the logs; where they cannot be written to, say so: the verdict stands all the same."""
    from conscience.evals.errors import BadInput

    try:
        return write()
    except BadInput as error:
        click.echo(f"conscience: {error}; the report is made without it", err=True)
        return None


@gate.command()
@click.argument("report", type=click.Path(path_type=Path))
def verify(report: Path) -> int:
    """Make REPORT (report.json) again from its logs and say whether it still holds.

    Exit status: 0 it holds, 1 it does not (says what), 3 a log is missing or cannot be compared any more.
    """
    from conscience.evals import logs
    from conscience.evals.gate.binding import differences

    click.get_current_context().with_resource(logs.collector_paused())
    changed = differences(report)
    for line in changed:
        click.echo(line)
    click.echo(f"{report}: {'does not hold' if changed else 'holds'}")
    return int(bool(changed))


@gate.command("sample-labels")
@click.option("--base", multiple=True, required=True, help=_LOGS.format("base"))
@click.option("--candidate", multiple=True, required=True, help=_LOGS.format("candidate"))
@click.option(
    "--per-surface",
    type=click.IntRange(15),  # labels.LEAST, not imported for a help text
    default=30,
    show_default=True,
    help="Items drawn in each surface; both models' answers to each are labelled.",
)
@click.option("--seed", type=int, default=20_260, show_default=True, help="Of the draw; the report names it.")
@click.option("--out", required=True, type=click.Path(path_type=Path), help="JSONL file to write.")
def sample_labels(base: tuple[str, ...], candidate: tuple[str, ...], per_surface: int, seed: int, out: Path) -> None:
    """Draw answers for physicians to label, at random, the same items of both models, without saying whose they are.

    In each row of the file set "unsafe" to true or false and "rater" to a name; then give the file to `conscience gate --labels`.
    """
    from conscience.evals import logs
    from conscience.evals.errors import BadInput
    from conscience.evals.files import write_atomically
    from conscience.evals.gate import labels
    from conscience.evals.gate.comparison import SAFETY, compare_task

    if out.exists():
        raise BadInput(f"{str(out)!r} exists, and may hold labels: name another file")
    found = [logs.newest_by_task(places) for places in (base, candidate)]
    for name, arm in zip(("base", "candidate"), found, strict=True):
        if SAFETY not in arm:
            raise BadInput(f"the {name}'s logs hold no {SAFETY!r}; they hold: {', '.join(arm)}")
    drawn = labels.draw(compare_task(SAFETY, found[0][SAFETY], found[1][SAFETY]), per_surface, seed)
    write_atomically(out, labels.to_jsonl(answer.row for answer in drawn.values()))
    click.echo(f"{len(drawn)} answers to label in {out}: set unsafe to true or false, and rater, in every row")


@gate.command()
@click.option("--base-rate", type=click.FloatRange(0, 1, min_open=True), required=True, help="Base's true unsafe rate.")
@click.option(
    "--ratio", type=click.FloatRange(0, 1), required=True, help="Candidate's true unsafe rate over the base's."
)
@click.option(
    "--power", type=click.FloatRange(0.05, 0.999), default=0.8, show_default=True, help="Wanted probability of PASS."
)
@click.option("--sensitivity", type=click.FloatRange(0.5, 1), default=1.0, show_default=True, help="Of the judge.")
@click.option("--specificity", type=click.FloatRange(0.5, 1), default=1.0, show_default=True, help="Of the judge.")
@click.option(
    "--labels", type=click.IntRange(0), default=0, help="Human labels on safe answers; 0: specificity is known."
)
@click.option(
    "--churn", type=click.FloatRange(0, 1), default=0.10, show_default=True, help="Questions that one alone gets right."
)
@click.option("--change", type=click.FloatRange(-1, 1), default=0.0, show_default=True, help="True change of accuracy.")
@click.option(
    "--refused", type=click.FloatRange(0, 1), default=0.05, show_default=True, help="True share of controls refused."
)
@click.option(
    "--probes", type=click.FloatRange(0, 1), default=0.90, show_default=True, help="True share of probes passed."
)
@click.option("--targets", type=click.Path(path_type=Path), help="YAML with other bars.")
def plan(power: float, targets: Path | None, **believed: float) -> None:
    """How many items each target needs before the gate can pass a candidate that deserves it."""
    from conscience.evals.gate import planning, verdict

    bars = verdict.read_targets(targets) if targets else verdict.Targets()
    click.echo(planning.table(planning.Assumptions(**believed), bars, power))  # type: ignore[arg-type]


@click.command()
@click.argument("places", nargs=-1, required=True)
@click.option("--base", required=True, help="Name of the base among the logs' models.")
@click.option("--targets", type=click.Path(path_type=Path), help="YAML with other bars.")
@click.option("--out", required=True, type=click.Path(path_type=Path), help="Folder for table, data and figure.")
def tradeoff(places: tuple[str, ...], base: str, targets: Path | None, out: Path) -> None:
    """Safety against utility for a base and its candidates, from the logs in PLACES.

    Writes tradeoff.html, tradeoff.md, tradeoff.csv and tradeoff.svg. Every candidate's run of the test split counts as a look.
    """
    from conscience.evals import logs
    from conscience.evals.gate import looks, tradeoff_files, verdict
    from conscience.evals.gate import tradeoff as frontier
    from conscience.evals.gate.comparison import Arms

    bars = verdict.read_targets(targets) if targets else verdict.Targets()
    click.get_current_context().with_resource(logs.collector_paused())
    counts: list[int | None] = []

    def look(arms: Arms) -> None:
        counts.append(_unless_read_only(partial(looks.record, arms)))

    found = frontier.points(logs.by_model(places), base, look)
    counted = max((count for count in counts if count is not None), default=None)
    tradeoff_files.write(found, bars, counted, out)
    click.echo(frontier.table(found))
    for note in tradeoff_files.notes(found, counted):
        click.echo(f"note: {note}")
    click.echo(f"\nfigure: {out / 'tradeoff.html'}")
