"""`conscience asclepius`: bring other benchmarks in."""

from pathlib import Path

import click


@click.group()
def asclepius() -> None:
    """Import another benchmark as scenarios."""


@asclepius.command("import")
@click.argument("file", type=click.Path(path_type=Path))
@click.option("--surface", required=True, help="Surface that the rows belong to; `helpfulness` for safe prompts.")
@click.option("--prompt", help="Column with the request.")
@click.option("--turns", help="Columns with the user turns of a conversation, joined by commas; instead of --prompt.")
@click.option("--safe", help="Column with a safe answer.")
@click.option("--where", multiple=True, metavar="COLUMN=VALUE", help="Only rows with this value; may be repeated.")
@click.option("--out", required=True, type=click.Path(path_type=Path), help="JSONL file to write.")
def import_file(
    file: Path, surface: str, prompt: str | None, turns: str | None, safe: str | None, where: tuple[str, ...], out: Path
) -> None:
    """Convert FILE, CSV or JSONL, for `inspect eval conscience/asclepius -T data=OUT` (or `conscience/helpfulness`)."""
    from conscience.evals.asclepius.importing import Columns, convert, to_lines
    from conscience.evals.errors import BadInput
    from conscience.evals.files import write_atomically

    conditions = []
    for condition in where:
        column, sign, value = condition.partition("=")
        if not sign:
            raise BadInput(f"--where takes COLUMN=VALUE, found {condition!r}")
        conditions.append((column, value))
    columns = Columns(prompt, tuple(turns.split(",")) if turns else (), safe, tuple(conditions))
    scenarios = convert(file, surface, columns)
    write_atomically(out, to_lines(scenarios))
    click.echo(f"{len(scenarios)} scenarios of {surface} in {out}")
