"""`conscience pairs` and `conscience train`."""

from pathlib import Path

import click


@click.group()
def pairs() -> None:
    """Build preference pairs from a critique_revise log."""


@pairs.command("build")
@click.argument("logs", nargs=-1, required=True)
@click.option("--out", required=True, type=click.Path(path_type=Path), help="Folder to write.")
def build_pairs(logs: tuple[str, ...], out: Path) -> None:
    """Pair each sample (rejected) of the LOGS, files or folders, with its revision (chosen)."""
    from conscience.training.pairs import build

    manifest = build(list(logs), out)
    dropped = ", ".join(f"{count} {reason}" for reason, count in manifest.dropped.items()) or "none"
    click.echo(f"{manifest.source.count} pairs in {out} (dropped: {dropped}); teacher: {manifest.source.teacher}")


@click.command()
@click.argument("recipe", type=click.Path(path_type=Path))
@click.option(
    "--pairs", required=True, type=click.Path(path_type=Path), help="Folder that `conscience pairs build` wrote."
)
def train(recipe: Path, pairs: Path) -> None:
    """Train a RECIPE (YAML) and register the checkpoint as conscience/NAME; killed and run again, it continues."""
    from conscience.training.pairs import load
    from conscience.training.recipe import Recipe
    from conscience.training.run import run

    read = Recipe.read(recipe)
    rows, manifest = load(pairs)
    folder, card = run(read, rows, manifest)
    figures = "  ".join(f"{name} {value:.3f}" for name, value in card.metrics.items())
    click.echo(f"registered conscience/{card.name}: {folder}\n  {figures}")
    for note in card.notes:
        click.echo(f"  note: {note}")
