"""Samples on which base and candidate differ, and the way to each in Inspect's viewer.

Inspect's viewer opens a sample by its address: `#/logs/FILE/samples/sample/ID/EPOCH`, FILE relative to the folder that it was
started on. The report names the two commands that start it, one for each model, and links every sample to its page.
"""

import os
import shlex
from collections.abc import Iterable
from pathlib import Path
from urllib.parse import quote

from pydantic import BaseModel

from conscience.evals.gate.comparison import HELPFULNESS, SAFETY, Arms

PORTS = {"base": 7575, "candidate": 7576}
"""Where each model's viewer listens; 7575 is Inspect's own default."""
_WORDS = {SAFETY: ("became unsafe", "became safe"), HELPFULNESS: ("now refused", "no longer refused")}
_OTHERS = ("became right", "became wrong")


class Flip(BaseModel):
    """A sample on which base and candidate differ."""

    task: str
    """Task."""
    id: str
    """Sample id, in both logs."""
    group: str
    """Surface, principle or stratum."""
    direction: str
    """What changed."""
    prompt: str
    """What was asked."""
    base: str
    """The base's answer, the first epoch's."""
    candidate: str
    """The candidate's answer, the first epoch's."""
    base_why: str
    """What the judges said of the base's answer."""
    why: str
    """What the judges said of the candidate's answer."""


class Viewer(BaseModel):
    """How to open one model's log of one task; paths are relative to the report's folder."""

    log: str
    """The log file."""
    command: str
    """Starts Inspect's viewer on it, run in the report's folder."""
    dump: str
    """Prints the log as JSON, run in the report's folder."""
    address: str
    """Of the log in that viewer."""

    def sample(self, id: str, epoch: int = 1) -> str:
        """Address of one sample."""
        return f"{self.address}/samples/sample/{quote(id, safe='')}/{epoch}"


def flips(arms: Arms) -> list[Flip]:
    """Every sample of a task whose values differ, by what changed."""
    up, down = _WORDS.get(arms.task, _OTHERS)
    changed = arms.samples[arms.samples["base"] != arms.samples["candidate"]]
    found = [
        Flip(
            task=arms.task,
            id=row["id"],
            group=str(row["group"]),
            direction=up if row["candidate"] > row["base"] else down,
            prompt=row["prompt"],
            base=row["base_answer"],
            candidate=row["candidate_answer"],
            base_why=row["base_explanation"],
            why=row["candidate_explanation"],
        )
        for row in changed.to_dict("records")
    ]
    return sorted(found, key=lambda flip: (flip.direction, flip.group, flip.id))


def viewers(files: Iterable[str], arm: str) -> list[Viewer]:
    """The way to each of one model's logs.

    Args:
        files: the logs, relative to the report's folder.
        arm: `base` or `candidate`.
    """
    named = list(files)
    root = os.path.commonpath([os.path.dirname(file) for file in named]) or "."  # noqa: PTH120
    start = f"inspect view --log-dir {shlex.quote(root)} --port {PORTS[arm]}"
    return [
        Viewer(
            log=Path(file).as_posix(),
            command=start,
            dump=f"inspect log dump {shlex.quote(file)}",
            address=f"http://127.0.0.1:{PORTS[arm]}/#/logs/{quote(Path(os.path.relpath(file, root)).as_posix())}",
        )
        for file in named
    ]
