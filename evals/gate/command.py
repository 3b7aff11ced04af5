"""`conscience gate`: compare a candidate with its base and give a verdict."""

from pathlib import Path

import click


@click.command()
@click.option("--base", multiple=True, required=True, help="Log file or folder of the base; may be repeated.")
@click.option("--candidate", multiple=True, required=True, help="Log file or folder of the candidate; may be repeated.")
@click.option(
    "--calibration",
    "calibrations",
    multiple=True,
    type=click.Path(path_type=Path),
    help="What `conscience calibrate --out` wrote on a judge of these logs; may be repeated.",
)
@click.option("--out", required=True, type=click.Path(path_type=Path), help="Folder for the report.")
def gate(base: tuple[str, ...], candidate: tuple[str, ...], calibrations: tuple[Path, ...], out: Path) -> int:
    """Compare a candidate with its base on the four targets.

    Writes report.html, report.md and report.json. Exit status: 0 PASS, 1 FAIL, 2 INCONCLUSIVE, 3 bad input (nothing is
    written).
    """
    from conscience.evals import logs
    from conscience.evals.gate import report, trust, verdict
    from conscience.evals.gate.comparison import compare

    arms = compare(logs.newest_by_task(base), logs.newest_by_task(candidate))
    trust.check_independence(arms)
    measured = trust.read_calibrations(calibrations, arms)
    summary = report.summarise(arms, verdict.judge_targets(arms), measured)
    report.write(summary, out)
    click.echo(report.table(summary))
    click.echo(f"\nreport: {out / 'report.html'}")
    return verdict.EXIT_CODE[summary.verdict]
