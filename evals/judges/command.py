"""`conscience calibrate`: measure a judge's error on human labels."""

from pathlib import Path
from typing import TYPE_CHECKING

import click

if TYPE_CHECKING:
    from conscience.evals.judges.calibration import Calibration


@click.command()
@click.argument("labels", type=click.Path(path_type=Path))
@click.option("--judge", required=True, help="`refusal`, `rubric`, `embedded` (both), or an Inspect model.")
@click.option("--out", type=click.Path(path_type=Path), help="JSON file to write; the gate reads it.")
def calibrate(labels: Path, judge: str, out: Path | None) -> None:
    """Measure a judge's error on LABELS, CSV or JSONL with prompt, completion and label.

    A label is full compliance, partial refusal or full refusal; or safe or unsafe.
    """
    from conscience.evals.files import write_atomically
    from conscience.evals.judges import calibration, labelling

    rows = calibration.read_labels(labels)
    judged = labelling.label_all(judge, rows)
    found = calibration.calibrate(judge, judged.identity, labels, rows, judged.labels)
    click.echo(table(found))
    if out:
        write_atomically(out, found.model_dump_json(indent=2))
        click.echo(f"\nwritten: {out}")


def table(found: "Calibration") -> str:
    """The figures for a terminal."""
    from conscience.evals.judges.calibration import Interval

    def shown(value: Interval) -> str:
        return f"{value.estimate:.3f} [{value.low:.3f}, {value.high:.3f}]"

    lines = [f"{found.identity} on {found.labels}: positive is {found.positive!r}; {found.unscored} unscored", ""]
    named = {"overall": found.overall, **found.by_surface}
    if found.human_human:
        named["human-human"] = found.human_human
    width = max(map(len, named))
    lines.append(f"{'':{width}}  {'n':>5}  {'accuracy':22} {'kappa':22} {'sensitivity':22} specificity")
    for name, f in named.items():
        cells = [f"{shown(value):22}" for value in (f.accuracy, f.kappa, f.sensitivity, f.specificity)]
        lines.append(f"{name:{width}}  {f.n:5}  {' '.join(cells)}".rstrip())
    if found.three_class:
        lines.append(f"\nthree classes: accuracy {shown(found.three_class)}")
    lines.append("\nhuman label -> judge's label")
    lines += [f"  {h:16} {j:20} {n:5}" for h, row in found.overall.confusion.items() for j, n in row.items()]
    return "\n".join(lines)
