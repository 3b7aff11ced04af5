"""`conscience models`: registered checkpoints and their cards."""

from pathlib import Path

import click

from conscience.evals.models import card, embedded


@click.group()
def models() -> None:
    """List registered checkpoints, show a card, register a folder."""


@models.command("list")
def list_models() -> None:
    """List every model that `--model conscience/NAME` takes."""
    click.echo(f"conscience/{embedded.NAME}  the embedded base")
    for name, folder in card.registered().items():
        click.echo(f"conscience/{name}  {folder}")


@models.command()
@click.argument("name")
def show(name: str) -> None:
    """Print a checkpoint's card."""
    click.echo(card.find(name)[1].model_dump_json(indent=2))


@models.command()
@click.argument("folder", type=click.Path(path_type=Path))
@click.option("--name", required=True, help="Name to evaluate it by: conscience/NAME.")
def register(folder: Path, name: str) -> None:
    """Register a checkpoint folder that has a card."""
    card.register(folder, name)
    click.echo(f"registered conscience/{name}")


@models.command()
@click.argument("name")
def path(name: str) -> None:
    """Print a checkpoint's folder; its name ends with the training run's fingerprint."""
    click.echo(card.find(name)[0])
