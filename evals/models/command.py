"""`conscience models`: registered checkpoints and their cards."""

from pathlib import Path

import click

from conscience.evals.errors import BadInput
from conscience.evals.models import card, embedded, external, hub, modelcard
from conscience.evals.models import export as exporting
from conscience.evals.models import removal as removing


@click.group()
def models() -> None:
    """Register any checkpoint, list and show what is registered, export it, remove its name."""


@models.command("list")
def list_models() -> None:
    """List every model that `--model conscience/NAME` takes."""
    click.echo(f"conscience/{embedded.NAME}  the embedded base")
    for name, folder in card.registered().items():
        try:
            made = card.lookup(name)[1]
            about = f"{made.method}, {'adapter on ' + made.base if made.weights == 'adapter' else 'full weights'}"
        except BadInput as error:
            about = f"cannot be used: {error}"
        click.echo(f"conscience/{name}  {folder}  ({about})")


@models.command()
@click.argument("name")
@click.option("--json", "as_json", is_flag=True, help="The card as it is kept, for machines.")
def show(name: str, as_json: bool) -> None:
    """Print a checkpoint's lineage; its files are checked against it."""
    shown = card.find(name)[1]
    click.echo(shown.model_dump_json(indent=2) if as_json else modelcard.text(shown))


@models.command()
@click.argument("checkpoint", metavar="PATH_OR_HUB_ID")
@click.option("--name", required=True, help="Name to evaluate it by: conscience/NAME.")
@click.option("--base", help="Base model of an adapter: a hub id, a folder or conscience/smollm2-135m.")
@click.option(
    "--revision", help="Commit, branch or tag of the hub id; for an adapter's folder, of its base on the hub."
)
def register(checkpoint: str, name: str, base: str | None, revision: str | None) -> None:
    """Register a checkpoint: a folder with a card, a LoRA adapter, full weights, or a hub id.

    Weights must be safetensors. A hub id is fetched now and pinned by its commit.
    """
    made = external.register(checkpoint, name, base, revision)
    pinned = f" at commit {made.revision}" if made.revision else ""
    click.echo(f"registered conscience/{name}{pinned}")


@models.command()
@click.argument("name")
@click.option("--files", is_flag=True, help="Delete the checkpoint's folder too; only one that was trained here.")
def remove(name: str, files: bool) -> None:
    """Take a name back."""
    folder = removing.remove(name, files)
    click.echo(f"removed conscience/{name}; {'deleted' if files else 'left'} {folder}")


@models.command()
@click.argument("name")
@click.option("--out", type=click.Path(path_type=Path), required=True, help="New folder to write.")
@click.option("--merged", is_flag=True, help="Merge an adapter into its base: full weights and the tokenizer.")
@click.option("--push-to", metavar="REPO", help="Upload it to this hub repository, created private if there is none.")
def export(name: str, out: Path, merged: bool, push_to: str | None) -> None:
    """Write a folder that PEFT or transformers can load, with the card and a Hugging Face model card.

    NAME@S with --merged writes the adapter at strength S.
    """
    if push_to is not None:
        hub.check_push(push_to)  # now, not after minutes of merging
    exporting.export(name, out, merged)
    click.echo(f"wrote {out}")
    if push_to is not None:
        click.echo(f"pushed to {hub.push(out, push_to)}")


@models.command()
@click.argument("name")
def path(name: str) -> None:
    """Print a checkpoint's folder; of one trained here it ends with the training run's fingerprint."""
    click.echo(card.find(name)[0])
