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
@click.argument("overrides", nargs=-1, metavar="[KEY=VALUE]...")
@click.option(
    "--pairs", required=True, type=click.Path(path_type=Path), help="Folder that `conscience pairs build` wrote."
)
@click.option("--dry-run", is_flag=True, help="Only say what it would take: steps, tokens, memory, time.")
@click.option("--device", help="With --dry-run: a GPU to estimate for, for example 2xH100; default is this machine.")
@click.option("--processes", type=int, help="Refuse to train in another number of processes than this.")
def train(
    recipe: Path, overrides: tuple[str, ...], pairs: Path, dry_run: bool, device: str | None, processes: int | None
) -> None:
    """Train a RECIPE (YAML) and register the checkpoint as conscience/NAME; killed and run again, it continues.

    KEY=VALUE overrides a key of the recipe, for example learning_rate=5e-6 or lora.r=16.
    """
    from conscience.training import estimate
    from conscience.training.pairs import load
    from conscience.training.processes import check, say
    from conscience.training.recipe import Recipe
    from conscience.training.run import run

    read = Recipe.read(recipe, overrides)
    rows, manifest = load(pairs)
    if dry_run:
        click.echo(estimate.describe(read, rows, device))
        return
    check(processes)
    folder, card = run(read, rows, manifest)
    figures = "  ".join(f"{name} {value:.3f}" for name, value in card.metrics.items())
    say(f"registered conscience/{card.name}: {folder}\n  {figures}")
    for note in card.notes:
        say(f"  note: {note}")
