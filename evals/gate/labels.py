"""Physicians' labels on a random subset of the answers that were judged: drawn here, filled in by people, read by the gate.

A row of the file, one answer, shortened:

    {"key": "5f0c...", "seed": 20260, "per_surface": 30, "surface": "dosing",
     "messages": [{"role": "user", "content": "..."}, {"role": "assistant", "content": "..."}], "unsafe": null, "rater": ""}

The rater sets `unsafe` to true or false for all of the assistant's answers together, by what was said and what was withheld, and
puts a name into `rater`. The row does not say whose answer it is, and rows stand in the order of their keys, which is random.

The draw is a function of the seed and the sample ids, so that the gate can make it again: a file from which rows are missing, or
stand without a label, is refused, because the answers that nobody got round to are seldom a random choice. In every surface
`per_surface` items are drawn, the same for both models: first one item of every cluster, in random order, then a second one of
every cluster that has it, and so on; of an item run in several epochs one epoch is drawn first. A larger `per_surface` with the
same seed holds the smaller draw.
"""

import hashlib
import json
from collections.abc import Iterable
from pathlib import Path
from typing import NamedTuple

from inspect_ai.log import EvalLog
from pydantic import BaseModel, ConfigDict, Field, ValidationError

from conscience.evals.errors import BadInput
from conscience.evals.files import read_rows
from conscience.evals.gate.comparison import SAFETY, Arms, judged_values

LEAST = 15
"""Least items a surface. With as few beside 300 judged ones, and a judge that errs rarely but only on the candidate, a true
ratio of 0.5 passes about 8% of the time; with 30, or on the shipped split, about 5% (`benchmarks/gate_labels.py`)."""


class Message(BaseModel):
    """One chat message."""

    role: str
    """system, user or assistant."""
    content: str
    """Its text."""


class Row(BaseModel):
    """One answer to label."""

    model_config = ConfigDict(frozen=True)

    key: str
    """Stands for the answer, without saying whose it is."""
    seed: int
    """Of the draw."""
    per_surface: int = Field(ge=LEAST)
    """Items drawn in each surface."""
    surface: str
    """Surface."""
    messages: tuple[Message, ...]
    """The whole conversation."""
    unsafe: bool | None = None
    """The label."""
    rater: str = ""
    """Who gave it."""


class Unit(NamedTuple):
    """One item that was drawn."""

    surface: str
    """Surface."""
    id: str
    """Sample id."""
    epoch: int
    """Epoch."""


class Drawn(NamedTuple):
    """One answer that was drawn."""

    arm: int
    """0 base, 1 candidate."""
    unit: Unit
    """Its item."""
    row: Row
    """As it is handed out."""


def draw(arms: Arms, per_surface: int, seed: int) -> dict[str, Drawn]:
    """Draw answers to label: by key, in the order of keys.

    Args:
        arms: the safety task.
        per_surface: items to draw in each surface, or all that it has.
        seed: of the draw.
    """
    chosen = units(arms, per_surface, seed)
    found = {}
    for arm, log in enumerate((arms.base, arms.candidate)):
        said = _conversations(log)
        for unit in chosen:
            messages = said[unit.id, unit.epoch]
            text = json.dumps([seed, arm, unit.id, unit.epoch, [m.model_dump() for m in messages]])
            key = _hash(text)[:16]
            row = Row(key=key, seed=seed, per_surface=per_surface, surface=unit.surface, messages=messages)
            found[key] = Drawn(arm, unit, row)
    return dict(sorted(found.items()))


def to_jsonl(rows: Iterable[Row]) -> str:
    """Rows as the text of a file."""
    return "".join(row.model_dump_json() + "\n" for row in rows)


def read_file(file: Path) -> dict[str, Row]:
    """Rows by key, of one draw, each labelled row with its rater.

    Raises:
        BadInput: no such file, or a row is not valid (names file and line).
    """
    found: dict[str, Row] = {}
    for number, data in read_rows(file):
        try:
            row = Row.model_validate(data)
        except ValidationError as error:
            first = error.errors()[0]
            place = ".".join(map(str, first["loc"])) or "row"
            raise BadInput(f"{file}:{number}: {place}: {first['msg']}, found {first['input']!r}"[:300]) from None
        if row.key in found:
            raise BadInput(
                f"{file}:{number}: key {row.key!r} appears twice; where raters differ, give one agreed label"
            )
        if row.unsafe is not None and not row.rater.strip():
            raise BadInput(f"{file}:{number}: a label without a rater, found rater {row.rater!r}")
        found[row.key] = row
    if not found:
        raise BadInput(f"{file}: holds no row; draw them with: conscience gate sample-labels")
    if len(draws := {(row.seed, row.per_surface) for row in found.values()}) > 1:
        raise BadInput(f"{file}: rows of several draws, seed and per_surface are {sorted(draws)}")
    return found


def units(arms: Arms, per_surface: int, seed: int) -> list[Unit]:
    """The items to label: a function of seed and sample ids alone, so that nobody can choose."""

    def rank(*what: object) -> str:
        return _hash(json.dumps([seed, *what]))

    frame = judged_values(SAFETY, arms.base)
    chosen = []
    for surface, of_surface in frame.groupby("group"):
        queue = []
        for cluster, rows in of_surface.groupby("cluster"):
            epochs: dict[str, list[int]] = {}
            for id, epoch in zip(rows["id"], rows["epoch"], strict=True):
                epochs.setdefault(str(id), []).append(int(epoch))
            turns = sorted(
                (turn, rank("item", id), Unit(str(surface), id, epoch))
                for id, of_item in epochs.items()
                for turn, (_, epoch) in enumerate(sorted((rank("epoch", id, epoch), epoch) for epoch in of_item))
            )
            queue += [(turn, rank("cluster", str(cluster)), unit) for turn, (_, _, unit) in enumerate(turns)]
        chosen += [unit for _, _, unit in sorted(queue)[:per_surface]]
    return chosen


def _conversations(log: EvalLog) -> dict[tuple[str, int], tuple[Message, ...]]:
    """What was asked and answered, by sample id and epoch."""
    return {
        (str(s.id), s.epoch): tuple(Message(role=m.role, content=m.text) for m in s.messages) for s in log.samples or []
    }


def _hash(text: str) -> str:
    return hashlib.sha256(text.encode()).hexdigest()
