"""Several processes train one model, started by `accelerate launch` or `torchrun`: who writes, who waits, who speaks."""

import os

import click

from conscience.evals.errors import BadInput


def world_size() -> int:
    """Processes that train together."""
    return int(os.environ.get("WORLD_SIZE", "1"))


def is_first() -> bool:
    """Whether this process writes files and speaks."""
    return os.environ.get("RANK", "0") == "0"


def say(line: str) -> None:
    """Print a line once."""
    if is_first():
        click.echo(line)


def wait() -> None:
    """Wait until all processes are here."""
    import torch.distributed

    if world_size() > 1 and torch.distributed.is_initialized():
        torch.distributed.barrier()


def check(expected: int | None) -> None:
    """Refuse to train in fewer or more processes than meant: `accelerate launch --cpu` quietly starts one.

    Raises:
        BadInput: the world has another size (names both).
    """
    if expected not in (None, world_size()):
        raise BadInput(
            f"expected {expected} processes, found {world_size()}: the launcher did not start what was asked for"
        )
